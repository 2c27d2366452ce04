"""The kernel's rules for what a vCPU takes at a feature MSR before it first runs, each a named function.

A rule says what it can from KVM's own (system) value, the value to be written and the guest's CPUID: whether KVM takes
it, and the bits that it minds. "Subset" is always relative to KVM's own value, never to the hardware. The names are
ids; the sentences are in ``report/refusals.py``.

Source: Linux 6.1, 6.12 and 7.1, arch/x86/kvm/vmx/nested.c vmx_set_vmx_msr and the vmx_restore_* functions,
arch/x86/kvm/x86.c kvm_set_msr_common, arch/x86/kvm/vmx/vmx.c vmx_set_msr, arch/x86/kvm/svm/svm.c svm_set_msr.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from msrtui.qemu.guest_cpuid import Place

GuestBit = Callable[[Place, int], "bool | None"]
"""Whether the guest's CPUID, as KVM keeps it, has a bit; None where that is not known."""

ARCH_CAPABILITIES, PERF_CAPABILITIES, UCODE_REV = 0x10A, 0x345, 0x8B
ARCH_CAPABILITIES_BIT = (Place(7, 0, "EDX"), 29)
PDCM_BIT = (Place(1, 0, "ECX"), 15)
DS_BIT = (Place(1, 0, "EDX"), 21)
DTES64_BIT = (Place(1, 0, "ECX"), 2)

ANY_VALUE = "any-value"
ZERO = "zero"
SUBSET = "subset"
CONTROLS = "vmx-controls"
FIXED0 = "vmx-fixed0"
VMX_BASIC = "vmx-basic"
VMX_MISC = "vmx-misc"
NEVER = "never"
LBR_FORMAT = "lbr-format"
PEBS_FORMAT = "pebs-format"
PEBS_NEEDS = "pebs-needs"
PDCM_GATE = "pdcm-gate"
ARCH_GATE = "arch-capabilities-gate"
NO_RULE = "no-rule"
NO_SYSTEM_VALUE = "no-system-value"

_BASIC_SUBSET = 1 << 49 | 1 << 54 | 1 << 55 | 1 << 31 | 0b111 << 45 | 0xFF << 56
_BASIC_NEVER = 1 << 48
_BASIC_REVISION = (1 << 31) - 1
_MISC_SUBSET = 0b1111 << 5 | 0x1F << 9 | 0b11 << 14 | 0b111 << 28 | 1 << 31
_LBR = 0x3F
_PEBS = 0b111111 << 6 | 1 << 14
"""PEBS_TRAP, PEBS_SAVE_ARCH_REGS, PEBS_REC_FMT and PEBS_BASELINE: of one piece with the host's."""
_LOW = (1 << 32) - 1


class Ruled(NamedTuple):
    """What a rule says: ``taken`` None means that it cannot decide. ``bits`` are those that KVM minds, 64 at most."""

    rule: str
    taken: bool | None
    bits: int = 0


def ruled(index: int, system: int | None, value: int, guest: GuestBit) -> Ruled:
    """What the rule for the MSR ``index`` says of writing ``value`` where KVM's own value is ``system``.

    What hangs on the guest's CPUID is undecided where the CPUID is not known; 0x10a is: see ``arch_capabilities``.
    """
    if index in (UCODE_REV, 0x48A):
        return Ruled(ANY_VALUE, True)
    if index in _NEVER:
        return Ruled(NEVER, False, value)
    if index == ARCH_CAPABILITIES:
        return arch_capabilities(value, guest)
    if system is None:
        return Ruled(NO_SYSTEM_VALUE, None)
    if index == PERF_CAPABILITIES:
        return perf_capabilities(system, value, guest)
    rule = _BY_SYSTEM_VALUE.get(index)
    return Ruled(NO_RULE, None) if rule is None else rule(system, value)


def subset(system: int, value: int) -> Ruled:
    """No bit that KVM's own value lacks: 0x48c, 0x491, 0xc0011029."""
    extra = value & ~system
    return Ruled(SUBSET, not extra, extra)


def vmx_controls(system: int, value: int) -> Ruled:
    """0x48b, 0x48d to 0x490. Low half (must be 1): all of KVM's bits stay. High half (may be 1): no more than KVM's."""
    minded = system & ~value & _LOW | (value >> 32 & ~(system >> 32)) << 32
    return Ruled(CONTROLS, not minded, minded)


def vmx_fixed0(system: int, value: int) -> Ruled:
    """0x486 and 0x488: every bit that must be 1 for KVM must be 1."""
    missing = system & ~value
    return Ruled(FIXED0, not missing, missing)


def vmx_basic(system: int, value: int) -> Ruled:
    """0x480: features and reserved bits no more than KVM's, the same revision, a VMCS no smaller, never bit 48."""
    minded = value & ~system & _BASIC_SUBSET | value & _BASIC_NEVER | (value ^ system) & _BASIC_REVISION
    if value >> 32 & 0x1FFF < system >> 32 & 0x1FFF:
        minded |= (value ^ system) & 0x1FFF << 32
    return Ruled(VMX_BASIC, not minded, minded)


def vmx_misc(system: int, value: int) -> Ruled:
    """0x485: features no more than KVM's, CR3 targets and MSR lists no larger, the same MSEG revision.

    The timer's rate must be the same while the vCPU offers the preemption timer: another rate is not decided here.
    """
    minded = value & ~system & _MISC_SUBSET | (value ^ system) & ~_LOW
    for shift, width in ((16, 9), (25, 3)):
        part = ((1 << width) - 1) << shift
        if value & part > system & part:
            minded |= (value ^ system) & part
    if minded:
        return Ruled(VMX_MISC, False, minded)
    return Ruled(VMX_MISC, None if (value ^ system) & 0x1F else True)


def perf_capabilities(system: int, value: int, guest: GuestBit) -> Ruled:
    """0x345: no more than KVM's; the LBR format and PEBS are 0 or KVM's own; PEBS needs DS and DTES64; and PDCM.

    Without PDCM in the guest's CPUID Linux 6.13 and later takes only 0; older ones look at the guest's PMU instead, so
    that is not decided here.
    """
    if not value:
        return Ruled(ZERO, True)
    extra = value & ~system
    if extra:
        return Ruled(SUBSET, False, extra)
    for part, rule in ((_LBR, LBR_FORMAT), (_PEBS, PEBS_FORMAT)):
        if value & part and value & part != system & part:
            return Ruled(rule, False, (value ^ system) & part)
    if value & _PEBS:
        for place in (DS_BIT, DTES64_BIT):
            there = guest(*place)
            if there is not True:
                return Ruled(PEBS_NEEDS, there, value & _PEBS)
    return Ruled(PDCM_GATE, True if guest(*PDCM_BIT) else None, value)


def arch_capabilities(value: int, guest: GuestBit) -> Ruled:
    """0x10a: any value; since Linux 6.13 only 0 for a guest whose CPUID, as KVM keeps it, lacks 7.EDX[29].

    So a value is taken by every kernel where the bit is there, and undecided where it is not: stable kernels show that
    the version does not tell which have the rule.
    """
    if not value:
        return Ruled(ZERO, True)
    return Ruled(ARCH_GATE, True if guest(*ARCH_CAPABILITIES_BIT) else None, value)


_NEVER = frozenset((0x481, 0x482, 0x483, 0x484, 0x487, 0x489))
"""The controls that are not TRUE ones and the FIXED1 MSRs: KVM derives them from others and from the guest's CPUID."""

_BY_SYSTEM_VALUE: Mapping[int, Callable[[int, int], Ruled]] = {
    0x480: vmx_basic,
    0x485: vmx_misc,
    0x486: vmx_fixed0,
    0x488: vmx_fixed0,
    0x48B: vmx_controls,
    0x48C: subset,
    0x48D: vmx_controls,
    0x48E: vmx_controls,
    0x48F: vmx_controls,
    0x490: vmx_controls,
    0x491: subset,
    0xC0011029: subset,
}
