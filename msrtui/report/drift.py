"""One host before and after, as text, Markdown and JSON: the likely causes first, then what it means for guests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msrtui.compare.causes import Cause
from msrtui.compare.differences import Difference
from msrtui.compare.drift import Doubt, Drift, Group
from msrtui.compare.side import Side
from msrtui.compare.verdict import MoveVerdict
from msrtui.kvm.collector import plain
from msrtui.report.diff import diff_document, fenced, hidden_lines, who_lines
from msrtui.report.differences import WIDTH, Labels, circumstance_lines, difference_lines
from msrtui.report.heading import qemu_of
from msrtui.report.shape import counted, wrapped
from msrtui.report.trust import trust_document, trust_sentences

_LABELS = Labels(("before", "after"), ("gone", "new"))
_DOUBTS: dict[Doubt, str] = {
    "older": "The capture given as after is older than the one before: is their order right?",
    "other-cpu": "The two have not the same CPU: this is no drift, but a comparison of two machines.",
    "other-name": "The two captures name two hosts: if they are two machines, this is a comparison, not drift.",
}


# --- for programs ------------------------------------------------------------------------------------------------
def drift_document(sides: Sequence[Side], found: Sequence[Difference], drift: Drift) -> dict[str, Any]:
    """``diff --drift --json``: diff's document, and ``drift``, whose changes are places in ``differences``."""
    return {
        **diff_document(sides, found, (drift.forth, drift.back)),
        "drift": [
            {
                "cause": None if group.cause is None else group.cause.text,
                "kind": None if group.cause is None else group.cause.kind,
                "likely": group.cause is not None,
                "changes": list(group.changes),
            }
            for group in drift.groups
        ],
        "trusts": trust_document(drift.trusts),
        "warnings": [_DOUBTS[doubt] for doubt in drift.doubts],
    }


# --- for people --------------------------------------------------------------------------------------------------
def drift_text(sides: Sequence[Side], found: Sequence[Difference], drift: Drift) -> str:
    """Who, why, what it means for guests, and what changed."""
    return "\n".join(_lines(sides, found, drift)) + "\n"


def drift_markdown(sides: Sequence[Side], found: Sequence[Difference], drift: Drift) -> str:
    """The text in a fenced block, so that nothing in it is read as markup."""
    return fenced("msrtui diff --drift", sides[0].profile, drift_text(sides, found, drift))


def _lines(sides: Sequence[Side], found: Sequence[Difference], drift: Drift) -> Iterator[str]:
    yield f"{qemu_of(sides[0].profile)}, -cpu {plain(sides[0].request.text)}"
    for side, name in zip(sides, _LABELS.names, strict=True):
        yield from who_lines(side, f"{name:6}  ")
    for doubt in drift.doubts:
        yield ""
        yield from wrapped(_DOUBTS[doubt], "", "", WIDTH)
    yield ""
    if not drift.changes:
        yield "Nothing changed: KVM says the same, and a guest gets the same."
        yield from circumstance_lines(found, _LABELS)
        return
    yield from _causes(drift)
    yield ""
    yield "For guests"
    for sentence in _guest_sentences(drift):
        yield from wrapped(sentence, "  ", "    ", WIDTH)
    for group in drift.groups:
        changes = [found[place] for place in group.changes]
        if len(drift.groups) == 1:
            yield from difference_lines(changes, _LABELS)
            continue
        yield ""
        yield from wrapped(_because(group.cause), "", "  ", WIDTH)
        yield from (line for line in difference_lines(changes, _LABELS, "  ") if line)
    orders = [each for each in found if each.kind == "order"]
    yield from difference_lines(orders, _LABELS)
    yield from circumstance_lines(found, _LABELS)
    yield from hidden_lines(sides)


def _because(cause: Cause | None) -> str:
    return "Not explained" if cause is None else f"Likely by {plain(cause.text, 200)}"


def _causes(drift: Drift) -> Iterator[str]:
    """Each likely cause with how much it explains, in two columns where there is room."""
    for place, group in enumerate(drift.groups):
        start = "likely  " if place == 0 and group.cause is not None else " " * 8
        yield from _cause(group, start, drift.changes)


def _cause(group: Group, start: str, total: int) -> Iterator[str]:
    if group.cause is None:
        yield f"{start}not explained: {counted(len(group.changes), 'change', 'changes')} of {total}"
        return
    explains = f"explains {len(group.changes)} of {counted(total, 'change', 'changes')}"
    lines = list(wrapped(plain(group.cause.text, 200), start, " " * 8, WIDTH))
    room = WIDTH - len(explains)
    if len(lines) == 1 and len(lines[0]) + 2 <= room:
        yield f"{lines[0]:{room}}{explains}"
        return
    yield from lines
    yield " " * room + explains


def _guest_sentences(drift: Drift) -> Iterator[str]:
    yield _verdict(drift.forth, ("before", "after"), "What ran before {can} go on after")
    yield from trust_sentences(drift.trusts, "the host before", "the host after")
    yield _verdict(drift.back, ("after", "before"), "What starts after {can} go back")


def _verdict(verdict: MoveVerdict, when: tuple[str, str], said: str) -> str:
    if verdict.ends is not None:
        at = when[0] if verdict.ends_on is verdict.source else when[1]
        return f"{said.format(can='cannot')}: QEMU does not start {at}, saying: {plain(verdict.ends, 300)}"
    if verdict.answer == "can":
        return f"{said.format(can='can')}."
    sure = [reason for reason in verdict.reasons if reason.sure]
    bits = counted(len(sure or verdict.reasons), "bit", "bits")
    words = counted(len({reason.word.name for reason in sure or verdict.reasons}), "word", "words")
    if verdict.answer == "cannot":
        return f"{said.format(can='cannot')}: {bits} in {words} that it has would be missing."
    return f"Whether {said[0].lower()}{said[1:].format(can='can')} is not known: {bits} in {words} are not."
