"""Two or more KVMs side by side, as text, Markdown and JSON: the verdicts first, then what differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msrtui.compare.causes import causes, ranked
from msrtui.compare.differences import Difference, hidden, matters
from msrtui.compare.meaning import lost
from msrtui.compare.side import Side, newest_name
from msrtui.compare.verdict import Reason, Verdict
from msrtui.kvm.collector import plain
from msrtui.qemu.profile import QemuProfile
from msrtui.report.difference_document import difference_document
from msrtui.report.differences import WIDTH, Labels, circumstance_lines, difference_lines
from msrtui.report.heading import qemu_of
from msrtui.report.sentences import bit_label
from msrtui.report.shape import counted, wrapped
from msrtui.report.trust import trust_sentences

_WARNINGS = {"vendor": "The two CPUs are of different vendors: even where the bits agree, a guest notices."}
_NAMED = 6


def reason_text(reason: Reason, verdict: Verdict) -> str:
    """Why one bit is missing, in a sentence."""
    name = bit_label(reason.word, reason.bit)
    there = plain(verdict.target.name, 60)
    match reason.layer:
        case "kvm":
            said = f"the KVM of {there} does not offer it"
        case "not listed":
            missing = f"MSR {reason.word.index:#x}" if reason.word.kind == "msr" else reason.word.where
            said = (
                f"the KVM of {there} lists no {missing}" if reason.word.kind == "msr" else f"{there} has no {missing}"
            )
        case "qemu" if newest_name(reason.word.name) not in verdict.target.words:
            said = f"QEMU {verdict.target.profile.label} does not know {reason.word.name}"
        case "qemu":
            said = f"QEMU {verdict.target.profile.label} takes it on {there}"
        case "model":
            said = f"{verdict.target.request.name} of QEMU {verdict.target.profile.label} has it not"
        case "unknown":
            said = f"what is known of {there} does not say"
    return f"{name}: {said}"


# --- for programs ------------------------------------------------------------------------------------------------
def diff_document(sides: Sequence[Side], found: Sequence[Difference], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """``diff --json``; a ``cause`` is a guess, from what else differs."""
    return {
        "sources": [side.name for side in sides],
        "qemu": sides[0].profile.label,
        **({"qemus": [side.profile.label for side in sides]} if _versions(sides) else {}),
        "cpu": sides[0].request.text,
        "alike": not any(matters(each) for each in found),
        "differences": [
            difference_document(each, None if cause is None else cause.text)
            for each, cause in zip(found, causes(found), strict=True)
        ],
        "verdicts": [_verdict_document(verdict) for verdict in verdicts],
        "groups": [{"hosts": group} for group in groups(sides, found)],
    }


def _verdict_document(verdict: Verdict) -> dict[str, Any]:
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
        "warnings": [_WARNINGS[warning] for warning in verdict.warnings]
        + ([plain(verdict.ends, 1000)] if verdict.ends is not None else []),
    }


def groups(sides: Sequence[Side], found: Sequence[Difference]) -> list[list[str]]:
    """The names of the sides that answered alike, in the order of the first of each."""
    alike: dict[tuple[object, ...], list[str]] = {}
    for place, side in enumerate(sides):
        alike.setdefault(tuple(each.values[place] for each in found if matters(each)), []).append(side.name)
    return list(alike.values())


# --- for people --------------------------------------------------------------------------------------------------
def diff_text(sides: Sequence[Side], found: Sequence[Difference] | None, verdicts: Sequence[Verdict]) -> str:
    """Who is who, the verdicts, and what differs (None: not asked)."""
    return "\n".join(_lines(sides, found, verdicts)) + "\n"


def _versions(sides: Sequence[Side]) -> bool:
    """Whether not all are read by the same QEMU."""
    return any(side.profile != sides[0].profile for side in sides)


def letter(place: int) -> str:
    """A, B … Z, A1 …"""
    return chr(ord("A") + place % 26) + (str(place // 26) if place >= 26 else "")


def _lines(sides: Sequence[Side], found: Sequence[Difference] | None, verdicts: Sequence[Verdict]) -> Iterator[str]:
    which = "each by its own QEMU" if _versions(sides) else qemu_of(sides[0].profile)
    yield f"{which}, -cpu {plain(sides[0].request.text)}"
    names = {id(side): letter(place) for place, side in enumerate(sides)}
    for side in sides:
        yield from who_lines(side, f"{names[id(side)]}  ", _versions(sides))
    yield ""
    for verdict in verdicts:
        yield from _verdict_lines(verdict, names[id(verdict.source)], names[id(verdict.target)])
    for warning in dict.fromkeys(warning for verdict in verdicts for warning in verdict.warnings):
        yield from wrapped(_WARNINGS[warning])
    for verdict in verdicts:
        here, there = names[id(verdict.source)], names[id(verdict.target)]
        for sentence in trust_sentences(lost(verdict.source, verdict.target), here, there):
            yield from wrapped(sentence, f"{here} -> {there}  ", "        ", WIDTH)
    if found is None:
        return
    if not any(matters(each) for each in found):
        yield ""
        yield "KVM says the same on all sides, and a guest gets the same."
    yield from _likely(found)
    labels = letters(len(sides))
    yield from difference_lines(found, labels)
    yield from circumstance_lines(found, labels)
    yield from hidden_lines(sides)


def who_lines(side: Side, start: str, versions: bool = False) -> Iterator[str]:
    """Who one side is: its name, then what is known of the host (``versions``: and which QEMU reads it)."""
    yield start + plain(side.name, 60)
    about = side.about
    facts = (
        about.cpu and plain(about.cpu, 60),
        about.kernel and f"Linux {plain(about.kernel, 40)}",
        about.vendor_module and plain(about.vendor_module, 20),
        qemu_of(side.profile) if versions else None,
    )
    known = ", ".join(" ".join(fact.split()) for fact in facts if fact)
    if known:
        yield from wrapped(known, " " * len(start), " " * len(start), WIDTH)


def letters(count: int) -> Labels:
    """A, B … as the sides are called in a comparison."""
    names = tuple(letter(place) for place in range(count))
    return Labels(names, tuple(f"only {name}" for name in names))


def hidden_lines(sides: Sequence[Side]) -> Iterator[str]:
    """Which rules hid a difference that says nothing of a host."""
    rules = [
        f"{each.rule} ({', '.join(dict.fromkeys(hex(leaf) for leaf, _ in each.leaves)) or 'NR_VCPUS'})"
        for each in hidden(sides)
    ]
    if rules:
        yield ""
        yield from wrapped(f"Hidden, as it says nothing of a host: {', '.join(rules)}", "", "  ", WIDTH)


def _likely(found: Sequence[Difference]) -> Iterator[str]:
    """What most likely made the differences, the cause of most first."""
    likely = ranked(causes(found))
    if likely:
        yield ""
        yield "Likely why"
        for cause, count in likely:
            yield from wrapped(
                f"{plain(cause.text, 200)}  ({counted(count, 'difference', 'differences')})", "  ", "    ", WIDTH
            )


def _verdict_lines(verdict: Verdict, source: str, target: str) -> Iterator[str]:
    start = f"{source} -> {target}  "
    if verdict.ends is not None:
        where = source if verdict.ends_on is verdict.source else target
        yield from wrapped(f"does not start on {where}: {plain(verdict.ends, 300)}", start, " " * len(start))
        return
    if verdict.answer == "can":
        clean = "" if verdict.clean else ", though it lacks something on both" if verdict.clean is False else ""
        yield f"{start}can move{clean}"
        return
    sure = [reason for reason in verdict.reasons if reason.sure]
    bits = counted(len(sure or verdict.reasons), "bit", "bits")
    words = counted(len({reason.word.name for reason in sure or verdict.reasons}), "word", "words")
    said = "cannot move" if verdict.answer == "cannot" else "not known"
    what = f"{bits} in {words} that {source} gives a guest and {target} {'cannot' if sure else 'may not'}"
    yield from wrapped(f"{said}: {what}", start, " " * len(start))
    by_word: dict[str, list[Reason]] = {}
    for reason in sure or verdict.reasons:
        by_word.setdefault(reason.word.name, []).append(reason)
    for reasons in by_word.values():
        first = reasons[0]
        labels = [bit_label(first.word, reason.bit) for reason in reasons]
        more = f" and {len(labels) - _NAMED} more" if len(labels) > _NAMED else ""
        lists = ""
        if first.layer == "not listed" and first.word.kind == "msr":
            lists = f" ({target} lists no {first.word.index:#x})"
        elif first.layer == "qemu" and newest_name(first.word.name) not in verdict.target.words:
            lists = f" (QEMU {verdict.target.profile.label} has no such word)"
        yield from wrapped(f"{' '.join(labels[:_NAMED])}{more}{lists}", f"        {first.word.short:20} ", " " * 29)


# --- for a ticket ------------------------------------------------------------------------------------------------
def diff_markdown(sides: Sequence[Side], found: Sequence[Difference] | None, verdicts: Sequence[Verdict]) -> str:
    """The text in a fenced block, so that nothing in it is read as markup."""
    return fenced("msrtui diff", sides[0].profile, diff_text(sides, found, verdicts))


def fenced(title: str, profile: QemuProfile, text: str) -> str:
    """A title and a text that cannot end its fence."""
    return f"**{title}**, QEMU {profile.label}\n\n```text\n{text.replace('```', chr(39) * 3)}```\n"
