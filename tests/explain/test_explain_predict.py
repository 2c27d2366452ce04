"""What comes of a start: by the rules alone, by what a vCPU showed, and where neither decides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from vcpus import Entries, Vcpu, as_set, without_arch_capabilities

from msrtui.explain.acceptance import ARCH_ABSENT, ARCH_GATE, MODEL_DIFFERS, NO_RULE
from msrtui.explain.predict import (
    AMX_NOT_ASKED_FOR,
    CPUID_REFUSED,
    FULL_STATE,
    IGNORED,
    NO_GATE,
    NO_VM,
    NOT_NATIVE,
    NOT_TRIED,
    TRIED,
    Facts,
    Prediction,
    predict,
    remedies,
    verdicts_on,
)
from msrtui.explain.probing import take
from msrtui.kvm.recorded import RecordedHost, RecordedMsr
from msrtui.kvm.requests import Answerer
from msrtui.qemu.conversation import negotiate
from msrtui.qemu.cpu_request import parse, profile_for
from msrtui.qemu.guest_cpuid import guest_cpuid
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source
from msrtui.transcript.stepper import conclude
from msrtui.values import replace

HOSTS = Path(__file__).resolve().parents[1] / "data" / "hosts"
CPUS = ("host", "max", "host,migratable=off", "host,-arch-capabilities", "EPYC", "qemu64", "Icelake-Server")


def _host(name: str) -> RecordedHost:
    answerer = open_source(str(HOSTS / f"{name}.json")).answerer
    assert isinstance(answerer, RecordedHost)
    return answerer


AMD, SKYLAKE, RAPIDS = (
    _host(name)
    for name in ("amd-pvm-linux6.18", "intel-skylake-bochs-linux6.12", "intel-sapphirerapids-bochs-linux6.12")
)


def _predicted(host: Answerer, label: str, cpu: str, facts: Facts | None = None, **more: bool) -> Prediction:
    machine = "q35"
    profile = QemuProfile(label, machine=machine)
    request = parse(cpu, profile)
    return predict(profile_for(request, profile), request, host, facts, **more)


def _facts(vcpu: Vcpu, *cpus: str, label: str = "7.2", write: bool = False) -> Facts:
    results = []
    for cpu in cpus:
        profile = QemuProfile(label, machine="q35")
        request = parse(cpu, profile)
        results.append(take(profile_for(request, profile), request, vcpu, write=write))
    return Facts([result for result in results if result is not None])


@pytest.mark.parametrize(
    ("cpu", "differs"), [("host", False), ("SapphireRapids", False), ("Skylake-Server", True), ("base", True)]
)
@pytest.mark.parametrize("known", [True, False])
def test_an_lbr_format_is_held_against_the_models_number(cpu: str, differs: bool, known: bool) -> None:
    said = RAPIDS.recording
    assert said.feature_list is not None
    msrs = {**said.msrs, 0x345: RecordedMsr(1, 0x2005)}
    host = RecordedHost(replace(said, msrs=msrs, host_cpuid=said.host_cpuid if known else {}))
    profile = QemuProfile("10.0", "q35")
    outcome = conclude(negotiate(profile, cpu=parse(cpu, profile)), host)
    assert outcome.cpu is not None
    put = guest_cpuid(outcome.state, outcome.cpu)
    assert put is not None
    (verdict,) = verdicts_on([(0x345, 0x2005)], outcome, put, host, Facts())
    assert (verdict.rule == MODEL_DIFFERS) is (differs or (cpu != "host" and not known))


@pytest.mark.parametrize("label", ["5.2", "7.2", "10.0", "11.1"])
def test_no_host_that_was_captured_gets_a_false_alarm(capture: Path, label: str) -> None:
    source = open_source(str(capture))
    outcomes = {cpu: _predicted(source.answerer, label, cpu).outcome for cpu in CPUS}
    if any(name in capture.stem for name in ("nosvm", "nonroot")):
        assert set(outcomes.values()) == {"ends"}, "no KVM that can be opened"
    else:
        assert set(outcomes.values()) <= {"starts", "not known"}
        assert outcomes["host,-arch-capabilities"] == outcomes["qemu64"] == outcomes["EPYC"] == "starts"


def test_an_emulated_arch_capabilities_is_not_known_without_a_vcpu_and_a_native_one_is() -> None:
    emulated, native = _predicted(AMD, "7.2", "host"), _predicted(RAPIDS, "7.2", "host")
    assert (emulated.outcome, emulated.reason) == ("not known", NOT_NATIVE)
    assert (native.outcome, native.evidence) == ("starts", "rule")


# what kvm.md measured on the machine that amd-pvm-linux6.18 was captured on, QEMU by QEMU
MEASURED: list[tuple[str, str, int | None]] = [
    ("5.2", "host", 0x69),
    ("5.2", "host,migratable=off", 0x400000000C000069),
    ("7.2", "host", 0x69),
    ("7.2", "max", 0x69),
    ("7.2", "Icelake-Server-v3", 0x69),
    ("7.2", "host,migratable=off", 0x400000000C000069),
    ("7.2", "host,-arch-capabilities", None),
    ("7.2", "EPYC", None),
    ("7.2", "qemu64", None),
    ("10.0", "host", 0xC000069),
    ("10.0", "Icelake-Server-v3", 0x69),
    ("11.1", "host", None),
    ("11.1", "max", None),
    ("11.1", "Icelake-Server-v3", 0x69),
]


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize(("label", "cpu", "value"), MEASURED)
def test_what_was_measured_on_a_kvm_that_drops_the_bit_is_told_before(
    label: str, cpu: str, value: int | None, write: bool
) -> None:
    facts = _facts(Vcpu(AMD, without_arch_capabilities), cpu, label=label, write=write)
    found = _predicted(AMD, label, cpu, facts)
    assert found.evidence == "probe" or value is None
    if value is None:
        assert found.outcome == "starts"
        return
    assert found.outcome == "aborts"
    assert found.refused is not None
    assert (found.refused.index, found.refused.value, found.refused.rule) == (0x10A, value, ARCH_GATE)
    assert found.said == f"qemu-system-x86_64: error: failed to set MSR 0x10a to {value:#x}"


def test_the_round_trip_alone_settles_it_and_says_what_starts_instead() -> None:
    facts = _facts(Vcpu(AMD, without_arch_capabilities), "host")
    found = _predicted(AMD, "7.2", "host", facts)
    (other,) = remedies(found, AMD, facts)
    assert other.request.text == "host,-arch-capabilities"
    assert other.outcome == "starts"
    assert remedies(other, AMD, facts) == ()


def test_a_kvm_that_keeps_the_bit_starts() -> None:
    found = _predicted(AMD, "7.2", "host", _facts(Vcpu(AMD, as_set), "host"))
    assert (found.outcome, found.evidence) == ("starts", "probe")


def test_an_older_kernel_takes_it_even_where_the_bit_is_dropped() -> None:
    facts = _facts(Vcpu(AMD, without_arch_capabilities, gate=False), "host")
    found = _predicted(AMD, "7.2", "host", facts)
    assert (found.outcome, found.evidence, found.verdicts[0].rule) == ("starts", "probe", NO_GATE)


def test_with_ignore_msrs_kvm_takes_and_drops_it() -> None:
    facts = _facts(Vcpu(AMD, without_arch_capabilities), "host")
    found = _predicted(AMD, "7.2", "host", facts, ignore_msrs=True)
    assert (found.outcome, found.verdicts[0].rule) == ("starts", IGNORED)


@pytest.mark.parametrize("write", [False, True])
def test_a_guest_that_never_had_the_bit_is_not_said_to_have_lost_it(write: bool) -> None:
    """4.0 lets a guest have bits of 0x10a without the CPUID bit that announces it."""
    facts = _facts(Vcpu(AMD), "EPYC,+rdctl-no", label="4.0", write=write)
    found = _predicted(AMD, "4.0", "EPYC,+rdctl-no", facts)
    assert found.refused is not None
    assert (found.refused.index, found.refused.rule, found.evidence) == (0x10A, ARCH_ABSENT, "probe")


def test_what_a_vcpu_took_and_no_rule_decides_is_said_to_be_tried() -> None:
    facts = _facts(Vcpu(AMD, without_arch_capabilities, gate=False), "host", write=True)
    verdict = _predicted(AMD, "7.2", "host", facts).verdicts[0]
    assert (verdict.taken, verdict.rule, verdict.tried) == (True, TRIED, True)


def test_the_bits_that_were_refused_one_by_one_count_more_than_the_rules() -> None:
    vcpu = Vcpu(RAPIDS, refuses=lambda write: write[0] == 0x10A and bool(write[1] & 1 << 3))
    found = _predicted(RAPIDS, "7.2", "host", _facts(vcpu, "host", write=True))
    assert found.refused is not None
    assert [(each.rule, each.mask) for each in found.refused.refused] == [(NO_RULE, 1 << 3)]


@pytest.mark.parametrize(("keep", "outcome"), [(as_set, "starts"), (without_arch_capabilities, "aborts")])
def test_what_another_guest_showed_carries_over(keep: Callable[[Entries], Entries], outcome: str) -> None:
    facts = _facts(Vcpu(AMD, keep), "host")
    assert _predicted(AMD, "7.2", "Icelake-Server-v3", facts).outcome == outcome
    assert _predicted(AMD, "10.0", "max", facts).outcome == outcome


def test_a_guest_that_had_not_the_bit_shows_nothing_of_one_that_has() -> None:
    facts = _facts(Vcpu(AMD, without_arch_capabilities), "EPYC")
    found = _predicted(AMD, "7.2", "host", facts)
    assert (found.outcome, found.reason) == ("not known", NOT_TRIED)


def test_probes_that_contradict_each_other_decide_nothing() -> None:
    facts = Facts(
        [*_facts(Vcpu(AMD, as_set), "host").probes, *_facts(Vcpu(AMD, without_arch_capabilities), "host").probes]
    )
    assert _predicted(AMD, "7.2", "max", facts).outcome == "not known"


def test_a_write_that_was_tried_counts_more_than_any_rule() -> None:
    vcpu = Vcpu(RAPIDS, refuses=lambda write: write[0] == 0x8B)
    assert _predicted(RAPIDS, "7.2", "EPYC").outcome == "starts"
    found = _predicted(RAPIDS, "7.2", "EPYC", _facts(vcpu, "EPYC", write=True))
    assert found.refused is not None
    assert (found.outcome, found.refused.index, found.refused.rule) == ("aborts", 0x8B, NO_RULE)
    assert remedies(found, RAPIDS) == ()


def test_a_control_that_kvm_does_not_offer_aborts_by_the_rule_alone() -> None:
    """As on nested hosts with old kernels: QEMU takes may-be-1 from one half of the MSR, KVM insists on the other."""
    recording = SKYLAKE.recording
    ctls = recording.msrs[0x486].value
    assert ctls is not None
    host = RecordedHost(replace(recording, msrs={**recording.msrs, 0x486: RecordedMsr(1, ctls | 1 << 30)}))
    found = _predicted(host, "7.2", "Haswell,+vmx,-arch-capabilities")
    assert found.refused is not None
    assert (found.outcome, found.evidence) == ("aborts", "rule")
    assert (found.refused.index, found.refused.bits) == (0x486, 1 << 30)
    (other,) = remedies(found, host)
    assert other.request.text.endswith(",-vmx")


def test_of_the_bits_that_a_rule_names_those_count_that_the_vcpu_minded() -> None:
    recording = SKYLAKE.recording
    fixed = recording.msrs[0x486].value
    assert fixed is not None
    host = RecordedHost(replace(recording, msrs={**recording.msrs, 0x486: RecordedMsr(1, fixed | 0b11 << 29)}))
    vcpu = Vcpu(host, refuses=lambda write: write[0] == 0x486 and not write[1] & 1 << 30)
    by_rule = _predicted(host, "7.2", "Haswell,+vmx,-arch-capabilities")
    shown = _predicted(
        host,
        "7.2",
        "Haswell,+vmx,-arch-capabilities",
        _facts(vcpu, "Haswell,+vmx,-arch-capabilities", write=True),
    )
    assert by_rule.refused is not None
    assert shown.refused is not None
    assert by_rule.refused.refused == (("fixed-bit-missing", 0b11 << 29),)
    assert shown.refused.refused == (("fixed-bit-missing", 1 << 30),)


def test_vmx_on_a_host_that_offers_it_starts_by_the_rules() -> None:
    found = _predicted(SKYLAKE, "10.0", "Haswell,+vmx")
    assert (found.outcome, found.evidence) == ("starts", "rule")
    assert len(found.verdicts) > 10


def test_a_qemu_that_ends_before_it_makes_a_vcpu_needs_no_probe() -> None:
    found = _predicted(AMD, "7.2", "host,+vmx,enforce")
    assert found.outcome == "ends"
    assert "doesn't support requested features" in found.said
    profile, request = _guest("7.2", "host,+vmx,enforce")
    assert take(profile, request, Vcpu(AMD), write=False) is None


def _guest(label: str, cpu: str):  # type: ignore[no-untyped-def]
    profile = QemuProfile(label, machine="q35")
    request = parse(cpu, profile)
    return profile_for(request, profile), request


def test_before_5_0_only_an_abort_can_be_told() -> None:
    assert _predicted(AMD, "4.0", "qemu64").reason == FULL_STATE
    facts = _facts(Vcpu(AMD, without_arch_capabilities), "host", label="4.0")
    found = _predicted(AMD, "4.0", "host", facts)
    assert found.refused is not None
    assert (found.outcome, found.refused.value) == ("aborts", 0x9)


def test_a_cpuid_that_kvm_refuses_is_no_start_and_no_abort() -> None:
    facts = _facts(Vcpu(AMD, cpuid_errno=22), "host")
    found = _predicted(AMD, "7.2", "host", facts)
    assert (found.outcome, found.reason) == ("not known", CPUID_REFUSED)


def test_a_refused_cpuid_with_amx_is_said_to_need_a_permission() -> None:
    permitted = RecordedHost(replace(RAPIDS.recording, attributes={(0, 0): RecordedMsr(0, 0x602E7)}))
    facts = _facts(Vcpu(permitted, cpuid_errno=1), "host", "host,-amx-tile")
    assert _predicted(permitted, "7.2", "host", facts).reason == AMX_NOT_ASKED_FOR
    assert _predicted(permitted, "7.2", "host,-amx-tile", facts).reason == CPUID_REFUSED


def test_a_vm_that_cannot_be_made_leaves_it_open() -> None:
    found = _predicted(RAPIDS, "7.2", "host", _facts(Vcpu(RAPIDS, vm_errno=16), "host"))
    assert (found.outcome, found.reason) == ("not known", NO_VM)


def test_the_warnings_are_qemus_own_lines() -> None:
    found = _predicted(AMD, "7.2", "Icelake-Server")
    assert found.outcome == "starts"
    assert found.warnings[0] == "warning: host doesn't support requested feature: CPUID.01H:ECX.pni [bit 0]"
