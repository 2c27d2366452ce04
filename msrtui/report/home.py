"""A to A: whether a guest starts where it is, by KVM's rules or by what a probe heard; in a few words."""

from __future__ import annotations

from msrtui.compare.side import Side
from msrtui.explain import predict as foretelling
from msrtui.explain.predict import Prediction, predict
from msrtui.explain.probing import recorded_facts
from msrtui.kvm.collector import plain
from msrtui.language import N_
from msrtui.language import say as _
from msrtui.report.refusals import reason_text

_SHORT = {
    foretelling.NOT_NATIVE: N_("KVM offers arch-capabilities, the CPU not: a probe tells"),
    foretelling.NOT_TRIED: N_("the probe in it is of another guest, and shows nothing of this one"),
    foretelling.WORDS_NOT_KNOWN: N_("the source does not hold enough to work out this guest"),
}
"""Reasons for which a line has no room."""
_EVIDENCE = {"probe": N_("(probe)"), "rule": N_("(by KVM's rules)"), None: ""}


def at_home(side: Side) -> Prediction:
    """What comes of starting this side's guest on this side; takes some milliseconds, for QEMU is run again."""
    ignored = side.about.parameters.get("kvm", {}).get("ignore_msrs") in ("Y", "1")
    with side.answerer.held():
        facts = recorded_facts(side.answerer, side.probes)
        return predict(side.profile, side.request, side.answerer, facts, ignore_msrs=ignored)


def home_text(found: Prediction) -> tuple[str, str]:
    """Whether it starts, and why or by what that is known."""
    evidence = _EVIDENCE[found.evidence]
    match found.outcome:
        case "starts":
            return _("starts"), _("KVM takes all that QEMU writes to its MSRs {how}").format(how=evidence)
        case "aborts" if found.refused is not None:
            refused = f"{found.refused.index:#x} = {found.refused.value:#x}"
            return _("does not start"), _("this KVM refuses {what}, and QEMU aborts {how}").format(
                what=refused, how=evidence
            )
        case "aborts" | "ends":
            return _("does not start"), plain(" ".join(found.said.split()), 300)
    return _("not known"), _SHORT.get(found.reason or "", reason_text(found.reason))


def home_answer(found: Prediction) -> str:
    """The same as a verdict: ``can``, ``cannot`` or ``unknown``."""
    return {"starts": "can", "aborts": "cannot", "ends": "cannot"}.get(found.outcome, "unknown")
