"""What KVM_SET_MSRS accepts for a feature MSR of a vCPU that has not run, held against KVM's own value.

Pure rules: an index, the system value (what KVM_GET_MSRS gives on /dev/kvm) and the value to be written. Always KVM's
value counts, never the hardware's. What the guest's CPUID decides besides stands in ``write_rules.py``, which asks here
first. No rule goes by the name of a KVM. Source: arch/x86/kvm/vmx/nested.c vmx_set_vmx_msr and the vmx_restore
functions, arch/x86/kvm/x86.c kvm_set_msr_common, arch/x86/kvm/vmx/vmx.c vmx_set_msr, arch/x86/kvm/svm/svm.c svm_set_msr
(read in 6.1, 6.12 and 7.1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from msrtui.qemu.msr_index import MSR_IA32_VMX_PROCBASED_CTLS2, TRUE_CONTROLS

AcceptanceRule = Literal[
    "must-be-1-lost",
    "may-be-1-not-offered",
    "not-a-subset",
    "never-writable",
    "fixed-bit-missing",
    "address-width-limit",
    "revision-differs",
    "size-smaller",
    "count-larger",
    "timer-rate-differs",
    "format-differs",
    "not-in-kvm",
    "arch-capabilities-gate",
    "arch-capabilities-absent",
    "pebs-needs",
    "model-differs",
    "pdcm-gate",
    "no-rule",
]
"""Why KVM refuses bits. The last six are not of this room: the guest's CPUID decides five of them (``write_rules.py``,
``predict.py``), and ``no-rule`` is what a vCPU showed and no rule explains."""

ARCH_GATE: AcceptanceRule = "arch-capabilities-gate"
ARCH_ABSENT: AcceptanceRule = "arch-capabilities-absent"
"""The same gate of 0x10a: for a guest that was given 7.EDX[29] and lost it, and for one that was never given it."""
PEBS_NEEDS: AcceptanceRule = "pebs-needs"
MODEL_DIFFERS: AcceptanceRule = "model-differs"
PDCM_GATE: AcceptanceRule = "pdcm-gate"
NO_RULE: AcceptanceRule = "no-rule"


class Refusal(NamedTuple):
    """A rule that a value breaks and, as a mask of the register, the bits that break it (or the field's)."""

    rule: AcceptanceRule
    mask: int


VMX_MSRS = range(0x480, 0x492)
CONTROL_MSRS = (MSR_IA32_VMX_PROCBASED_CTLS2, *TRUE_CONTROLS)
"""The control MSRs that can be written: low half must be 1, high half may be 1."""
DERIVED = (0x481, 0x482, 0x483, 0x484, 0x487, 0x489)
"""The non-TRUE controls and the FIXED1 registers: KVM makes them from others."""
ANY_VALUE = (0x48A, 0x8B, 0xCE)
CORE_CAPABILITIES = 0xCF
"""Never taken by a KVM that lacks it, which all that were read do; of one that lists it no rule is known."""
KNOWN = frozenset((*VMX_MSRS, 0x8B, 0xCE, CORE_CAPABILITIES, 0x10A, 0x345, 0xC0011029))
"""The MSRs that a rule is known for."""

_LOW, _HIGH = 0xFFFF_FFFF, 0xFFFF_FFFF << 32


def refusals(index: int, system: int | None, written: int) -> tuple[Refusal, ...]:
    """The rules that writing ``written`` breaks, as far as the two values decide; () where none is broken.

    ``system`` is None where KVM has no such feature MSR. () too for an MSR outside of ``KNOWN``, of which nothing is
    said, for what ``undecided`` says, and for what the guest's CPUID decides.
    """
    if index in DERIVED or (index == CORE_CAPABILITIES and system is None):
        return (Refusal("never-writable", written or (1 << 64) - 1),)
    if index in VMX_MSRS and system is None:
        return (Refusal("not-in-kvm", written),)
    if index not in KNOWN or index in (*ANY_VALUE, CORE_CAPABILITIES, 0x10A) or system is None:
        return ()
    rule = _RULES.get(index, _subset)
    return tuple(found for found in rule(system, written) if found.mask)


def undecided(index: int, system: int, written: int) -> tuple[Refusal, ...]:
    """What KVM refuses on some vCPUs only, whatever the CPUID.

    The preemption timer's rate in 0x485: another one than KVM's own is refused while the vCPU offers the timer, and
    that is a bit of 0x48d which may have been written before. So these two values alone do not decide it.
    """
    if index != 0x485 or not (system ^ written) & _TIMER_RATE:
        return ()
    return (Refusal("timer-rate-differs", _TIMER_RATE),)


def _controls(system: int, written: int) -> tuple[Refusal, ...]:
    return (
        Refusal("must-be-1-lost", system & ~written & _LOW),
        Refusal("may-be-1-not-offered", written & ~system & _HIGH),
    )


def _subset(system: int, written: int) -> tuple[Refusal, ...]:
    return (Refusal("not-a-subset", written & ~system),)


def _fixed0(system: int, written: int) -> tuple[Refusal, ...]:
    return (Refusal("fixed-bit-missing", system & ~written),)


# features 49, 54, 55 and all that are reserved: 56 is a feature in 7.1 and reserved before, so 56 to 63 are one rule
_BASIC_FEATURES = 1 << 31 | 0b111 << 45 | 1 << 49 | ((1 << 64) - (1 << 54))
_REVISION, _SIZE = 0x7FFF_FFFF, 0x1FFF << 32


def _basic(system: int, written: int) -> tuple[Refusal, ...]:
    return (
        Refusal("not-a-subset", written & ~system & _BASIC_FEATURES),
        Refusal("address-width-limit", written & 1 << 48),
        Refusal("revision-differs", (system ^ written) & _REVISION),
        Refusal("size-smaller", _SIZE if written & _SIZE < system & _SIZE else 0),
    )


_TIMER_RATE, _CR3_TARGETS, _MSR_LIST, _MSEG = 0x1F, 0x1FF << 16, 0b111 << 25, 0xFFFF_FFFF << 32


def _misc(system: int, written: int) -> tuple[Refusal, ...]:
    numbers = _TIMER_RATE | _CR3_TARGETS | _MSR_LIST | _MSEG
    larger = sum(field for field in (_CR3_TARGETS, _MSR_LIST) if written & field > system & field)
    return (
        Refusal("not-a-subset", written & ~system & ~numbers),
        Refusal("count-larger", larger),
        Refusal("revision-differs", (system ^ written) & _MSEG),
    )


LBR_FORMAT, PEBS_FORMAT = 0x3F, 0xF << 8
PEBS = 1 << 6 | 1 << 7 | PEBS_FORMAT | 1 << 14
"""PEBS_TRAP, PEBS_SAVE_ARCH_REGS, PEBS_REC_FMT and PEBS_BASELINE: with a format all of KVM's, like the LBR format."""


def _perf_capabilities(system: int, written: int) -> tuple[Refusal, ...]:
    # a format that differs is refused as a whole, also where only bits are added that KVM's own value lacks;
    # what belongs to PEBS is compared as a whole only where the value has a PEBS format
    groups = [group for asked, group in ((LBR_FORMAT, LBR_FORMAT), (PEBS_FORMAT, PEBS)) if written & asked]
    return (
        Refusal("format-differs", sum(group for group in groups if (written ^ system) & group)),
        Refusal("not-a-subset", written & ~system & ~sum(groups)),
    )


_RULES: dict[int, Callable[[int, int], tuple[Refusal, ...]]] = {
    0x480: _basic,
    0x485: _misc,
    0x486: _fixed0,
    0x488: _fixed0,
    0x345: _perf_capabilities,
    **dict.fromkeys(CONTROL_MSRS, _controls),
}
