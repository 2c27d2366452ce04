"""VMX's feature MSRs among themselves: controls that cannot be, or that need others which are not there.

Source of what excludes what: Intel SDM volume 3, appendix A (the MSRs) and 27.2.1 (checks at VM entry).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msrtui.compare.lint.answers import Answers
from msrtui.compare.lint.rules import Found, bits, msrs, rule

_HALF = 0xFFFFFFFF
CONTROLS = (0x481, 0x482, 0x483, 0x484, 0x48B, 0x48D, 0x48E, 0x48F, 0x490)
"""Must-be-1 in the low half, may-be-1 in the high half."""
PIN, PROC, SECONDARY, EXIT, ENTRY = 0x48D, 0x48E, 0x48B, 0x48F, 0x490
WORDS = {
    PIN: "FEAT_VMX_PINBASED_CTLS",
    PROC: "FEAT_VMX_PROCBASED_CTLS",
    SECONDARY: "FEAT_VMX_SECONDARY_CTLS",
    EXIT: "FEAT_VMX_EXIT_CTLS",
    ENTRY: "FEAT_VMX_ENTRY_CTLS",
}
TRUE_OF = {0x481: PIN, 0x482: PROC, 0x483: EXIT, 0x484: ENTRY}
_DEFAULT1 = {
    PIN: "MSR_IA32_VMX_TRUE_PINBASED_CTLS",
    PROC: "MSR_IA32_VMX_TRUE_PROCBASED_CTLS",
    EXIT: "MSR_IA32_VMX_TRUE_EXIT_CTLS",
    ENTRY: "MSR_IA32_VMX_TRUE_ENTRY_CTLS",
}


class Requires(NamedTuple):
    """A control, as (MSR, bit), that is refused at VM entry without another."""

    control: tuple[int, int]
    needed: tuple[int, int]


REQUIRES = (
    Requires((PIN, 5), (PIN, 3)),  # virtual NMIs: NMI exiting
    Requires((PROC, 22), (PIN, 5)),  # NMI-window exiting: virtual NMIs
    Requires((PIN, 7), (SECONDARY, 9)),  # posted interrupts: virtual-interrupt delivery,
    Requires((PIN, 7), (EXIT, 15)),  # and the interrupt acknowledged on exit
    Requires((SECONDARY, 9), (PIN, 0)),  # virtual-interrupt delivery: exits for external interrupts
    *(Requires((SECONDARY, bit), (PROC, 21)) for bit in (4, 8, 9)),  # x2APIC mode, APIC registers: the TPR shadow
    *(Requires((SECONDARY, bit), (SECONDARY, 1)) for bit in (7, 17, 22, 23, 24)),  # EPT
    Requires((EXIT, 22), (PIN, 6)),  # saving the preemption timer: the timer
)


def _may(value: int) -> int:
    return value >> 32 & _HALF


def _must(value: int) -> int:
    return value & _HALF


def _name(index: int) -> str:
    return WORDS[TRUE_OF.get(index, index)]


@rule("control-must-and-cannot", "wrong", "values")
def _impossible(host: Answers) -> Iterator[Found]:
    """A control that must be 1 and may not be: no VM entry can satisfy it."""
    for index in CONTROLS:
        value = host.value(index)
        if value is not None and _must(value) & ~_may(value):
            both = _must(value) & ~_may(value)
            yield Found((*msrs((index,)), *bits(_name(index), both)), {"msr": index, "bits": both})


@rule("cr-must-and-cannot", "wrong", "values")
def _fixed(host: Answers) -> Iterator[Found]:
    """A bit of CR0 or CR4 that FIXED0 wants 1 and FIXED1 does not allow."""
    for fixed0, fixed1, register in ((0x486, 0x487, "CR0"), (0x488, 0x489, "CR4")):
        low, high = host.value(fixed0), host.value(fixed1)
        if low is not None and high is not None and low & ~high:
            yield Found(msrs((fixed0, fixed1)), {"register": register, "bits": low & ~high})


@rule("must-be-1-lost-by-qemu", "wrong", "values")
def _lost(host: Answers) -> Iterator[Found]:
    """QEMU keeps of a control only whether it is a choice, and puts back as must-be-1 what the architecture has so.

    Any other must-be-1 control is gone from what it writes, and KVM refuses that: a guest with VMX does not start.
    Source: target/i386/kvm/kvm.c make_vmx_msr_value; arch/x86/kvm/vmx/nested.c vmx_restore_control_msr.
    """
    for index, symbol in _DEFAULT1.items():
        default1, value = host.profile.tables.vmx_default1.get(symbol), host.value(index)
        if default1 is not None and value is not None and _must(value) & ~default1:
            lost = _must(value) & ~default1
            yield Found((*msrs((index,)), *bits(_name(index), lost)), {"msr": index, "bits": lost, "value": value})


@rule("true-controls-disagree", "odd", "values")
def _true(host: Answers) -> Iterator[Found]:
    """The TRUE MSRs may leave more to choose than the old ones, and allow the same."""
    for old, true in TRUE_OF.items():
        values = host.value(old), host.value(true)
        if values[0] is None or values[1] is None:
            continue
        if _must(values[1]) & ~_must(values[0]) or _may(values[0]) != _may(values[1]):
            yield Found(msrs((old, true)), {"values": values})


@rule("control-without-another", "odd", "values")
def _requires(host: Answers) -> Iterator[Found]:
    """A control that may be 1 while another that it needs may not: a nested hypervisor cannot use it."""
    for control, needed in REQUIRES:
        values = host.value(control[0]), host.value(needed[0])
        if values[0] is None or values[1] is None:
            continue
        if _may(values[0]) >> control[1] & 1 and not _may(values[1]) >> needed[1] & 1:
            one, other = (WORDS[control[0]], control[1]), (WORDS[needed[0]], needed[1])
            yield Found((("bit", *one), ("bit", *other)), {"control": one, "needed": other})
    proc, secondary = host.value(PROC), host.value(SECONDARY)
    if proc is not None and secondary is not None and _may(secondary) and not _may(proc) >> 31 & 1:
        active = (WORDS[PROC], 31)
        yield Found(
            (("word", WORDS[SECONDARY]), ("bit", *active)), {"control": (WORDS[SECONDARY], None), "needed": active}
        )


@rule("capability-without-its-control", "odd", "values")
def _capabilities(host: Answers) -> Iterator[Found]:
    """What EPT, VPID or VMFUNC can do, while the control that switches it on may not be 1."""
    controls = host.value(SECONDARY)
    if controls is None:
        return
    for index, mask, bit in ((0x48C, _HALF, 1), (0x48C, _HALF << 32, 5), (0x491, (1 << 64) - 1, 13)):
        value = (host.value(index) or 0) & mask
        if value and not _may(controls) >> bit & 1:
            yield Found(
                (*msrs((index,)), ("bit", WORDS[SECONDARY], bit)), {"msr": index, "bits": value, "control": bit}
            )
