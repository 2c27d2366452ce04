"""Why an MSR is not in one of KVM's lists, in words: what ``explain.absent`` found, told to programs and people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from msrtui.explain.absent import Absence
from msrtui.explain.kernel_rules import Finding, RemedyId, RuleId
from msrtui.language import N_
from msrtui.language import say as _
from msrtui.report.shape import wrapped

LIST_NAMES = {"index": "KVM's index list", "feature": "kvm_feature_msrs"}


class Telling(NamedTuple):
    """The sentence for a rule that drops the MSR, and for one of which that is not known, where that is another."""

    drops: str
    open: str | None = None


_PROBED = N_("KVM tries RDMSR of it when its module starts, and drops what faults on that CPU")

RULES: Mapping[RuleId, Telling] = {
    "nothing-drops-it": Telling(N_("nothing drops it")),
    "rdmsr-at-module-start": Telling(_PROBED),
    "rdmsr-of-an-amd-register": Telling(_PROBED + N_("; it is a register of AMD's, and this is no AMD CPU")),
    "rdmsr-of-an-intel-register": Telling(_PROBED + N_("; it is a register of Intel's, and this is no Intel CPU")),
    "kvm-capability": Telling(N_("KVM's CPUID does not have {name}"), N_("KVM's CPUID must have {name}")),
    "enable-pmu": Telling(
        N_("kvm.enable_pmu is off, and without it no MSR of the PMU is listed"), N_("kvm.enable_pmu must be on")
    ),
    "no-counters-without-pmu": Telling(N_("kvm.enable_pmu is off, so KVM counts no counter as there")),
    "counters": Telling(
        N_("KVM gives a guest {count} {kind} counters (CPUID 0xa), and this is number {n} counted from 0"),
        N_("KVM must give a guest more than {n} {kind} counters"),
    ),
    "mpx": Telling(
        N_("KVM can give a guest no MPX (bits 3 and 4 of XCR0)"),
        N_("KVM must be able to give a guest MPX (bits 3 and 4 of XCR0)"),
    ),
    "tsx-ctrl": Telling(
        N_("bit 7 (TSX_CTRL) of KVM's own ARCH_CAPABILITIES is 0"),
        N_("bit 7 (TSX_CTRL) of KVM's own ARCH_CAPABILITIES must be 1"),
    ),
    "xss": Telling(N_("KVM supports no bit of XSS"), N_("KVM must support a bit of XSS")),
    "intel-pt": Telling(N_("KVM offers no Intel PT"), N_("KVM must offer Intel PT")),
    "intel-pt-leaf": Telling(
        N_("the CPU's Intel PT does not have what this MSR is for (CPUID 0x14)"),
        N_("the CPU's Intel PT must have what this MSR is for (CPUID 0x14)"),
    ),
    "intel-pt-ranges": Telling(N_("the CPU's Intel PT has {count} address registers")),
    "64-bit-kernel": Telling(N_("only a 64-bit kernel has it (KVM's CPUID has no LM)")),
    "one-vendor-module": Telling(N_("only {module} has it")),
    "vendor-module-not-known": Telling(N_("the vendor module decides: {known}; which one is at work is not known")),
    "vendor-module-not-read": Telling(
        N_("the vendor module decides: {known}; what {module} does is not known to msrtui")
    ),
    "nested": Telling(N_("kvm_intel.nested is off"), N_("kvm_intel.nested must be on")),
    "nested-is-not-vmx": Telling(N_("kvm_amd never has it: nested guests there are SVM's, which has no such register")),
    "smm": Telling(N_("this KVM does no SMM (KVM_CAP_X86_SMM is 0)"), N_("KVM must be able to do SMM")),
    "smm-parameters": Telling(
        N_("kvm_intel.unrestricted_guest and kvm_intel.emulate_invalid_guest_state are both off: no SMM")
    ),
    "hyperv": Telling(
        N_("this kernel was built without CONFIG_KVM_HYPERV (KVM_CAP_HYPERV is 0)"),
        N_("the kernel must be built with CONFIG_KVM_HYPERV"),
    ),
    "no-feature-list": Telling(N_("this KVM has no list of feature MSRs (KVM_CAP_GET_MSR_FEATURES is 0)")),
    "no-kernel-lists-it": Telling(N_("no kernel that msrtui knows ({kernels}) has it in an array of this list")),
    "no-kernel-has-it-as-a-feature": Telling(N_("no kernel that msrtui knows ({kernels}) has it as a feature MSR")),
    "kernel-has-it-not-yet": Telling(
        N_("Linux {near} does not have it in an array of this list yet; Linux {kernel} does")
    ),
    "kernel-has-it-no-longer": Telling(
        N_("Linux {near} no longer has it in an array of this list; Linux {kernel} did")
    ),
    "every-rule-keeps-it": Telling(
        N_("every rule that msrtui knows keeps it, so this kernel has another rule, or not the MSR")
    ),
}
"""What drops an MSR, to be read after a colon."""

REMEDIES: Mapping[RemedyId, str] = {
    "amd-cpu": N_("an AMD CPU"),
    "intel-cpu": N_("an Intel CPU"),
    "cpu-with-speculation-control": N_("a CPU with speculation control (IBRS, STIBP or SSBD)"),
    "cpu-that-lets-it-be-read": N_("a CPU, or a hypervisor under this host, that lets it be read"),
    "cpu-with-capability": N_("a CPU with {name}, in a KVM that offers it"),
    "cpu-with-amx": N_("a CPU with AMX"),
    "cpu-with-cet": N_("a CPU with it, in a KVM that offers it (kvm_intel.cet=Y)"),
    "pmu-on": N_("kvm.enable_pmu=Y, on a CPU whose performance counters Linux uses (else KVM turns it off itself)"),
    "counters-on": N_("kvm.enable_pmu=Y, on a CPU whose counters Linux uses"),
    "more-counters": N_("a CPU, or a hypervisor under this host, with more {kind} counters"),
    "cpu-with-mpx": N_("a CPU with MPX, which Intel has taken out of newer ones"),
    "cpu-with-tsx-ctrl": N_("a CPU, with its microcode, that has TSX_CTRL"),
    "cpu-with-xss": N_("a CPU with a supervisor XSAVE state that KVM offers, such as CET's"),
    "pt-mode": N_("kvm_intel.pt_mode=1 on a CPU with Intel PT; only a kernel built with CONFIG_BROKEN has that mode"),
    "64-bit-kernel": N_("a 64-bit kernel"),
    "vendor-module": N_("a host with {module}"),
    "kvm-intel-nested": N_("a host with kvm_intel and nested=1"),
    "nested-on": N_("kvm_intel.nested=1"),
    "invalid-guest-state-on": N_("kvm_intel.emulate_invalid_guest_state=1"),
    "smm-vendor-module": N_("a vendor module that does SMM"),
    "smm-kernel": N_("a kernel built with CONFIG_KVM_SMM and a vendor module that does SMM"),
    "hyperv-kernel": N_("a kernel built with CONFIG_KVM_HYPERV"),
    "feature-list-kernel": N_("Linux 4.16 or newer"),
    "kernel-like": N_("a kernel like Linux {kernel}"),
}
"""What would bring it back, to be read after "with"."""

_PARAMETERS = {
    "kind": {"general": N_("general"), "fixed": N_("fixed")},
    "known": {
        "intel": N_("kvm_intel has it"),
        "amd": N_("kvm_amd has it"),
        "nested": N_("kvm_intel has it with nested=1, kvm_amd never"),
    },
}
"""Parameters that are words of a sentence themselves."""


def rule_text(absence: Absence) -> str:
    """What drops the MSR; where that is not known, all that may."""
    return _("; or ").join(dict.fromkeys(_rule(reason) for reason in absence.reasons))


def remedy_text(absence: Absence) -> str | None:
    """What would bring it back; None where nothing is known to."""
    found = (REMEDIES[reason.remedy].format(**_words(reason)) for reason in absence.reasons if reason.remedy)
    return _(", and ").join(dict.fromkeys(found)) or None


def _rule(reason: Finding) -> str:
    telling = RULES[reason.rule]
    template = telling.open if reason.holds is None and telling.open is not None else telling.drops
    return template.format(**_words(reason))


def _words(reason: Finding) -> dict[str, Any]:
    """The parameters, with those that are words of a sentence in its language."""
    return {name: _PARAMETERS.get(name, {}).get(value, value) for name, value in reason.params.items()}


# --- for programs and people -------------------------------------------------------------------------------------
def absence_document(absence: Absence) -> dict[str, Any]:
    """One absence for ``get --json``."""
    return {
        "list": absence.list,
        "array": absence.array,
        "kernel": absence.kernel,
        "rule": rule_text(absence),
        "decided": absence.decided,
        "remedy": remedy_text(absence),
        "certainty": absence.certainty,
    }


def worth_telling(found: tuple[Absence, ...]) -> tuple[Absence, ...]:
    """The absences that a person wants told: that an MSR is in no kernel a feature MSR, as most are, is not one."""
    return tuple(absence for absence in found if absence.array is not None or absence.list == "index")


def sentences(found: tuple[Absence, ...]) -> Iterator[tuple[list[Absence], list[str]]]:
    """What is worth telling, in sentences: the array, the rule and what it is worth, what would bring the MSR back.

    Lists of which the same is to be said stand in one sentence: the absences that it is of come with it.
    """
    alike: dict[tuple[object, ...], list[Absence]] = {}
    for absence in worth_telling(found):
        said = (rule_text(absence), remedy_text(absence), absence.kernel, absence.certainty)
        alike.setdefault(said, []).append(absence)
    for group in alike.values():
        yield group, list(_sentences(group))


def _sentences(group: list[Absence]) -> Iterator[str]:
    absence = group[0]
    lists = _(" nor in ").join(LIST_NAMES[each.list] for each in group)
    rule, remedy = rule_text(absence), remedy_text(absence)
    if absence.array is None:
        yield _("Not in {list}: {rule}.").format(list=lists, rule=rule)
        return
    arrays = _(" and ").join(dict.fromkeys(each.array for each in group if each.array is not None))
    worth = _("sure") if absence.certainty == "sure" else _("expectation")
    template = _("Not in {list} ({array} of Linux {kernel}, {worth}): {rule}.")
    if absence.nearest:
        template = _("Not in {list} ({array} of Linux {kernel}, the nearest that msrtui knows, {worth}): {rule}.")
    yield template.format(list=lists, array=arrays, kernel=absence.kernel, worth=worth, rule=rule)
    if remedy:
        yield _("It would come back with {remedy}.").format(remedy=remedy)


def absent_text(found: tuple[Absence, ...]) -> Iterator[str]:
    """The absences that are worth telling, as lines for ``get``."""
    for _group, told in sentences(found):
        for place, sentence in enumerate(told):
            yield from wrapped(sentence, "  " if not place else "    ", "    ")
