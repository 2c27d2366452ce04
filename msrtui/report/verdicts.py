"""Verdicts as text and JSON: whether a guest starts at home, whether it can move, and which bits are in the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msrtui.compare.side import Side, newest_name
from msrtui.compare.verdict import MoveVerdict, Reason
from msrtui.kvm.collector import plain
from msrtui.report.differences import WIDTH
from msrtui.report.home import at_home, home_answer, home_text
from msrtui.report.pair import move_text
from msrtui.report.sentences import bit_label
from msrtui.report.shape import wrapped

WARNINGS = {"vendor": "The two CPUs are of different vendors: even where the bits agree, a guest notices."}
_NAMED = 6


def reason_text(reason: Reason, verdict: MoveVerdict) -> str:
    """Why one bit is missing, in a sentence."""
    name = bit_label(reason.word, reason.bit)
    there = plain(verdict.target.name, 60)
    label = verdict.target.profile.label
    match reason.layer:
        case "kvm":
            said = f"the KVM of {there} does not offer it"
        case "not listed" if reason.word.kind == "msr":
            said = f"the KVM of {there} lists no MSR {reason.word.index:#x}"
        case "not listed":
            said = f"{there} has no {reason.word.where}"
        case "qemu" if newest_name(reason.word.name) not in verdict.target.words:
            said = f"QEMU {label} does not know {reason.word.name}"
        case "qemu":
            said = f"QEMU {label} takes it on {there}"
        case "model":
            said = f"{verdict.target.request.name} of QEMU {label} has it not"
        case "unknown":
            said = f"what is known of {there} does not say"
    return f"{name}: {said}"


# --- for programs ------------------------------------------------------------------------------------------------
def verdict_document(verdict: MoveVerdict) -> dict[str, Any]:
    """One member of ``verdicts``."""
    return {
        "from": verdict.source.name,
        "to": verdict.target.name,
        "verdict": verdict.answer,
        "clean": verdict.clean,
        "reasons": [
            {
                "word": reason.word.name,
                "bit": reason.bit,
                "name": reason.word.bits.get(reason.bit),
                "layer": reason.layer,
                "text": reason_text(reason, verdict),
            }
            for reason in verdict.reasons
        ],
        "warnings": [WARNINGS[warning] for warning in verdict.warnings]
        + ([plain(verdict.ends, 1000)] if verdict.ends is not None else []),
    }


def home_document(side: Side) -> dict[str, Any]:
    """Whether a side's guest starts where it is, as far as the rules or a probe in its source say it."""
    found = at_home(side)
    answer, why = home_text(found)
    return {
        "source": side.name,
        "verdict": home_answer(found),
        "evidence": found.evidence,
        "text": f"{answer}: {why}",
    }


# --- for people --------------------------------------------------------------------------------------------------
def home_lines(side: Side, name: str) -> Iterator[str]:
    """``A -> A``: whether the guest starts where it is, as far as that is known."""
    start = f"{name} -> {name}  "
    yield from wrapped(": ".join(home_text(at_home(side))), start, " " * len(start), WIDTH)


def verdict_lines(verdict: MoveVerdict, names: Mapping[int, str]) -> Iterator[str]:
    """One verdict and the bits that are in the way, by word; ``names`` are the sides' letters by id()."""
    source, target = names[id(verdict.source)], names[id(verdict.target)]
    start = f"{source} -> {target}  "
    answer, why = move_text(verdict, source, target)
    yield from wrapped(f"{answer}{': ' if why else ''}{why}", start, " " * len(start), WIDTH)
    sure = [reason for reason in verdict.reasons if reason.sure]
    by_word: dict[str, list[Reason]] = {}
    for reason in sure or verdict.reasons:
        by_word.setdefault(reason.word.name, []).append(reason)
    for reasons in by_word.values():
        yield from _word_lines(reasons, verdict, target)


def _word_lines(reasons: Sequence[Reason], verdict: MoveVerdict, target: str) -> Iterator[str]:
    first = reasons[0]
    labels = [bit_label(first.word, reason.bit) for reason in reasons]
    more = f" and {len(labels) - _NAMED} more" if len(labels) > _NAMED else ""
    why = ""
    if first.layer == "not listed" and first.word.kind == "msr":
        why = f" ({target} lists no {first.word.index:#x})"
    elif first.layer == "qemu" and newest_name(first.word.name) not in verdict.target.words:
        why = f" (QEMU {verdict.target.profile.label} has no such word)"
    yield from wrapped(f"{' '.join(labels[:_NAMED])}{more}{why}", f"        {first.word.short:20} ", " " * 29, WIDTH)
