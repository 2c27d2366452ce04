"""The sentences of what lint found among VMX's feature MSRs."""

from __future__ import annotations

from collections.abc import Mapping

from msrtui.report.lint_saying import KERNEL_BUG, Params, Said, Say, without
from msrtui.report.naming import bit_text, mask_text, msr_name


def _control(p: Params) -> Said:
    names = mask_text(_CONTROL_WORD[p["msr"]], p["bits"])
    return Said(f"{msr_name(p['msr'])} has controls that must be 1 and may not be: {names}.", KERNEL_BUG)


def _lost(p: Params) -> Said:
    names = mask_text(_CONTROL_WORD[p["msr"]], p["bits"])
    text = (
        f"{msr_name(p['msr'])} wants controls to be 1 that the architecture leaves to choose: {names}. QEMU does not "
        "keep that, and KVM refuses what it writes: a guest with vmx ends with  failed to set MSR ."
    )
    return Said(text, "Give guests no VMX: -cpu host,-vmx. It comes from the hypervisor under this host.")


_CONTROL_WORD = {
    **dict.fromkeys((0x481, 0x48D), "FEAT_VMX_PINBASED_CTLS"),
    **dict.fromkeys((0x482, 0x48E), "FEAT_VMX_PROCBASED_CTLS"),
    **dict.fromkeys((0x483, 0x48F), "FEAT_VMX_EXIT_CTLS"),
    **dict.fromkeys((0x484, 0x490), "FEAT_VMX_ENTRY_CTLS"),
    0x48B: "FEAT_VMX_SECONDARY_CTLS",
}


def _fixed(p: Params) -> Said:
    return Said(f"{p['register']} must have {hex(p['bits'])} set for VMX, and may not.", KERNEL_BUG)


def _true(p: Params) -> Said:
    old, true = p["values"]
    text = f"The old controls ({hex(old)}) and the TRUE ones ({hex(true)}) do not allow the same."
    return Said(text, KERNEL_BUG)


def _requires(p: Params) -> Said:
    text = f"KVM offers guests {bit_text(p['control'])}, and not {bit_text(p['needed'])}, without which it is refused."
    return Said(text, "A hypervisor inside a guest cannot use it; the one under this host may hide the other.")


def _capabilities(p: Params) -> Said:
    control = bit_text(("FEAT_VMX_SECONDARY_CTLS", p["control"]))
    return Said(f"{msr_name(p['msr'])} says {hex(p['bits'])} of what {control} may not switch on.", None)


def _added(p: Params) -> Said:
    names = mask_text("FEAT_VMX_SECONDARY_CTLS", p["added"])
    text = f"QEMU adds controls that KVM's 0x48b does not allow: {names}. KVM may refuse to have them written."
    last = p["added"].bit_length() - 1
    leave = without(p, "FEAT_VMX_SECONDARY_CTLS", last)
    return Said(text, f"If QEMU says  failed to set MSR 0x48b , leave them out: {leave} (each of them).")


VMX_SAYS: Mapping[str, Say] = {
    "controls-added-by-qemu": _added,
    "control-must-and-cannot": _control,
    "cr-must-and-cannot": _fixed,
    "must-be-1-lost-by-qemu": _lost,
    "true-controls-disagree": _true,
    "control-without-another": _requires,
    "capability-without-its-control": _capabilities,
}
"""By rule."""
