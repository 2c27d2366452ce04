"""What KVM_SET_MSRS accepts for a feature MSR of a vCPU that has not run, held against KVM's own value.

Pure rules: an index, the system value (what KVM_GET_MSRS gives on /dev/kvm) and the value to be written. Always KVM's
value counts, never the hardware's. Source: arch/x86/kvm/vmx/nested.c vmx_set_vmx_msr and the vmx_restore functions,
arch/x86/kvm/x86.c kvm_set_msr_common, arch/x86/kvm/vmx/vmx.c vmx_set_msr (read in 6.1, 6.12 and 7.1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

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
]


class Refusal(NamedTuple):
    """A rule that a value breaks and, as a mask of the register, the bits that break it (or the field's)."""

    rule: AcceptanceRule
    mask: int


VMX_MSRS = range(0x480, 0x492)
TRUE_CONTROLS = (0x48B, 0x48D, 0x48E, 0x48F, 0x490)
"""The control MSRs that can be written: low half must be 1, high half may be 1."""
DERIVED = (0x481, 0x482, 0x483, 0x484, 0x487, 0x489)
"""The non-TRUE controls and the FIXED1 registers: KVM makes them from others."""
ANY_VALUE = (0x48A, 0x8B, 0xCE)
GATED = (0x10A, 0x345)
"""A value but 0 needs a bit of the guest's CPUID: 7.EDX[29] and 1.ECX[15] (6.13 and later; earlier: other gates)."""
KNOWN = frozenset((*VMX_MSRS, 0x8B, 0xCE, 0xCF, 0x10A, 0x345, 0xC0011029))
"""The MSRs that a rule is known for."""

_LOW, _HIGH = 0xFFFF_FFFF, 0xFFFF_FFFF << 32


def refusals(index: int, system: int | None, written: int) -> tuple[Refusal, ...]:
    """The rules that writing ``written`` breaks, as far as the two values decide; () where none is broken.

    ``system`` is None where KVM has no such feature MSR. () too for an MSR outside of ``KNOWN``, of which nothing is
    said, and for the gates of ``GATED``, which depend on the guest's CPUID as KVM stored it.
    """
    if index in DERIVED or index == 0xCF:
        return (Refusal("never-writable", written or (1 << 64) - 1),)
    if index in VMX_MSRS and system is None:
        return (Refusal("not-in-kvm", written),)
    if index not in KNOWN or index in ANY_VALUE or index == 0x10A or system is None:
        return ()
    rule = _RULES.get(index, _subset)
    return tuple(found for found in rule(system, written) if found.mask)


def gated(index: int, written: int) -> bool:
    """Whether accepting it depends on the guest's CPUID, which only a write on a vCPU can tell."""
    return index in GATED and written != 0


def _controls(system: int, written: int) -> tuple[Refusal, ...]:
    return (
        Refusal("must-be-1-lost", system & ~written & _LOW),
        Refusal("may-be-1-not-offered", written & ~system & _HIGH),
    )


def _subset(system: int, written: int) -> tuple[Refusal, ...]:
    return (Refusal("not-a-subset", written & ~system),)


def _fixed0(system: int, written: int) -> tuple[Refusal, ...]:
    return (Refusal("fixed-bit-missing", system & ~written),)


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
        # only while the vCPU still offers the preemption timer, which QEMU has written before
        Refusal("timer-rate-differs", _TIMER_RATE if (system ^ written) & _TIMER_RATE else 0),
    )


_LBR_FORMAT, _PEBS = 0x3F, 1 << 6 | 1 << 7 | 0xF << 8 | 1 << 14


def _perf_capabilities(system: int, written: int) -> tuple[Refusal, ...]:
    formats = sum(group for group in (_LBR_FORMAT, _PEBS) if written & group and written & group != system & group)
    return (
        Refusal("format-differs", formats),
        Refusal("not-a-subset", written & ~system & ~(_LBR_FORMAT | _PEBS)),
    )


_RULES: dict[int, Callable[[int, int], tuple[Refusal, ...]]] = {
    0x480: _basic,
    0x485: _misc,
    0x486: _fixed0,
    0x488: _fixed0,
    0x345: _perf_capabilities,
    **dict.fromkeys(TRUE_CONTROLS, _controls),
}
