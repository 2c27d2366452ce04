"""The whole conversation of one QEMU with one KVM: from open(2) to the vCPU that msrtui does not make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msrtui.kvm.requests import Fd, MsrWrite
from msrtui.qemu import last_words
from msrtui.qemu.cpu_request import CpuRequest, parse
from msrtui.qemu.cpuid_table import get_supported_cpuid
from msrtui.qemu.filtering import GuestCpu, guest_cpu
from msrtui.qemu.guest import expand_and_filter
from msrtui.qemu.memo import WordMemo
from msrtui.qemu.models import CPU_PM_LAST, Guest
from msrtui.qemu.msr_index import MSR_IA32_UCODE_REV
from msrtui.qemu.msrs import kvm_arch_get_supported_msr_feature
from msrtui.qemu.negotiation import Negotiation, NotDone, within
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.startup import kvm_init
from msrtui.qemu.state import KvmState
from msrtui.qemu.stops import address_width, first_state, init_vcpu, realize
from msrtui.qemu.vcpu import kvm_init_msrs
from msrtui.qemu.words import Supported, SupportedWord, supported_words
from msrtui.values import dataclass, replace

UCODE_REV_SINCE = (5, 0)
"""From here on QEMU reads KVM's microcode revision for host and max."""
UCODE_REV_LATE_SINCE = CPU_PM_LAST
"""From here on behind the filter, moved with cpu-pm's bits; before, in front of the expansion."""
INIT_MSRS_SINCE = (5, 0)
"""From here on a new vCPU's feature MSRs have a KVM_SET_MSRS of their own."""


@dataclass(frozen=True)
class Outcome:
    """What the conversation led to: QEMU's variables, every word, and the guest of the chosen ``-cpu``."""

    state: KvmState
    words: Mapping[str, SupportedWord]
    cpu: GuestCpu | None = None
    writes: tuple[MsrWrite, ...] | None = None
    """What kvm_init_msrs would write to the vCPU; None where that is not known, and before 5.0, which has it not."""

    @property
    def guest(self) -> Guest:
        """The guest's words by FEAT_ name; none where only some words were worked out."""
        return {} if self.cpu is None else self.cpu.words


def negotiate(
    profile: QemuProfile,
    words: Iterable[str] | None = None,
    cpu: CpuRequest | None = None,
    memo: WordMemo | None = None,
) -> Negotiation[Outcome]:
    """All phases in QEMU's order, for ``-cpu host`` or the ``cpu`` given.

    With ``words`` only those words are worked out, and no guest from them. With a ``memo`` the words may be known from
    another host; of them and of the guest nothing is told on the way.

    Raises QemuExit where QEMU would end. Source: accel/kvm/kvm-all.c kvm_init, then target/i386/cpu.c
    x86_cpu_realizefn and target/i386/kvm/kvm-cpu.c kvm_cpu_realizefn.
    """
    state = yield from kvm_init(profile)
    cpuid = yield from within("get_supported_cpuid", get_supported_cpuid(), phase="cpuid")
    state = replace(state, cpuid=cpuid)
    request = cpu if cpu is not None else parse("host", profile)
    ucode_rev = None
    if words is None and request.takes_all and UCODE_REV_SINCE <= profile.version < UCODE_REV_LATE_SINCE:
        ucode_rev = yield from within("x86_cpu_realizefn", _ucode_rev(state), phase="cpuid")
    chosen = yield from within(
        "x86_cpu_expand_features", (supported_words if memo is None else memo.read)(state, words), phase="words"
    )
    if words is not None:
        return Outcome(state, chosen)
    if memo is None:
        guest = yield from expand_and_filter(state, chosen, request)
    else:
        guest = guest_cpu(state, chosen, request)
    writes = yield from within("kvm_cpu_realizefn", kvm_cpu_realizefn(state, chosen, guest, ucode_rev), phase="vcpu")
    return Outcome(state, chosen, guest, None if writes is None else tuple(writes))


def _ucode_rev(state: KvmState) -> Negotiation[int | None]:
    found = yield from within(
        "kvm_arch_get_supported_msr_feature", kvm_arch_get_supported_msr_feature(state, MSR_IA32_UCODE_REV)
    )
    return found.value


def kvm_cpu_realizefn(
    state: KvmState, supported: Supported, cpu: GuestCpu, ucode_rev: int | None
) -> Negotiation[list[MsrWrite] | None]:
    """From the CPU's realization to the vCPU's first state; gives what kvm_init_msrs writes, None as in Outcome.

    ``ucode_rev`` is KVM's where QEMU read it before. Raises QemuExit where the host's numbers end QEMU on the way.
    """
    areas = yield from within("x86_cpu_realizefn", realize(state, supported, cpu))
    if cpu.request.takes_all and state.profile.version >= UCODE_REV_LATE_SINCE:
        ucode_rev = yield from _ucode_rev(state)
    phys_bits = yield from address_width(state, cpu)
    refused = last_words.userspace_apic_refused(state.profile)
    if refused is not None:
        raise refused
    yield from within("kvm_init_vcpu", _not_done("KVM_CREATE_VCPU", "vm", id=0))
    yield from within("kvm_arch_init_vcpu", init_vcpu(state, cpu))
    if state.profile.version < INIT_MSRS_SINCE:
        yield from within("kvm_put_msrs", _not_done("KVM_SET_MSRS", "vcpu"))
        writes = None
    else:
        writes = yield from kvm_init_msrs(state, cpu, ucode_rev)
        told = {} if writes is None else {"msrs": [[hex(index), hex(value)] for index, value in writes]}
        yield from within("kvm_init_msrs", _not_done("KVM_SET_MSRS", "vcpu", **told))
    if (end := first_state(state, cpu, areas, phys_bits)) is not None:
        raise end
    return writes


def _not_done(ioctl: str, fd: Fd, **argument: object) -> Negotiation[None]:
    yield NotDone(ioctl, fd, argument)
