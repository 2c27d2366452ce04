"""The probe as a generator: in which order it asks, what it never writes, and what it makes of the replies."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted import play_on
from vcpus import Vcpu, without_arch_capabilities

from msrtui.kvm.abi import EINVAL
from msrtui.kvm.requests import GetMsrs
from msrtui.kvm.vcpu_requests import (
    VCPU_REQUESTS,
    CreateVcpu,
    CreateVm,
    GetCpuid2,
    GetVcpuMsrs,
    NotAllowed,
    SetCpuid2,
    SetMsrs,
)
from msrtui.qemu.conversation import Outcome, negotiate
from msrtui.qemu.cpu_request import parse, profile_for
from msrtui.qemu.guest_cpuid import Place
from msrtui.qemu.probe import ProbeResult, probe
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source
from msrtui.values import replace

HOSTS = Path(__file__).resolve().parents[1] / "data" / "hosts"
AMD = open_source(str(HOSTS / "amd-pvm-linux6.18.json")).answerer
SKYLAKE = open_source(str(HOSTS / "intel-skylake-bochs-linux6.12.json")).answerer
ARCH_BIT = (Place(7, 0, "EDX"), 29)


def _outcome(vcpu: Vcpu, cpu: str = "host", label: str = "7.2") -> Outcome:
    profile = QemuProfile(label, machine="pc")
    request = parse(cpu, profile)
    return play_on(negotiate(profile_for(request, profile), cpu=request), vcpu).value()


def _probed(vcpu: Vcpu, cpu: str = "host", *, write: bool = False) -> ProbeResult:
    outcome = _outcome(vcpu, cpu)
    vcpu.asked.clear()
    return play_on(probe(outcome, write=write), vcpu).value()


def test_the_cpuid_comes_first_and_without_try_nothing_is_written() -> None:
    vcpu = Vcpu(AMD)
    found = _probed(vcpu)
    kinds = [type(each) for each in vcpu.asked if isinstance(each, VCPU_REQUESTS)]
    msrs = len(found.system)
    assert msrs == 4
    assert kinds == [
        CreateVm,
        CreateVcpu,
        *[GetVcpuMsrs] * msrs,
        SetCpuid2,
        GetCpuid2,
        *[GetVcpuMsrs] * msrs,
    ]
    assert found.batch is None
    assert found.apart == ()


def test_a_kvm_that_keeps_what_it_is_given_changes_nothing() -> None:
    found = _probed(Vcpu(AMD), write=True)
    assert found.changed == ()
    assert found.bit(*ARCH_BIT) == (True, True)
    assert found.batch is not None
    assert found.batch.taken == len(found.batch.writes) == 2
    assert [each.taken for each in found.apart] == [True, True]
    assert found.bits == ()


def test_a_kvm_that_drops_the_bit_shows_it_and_refuses_the_msr_bit_by_bit() -> None:
    found = _probed(Vcpu(AMD, without_arch_capabilities), write=True)
    (changed,) = found.changed
    assert (changed.place, changed.dropped, changed.added) == (ARCH_BIT[0], 1 << 29, 0)
    assert found.word_at(changed.place) == "FEAT_7_0_EDX"
    assert found.bit(*ARCH_BIT) == (True, False)
    assert found.system[0x10A].value == 0x400000000C000069
    assert found.kept[0x10A].value == 0
    assert found.batch is not None
    assert found.batch.taken == 0
    assert [(each.index, each.taken) for each in found.apart] == [(0x10A, False), (0x8B, True)]
    assert [(each.bit, each.taken) for each in found.bits] == [(bit, False) for bit in (0, 3, 5, 6)]


def test_the_writes_are_those_of_the_chosen_qemu_in_its_order_in_one_call() -> None:
    vcpu = Vcpu(SKYLAKE)
    outcome = _outcome(vcpu, "host,+vmx")
    vcpu.asked.clear()
    found = play_on(probe(outcome, write=True), vcpu).value()
    assert outcome.writes is not None
    assert len(outcome.writes) > 10
    batches = [each.writes for each in vcpu.asked if isinstance(each, SetMsrs)]
    assert batches[0] == outcome.writes
    assert batches[1 : 1 + len(outcome.writes)] == [(write,) for write in outcome.writes]
    assert found.batch is not None


def test_the_bits_of_a_refused_control_are_tried_on_top_of_what_kvm_takes() -> None:
    """0 is no base for a control MSR of VMX: its low half must keep what KVM wants to be 1."""
    vcpu = Vcpu(SKYLAKE)
    outcome = _outcome(vcpu, "host,+vmx")
    assert outcome.writes is not None
    system = SKYLAKE.ask(GetMsrs((0x48D,))).values[0]
    bad = system | 1 << 63
    writes = tuple((index, bad if index == 0x48D else value) for index, value in outcome.writes)

    def refuses(write: tuple[int, int]) -> bool:
        return write[0] == 0x48D and (write[1] == 0 or bool(write[1] & ~system))

    vcpu.refuses = refuses
    found = play_on(probe(replace(outcome, writes=writes), write=True), vcpu).value()
    assert [(each.index, each.bit, each.value, each.taken) for each in found.bits] == [(0x48D, 63, bad, False)]


@pytest.mark.parametrize("index", [0x49, 0x10B, 0x10, 0x3B, 0xCF, 0xC0000080, 0x492, 0x47F])
def test_no_question_can_be_made_that_writes_further_than_the_vcpu(index: int) -> None:
    with pytest.raises(NotAllowed):
        SetMsrs(((0x10A, 0), (index, 1)))


def test_an_msr_that_may_not_be_written_is_left_out_and_stays_unknown() -> None:
    vcpu = Vcpu(AMD)
    outcome = _outcome(vcpu)
    writes = ((0x10A, 0x69), (0xCF, 0x20), (0x8B, 1))
    found = play_on(probe(replace(outcome, writes=writes), write=True), vcpu).value()
    assert found.batch is not None
    assert found.batch.writes == ((0x10A, 0x69),)
    assert [(each.index, each.taken) for each in found.apart] == [(0x10A, True), (0xCF, None), (0x8B, True)]


def test_without_a_vm_there_is_nothing_but_the_error() -> None:
    vcpu = Vcpu(AMD, vm_errno=16)
    found = _probed(vcpu, write=True)
    assert found.vm.errno == 16
    assert found.vcpu is None
    assert found.got is None
    assert [type(each) for each in vcpu.asked if isinstance(each, VCPU_REQUESTS)] == [CreateVm]


def test_a_refused_cpuid_ends_it_before_anything_is_written() -> None:
    vcpu = Vcpu(AMD, cpuid_errno=EINVAL)
    found = _probed(vcpu, write=True)
    assert found.set_reply is not None
    assert found.set_reply.errno == EINVAL
    assert found.got is None
    assert found.bit(*ARCH_BIT) is None
    assert not [each for each in vcpu.asked if isinstance(each, SetMsrs)]
