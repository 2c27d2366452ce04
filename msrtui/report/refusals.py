"""Why KVM takes or refuses what is written to a vCPU's MSR, and what comes of a start: the sentences."""

from __future__ import annotations

from collections.abc import Callable

from msrtui.catalog import bit_name, short_name
from msrtui.explain import predict, write_rules
from msrtui.explain.predict import Prediction, Verdict
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.words import bits_of
from msrtui.report.heading import qemu_of
from msrtui.report.shape import counted

_CONTROLS = frozenset((0x48B, 0x48D, 0x48E, 0x48F, 0x490))


def bits_text(index: int, bits: int, profile: QemuProfile) -> str:
    """The bits of an MSR by name: QEMU's, else the architecture's, else their numbers."""
    words = {word.index: word for word in profile.tables.words if word.kind == "msr"}
    names = []
    for bit in bits_of(bits):
        if index in _CONTROLS:
            half, number = ("may be 1", bit - 32) if bit >= 32 else ("must be 1", bit)
            named = words[index].bits.get(number) if index in words else None
            names.append(f"{named or f'control {number}'} ({half})")
            continue
        named = words[index].bits.get(bit) if index in words else None
        names.append(named or bit_name(index, bit) or f"bit {bit}")
    shown = names[:8]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")


def rule_text(verdict: Verdict, profile: QemuProfile) -> str:
    """Why KVM takes this write, refuses it, or why that is not known."""
    if verdict.taken:
        return _TAKEN.get(verdict.rule, "KVM took it on a vCPU with this CPUID")
    bits = bits_text(verdict.index, verdict.bits, profile)
    if verdict.taken is None:
        return _OPEN.get(verdict.rule, "no rule decides it, and it was not tried")
    return _REFUSED.get(verdict.rule, _refused_when_tried)(bits)


def _refused_when_tried(bits: str) -> str:
    return f"KVM refused it on a vCPU with this CPUID, and no rule that msrtui knows says why (bits: {bits or 'none'})"


_TAKEN = {
    write_rules.ANY_VALUE: "KVM takes any value here",
    write_rules.ZERO: "0 is always taken",
    write_rules.SUBSET: "no bit that KVM's own value lacks",
    write_rules.CONTROLS: "no control beyond what KVM offers",
    write_rules.FIXED0: "it has every bit that KVM wants to be 1",
    write_rules.VMX_BASIC: "nothing beyond KVM's own value",
    write_rules.VMX_MISC: "nothing beyond KVM's own value",
    write_rules.PDCM_GATE: "no more than KVM's own value, and the guest has PDCM",
    write_rules.ARCH_GATE: "KVM takes any value for a guest whose CPUID has arch-capabilities (7.EDX[29])",
}
_REFUSED: dict[str, Callable[[str], str]] = {
    write_rules.SUBSET: lambda bits: f"KVM's own value lacks {bits}",
    write_rules.CONTROLS: lambda bits: f"KVM does not offer, or insists on, {bits}",
    write_rules.FIXED0: lambda bits: f"KVM wants these to be 1: {bits}",
    write_rules.VMX_BASIC: lambda bits: f"KVM's own value has not the same {bits}",
    write_rules.VMX_MISC: lambda bits: f"KVM's own value has not the same {bits}",
    write_rules.NEVER: lambda _: "KVM never lets this one be written: it derives it",
    write_rules.LBR_FORMAT: lambda bits: f"the LBR format must be 0 or KVM's own ({bits})",
    write_rules.PEBS_FORMAT: lambda bits: f"PEBS must be off or KVM's own format ({bits})",
    write_rules.PEBS_NEEDS: lambda _: "PEBS needs a guest with ds and dtes64",
    write_rules.ARCH_GATE: lambda _: (
        "KVM drops arch-capabilities (7.EDX[29]) from the guest's CPUID while it advertises it, and takes only 0 here "
        "for a guest without it"
    ),
}
_OPEN = {
    predict.NOT_NATIVE: (
        "KVM offers arch-capabilities (7.EDX[29]) where the CPU itself lacks it: most KVM emulate it for the guest, "
        "some drop it and then refuse every value but 0; only a vCPU shows which"
    ),
    predict.NOT_TRIED: "the vCPU that was probed does not show whether KVM keeps arch-capabilities for this guest",
    write_rules.NO_SYSTEM_VALUE: "KVM's own value is not known",
    write_rules.PDCM_GATE: "without PDCM in the guest's CPUID it depends on the kernel whether more than 0 is taken",
    write_rules.PEBS_NEEDS: "whether KVM keeps ds and dtes64 for this guest is not known",
    write_rules.VMX_MISC: "another rate of the preemption timer is taken only without that timer",
    write_rules.NO_RULE: "msrtui knows no rule for this MSR, and does not try it",
    predict.FULL_STATE: "before 5.0 QEMU writes the feature MSRs among the vCPU's whole state, which msrtui does not",
    predict.WORDS_NOT_KNOWN: "the source does not hold enough to work out what this guest gets",
    predict.NO_VM: "KVM refused to make the VM or its vCPU, so no guest starts now; msrtui doctor may say why",
    predict.CPUID_REFUSED: "KVM refused this guest's CPUID, which QEMU takes for an error of its own",
}


def reason_text(reason: str | None) -> str:
    """Why an outcome is not known."""
    return _OPEN.get(reason or "", "no rule decides it")


def outcome_text(prediction: Prediction) -> str:
    """The prediction as one sentence, without a full stop."""
    who = f"{qemu_of(prediction.profile)} with -cpu {prediction.request.text}"
    by = {"probe": " (as the vCPU showed)", "rule": " (by KVM's rules)"}.get(prediction.evidence or "", "")
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
