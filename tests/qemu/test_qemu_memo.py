"""The memo gives every word that QEMU's way gives, and works a word out once."""

from __future__ import annotations

from pathlib import Path

import pytest

from msrtui.kvm.recorded import RecordedHost, Recording
from msrtui.qemu.conversation import Outcome, negotiate
from msrtui.qemu.memo import WordMemo, answered
from msrtui.qemu.negotiation import QemuExit
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.words import SupportedWord
from msrtui.snapshot.codec import load
from msrtui.values import replace


def outcome(said: Recording, qemu: QemuProfile, memo: WordMemo | None) -> Outcome | str:
    try:
        return answered(negotiate(qemu, memo=memo), RecordedHost(said))
    except QemuExit as end:
        return f"{end.text} {end.status}"


def without_lineage(words: dict[str, SupportedWord]) -> dict[str, SupportedWord]:
    return {name: replace(word, lineage=()) for name, word in words.items()}


@pytest.fixture(scope="module")
def recordings() -> list[Recording]:
    paths = sorted((Path(__file__).resolve().parents[1] / "data" / "hosts").glob("*.json"))
    found = [load(path.read_bytes(), path.stem).recording for path in paths]
    assert len(found) > 20
    rich = next(said for said in found if said.msrs.get(0x10A) and said.supported_cpuid)
    # what a source does not say, and what QEMU ends for, are leaves like any other
    return [
        *found,
        replace(rich, feature_list=None),
        replace(rich, supported_cpuid=None),
        replace(rich, msrs={}),
        replace(rich, msrs={index: replace(msr, result=0, value=None) for index, msr in rich.msrs.items()}),
        replace(rich, host_cpuid={}, host_cpuid_incomplete="not captured"),
    ]


@pytest.mark.parametrize("qemu", ["3.1", "4.2", "5.2", "7.2", "10.2", "11.1"])
def test_the_words_are_those_of_the_long_way(recordings: list[Recording], qemu: str) -> None:
    profile, memo = QemuProfile(qemu), WordMemo()
    for said in recordings:
        wanted, found = outcome(said, profile, None), outcome(said, profile, memo)
        if isinstance(wanted, str) or isinstance(found, str):
            assert found == wanted
            continue
        assert found.words == without_lineage(dict(wanted.words))
        assert list(found.words) == list(wanted.words)
        assert found.state == wanted.state
        assert {name: word.value for name, word in found.guest.items()} == {
            name: word.value for name, word in wanted.guest.items()
        }
    worked_out = memo.worked_out
    for said in reversed(recordings):
        outcome(said, profile, memo)
    assert memo.worked_out == worked_out < len(recordings) * len(profile.tables.words) / 3


def test_each_option_has_trees_of_its_own(recordings: list[Recording]) -> None:
    memo = WordMemo()
    for profile in (QemuProfile(), QemuProfile(irqchip="split"), QemuProfile(machine="q35"), QemuProfile(cpu_pm=True)):
        for said in recordings:
            wanted, found = outcome(said, profile, None), outcome(said, profile, memo)
            if isinstance(wanted, Outcome):
                assert isinstance(found, Outcome)
                assert found.words == without_lineage(dict(wanted.words))


def test_only_the_words_asked_for_are_read(recordings: list[Recording]) -> None:
    memo = WordMemo()
    found = answered(negotiate(QemuProfile(), ["FEAT_1_ECX"], memo=memo), RecordedHost(recordings[0]))
    assert list(found.words) == ["FEAT_1_ECX"]
    assert memo.worked_out == 1
