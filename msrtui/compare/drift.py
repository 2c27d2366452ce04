"""One host before and after: its changes by what most likely made each, and what that means for its guests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from msrtui.compare.causes import Cause, causes, ranked
from msrtui.compare.differences import Difference, matters
from msrtui.compare.meaning import Lost, lost
from msrtui.compare.side import Side
from msrtui.compare.verdict import MoveVerdict, can_move

Doubt = Literal["older", "other-cpu", "other-name"]
"""Why it may be no drift at all: ``after`` was captured before ``before``; another CPU, so another machine; another
host's name."""


class Group(NamedTuple):
    """``changes`` are places in the differences, in their order; ``cause`` None: not explained."""

    cause: Cause | None
    changes: tuple[int, ...]


class Drift(NamedTuple):
    """``groups``: the cause of most changes first, what is not explained last. ``forth`` is of what ran before and
    would go on after, ``back`` of what starts after and would go back; ``trusts`` is what the former would trust
    though it is no longer so."""

    groups: tuple[Group, ...]
    forth: MoveVerdict
    back: MoveVerdict
    trusts: tuple[Lost, ...]
    doubts: tuple[Doubt, ...]

    @property
    def changes(self) -> int:
        """How many changes there are."""
        return sum(len(group.changes) for group in self.groups)


def drift(before: Side, after: Side, found: Sequence[Difference]) -> Drift:
    """The drift between two captures; ``found`` are the differences of the two, in this order."""
    made = causes(found)
    order: list[Cause | None] = [*(cause for cause, _count in ranked(made)), None]
    changes = [place for place, each in enumerate(found) if matters(each)]
    groups = (Group(cause, tuple(place for place in changes if made[place] == cause)) for cause in order)
    return Drift(
        tuple(group for group in groups if group.changes),
        can_move(before, after),
        can_move(after, before),
        lost(before, after),
        _doubts(before, after, found),
    )


def _doubts(before: Side, after: Side, found: Sequence[Difference]) -> tuple[Doubt, ...]:
    doubts: list[Doubt] = []
    one, other = before.about, after.about
    if one.when is not None and other.when is not None and other.when < one.when:
        doubts.append("older")
    known = [each for each in found if None not in each.values]
    if any((each.kind, each.subject) in (("fact", "cpu"), ("cpuid", "0x1 EAX")) for each in known):
        doubts.append("other-cpu")
    elif one.name is not None and other.name is not None and one.name != other.name:
        doubts.append("other-name")
    return tuple(doubts)
