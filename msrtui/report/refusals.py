"""Why KVM takes or refuses what is written to a vCPU's MSR, and what comes of a start: the sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msrtui.catalog import short_name
from msrtui.explain import predict, write_rules
from msrtui.explain.acceptance import (
    ARCH_ABSENT,
    ARCH_GATE,
    CONTROL_MSRS,
    MODEL_DIFFERS,
    NO_RULE,
    PDCM_GATE,
    PEBS_NEEDS,
    AcceptanceRule,
    Refusal,
)
from msrtui.explain.naming import label, register_label
from msrtui.explain.predict import Evidence, Prediction, WriteVerdict
from msrtui.language import N_
from msrtui.language import say as _
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.words import bits_of
from msrtui.report.heading import qemu_of
from msrtui.report.shape import counted

RULES: Mapping[AcceptanceRule, str] = {
    "must-be-1-lost": N_("KVM says that it must be 1, and the value lets it be 0"),
    "may-be-1-not-offered": N_("no control that KVM offers"),
    "not-a-subset": N_("not in KVM's own value"),
    "never-writable": N_("KVM takes no write to this MSR"),
    "fixed-bit-missing": N_("KVM wants a 1 here"),
    "address-width-limit": N_("KVM does not emulate a VMX of limited physical addresses"),
    "revision-differs": N_("it must equal KVM's own"),
    "size-smaller": N_("it must not be smaller than KVM's own"),
    "count-larger": N_("it must not be larger than KVM's own"),
    "timer-rate-differs": N_("it must equal KVM's own while the preemption timer is offered"),
    "format-differs": N_("it must be 0 or exactly KVM's own"),
    "not-in-kvm": N_("KVM offers no such MSR here"),
    "arch-capabilities-gate": N_(
        "KVM drops arch-capabilities (7.EDX[29]) from the guest's CPUID while it advertises it, and takes only 0 here"
        " for a guest without it"
    ),
    "arch-capabilities-absent": N_("only 0 is taken of a guest without arch-capabilities (7.EDX[29])"),
    "pebs-needs": N_("PEBS needs a guest with ds and dtes64"),
    "model-differs": N_("LBR and PEBS need a guest whose CPU model is the host's"),
    "pdcm-gate": N_("only 0 is taken of a guest without pdcm"),
    "no-rule": N_("a vCPU with this CPUID refused it, and no rule that msrtui knows says why"),
}
"""Why KVM refuses bits, the bits in front. The rules are KVM's: arch/x86/kvm/vmx/nested.c, vmx/vmx.c and x86.c."""

WHOLE = frozenset(("never-writable", "not-in-kvm", ARCH_GATE, ARCH_ABSENT, PDCM_GATE))
"""Rules by which it is not this bit or that one, but the write."""

EVIDENCE: Mapping[Evidence | None, str] = {
    "probe": N_(" (as the vCPU showed)"),
    "rule": N_(" (by KVM's rules)"),
    None: "",
}


def bits_text(index: int, bits: int, profile: QemuProfile) -> str:
    """The bits of an MSR by name: QEMU's, else the architecture's, else their numbers; a field is named once."""
    names: dict[str, None] = {}
    for bit in bits_of(bits):
        if index in CONTROL_MSRS:
            said = _("{name} (may be 1)") if bit >= 32 else _("{name} (must be 1)")
            names[said.format(name=label(profile, index, bit % 32))] = None
        else:
            names[register_label(profile, index, bit)] = None
    shown = list(names)[:8]
    if len(names) > len(shown):
        return _("{names} and {more} more").format(names=", ".join(shown), more=len(names) - len(shown))
    return ", ".join(shown)


def rule_text(verdict: WriteVerdict, profile: QemuProfile) -> str:
    """Why KVM takes this write, refuses it, or why that is not known."""
    if verdict.taken:
        if verdict.rule == write_rules.WITHIN and verdict.index in CONTROL_MSRS:
            return _("no control beyond what KVM offers, and all that must be 1")
        return _(_TAKEN[verdict.rule])
    if verdict.taken is None:
        return _(_OPEN.get(verdict.rule, N_("no rule decides it, and it was not tried")))
    return _("; ").join(_refusals(verdict.index, verdict.refused, profile)) or _(RULES[NO_RULE])


def _refusals(index: int, refused: tuple[Refusal, ...], profile: QemuProfile) -> Iterator[str]:
    for each in refused:
        said = _(RULES[each.rule])
        yield (
            said
            if each.rule in WHOLE
            else _("{what}: {said}").format(what=bits_text(index, each.mask, profile), said=said)
        )


_TAKEN = {
    write_rules.ANY: N_("KVM takes any value here"),
    write_rules.ZERO: N_("0 is always taken"),
    write_rules.WITHIN: N_("nothing in it that KVM's own value forbids"),
    PDCM_GATE: N_("no more than KVM's own value, and the guest has PDCM"),
    ARCH_GATE: N_("KVM takes any value for a guest whose CPUID has arch-capabilities (7.EDX[29])"),
    predict.TRIED: N_("KVM took it on a vCPU with this CPUID"),
    predict.NO_GATE: N_(
        "this KVM takes any value here, also for a guest whose CPUID lacks arch-capabilities (7.EDX[29])"
    ),
    predict.IGNORED: N_("KVM takes it and drops the value: it would refuse, and kvm.ignore_msrs hides that"),
}
_OPEN = {
    predict.NOT_NATIVE: N_(
        "KVM offers arch-capabilities (7.EDX[29]) where the CPU itself lacks it: most KVM emulate it for the guest, "
        "some drop it and then refuse every value but 0; only a vCPU shows which"
    ),
    predict.NOT_TRIED: N_("the vCPU that was probed does not show whether KVM keeps arch-capabilities for this guest"),
    write_rules.NO_SYSTEM_VALUE: N_("KVM's own value is not known"),
    PDCM_GATE: N_("without PDCM in the guest's CPUID it depends on the kernel whether more than 0 is taken"),
    PEBS_NEEDS: N_("whether KVM keeps ds and dtes64 for this guest is not known"),
    MODEL_DIFFERS: N_(
        "LBR and PEBS need a guest whose CPU model is the host's, and this one's is another or not known"
    ),
    "timer-rate-differs": N_("another rate of the preemption timer is taken only without that timer"),
    NO_RULE: N_("msrtui knows no rule for this MSR, and does not try it"),
    predict.FULL_STATE: N_(
        "before 5.0 QEMU writes the feature MSRs among the vCPU's whole state, which msrtui does not"
    ),
    predict.WORDS_NOT_KNOWN: N_("the source does not hold enough to work out what this guest gets"),
    predict.NO_VM: N_("KVM refused to make the VM or its vCPU, so no guest starts now; msrtui doctor may say why"),
    predict.AMX_NOT_ASKED_FOR: N_(
        "KVM refused this guest's CPUID, which has AMX: that needs a permission of the kernel's, which QEMU asks for "
        "and the probe does not; with -amx-tile in the -cpu it can be probed"
    ),
    predict.CPUID_REFUSED: N_("KVM refused this guest's CPUID, which QEMU takes for an error of its own"),
}


def reason_text(reason: str | None) -> str:
    """Why an outcome is not known."""
    return _(_OPEN.get(reason or "", N_("no rule decides it")))


def outcome_text(prediction: Prediction) -> str:
    """The prediction as one sentence, without a full stop."""
    who = f"{qemu_of(prediction.profile)} with -cpu {prediction.request.text}"
    by = _(EVIDENCE[prediction.evidence]) if prediction.evidence is not None else ""
    match prediction.outcome:
        case "starts":
            count = len(prediction.verdicts)
            return f"{who} starts: KVM takes the {counted(count, 'MSR', 'MSRs')} that it writes{by}"
        case "aborts" if prediction.refused is not None:
            refused = prediction.refused
            why = rule_text(refused, prediction.profile)
            name = short_name(refused.index)
            said = f"error: failed to set MSR 0x{refused.index:x} to 0x{refused.value:x}"
            return f"{who} aborts{by}: {said}. {name}: {why}"
        case "aborts" | "ends":
            said = " ".join(prediction.said.split()) or "at one of the MSRs that it writes"
            return f"{who} {prediction.outcome}, saying: {said}"
    return f"What comes of {who} is not known: {reason_text(prediction.reason)}"


def prediction_document(prediction: Prediction) -> dict[str, Any]:
    """The prediction for programs."""
    refused = prediction.refused
    return {
        "cpu": prediction.request.text,
        "outcome": prediction.outcome,
        "evidence": prediction.evidence,
        "msr": None if refused is None else hex(refused.index),
        "value": None if refused is None else hex(refused.value),
        "rule": None if refused is None else refused.rule,
        "reason": prediction.reason,
        "said": prediction.said,
        "warnings": list(prediction.warnings),
        "text": outcome_text(prediction),
    }
