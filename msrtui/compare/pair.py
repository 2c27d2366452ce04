"""Two sides word by word: what a guest gets on each, what one gives and the other cannot, what both can run.

Makes no sentences.
"""

from __future__ import annotations

from typing import NamedTuple

from msrtui.compare.side import Side, newest_name
from msrtui.compare.verdict import MoveVerdict, Reason, Start, can_move, starts
from msrtui.qemu.cpu_request import CpuRequest, definitions
from msrtui.qemu.tables import FeatureWord
from msrtui.values import dataclass


class WordPair(NamedTuple):
    """One feature word on both sides.

    ``kvm`` are the raw registers or MSRs (None: not listed, or not known), ``guest`` what a guest of each side gets
    (None: not known bit for bit, or QEMU ends before). ``only_a`` are the bits that A's guest has and B cannot give,
    ``only_b`` the other way round. ``word`` is of the newer table where only one QEMU knows it.
    """

    name: str
    word: FeatureWord
    kvm: tuple[int | None, int | None]
    guest: tuple[int | None, int | None]
    only_a: tuple[Reason, ...] = ()
    only_b: tuple[Reason, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether a guest gets another thing, or a bit is in the way of a move."""
        return self.guest[0] != self.guest[1] or bool(self.only_a or self.only_b)


@dataclass(frozen=True)
class Pair:
    """``there`` is the verdict of A's guest that goes to B, ``back`` of B's to A; ``home``: whether A's starts on A."""

    a: Side
    b: Side
    there: MoveVerdict
    back: MoveVerdict
    home: Start
    words: tuple[WordPair, ...]


def pair(a: Side, b: Side) -> Pair:
    """Both sides, word by word, in QEMU's order; a word that one QEMU alone knows is 0 for the other's guests."""
    there, back = can_move(a, b), can_move(b, a)
    tables: dict[str, FeatureWord] = {}
    for side in sorted((a, b), key=lambda each: each.profile.version):
        tables.update((newest_name(word.name), word) for word in side.profile.tables.words)
    newer = max((a, b), key=lambda each: each.profile.version).profile.tables.words
    order = dict.fromkeys([*(newest_name(word.name) for word in newer), *tables])
    lacks = [_by_word(verdict) for verdict in (there, back)]
    words = tuple(
        WordPair(
            name,
            tables[name],
            (raw_value(a, name), raw_value(b, name)),
            (a.guest_value(name), b.guest_value(name)),
            lacks[0].get(name, ()),
            lacks[1].get(name, ()),
        )
        for name in order
    )
    return Pair(a, b, there, back, starts(a), words)


def _by_word(verdict: MoveVerdict) -> dict[str, tuple[Reason, ...]]:
    found: dict[str, tuple[Reason, ...]] = {}
    for reason in verdict.reasons:
        name = newest_name(reason.word.name)
        found[name] = (*found.get(name, ()), reason)
    return found


def raw_value(side: Side, name: str) -> int | None:
    """KVM's answer for a word; None where it lists no such MSR or leaf, or where it is not known."""
    found = side.words.get(name)
    return None if found is None else found.kvm


class Common(NamedTuple):
    """What two sides have in common: the models that run whole on both, and QEMU's names that are on for both guests.

    ``names`` is how many names A's QEMU has.
    """

    models: tuple[str, ...]
    features: int
    names: int


def common(a: Side, b: Side) -> Common:
    """What runs on both; takes some ten milliseconds, for every model is made on both sides."""
    return Common(tuple(models_of_both(a, b)), _features(a, b), len(a.profile.tables.bits_of_property))


def models_of_both(*sides: Side) -> list[str]:
    """Named models that every side's QEMU has and gives whole, without those that are another's name for the same."""
    offered = [definitions(side.profile.tables) for side in sides]
    found: list[str] = []
    for name, named in offered[0].items():
        if named is None or any(other.get(name) is None for other in offered) or _is_first_version(name, offered[0]):
            continue
        if all(_whole(side, name) for side in sides):
            found.append(name)
    return found


def _is_first_version(name: str, known: object) -> bool:
    base, separator, version = name.rpartition("-v")
    return bool(separator) and version == "1" and isinstance(known, dict) and base in known


def _whole(side: Side, name: str) -> bool:
    if side.outcome is None:
        return False
    request = CpuRequest(name, name, definitions(side.profile.tables)[name], check=False)
    guest = side.with_cpu(request).guest
    if guest is None or any(cpu.refused is not None for cpu in guest):
        return False
    return not any(word.unavailable for cpu in guest for word in cpu.words.values())


def _features(a: Side, b: Side) -> int:
    return sum(
        all(all(_on(side, word, bit) for word, bit in places) for side in (a, b))
        for places in a.profile.tables.bits_of_property.values()
    )


def _on(side: Side, word: str, bit: int) -> bool:
    return bool((side.guest_value(newest_name(word)) or 0) >> bit & 1)
