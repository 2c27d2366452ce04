"""The ladder and the panes where something is not known: a question mark, never a 0."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from msrtui.kvm.abi import Cap
from msrtui.kvm.recorded import RecordedHost
from msrtui.lines import Line
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source
from msrtui.transcript.state import State
from msrtui.tui.reader import Reader
from msrtui.tui.view.detail.layers import cells_of, layers_of
from msrtui.tui.view.detail.of_msrs import msr_detail
from msrtui.tui.view.detail.of_words import Looks, word_detail
from msrtui.tui.view.panes import feature_heading, feature_rows, word_rows
from msrtui.values import replace

QEMU = QemuProfile("10.0")


def text_of(lines: list[Line]) -> str:
    return "\n".join("".join(text for text, _ in entry.spans) for entry in lines)


def end_of(path: str, **changes: object) -> State:
    source = open_source(path)
    assert isinstance(source.answerer, RecordedHost)
    told = replace(source.answerer.recording, **changes)  # type: ignore[arg-type]
    reader = Reader(replace(source, answerer=RecordedHost(told)), QEMU)
    reader.ends(1)
    return reader.state


def test_bits_that_follow_the_hosts_cpuid_are_question_marks_without_it(capture: Callable[[str], str]) -> None:
    state = end_of(capture("amd-epyc-tcg-linux6.12"), host_cpuid={})
    word = QEMU.tables.word_by_name["FEAT_7_0_EBX"]
    found = state.words[word.name]
    erms = 9
    assert found.unknown >> erms & 1
    assert cells_of(layers_of(word, found, state), erms)[1:] == ["?", "?", "?"]
    shown = text_of(word_detail(state, word, QEMU, Looks(80, 60, "as recorded")))
    assert "no CPUID of the host" in shown
    rows = text_of(word_rows(state, QEMU.tables, {("word", word.name)}, 40))
    assert any("erms" in row and row.rstrip().endswith("?") for row in rows.splitlines())


@pytest.mark.parametrize("cap", [None, 1])
def test_a_feature_list_that_the_source_does_not_hold_is_not_known(
    capture: Callable[[str], str], cap: int | None
) -> None:
    path = capture("amd-pvm-linux6.18")
    answerer = open_source(path).answerer
    assert isinstance(answerer, RecordedHost)
    known = {n: value for n, value in answerer.recording.capabilities.items() if n != Cap.GET_MSR_FEATURES}
    if cap is not None:
        known[int(Cap.GET_MSR_FEATURES)] = cap
    state = end_of(path, capabilities=known, feature_list=None)
    assert feature_heading(state)[1] == "?"
    assert "not known" in text_of(feature_rows(state, {}, QEMU.tables, 40))
    assert "not known" in text_of(msr_detail(state, 0x10A, None, QEMU, 80))
    word = QEMU.tables.word_by_name["FEAT_ARCH_CAPABILITIES"]
    shown = text_of(word_detail(state, word, QEMU, Looks(80, 60, "as recorded")))
    assert "not known" in shown
    assert "KVM is not asked" not in shown
