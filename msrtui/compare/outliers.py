"""The odd ones of a fleet: small groups that differ in little from a larger one, with what differs.

To find the nearest of many groups without holding each against each, an answer set has a sum: that of a number an
item. Of two groups that differ in one item the sums without it are the same, so one look into an index of the larger
groups' sums, each with one item left out, finds every group that is one item away. Farther ones are looked for in
eight bands of items: groups that differ in up to seven items have a band in common.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from msrtui.compare.fingerprint import Item

FEW = 3
"""Hosts in a group that can be an outlier."""
TIMES_AS_MANY = 2
"""The nearest group has so many times the hosts, or more."""
LITTLE = 8
"""Items in which they differ at most."""
_LOOKED_AT = 32
"""Groups of many that are looked at one by one, the largest."""
_BANDS = 8
_WIDTH = 128
"""Bits of a value: a CPUID leaf is the widest."""
_64 = (1 << 64) - 1


class Vocabulary:
    """Every item that any group of the fleet has, by a number: a group is then an array of numbers."""

    def __init__(self) -> None:
        self.numbers: dict[Item, int] = {}
        self.items: list[Item] = []
        self.weights: list[int] = []
        self.bands: list[int] = []

    def spelt(self, items: Sequence[Item]) -> array[int]:
        """The numbers of these items."""
        return array("I", map(self._number, items))

    def _number(self, item: Item) -> int:
        number = self.numbers.get(item)
        if number is None:
            number = self.numbers[item] = len(self.items)
            self.items.append(item)
            self.weights.append(_mixed(hash(item)))
            self.bands.append(_mixed(hash(item[0])) % _BANDS)
        return number


def _mixed(number: int) -> int:
    """Spread over 64 bits: sums of these tell sets apart."""
    number = (number ^ 0x9E3779B97F4A7C15) * 0xBF58476D1CE4E5B9 & _64
    number = (number ^ number >> 31) * 0x94D049BB133111EB & _64
    return number ^ number >> 29


class Nearest(NamedTuple):
    """``nearest`` is the place of the nearest larger group; the items are those that only one of the two has."""

    group: int
    nearest: int
    theirs: tuple[Item, ...]
    own: tuple[Item, ...]


class Spelt(NamedTuple):
    """The groups of a fleet: their items by number, how many hosts each has, and what the numbers stand for."""

    groups: Sequence[array[int]]
    sizes: Sequence[int]
    vocabulary: Vocabulary


def odd_ones(fleet: Spelt) -> list[Nearest]:
    """Each outlier with its nearest larger group, in the order of the groups."""
    large = sorted((group for group, size in enumerate(fleet.sizes) if size > 1), key=lambda group: -fleet.sizes[group])
    by_item, by_band = _ByItem(fleet, large), _ByBand(fleet, large)
    found = []
    for group, size in enumerate(fleet.sizes):
        if size <= FEW:
            nearest = by_item.nearest(group)
            nearest = by_band.nearest(group) if nearest is None else nearest
            if nearest is not None:
                found.append(_named(fleet, group, nearest))
    return found


def _named(fleet: Spelt, group: int, nearest: int) -> Nearest:
    own, theirs = set(fleet.groups[group]), set(fleet.groups[nearest])
    items = fleet.vocabulary.items
    return Nearest(
        group,
        nearest,
        tuple(sorted(items[number] for number in theirs - own)),
        tuple(sorted(items[number] for number in own - theirs)),
    )


def _bits(one: Item, other: Item) -> int:
    """How far two items are from each other: the bits in which two values of one thing differ."""
    if one[0] != other[0]:
        return _FAR
    return (one[1] ^ other[1]).bit_count() if one[1] >= 0 and other[1] >= 0 else 1


_FAR = 1 << 10
_WHOLE = 0xFFFFFFFF


class _ByItem:
    """The larger groups by the sums of all their items but one, and of all."""

    def __init__(self, fleet: Spelt, large: Sequence[int]) -> None:
        self._fleet = fleet
        self._weights = weights = fleet.vocabulary.weights
        self._sums = [sum(map(weights.__getitem__, numbers)) for numbers in fleet.groups]
        # an entry is the group and the number of the item that was left out, in one int: there are many
        self._index: dict[int, int | list[int]] = {}
        self._by_item: dict[int, dict[Item, int]] = {}
        for group in large:
            whole = self._sums[group]
            self._enter(whole, group << 32 | _WHOLE)
            for number in fleet.groups[group]:
                self._enter(whole - weights[number], group << 32 | number)

    def _enter(self, key: int, entry: int) -> None:
        there = self._index.setdefault(key, entry)
        if isinstance(there, list):
            there.append(entry)
        elif there != entry:
            self._index[key] = [there, entry]

    def nearest(self, group: int) -> int | None:
        """The larger group that is one item away, the fewest bits away first, then the largest."""
        fleet, whole = self._fleet, self._sums[group]
        enough = TIMES_AS_MANY * fleet.sizes[group]
        found: list[tuple[int, int, int]] = []
        for number in (_WHOLE, *fleet.groups[group]):
            key = whole if number == _WHOLE else whole - self._weights[number]
            for entry in self._entries(key, number):
                other, left_out = entry >> 32, entry & _WHOLE
                if other != group and fleet.sizes[other] >= enough and left_out != number:
                    found.append((self._far(number, left_out), -fleet.sizes[other], other))
        return min(found)[2] if found else None

    def _entries(self, key: int, number: int) -> Sequence[int]:
        """The groups to look at: all with this sum, or of many those one bit away and the largest."""
        there = self._index.get(key)
        if not isinstance(there, list):
            return () if there is None else (there,)
        if len(there) <= _LOOKED_AT or number == _WHOLE:
            return there[:_LOOKED_AT]
        items = self._fleet.vocabulary.items
        if key not in self._by_item:
            known = self._by_item[key] = {}
            for entry in there:
                if entry & _WHOLE != _WHOLE:
                    known.setdefault(items[entry & _WHOLE], entry)
        what, value = items[number]
        probed = (self._by_item[key].get((what, value ^ 1 << bit)) for bit in range(_WIDTH)) if value >= 0 else ()
        return [*(entry for entry in probed if entry is not None), *there[:_LOOKED_AT]]

    def _far(self, number: int, left_out: int) -> int:
        if _WHOLE in (number, left_out):
            return 1
        items = self._fleet.vocabulary.items
        return _bits(items[number], items[left_out])


class _ByBand:
    """The larger groups by the sums of their items in each band."""

    def __init__(self, fleet: Spelt, large: Sequence[int]) -> None:
        self._fleet = fleet
        self._bands: dict[tuple[int, int], list[int]] = {}
        for group in large:
            for key in self._keys(group):
                bucket = self._bands.setdefault(key, [])
                if len(bucket) < _LOOKED_AT:
                    bucket.append(group)

    def _keys(self, group: int) -> list[tuple[int, int]]:
        sums = [0] * _BANDS
        vocabulary = self._fleet.vocabulary
        for number in self._fleet.groups[group]:
            sums[vocabulary.bands[number]] += vocabulary.weights[number]
        return list(enumerate(sums))

    def nearest(self, group: int) -> int | None:
        """Of the larger groups that have most bands in common the one with the fewest other items."""
        sizes, groups = self._fleet.sizes, self._fleet.groups
        enough = TIMES_AS_MANY * sizes[group]
        votes = Counter(
            other
            for key in self._keys(group)
            for other in self._bands.get(key, ())
            if other != group and sizes[other] >= enough
        )
        own = set(groups[group])
        found = []
        for other, _ in votes.most_common(_LOOKED_AT):
            theirs = set(groups[other])
            # an item that has another value is in both differences, but is one thing
            distance = max(len(own - theirs), len(theirs - own))
            if distance <= LITTLE:
                found.append((distance, -sizes[other], other))
        return min(found)[2] if found else None
