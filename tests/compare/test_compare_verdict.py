"""Verdicts: they are QEMU's own, for every ordered pair of the hosts that a real QEMU answered for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from msrtui.compare.side import Side, side_of
from msrtui.compare.verdict import can_move
from msrtui.kvm.recorded import RecordedHost
from msrtui.qemu.cpu_request import CpuRequest, definitions
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source
from msrtui.values import replace

EPYC = "amd-pvm-linux6.18"
SKYLAKE = "intel-skylake-bochs-linux6.12"


def side(name: str, qemu: str = "7.2", cpu: str = "host") -> Side:
    return side_of(open_source(name), QemuProfile(qemu), cpu)


def unavailable(answers: Path, label: str) -> dict[str, frozenset[str]]:
    """What query-cpu-definitions of that QEMU said on that host, by model; {} where it was not asked."""
    of_all = json.loads(answers.read_text(encoding="utf-8"))
    for version, said in of_all.items():
        if version.startswith(f"{label}."):
            rows = said["unavailable"]
            return {name: frozenset(lacks.split()) for names, lacks in rows for name in names.split()}
    return {}


@pytest.mark.parametrize("label", ["5.2", "7.2", "10.0", "11.1"])
def test_a_named_model_can_move_where_qemu_lacks_no_more_there_than_here(
    label: str, captures: tuple[Path, ...]
) -> None:
    qemu = QemuProfile(label)
    answers = {path: unavailable(path.parents[1] / "answers" / path.name, label) for path in captures if _asked(path)}
    sides = {path: side_of(open_source(str(path)), qemu) for path, said in answers.items() if said}
    assert len(sides) >= 20
    compared = 0
    for name, named in definitions(qemu.tables).items():
        request = CpuRequest(name, name, named, check=False)
        if request.takes_all:
            continue
        here = {path: each.with_cpu(request) for path, each in sides.items() if name in answers[path]}
        for one, source in here.items():
            for other, target in here.items():
                expected = "can" if answers[other][name] <= answers[one][name] else "cannot"
                verdict = can_move(source, target)
                assert verdict.answer == expected, (name, one.stem, other.stem, verdict.reasons[:3])
                assert verdict.clean is (not answers[one][name]), (name, one.stem)
                compared += 1
    assert compared > 20_000


def _asked(capture: Path) -> bool:
    return (capture.parents[1] / "answers" / capture.name).exists()


def test_a_host_guest_needs_what_the_other_kvm_gives_without_the_mask() -> None:
    there = can_move(side(EPYC), side(SKYLAKE))
    back = can_move(side(SKYLAKE), side(EPYC))
    assert (there.answer, len(there.reasons), len(there.words)) == ("cannot", 11, 5)
    assert (back.answer, len(back.reasons), len(back.words)) == ("cannot", 118, 17)
    assert there.warnings == back.warnings == ("vendor",)
    assert there.clean is True
    arch = [reason for reason in there.reasons if reason.word.name == "FEAT_ARCH_CAPABILITIES"]
    assert [(reason.bit, reason.layer) for reason in arch] == [(0, "kvm"), (5, "kvm")]
    # QEMU 7.2 gives bits 26, 27 and 62 to no guest: that B lacks 26 cannot hurt
    assert {reason.layer for reason in back.reasons if reason.word.kind == "msr"} == {"not listed", "kvm"}


def test_a_guest_can_move_to_where_it_is() -> None:
    for name in (EPYC, SKYLAKE):
        for cpu in ("host", "max", "EPYC", "host,-vmx,-svm"):
            verdict = can_move(side(name, cpu=cpu), side(name, cpu=cpu))
            assert (verdict.answer, verdict.reasons, verdict.warnings) == ("can", (), ())


def test_what_cpu_pm_sets_behind_the_filter_is_set_where_the_guest_goes_too() -> None:
    source = open_source("amd-epyc-tcg-linux6.12")
    assert isinstance(source.answerer, RecordedHost)
    said = source.answerer.recording
    no_mwait = replace(said, capabilities={**said.capabilities, 143: 0})  # KVM_CAP_X86_DISABLE_EXITS
    source = replace(source, answerer=RecordedHost(no_mwait))
    profile = QemuProfile("7.2", machine="q35", cpu_pm=True)
    here, there = (side_of(source, profile) for _ in range(2))
    assert here.guest is not None
    assert (here.guest.low.words["FEAT_1_ECX"].value or 0) >> 3 & 1
    assert not (here.words["FEAT_1_ECX"].supported or 0) >> 3 & 1
    assert can_move(here, there).answer == "can"
    without = side_of(source, QemuProfile("7.2", machine="q35"))
    assert [(reason.word.name, reason.bit) for reason in can_move(here, without).reasons] == [("FEAT_1_ECX", 3)]


def test_what_is_switched_off_is_not_missed() -> None:
    cpu = "host,-rdctl-no,-mds-no"
    reasons = can_move(side(EPYC, cpu=cpu), side(SKYLAKE, cpu=cpu)).reasons
    assert "FEAT_ARCH_CAPABILITIES" not in {reason.word.name for reason in reasons}
    assert len(reasons) == 9


def test_nested_off_lacks_vmx_and_all_its_words() -> None:
    verdict = can_move(side(SKYLAKE), side("intel-skylake-nested0-bochs-linux6.12"))
    assert verdict.answer == "cannot"
    assert verdict.words[0] == "FEAT_1_ECX"
    assert all(word.startswith("FEAT_VMX") for word in verdict.words[1:])
    assert {reason.layer for reason in verdict.reasons[1:]} == {"not listed"}
    assert can_move(side("intel-skylake-nested0-bochs-linux6.12"), side(SKYLAKE)).answer == "can"


def test_without_xsave_its_components_are_no_matter(captures: tuple[Path, ...]) -> None:
    penryn = next(str(path) for path in captures if path.stem == "intel-penryn-bochs-linux5.10")
    verdict = can_move(side(EPYC, cpu="SandyBridge"), side(penryn, cpu="SandyBridge"))
    # KVM here has no XSAVE to give, so the guest has none; that the other lacks AVX's component cannot hurt it
    assert "FEAT_XSAVE_COMP_LO" not in verdict.words
    assert verdict.answer == "can"


def test_what_a_source_does_not_say_makes_it_unknown() -> None:
    source = open_source(SKYLAKE)
    assert isinstance(source.answerer, RecordedHost)
    told = replace(source.answerer.recording, msrs={})
    silent = side_of(replace(source, answerer=RecordedHost(told)), QemuProfile("7.2"))
    verdict = can_move(side(SKYLAKE), silent)
    assert verdict.answer == "unknown"
    assert {reason.layer for reason in verdict.reasons} == {"unknown"}
    assert not any(reason.sure for reason in verdict.reasons)


def test_a_kvm_that_cannot_be_used_runs_no_guest() -> None:
    verdict = can_move(side("amd-nosvm-tcg-linux6.12"), side(EPYC))
    assert verdict.answer == "cannot"
    assert verdict.ends
    assert can_move(side(EPYC), side("amd-nosvm-tcg-linux6.12")).answer == "cannot"


def test_another_qemu_on_the_same_kvm() -> None:
    # 10.2 hides ARCH_CAPABILITIES from AMD guests; its filter would still let them through
    assert can_move(side(EPYC, "7.2"), side(EPYC, "10.2")).answer == "can"
    # 10.0 adds erms and fsrm by itself, and 7.2's filter knows nothing of that; of some words it has not heard
    back = can_move(side(EPYC, "10.0"), side(EPYC, "7.2"))
    missing = {reason.word.bits[reason.bit]: (reason.word.name, reason.layer) for reason in back.reasons}
    # (KVM answers 0: it is 10.0 that adds them)
    assert missing.pop("erms") == ("FEAT_7_0_EBX", "kvm")
    assert missing.pop("fsrm") == ("FEAT_7_0_EDX", "kvm")
    assert missing.keys() == {"overflow-recov", "succor", "lfence-always-serializing"}
    assert {word for word, _ in missing.values()} == {"FEAT_8000_0007_EBX", "FEAT_8000_0021_EAX"}
    assert {layer for _, layer in missing.values()} == {"qemu"}
    assert back.answer == "cannot"


def test_the_components_of_xsave_are_the_same_under_their_older_name() -> None:
    # 6.2 calls them FEAT_XSAVE_COMP_LO, 7.2 FEAT_XSAVE_XCR0_LO
    haswell = "intel-haswell-bochs-linux6.1"
    for one, other in (("6.2", "7.2"), ("7.2", "6.2")):
        verdict = can_move(side(haswell, one), side(haswell, other))
        assert not [name for name in verdict.words if "XSAVE_COMP" in name or "XSAVE_XCR0" in name]
        assert can_move(side(haswell, one, "Haswell-v4"), side(haswell, other, "Haswell-v4")).answer == "can"


def test_enforce_ends_it_on_the_side_that_refuses() -> None:
    there = can_move(side(SKYLAKE, cpu="Skylake-Server-v4,enforce"), side(EPYC, cpu="Skylake-Server-v4,enforce"))
    assert there.answer == "cannot"
    assert there.ends == "Host doesn't support requested features"
    poor = can_move(side(SKYLAKE, cpu="host,enforce"), side(EPYC, cpu="host,+avx512f,enforce"))
    assert poor.ends_on is poor.target
    assert poor.answer == "cannot"
