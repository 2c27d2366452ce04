"""Two or more KVMs side by side, as text, Markdown and JSON: the verdicts first, then what differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msrtui.compare.causes import causes, ranked
from msrtui.compare.differences import Difference, hidden, matters
from msrtui.compare.meaning import lost
from msrtui.compare.side import Side
from msrtui.compare.verdict import MoveVerdict
from msrtui.kvm.collector import plain
from msrtui.qemu.profile import QemuProfile
from msrtui.report.difference_document import difference_document
from msrtui.report.differences import WIDTH, Labels, circumstance_lines, difference_lines, labelled
from msrtui.report.heading import qemu_of
from msrtui.report.shape import counted, wrapped
from msrtui.report.trust import trust_sentences
from msrtui.report.verdicts import WARNINGS, home_document, home_lines, verdict_document, verdict_lines


# --- for programs ------------------------------------------------------------------------------------------------
def diff_document(
    sides: Sequence[Side], found: Sequence[Difference], verdicts: Sequence[MoveVerdict]
) -> dict[str, Any]:
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
        "verdicts": [verdict_document(verdict) for verdict in verdicts],
        "groups": [{"hosts": group} for group in groups(sides, found)],
        "home": [home_document(side) for side in sides],
    }


def groups(sides: Sequence[Side], found: Sequence[Difference]) -> list[list[str]]:
    """The names of the sides that answered alike, in the order of the first of each."""
    alike: dict[tuple[object, ...], list[str]] = {}
    for place, side in enumerate(sides):
        alike.setdefault(tuple(each.values[place] for each in found if matters(each)), []).append(side.name)
    return list(alike.values())


# --- for people --------------------------------------------------------------------------------------------------
def diff_text(sides: Sequence[Side], found: Sequence[Difference] | None, verdicts: Sequence[MoveVerdict]) -> str:
    """Who is who, the verdicts, and what differs (None: not asked)."""
    return "\n".join(_lines(sides, found, verdicts)) + "\n"


def _versions(sides: Sequence[Side]) -> bool:
    """Whether not all are read by the same QEMU."""
    return any(side.profile != sides[0].profile for side in sides)


def letter(place: int) -> str:
    """A, B … Z, A1 …"""
    return chr(ord("A") + place % 26) + (str(place // 26) if place >= 26 else "")


def _lines(sides: Sequence[Side], found: Sequence[Difference] | None, verdicts: Sequence[MoveVerdict]) -> Iterator[str]:
    which = "each by its own QEMU" if _versions(sides) else qemu_of(sides[0].profile)
    yield f"{which}, -cpu {plain(sides[0].request.text)}"
    names = {id(side): letter(place) for place, side in enumerate(sides)}
    for side in sides:
        yield from who_lines(side, f"{names[id(side)]}  ", _versions(sides))
    yield ""
    yield from home_lines(sides[0], "A")
    for verdict in verdicts:
        yield from verdict_lines(verdict, names)
    for warning in dict.fromkeys(warning for verdict in verdicts for warning in verdict.warnings):
        yield from wrapped(WARNINGS[warning], width=WIDTH)
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
    return labelled([letter(place) for place in range(count)])


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


# --- for a ticket ------------------------------------------------------------------------------------------------
def diff_markdown(sides: Sequence[Side], found: Sequence[Difference] | None, verdicts: Sequence[MoveVerdict]) -> str:
    """The text in a fenced block, so that nothing in it is read as markup."""
    return fenced("msrtui diff", sides[0].profile, diff_text(sides, found, verdicts))


def fenced(title: str, profile: QemuProfile, text: str) -> str:
    """A title and a text that cannot end its fence."""
    return f"**{title}**, QEMU {profile.label}\n\n```text\n{text.replace('```', chr(39) * 3)}```\n"
