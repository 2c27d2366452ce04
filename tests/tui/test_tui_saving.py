"""The JSON of what is selected says what the command line says, of what was heard, with the guest beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from msrtui.cli.__main__ import main
from msrtui.kvm.recorded import RecordedHost
from msrtui.kvm.requests import GetMsrs, R, Request
from msrtui.lines import line
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source
from msrtui.tui.exploration import Exploration
from msrtui.tui.saving import selection_text
from msrtui.tui.session import Subject
from msrtui.values import replace

SKYLAKE, EPYC = "intel-skylake-bochs-linux6.12", "amd-pvm-linux6.18"
QEMU = QemuProfile("7.2")

Command = Callable[..., Any]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """What the command line prints with --json, as that QEMU."""

    def run(*arguments: str) -> Any:
        assert main([*arguments, "--json", "--qemu", QEMU.label]) == 0
        return json.loads(capsys.readouterr().out)

    return run


def selected(explored: Exploration, subject: Subject) -> Any:
    explored.look_at(subject)
    return json.loads(selection_text(explored.session, ()))


class Silent:
    """A host that answers up to where it is told to fall silent; from there on a question is an error."""

    def __init__(self, host: RecordedHost) -> None:
        self._host = host
        self.silent = False

    def ask(self, request: Request[R]) -> R:
        assert not self.silent, request
        return self._host.ask(request)

    def held(self) -> Any:
        return self._host.held()


def explored(name: str, cpu: str = "host") -> Exploration:
    """The whole conversation; whoever asks behind it fails."""
    source = open_source(name)
    assert isinstance(source.answerer, RecordedHost)
    host = Silent(source.answerer)
    made = Exploration(replace(source, answerer=host), QEMU, cpu)
    host.silent = True
    return made


def without_guest(word: dict[str, Any]) -> dict[str, Any]:
    features = [{key: value for key, value in row.items() if key != "guest"} for row in word["features"]]
    kept = {key: value for key, value in word.items() if key not in ("guest", "guest_lineage")}
    return {**kept, "features": features}


@pytest.mark.parametrize("name", [SKYLAKE, EPYC])
@pytest.mark.parametrize("cpu", ["host", "Haswell-v4,-avx2", "EPYC-v3"])
def test_a_words_json_is_that_of_words_with_the_guests_layer(command: Command, name: str, cpu: str) -> None:
    told, features = command("words", name), command("features", name, "--cpu", cpu)["features"]
    here = explored(name, cpu)
    held = 0
    for word in QEMU.tables.words:
        saved = selected(here, ("word", word.name))
        assert list(saved) == ["source", "qemu", "cpu", "words"]
        assert (saved["source"], saved["qemu"], saved["cpu"]) == (told["source"], "7.2", cpu)
        assert list(saved["words"]) == [word.name]
        (document,) = saved["words"].values()
        assert without_guest(document) == told["words"][word.name]
        assert {"kvm", "supported", "migratable", "guest"} <= document.keys()
        guest = int(document["guest"], 16)
        for row in document["features"]:
            assert row["guest"] == bool(guest >> row["bit"] & 1)
            if list(QEMU.tables.bits_of_property.get(row["name"], ())) == [(word.name, row["bit"])]:
                assert row["guest"] == features[row["name"]], row["name"]
                held += 1
        assert not document["guest_lineage"] or document["guest_lineage"][-1]["after"] == document["guest"]
    assert held > 200


@pytest.mark.parametrize(
    ("name", "cpu", "feature", "subject"),
    [
        (SKYLAKE, "host", "mds-no", ("bit", "FEAT_ARCH_CAPABILITIES", 5)),
        (SKYLAKE, "host", "vmx", ("bit", "FEAT_1_ECX", 5)),
        (EPYC, "EPYC-v3", "x2apic", ("bit", "FEAT_1_ECX", 21)),
        (EPYC, "Haswell-v4,-avx2", "avx2", ("bit", "FEAT_7_0_EBX", 5)),
    ],
)
def test_a_bits_json_holds_its_reason_as_features_why_tells_it(
    command: Command, name: str, cpu: str, feature: str, subject: Subject
) -> None:
    told = command("features", name, "--cpu", cpu, "--why", feature)
    saved = selected(explored(name, cpu), subject)
    assert list(saved) == ["source", "qemu", "cpu", "words", "bits"]
    assert saved["bits"] == told["bits"]
    assert saved["bits"][0]["text"]
    assert saved["bits"][0]["value"] == saved["words"][str(subject[1])]["guest"]


def test_a_bit_without_a_name_has_its_reason_too() -> None:
    (bit,) = selected(explored(EPYC), ("bit", "FEAT_ARCH_CAPABILITIES", 26))["bits"]
    assert (bit["on"], bit["kvm"], bit["obstacles"]) == (False, True, ["migratable-mask"])


@pytest.mark.parametrize("name", [SKYLAKE, EPYC])
@pytest.mark.parametrize("index", [0x10A, 0x8B, 0x48B, 0x10, 0xC0000081, 0x3A, 0xCF])
def test_an_msrs_json_is_that_of_get_and_nothing_is_asked_for_it(command: Command, name: str, index: int) -> None:
    told = command("get", hex(index), name)
    saved = selected(explored(name), ("msr", index))
    assert saved == told
    assert saved["cpu"] == "host"
    word = QEMU.tables.word_by_msr.get(index)
    assert (saved["guest"] is None) == (word is None)


def test_the_users_own_answer_for_an_msr_that_is_not_listed_stands_under_asked(command: Command) -> None:
    source = open_source(EPYC)
    told = command("get", "0x10", EPYC, "--ask")
    here = Exploration(source, QEMU)
    here.answered(0x10, source.answerer.ask(GetMsrs((0x10,))), 0.0, listed=False)
    assert json.loads(selection_text(here.session, ()))["asked"] == told["asked"]


def test_before_it_is_read_an_msrs_value_is_unknown_and_a_bit_has_no_reason() -> None:
    here = Exploration(open_source(EPYC), QEMU, at_start=True)
    while here.session.state.feature_list is None:
        here.step(1)
    saved = selected(here, ("msr", 0x8B))
    assert (saved["status"], saved["kvm"], saved["in_feature_list"]) == ("unknown", None, True)
    while "FEAT_1_ECX" not in here.session.state.words:
        here.step(1)
    saved = selected(here, ("bit", "FEAT_1_ECX", 5))
    assert (saved["bits"], saved["words"]["FEAT_1_ECX"]["guest"]) == ([], None)


def test_what_has_no_shape_is_told_by_its_lines() -> None:
    here = explored(EPYC)
    here.look_at(("cap", 153))
    saved = json.loads(selection_text(here.session, [line(" KVM_CAP_GET_MSR_FEATURES  ")]))
    assert saved["subject"] == ["cap", 153]
    assert saved["text"] == [" KVM_CAP_GET_MSR_FEATURES"]
    assert saved["cpu"] == "host"
