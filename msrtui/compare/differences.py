"""What differs between sides, by what it is: what a guest sees, what KVM says, and what the host is.

Order in a list is no difference. Of CPUID only QEMU's feature words are compared: the other leaves hold APIC ids,
sizes and topology, which QEMU makes for each guest anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

from msrtui.compare.side import Side, newest_name
from msrtui.kvm.abi import cap_symbol
from msrtui.kvm.readings import MsrReading, read_feature_msrs
from msrtui.qemu.tables import FeatureWord

Kind = Literal["fact", "parameter", "capability", "index_list", "feature_list", "msr", "kvm", "guest"]
"""``fact``: what the host is. ``parameter``: of a kvm module. ``capability``, ``index_list``, ``feature_list``,
``msr`` (its value, or ``refused`` or ``error``), ``kvm`` (the raw register of a CPUID word): KVM's answers.
``guest``: a feature word as a guest gets it."""
FACTS = ("cpu", "vendor_module", "kernel", "microcode", "bios", "hypervisor", "carried_by")


_SAME: dict[object, object] = {"Y": "1", "N": "0"}
"""A module parameter that became a bool says Y where it said 1."""


class Difference(NamedTuple):
    """``values`` has one entry a side, in order: int, bool (in the list or not), str, or None for not known.

    ``word``: the feature word that ``subject`` names, for ``kvm`` and ``guest``.
    """

    kind: Kind
    subject: str
    values: tuple[object, ...]
    word: FeatureWord | None = None


def differences(sides: Sequence[Side]) -> tuple[Difference, ...]:
    """All that is not the same on every side; what no side knows is no difference."""
    return tuple(each for each in _compared(sides) if len(set(map(_SAME.get, each.values, each.values))) > 1)


def matters(found: Difference) -> bool:
    """Whether KVM answered, or a guest gets, another thing; facts and parameters are causes, not answers."""
    return found.kind not in ("fact", "parameter")


def _compared(sides: Sequence[Side]) -> Iterator[Difference]:
    for name in FACTS:
        yield Difference("fact", name, tuple(getattr(side.about, name) for side in sides))
    parameters = {
        (module, name): None for side in sides for module, known in side.about.parameters.items() for name in known
    }
    for module, name in sorted(parameters):
        values = tuple(side.about.parameters.get(module, {}).get(name) for side in sides)
        yield Difference("parameter", f"{module}.{name}", values)
    yield from _capabilities(sides)
    yield from _list("index_list", sides, lambda side: side.state.index_list)
    yield from _list("feature_list", sides, lambda side: side.state.feature_list)
    yield from _feature_msrs(sides)
    yield from _words(sides)


def _capabilities(sides: Sequence[Side]) -> Iterator[Difference]:
    """Those that every side's QEMU checked: what one does not ask for is no answer of KVM's."""
    asked = set(sides[0].state.capabilities).intersection(*(side.state.capabilities for side in sides[1:]))
    for number in sorted(asked):
        values = tuple(side.state.capabilities[number] for side in sides)
        yield Difference("capability", cap_symbol(number), values)


def _list(
    kind: Literal["index_list", "feature_list"],
    sides: Sequence[Side],
    of: Callable[[Side], tuple[int, ...] | None],
) -> Iterator[Difference]:
    lists = [of(side) for side in sides]
    for index in sorted({index for known in lists for index in known or ()}):
        yield Difference(kind, hex(index), tuple(None if known is None else index in known for known in lists))


def _feature_msrs(sides: Sequence[Side]) -> Iterator[Difference]:
    """The values of those that every side lists; that one does not is the list's difference."""
    lists = [side.state.feature_list for side in sides]
    everywhere = set.intersection(*(set(known or ()) for known in lists))
    read: list[dict[int, MsrReading]] = [read_feature_msrs(side.answerer, sorted(everywhere)) for side in sides]
    for index in sorted(everywhere):
        yield Difference("msr", hex(index), tuple(_msr_value(readings[index]) for readings in read))


def _msr_value(reading: MsrReading) -> int | str | None:
    return reading.value if reading.status in ("ok", "unknown") else reading.status


def _words(sides: Sequence[Side]) -> Iterator[Difference]:
    words = {newest_name(word.name): word for side in sides for word in side.profile.tables.words}
    for name, word in words.items():
        if word.kind == "cpuid":
            yield Difference("kvm", name, tuple(_raw(side, word) for side in sides), word)
        yield Difference("guest", name, tuple(_guest_value(side, name) for side in sides), word)


def _raw(side: Side, word: FeatureWord) -> int | None:
    """What KVM's table has there: 0 where it has no such leaf, None where there is no table to look in."""
    state = side.outcome.state if side.outcome is not None else None
    if state is None or state.cpuid is None:
        return None
    return state.register(word.leaf, word.subleaf or 0, word.register) or 0


def _guest_value(side: Side, name: str) -> int | None:
    """The word as the guest gets it, 0 where that QEMU has no such word; None where it is not known, bit for bit."""
    if side.guest is None:
        return None
    if name not in side.guest_words:
        return 0
    one, other = (word.value for word in side.guest_words[name])
    return one if one == other else None
