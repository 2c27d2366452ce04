"""The whole conversation of one QEMU with one KVM: from open(2) to the vCPU that msrtui does not make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from msrtui.qemu.cpuid import get_supported_cpuid
from msrtui.qemu.models import GuestWord, expand_host
from msrtui.qemu.msrs import kvm_arch_get_supported_msr_feature
from msrtui.qemu.negotiation import Negotiation, NotDone, within
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.startup import kvm_init
from msrtui.qemu.state import KvmState
from msrtui.qemu.words import SupportedWord, supported_words

MSR_IA32_UCODE_REV = 0x8B


@dataclass(frozen=True)
class Outcome:
    """What the conversation led to: QEMU's variables, every word, and the words of a ``-cpu host`` guest."""

    state: KvmState
    words: Mapping[str, SupportedWord]
    guest: Mapping[str, GuestWord] = field(default_factory=dict)


def negotiate(profile: QemuProfile, words: Iterable[str] | None = None) -> Negotiation[Outcome]:
    """All phases in QEMU's order. With ``words`` only those words are worked out, and no guest from them.

    Raises QemuExit where QEMU would end. Source: accel/kvm/kvm-all.c kvm_init, then target/i386/cpu.c
    x86_cpu_realizefn and target/i386/kvm/kvm-cpu.c kvm_cpu_realizefn.
    """
    state = yield from kvm_init(profile)
    cpuid = yield from within("get_supported_cpuid", get_supported_cpuid(), phase="cpuid")
    state = replace(state, cpuid=cpuid)
    chosen = yield from within("x86_cpu_expand_features", supported_words(state, words), phase="words")
    if words is not None:
        return Outcome(state, chosen)
    guest = yield from expand_host(state, chosen)
    yield from within("kvm_init_msrs", _vcpu(state), phase="vcpu")
    return Outcome(state, chosen, guest)


def _vcpu(state: KvmState) -> Negotiation[None]:
    """What is left needs a vCPU. For host and max QEMU reads the microcode revision just before it."""
    yield from within(
        "kvm_arch_get_supported_msr_feature", kvm_arch_get_supported_msr_feature(state, MSR_IA32_UCODE_REV)
    )
    yield NotDone("KVM_CREATE_VCPU", "vm", {"id": 0})
    yield NotDone("KVM_SET_CPUID2", "vcpu")
    yield NotDone("KVM_SET_MSRS", "vcpu")
