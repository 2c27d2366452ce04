"""One named model made to fit several hosts: features put on and taken off until QEMU has nothing left to take.

No rule of QEMU's is repeated here: each ``-cpu`` is worked out on every side, and what QEMU takes decides the next.
What a side does not say counts as lacking.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from msrtui.compare.side import Side
from msrtui.qemu import models
from msrtui.qemu.both_ways import BothWays
from msrtui.qemu.cpu_request import CpuRequest, Named, parse
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import Tables
from msrtui.qemu.words import bits_of
from msrtui.values import dataclass, field

Place = tuple[str, int]
"""A word's FEAT_ name and a bit of it."""

Hindrance = Literal["dependency", "pmu", "conflict", "avx10-version", "shared-name", "component", "unnamed", "filter"]
"""Why a feature that every host gives ``-cpu host`` cannot be put on a named model: what it depends on is not to be
had, or the PMU is off; it excludes another feature; it needs a property that is no switch; its name stands for a bit
too that a host lacks; its part of the XSAVE area is lacking; it brings a bit without a name; or QEMU's filter takes it.
"""

_AVX10_WORDS = ("FEAT_24_0_EBX", "FEAT_24_1_ECX")
_BY_RULE: dict[str, Hindrance] = {
    models.DEPENDENCY: "dependency",
    models.PMU_OFF: "pmu",
    models.ARCH_LBR_OFF: "pmu",
    models.APX_AND_MPX: "conflict",
}
_ROUNDS = 64
"""More than any model took; each round takes at least one feature away, so that there is an end without it too."""


class Dropped(NamedTuple):
    """Why a feature could not be put on; ``other`` names the feature that it depends on or conflicts with, or is ""."""

    hindrance: Hindrance
    other: str = ""


class Taken(NamedTuple):
    """A feature of the model that is switched off: the bit that QEMU would take, and on which sides (their places)."""

    place: Place
    sides: tuple[int, ...]


@dataclass
class Fit:
    """A named model, and what has to be put on and taken off for all sides; made by ``fitted``.

    ``missing``: how many features of the model by itself some side lacks. ``left``: what QEMU still says of it; where
    that is not empty no ``-cpu`` of this model runs whole on all sides. ``guests``: the guest on each side.
    """

    named: Named
    missing: int
    request: CpuRequest
    plus: list[str] = field(default_factory=list)
    minus: dict[str, Taken] = field(default_factory=dict)
    dropped: dict[str, Dropped] = field(default_factory=dict)
    left: tuple[str, ...] = ()
    guests: tuple[BothWays, ...] = field(default=(), repr=False)


def cpu_text(named: Named, plus: Iterable[str], minus: Iterable[str], profile: QemuProfile) -> str:
    """The ``-cpu`` value; a PMU that the profile names is named in it too."""
    pmu = () if profile.pmu is None else (f"pmu={'on' if profile.pmu else 'off'}",)
    return ",".join((named.name, *(f"+{name}" for name in plus), *(f"-{name}" for name in minus), *pmu))


def lacking(sides: Sequence[Side], named: Named) -> tuple[str, ...]:
    """What QEMU would take from the model by itself on some side: names, or places of bits without one."""
    profile = sides[0].profile
    guests = _guests(sides, parse(cpu_text(named, (), (), profile), profile))
    names: dict[str, None] = {}
    for place in _taken(guests):
        names.update(dict.fromkeys(_culprits(profile.tables, guests, place) or [f"{place[0]} {place[1]}"]))
    return tuple(names)


def fitted(sides: Sequence[Side], named: Named, missing: int, given: frozenset[Place]) -> Fit:
    """The model with every feature of ``given`` that can be put on, without any that some side lacks."""
    profile = sides[0].profile
    tables = profile.tables
    fit = Fit(named, missing, parse(cpu_text(named, (), (), profile), profile))
    wanted = _wanted(tables, given, named, fit)
    fit.plus = _to_put_on(sides[0], named, wanted)
    while True:
        before = len(fit.minus)
        _settle(sides, fit)
        again = [name for name in wanted if name in fit.dropped]
        if fit.left or len(fit.minus) == before or not again:
            break
        # with more taken off, what was dropped before that may be possible: the other side of a conflict, as it were
        for name in again:
            del fit.dropped[name]
        fit.plus += again
    fit.plus.sort(key=lambda name: _order(tables, name))
    fit.minus = dict(sorted(fit.minus.items(), key=lambda item: _order(tables, item[0])))
    fit.request = parse(cpu_text(named, fit.plus, fit.minus, profile), profile)
    return fit


def _order(tables: Tables, name: str) -> tuple[int, int]:
    """By word and bit."""
    word, bit = tables.bits_of_property[name][0]
    return list(tables.word_by_name).index(word), bit


def _wanted(tables: Tables, given: frozenset[Place], named: Named, fit: Fit) -> list[str]:
    """The names of ``given`` that may be put on; the others are dropped at once."""
    versioned_avx10 = any(
        prop == "avx10-version"
        for version in named.model.versions
        if named.version is not None and version.version <= named.version
        for prop, _ in version.props
    )
    wanted: list[str] = []
    for name, places in tables.bits_of_property.items():
        if not any(place in given for place in places):
            continue
        if not all(place in given for place in places):
            fit.dropped[name] = Dropped("shared-name")
        elif not versioned_avx10 and (name == "avx10" or any(word in _AVX10_WORDS for word, _ in places)):
            fit.dropped[name] = Dropped("avx10-version")
        else:
            wanted.append(name)
    return wanted


def _to_put_on(side: Side, named: Named, wanted: Sequence[str]) -> list[str]:
    """Those that the model has not by itself.

    A model may have bits that only show when what they depend on is on: that is put on first, in the table's order.
    """
    profile = side.profile
    tables = profile.tables
    plus: list[str] = []
    asked = _asked(side, named, plus)
    for row in tables.dependencies:
        bits = tables.word_by_name[row.from_word].bits
        owners = [bits[bit] for bit in bits_of(row.from_mask) if bit in bits]
        off = [name for name in owners if name in wanted and name not in plus and not _on(tables, asked, name)]
        if off:
            plus += off
            asked = _asked(side, named, plus)
    return plus + [name for name in wanted if name not in plus and not _on(tables, asked, name)]


def _asked(side: Side, named: Named, plus: Sequence[str]) -> Mapping[str, int]:
    """Every word as it is before the filter."""
    (guest,) = _guests([side], parse(cpu_text(named, plus, (), side.profile), side.profile))
    return {name: word.expanded or 0 for name, word in guest.low.words.items()}


def _on(tables: Tables, words: Mapping[str, int], name: str) -> bool:
    return all(words.get(word, 0) >> bit & 1 for word, bit in tables.bits_of_property[name])


def _settle(sides: Sequence[Side], fit: Fit) -> None:
    """Drop what cannot be put on, then switch off what a side lacks, until QEMU takes nothing."""
    profile = sides[0].profile
    tables = profile.tables
    for _ in range(_ROUNDS):
        fit.request = parse(cpu_text(fit.named, fit.plus, fit.minus, profile), profile)
        fit.guests = tuple(_guests(sides, fit.request))
        taken = _taken(fit.guests)
        blamed = {name: place for place in reversed(taken) for name in _culprits(tables, fit.guests, place)}
        put_on = [name for name in fit.plus if name in blamed]
        for name in put_on:
            fit.dropped[name] = _why(tables, fit.guests, name, blamed[name])
        if not put_on and not blamed:
            put_on = [name for name in fit.plus if not _had(tables, fit.guests, name)]
            for name in put_on:
                fit.dropped[name] = _why(tables, fit.guests, name, tables.bits_of_property[name][0])
        fit.plus = [name for name in fit.plus if name not in put_on]
        fresh = [] if put_on else [name for name in blamed if name not in fit.minus]
        for name in fresh:
            fit.minus[name] = Taken(blamed[name], taken[blamed[name]])
        if not put_on and not fresh:
            break
    said = [line for guest in fit.guests for cpu in guest for line in (*cpu.warnings, cpu.refused) if line is not None]
    fit.left = tuple(dict.fromkeys(said))


def _guests(sides: Sequence[Side], request: CpuRequest) -> list[BothWays]:
    guests = [side.with_cpu(request).guest for side in sides]
    assert all(guest is not None for guest in guests), "a side whose QEMU ends has no guests"
    return [guest for guest in guests if guest is not None]


def _taken(guests: Sequence[BothWays]) -> dict[Place, tuple[int, ...]]:
    """Every bit that QEMU takes on some side, either way, to the sides where; in QEMU's order."""
    where: dict[Place, tuple[int, ...]] = {}
    for word in guests[0].low.words:
        for at, guest in enumerate(guests):
            for bit in bits_of(guest.low.words[word].unavailable | guest.high.words[word].unavailable):
                where[word, bit] = (*where.get((word, bit), ()), at)
    return dict(sorted(where.items(), key=lambda item: list(guests[0].low.words).index(item[0][0])))


def _culprits(tables: Tables, guests: Sequence[BothWays], place: Place) -> list[str]:
    """The features that a taken bit goes by: its name, the owners of an XSAVE component, else what it depends on."""
    name, bit = place
    word = tables.word_by_name[name]
    if bit in word.bits:
        return [word.bits[bit]]
    if name.startswith(("FEAT_XSAVE_XCR0_", "FEAT_XSAVE_COMP_", "FEAT_XSAVE_XSS_")):
        component = bit + 32 * name.endswith("_HI")
        owners = [(area.word, area.bits) for area in tables.xsave_areas if area.component == component]
    else:
        owners = [
            (row.from_word, row.from_mask)
            for row in tables.dependencies
            if row.to_word == name and row.to_mask >> bit & 1
        ]
    found: list[str] = []
    for owner, mask in owners:
        asked = 0
        for guest in guests:
            asked |= (guest.low.words[owner].expanded or 0) | (guest.high.words[owner].expanded or 0)
        names = tables.word_by_name[owner].bits
        found += [names[each] for each in bits_of(asked & mask) if each in names]
    return found


def _had(tables: Tables, guests: Sequence[BothWays], name: str) -> bool:
    """Whether every guest has the feature for sure."""
    return all(guest.bit(word, bit) for guest in guests for word, bit in tables.bits_of_property[name])


def _why(tables: Tables, guests: Sequence[BothWays], name: str, blamed: Place) -> Dropped:
    """Why a feature that was put on is not had: the rule that took it last."""
    if blamed not in tables.bits_of_property[name]:
        return Dropped("component" if blamed[0].startswith("FEAT_XSAVE_") else "unnamed")
    word, bit = blamed
    for cpu in (cpu for guest in guests for cpu in guest):
        steps = [step for step in cpu.words[word].lineage if ((step.before or 0) ^ (step.after or 0)) >> bit & 1]
        if not steps or (cpu.words[word].value or 0) >> bit & 1:
            continue
        hindrance = _BY_RULE.get(steps[-1].rule, "filter")
        other = str(steps[-1].params.get("other", ""))
        if hindrance == "dependency":
            names = tables.word_by_name[str(steps[-1].params["from"])].bits
            other = next((names[each] for each in bits_of(int(steps[-1].params["mask"])) if each in names), "")
        return Dropped(hindrance, other)
    return Dropped("filter")
