"""The same two hosts read by newer QEMUs: which bits are in the way then that are not now, and the other way round."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from msrtui.compare.pair import Pair, WordPair


class Turn(NamedTuple):
    """What QEMU ``label`` is the first to change in one word: bits in the way that were not, and bits no more so.

    Each by the side whose guest has the bit: (A's, B's).
    """

    label: str
    more: tuple[int, int]
    fewer: tuple[int, int]


def turns(now: Pair, then: Iterable[tuple[str, Pair]]) -> Mapping[str, Turn]:
    """For each word the first of the other QEMUs (label, pair), in their order, in which other bits are in the way."""
    found: dict[str, Turn] = {}
    before = {each.name: _masks(each) for each in now.words}
    for label, pair in then:
        for name, turn in _changed(before, label, pair):
            found.setdefault(name, turn)
    return found


def _changed(before: Mapping[str, tuple[int, int]], label: str, pair: Pair) -> Iterator[tuple[str, Turn]]:
    for each in pair.words:
        after, known = _masks(each), before.get(each.name, (0, 0))
        if after != known:
            more = (after[0] & ~known[0], after[1] & ~known[1])
            yield each.name, Turn(label, more, (known[0] & ~after[0], known[1] & ~after[1]))


def _masks(found: WordPair) -> tuple[int, int]:
    masks = [0, 0]
    for side, reasons in enumerate((found.only_a, found.only_b)):
        for reason in reasons:
            masks[side] |= 1 << reason.bit
    return masks[0], masks[1]
