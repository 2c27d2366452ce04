"""What QEMU would write to a new vCPU: which MSRs, in which order, with which values, each condition both ways."""

from __future__ import annotations

import pytest

from msrtui.kvm.recorded import RecordedHost, RecordedList, RecordedMsr, Recording
from msrtui.qemu.conversation import negotiate
from msrtui.qemu.cpu_request import parse, profile_for
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.vcpu import make_vmx_msr_value
from msrtui.snapshot.sources import open_source
from msrtui.transcript.stepper import run
from msrtui.values import replace

SKYLAKE, EPYC = "intel-skylake-bochs-linux6.12", "amd-pvm-linux6.18"
PIN, PROC, EXIT, ENTRY = 0x16, 0x0401E172, 0x36DFF, 0x11FF
VMX = [0x48E, 0x48D, 0x48F, 0x490, 0x48B, 0x48C, 0x480, 0x485, 0x491, 0x486, 0x488, 0x48A]


def recording(host: str) -> Recording:
    answerer = open_source(host).answerer
    assert isinstance(answerer, RecordedHost)
    return answerer.recording


def written(host: str | Recording, label: str, cpu: str = "host", pmu: bool | None = None) -> dict[int, int]:
    """The writes in their order."""
    profile = QemuProfile(label, machine="pc", pmu=pmu)
    request = parse(cpu, profile)
    said = recording(host) if isinstance(host, str) else host
    stepper = run(negotiate(profile_for(request, profile), cpu=request), RecordedHost(said))
    step = stepper.events[-1].not_done
    assert step is not None
    assert step.ioctl == "KVM_SET_MSRS"
    return {int(index, 16): int(value, 16) for index, value in step.argument["msrs"]}


def without(host: str, index: int) -> Recording:
    """The host, with an MSR gone from the index list: its flag is not set."""
    said = recording(host)
    assert said.index_list is not None
    left = tuple(each for each in said.index_list.indices if each != index)
    return replace(said, index_list=RecordedList(left))


@pytest.mark.parametrize(
    ("word", "default1", "value"),
    [
        (0xE9, PIN, 0xFF_00000016),
        (0xFBF99E8C, PROC, 0xFFF9FFFE_04006172),
        (0xFC9004, EXIT, 0xFFFDFF_00036DFB),
        (0xE204, ENTRY, 0xF3FF_000011FB),
        (0x11582E, 0, 0x11582E_00000000),
        (0, PIN, 0x16_00000016),
    ],
)
def test_a_control_word_is_written_back_with_what_must_be_1(word: int, default1: int, value: int) -> None:
    assert make_vmx_msr_value(word, default1) == value


def test_an_intel_host_gets_every_write_in_order_with_its_value() -> None:
    writes = written(SKYLAKE, "7.2")
    assert list(writes) == [0x10A, 0x345, 0x8B, *VMX]
    assert writes[0x10A] == 0x48
    assert writes[0x345] == 0x2000
    assert writes[0x8B] == 0x0200_7006_0000_0000
    assert writes[0x48D] == 0xFF_00000016
    assert writes[0x48E] == 0xFFF9FFFE_04006172
    assert writes[0x48F] == 0x7FFFFF_00036DFB
    assert writes[0x490] == 0xF3FF_000011FB
    assert writes[0x48B] == 0x2137BFF_00000000
    assert (writes[0x486], writes[0x488], writes[0x48A]) == (0x80000021, 0x2000, 0x32)


def test_from_10_1_on_the_microcode_comes_last() -> None:
    assert list(written(SKYLAKE, "10.0"))[2] == 0x8B
    assert list(written(SKYLAKE, "10.2"))[-1] == 0x8B


def test_what_no_bit_says_is_taken_from_kvm() -> None:
    said = recording(SKYLAKE)
    writes = written(SKYLAKE, "7.2")
    basic, misc, ept = (said.msrs[index].value or 0 for index in (0x480, 0x485, 0x48C))
    kept = 0x7FFF_FFFF | 0x1FFF << 32 | 0xF << 50
    assert writes[0x480] & kept == basic & kept
    assert writes[0x485] & (0x1F | 7 << 25) == misc & (0x1F | 7 << 25)
    assert writes[0x48C] & (1 << 8 | 1 << 14) == ept & (1 << 8 | 1 << 14) == 1 << 14


def test_without_ept_there_are_no_memory_types() -> None:
    assert written(SKYLAKE, "7.2", "host,-vmx-ept")[0x48C] & (1 << 8 | 1 << 14) == 0


def test_a_guest_with_long_mode_may_have_a_64_bit_host() -> None:
    assert written(SKYLAKE, "7.2")[0x48F] >> 41 & 1
    assert not written(SKYLAKE, "7.2", "host,-lm")[0x48F] >> 41 & 1


@pytest.mark.parametrize("label", ["6.2", "7.2", "10.2"])
def test_the_vmcs_enumeration_follows_the_newest_feature(label: str) -> None:
    assert written(SKYLAKE, "5.2")[0x48A] == 0x2E
    assert written(SKYLAKE, label)[0x48A] == 0x32
    assert written(SKYLAKE, label, "host,-vmx-tsc-scaling")[0x48A] == 0x2E


def test_the_perf_capabilities_are_written_where_the_pmu_is_on() -> None:
    assert 0x345 in written(SKYLAKE, "7.2")
    assert 0x345 not in written(SKYLAKE, "7.2", pmu=False)
    assert 0x345 not in written(SKYLAKE, "7.2", "Skylake-Server")
    assert 0x345 not in written(without(SKYLAKE, 0x345), "7.2")
    said = recording(SKYLAKE)
    nothing = replace(said, msrs={**said.msrs, 0x345: RecordedMsr(1, 0)})
    assert 0x345 not in written(nothing, "7.2")


def test_only_listed_msrs_are_written() -> None:
    assert 0x10A not in written(without(SKYLAKE, 0x10A), "7.2")
    assert 0x8B not in written(without(SKYLAKE, 0x8B), "7.2")
    assert 0x491 not in written(without(SKYLAKE, 0x491), "7.2")
    said = recording(SKYLAKE)
    assert said.index_list is not None
    more = replace(said, index_list=RecordedList((*said.index_list.indices, 0xCF)))
    assert written(more, "7.2")[0xCF] == 0
    assert 0xCF not in written(said, "7.2")


def test_a_guest_without_vmx_gets_no_vmx_msr() -> None:
    assert not set(VMX) & set(written(SKYLAKE, "7.2", "host,-vmx"))
    assert not set(VMX) & set(written(SKYLAKE, "7.2", "Skylake-Server"))
    said = recording(SKYLAKE)
    assert not set(VMX) & set(written(replace(said, msrs={**said.msrs, 0x480: RecordedMsr(1, 0)}), "7.2"))


def test_a_named_model_has_the_microcode_of_its_vendor_and_host_has_kvms() -> None:
    assert written(EPYC, "7.2", "EPYC")[0x8B] == 0x01000065
    assert written(SKYLAKE, "7.2", "Skylake-Server")[0x8B] == 0x1_0000_0000
    said = recording(EPYC)
    other = replace(said, msrs={**said.msrs, 0x8B: RecordedMsr(1, 0x1234)})
    assert written(other, "7.2")[0x8B] == 0x1234
    assert written(replace(said, msrs={**said.msrs, 0x8B: RecordedMsr(1, 0)}), "7.2")[0x8B] == 0x01000065


def test_arch_capabilities_are_written_as_0_where_the_cpuid_bit_is_off() -> None:
    assert written(EPYC, "7.2")[0x10A] == 0x69
    assert written(EPYC, "7.2", "host,-arch-capabilities")[0x10A] == 0
    assert written(EPYC, "7.2", "host,migratable=off")[0x10A] == 0x4000_0000_0C00_0069
    assert written(EPYC, "10.0")[0x10A] == 0x0C000069
    assert written(EPYC, "10.2")[0x10A] == 0
