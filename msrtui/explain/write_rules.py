"""Whether a vCPU takes a write to a feature MSR: the rules of ``acceptance.py``, and what the guest's CPUID decides.

A rule says what it can from KVM's own (system) value, the value to be written and the guest's CPUID: whether KVM takes
it, and the bits that it minds. What hangs on the CPUID is undecided where that is not known. The names are ids; the
sentences are in ``report/refusals.py``.

Source: Linux 6.1, 6.12 and 7.1, arch/x86/kvm/x86.c kvm_set_msr_common, arch/x86/kvm/vmx/vmx.c vmx_set_msr.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from msrtui.explain.acceptance import (
    ANY_VALUE,
    ARCH_GATE,
    CORE_CAPABILITIES,
    DERIVED,
    KNOWN,
    LBR_FORMAT,
    MODEL_DIFFERS,
    NO_RULE,
    PDCM_GATE,
    PEBS,
    PEBS_FORMAT,
    PEBS_NEEDS,
    VMX_MSRS,
    Refusal,
    refusals,
    undecided,
)
from msrtui.qemu.guest_cpuid import Place

GuestBit = Callable[[Place, int], "bool | None"]
"""Whether the guest's CPUID, as KVM keeps it, has a bit; None where that is not known."""

ARCH_CAPABILITIES, PERF_CAPABILITIES = 0x10A, 0x345
ARCH_CAPABILITIES_BIT = (Place(7, 0, "EDX"), 29)
PDCM_BIT = (Place(1, 0, "ECX"), 15)
DS_BIT = (Place(1, 0, "EDX"), 21)
DTES64_BIT = (Place(1, 0, "ECX"), 2)

ANY = "any-value"
ZERO = "zero"
WITHIN = "within-kvms-own"
NO_SYSTEM_VALUE = "no-system-value"


class Ruled(NamedTuple):
    """What the rules say: ``taken`` None means that they cannot decide, and ``rule`` which one that is.

    ``refused`` are the rules that the value breaks, each with its bits; where ``taken`` is None, those that it may
    break.
    """

    rule: str
    taken: bool | None
    refused: tuple[Refusal, ...] = ()


def ruled(
    index: int,
    system: int | None,
    value: int,
    guest: GuestBit,
    *,
    listed: bool | None = None,
    own_model: bool | None = True,
) -> Ruled:
    """What the rules say of writing ``value`` to the MSR ``index`` where KVM's own value is ``system``.

    ``listed``: whether KVM has it among its feature MSRs, None where that is not known. ``system`` is None where the
    value is not known or there is none. ``own_model``: whether the guest's CPU model is the host's, None where that is
    not known.
    """
    if index not in KNOWN:
        return Ruled(NO_RULE, None)
    if index == ARCH_CAPABILITIES:
        return arch_capabilities(value, guest)
    if index in ANY_VALUE and not (index in VMX_MSRS and listed is False):
        return Ruled(ANY, True)
    if index == PERF_CAPABILITIES and not value:
        return Ruled(ZERO, True)
    if index not in DERIVED and system is None and listed is not False:
        return Ruled(NO_SYSTEM_VALUE, None)
    broken = refusals(index, system, value)
    if broken:
        return Ruled(broken[0].rule, False, broken)
    if system is None:
        return Ruled(NO_SYSTEM_VALUE, None)
    if index == PERF_CAPABILITIES:
        return perf_capabilities(value, guest, own_model=own_model)
    if index == CORE_CAPABILITIES:
        return Ruled(NO_RULE, None)
    unsure = undecided(index, system, value)
    return Ruled(unsure[0].rule, None, unsure) if unsure else Ruled(WITHIN, True)


def perf_capabilities(value: int, guest: GuestBit, *, own_model: bool | None = True) -> Ruled:
    """0x345, a value but 0 that is within KVM's own: PEBS needs DS and DTES64, and all of it PDCM.

    KVM takes an LBR or a PEBS format only of a guest that has the host's model number (cpuid_model_is_consistent):
    for another it is not decided. Without PDCM in the guest's CPUID Linux 6.13 and later takes only 0; older ones look
    at the guest's PMU instead, so that is not decided here.
    """
    if value & PEBS_FORMAT:
        for place in (DS_BIT, DTES64_BIT):
            there = guest(*place)
            if there is not True:
                return Ruled(PEBS_NEEDS, there, (Refusal(PEBS_NEEDS, value & PEBS),))
    formats = value & (LBR_FORMAT | PEBS_FORMAT)
    if formats and not own_model:
        return Ruled(MODEL_DIFFERS, None, (Refusal(MODEL_DIFFERS, formats),))
    if guest(*PDCM_BIT):
        return Ruled(PDCM_GATE, True)
    return Ruled(PDCM_GATE, None, (Refusal(PDCM_GATE, value),))


def arch_capabilities(value: int, guest: GuestBit) -> Ruled:
    """0x10a: any value; since Linux 6.13 only 0 for a guest whose CPUID, as KVM keeps it, lacks 7.EDX[29].

    So a value is taken by every kernel where the bit is there, and undecided where it is not: stable kernels show that
    the version does not tell which have the rule.
    """
    if not value:
        return Ruled(ZERO, True)
    if guest(*ARCH_CAPABILITIES_BIT):
        return Ruled(ARCH_GATE, True)
    return Ruled(ARCH_GATE, None, (Refusal(ARCH_GATE, value),))
