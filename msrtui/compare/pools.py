"""Which kinds of guest can move where, for many kinds at once, and the pools in which all can move freely.

The same verdicts as ``verdict.can_move`` gives, without the reasons: each word is compared once for each two values
that it has in the fleet, and what all words allow is an intersection of bitmaps. A test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from msrtui.compare.fleet_reading import Behaviour, Bits
from msrtui.compare.verdict import Answer


class Moves(NamedTuple):
    """By kind of guest, as a bitmap over the kinds: where its guest can go, and where it is not known."""

    can: tuple[int, ...]
    unknown: tuple[int, ...]

    def answer(self, source: int, target: int) -> Answer:
        """The verdict for the guest of one kind on hosts of another."""
        if self.can[source] >> target & 1:
            return "can"
        return "unknown" if self.unknown[source] >> target & 1 else "cannot"


def members(bitmap: int) -> Iterator[int]:
    """The places of the bits that are set, ascending."""
    while bitmap:
        lowest = bitmap & -bitmap
        yield lowest.bit_length() - 1
        bitmap ^= lowest


def moves(kinds: Sequence[Behaviour], takes_all: bool) -> Moves:
    """Who can move to whom. ``takes_all``: the guests are of host or max, not of a named model."""
    start = sum(1 << place for place, kind in enumerate(kinds) if kind.ends is None)
    goes = sum(1 << place for place, kind in enumerate(kinds) if kind.ends is None and kind.refused is None)
    can, cannot = _losses(kinds, start)
    if not takes_all:
        # a named model's target needs and its source offers: turn the table round
        can, cannot = _turned(can, len(kinds)), _turned(cannot, len(kinds))
    return Moves(
        tuple(row & start if goes >> place & 1 else 0 for place, row in enumerate(can)),
        tuple(start & ~(can[place] | cannot[place]) if goes >> place & 1 else 0 for place in range(len(kinds))),
    )


def _losses(kinds: Sequence[Behaviour], start: int) -> tuple[list[int], list[int]]:
    """By who needs, bitmaps over those who offer: nothing may be lost; something is lost for sure."""
    nothing = [start] * len(kinds)
    something = [0] * len(kinds)
    width = max((len(kind.needs) for kind in kinds), default=0)
    for word in range(width):
        by_offer = _by_value(kinds, [kind.offers[word] if kind.offers else None for kind in kinds])
        by_need = _by_value(kinds, [kind.needs[word] if kind.needs else None for kind in kinds])
        for (sure, may), needing in by_need.items():
            passes = loses = 0
            for (offered, may_be_offered), offering in by_offer.items():
                if not may & ~offered:
                    passes |= offering
                elif sure & ~may_be_offered:
                    loses |= offering
            if passes != start or loses:
                for place in members(needing):
                    nothing[place] &= passes
                    something[place] |= loses
    return nothing, something


def _by_value(kinds: Sequence[Behaviour], values: Sequence[Bits | None]) -> dict[Bits, int]:
    found: dict[Bits, int] = {}
    for place, value in enumerate(values):
        if value is not None:
            found[value] = found.get(value, 0) | 1 << place
    return found


def _turned(rows: Sequence[int], count: int) -> list[int]:
    turned = [0] * count
    for place, row in enumerate(rows):
        for other in members(row):
            turned[other] |= 1 << place
    return turned


def pools(found: Moves, sizes: Sequence[int]) -> list[tuple[int, ...]]:
    """Kinds of guest put together so that within a pool every guest can go to every host, the largest pool first.

    Each begins with the largest kind that is in none yet and takes in all that still fit, the largest first. There
    may be a larger pool of another make; these are as large as they get from where they begin.
    """
    count = len(sizes)
    back = _turned(found.can, count)
    mutual = [can & to for can, to in zip(found.can, back, strict=True)]
    order = sorted(range(count), key=lambda kind: (-sizes[kind], kind))
    rank = {kind: place for place, kind in enumerate(order)}
    left = (1 << count) - 1
    made = []
    for kind in order:
        if not left >> kind & 1:
            continue
        pool, fit = [kind], mutual[kind] & left & ~(1 << kind)
        for other in sorted(members(fit), key=rank.__getitem__):
            if fit >> other & 1:
                pool.append(other)
                fit &= mutual[other]
        left &= ~_bitmap(pool)
        made.append(tuple(pool))
    return sorted(made, key=lambda pool: -sum(sizes[kind] for kind in pool))


def _bitmap(places: Iterable[int]) -> int:
    return sum(1 << place for place in places)


def lost(source: Behaviour, target: Behaviour, takes_all: bool) -> tuple[Bits, ...]:
    """By word, the bits that the guest of ``source`` loses on ``target``: for sure, and those that it may."""
    needs, offers = (source.needs, target.offers) if takes_all else (target.needs, source.offers)
    return tuple(
        (sure & ~may_be_offered, may & ~offered)
        for (sure, may), (offered, may_be_offered) in zip(needs, offers, strict=False)
    )
