"""The baseline of several hosts: the richest CPU that all of them can run, and why each feature is in it or not.

A baseline starts from what every host gives ``-cpu host``, as far as that may migrate, has a name and is known; then
the nearest named model is sought and made to fit (``fitting``). Nearest: the fewest features that a host lacks, so that
those that run whole come first; then the fewest to put on and take off; then the newest definition.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msrtui.cleaning import typed
from msrtui.compare.fitting import Dropped, Fit, Place, fitted, lacking
from msrtui.compare.side import Side
from msrtui.compare.verdict import Layer
from msrtui.errors import BadRequest
from msrtui.qemu import models
from msrtui.qemu.cpu_request import CpuRequest, Named, definitions, parse
from msrtui.qemu.tables import FeatureWord, Tables
from msrtui.qemu.words import is_control_word

RUNNERS_UP = 2
"""How many models stand beside the chosen one."""


class Feature(NamedTuple):
    """One bit that has a name."""

    name: str
    word: FeatureWord
    bit: int


class Added(NamedTuple):
    """A feature that is put on; ``switched_off``: the model has it, and QEMU's defaults for KVM switch it off."""

    feature: Feature
    switched_off: bool


class Lacking(NamedTuple):
    """A side without a feature, and the layer that it is lost in."""

    side: Side
    layer: Layer


class Lost(NamedTuple):
    """A feature that is not in the baseline: some are ``lacking`` it, or every host gives it and it was ``dropped``."""

    feature: Feature
    lacking: tuple[Lacking, ...]
    dropped: Dropped | None = None


class Candidate(NamedTuple):
    """A named model: how many of its own features some host lacks, and how many are put on and taken off."""

    named: Named
    missing: int
    added: int
    taken: int


class Differing(NamedTuple):
    """A word of the baseline's guest that is not the same everywhere; ``values``: one a side, None where not known."""

    word: FeatureWord
    values: tuple[int | None, ...]


class Baseline(NamedTuple):
    """What was found. ``request`` is None where no model could be made to run whole; then ``left`` is what QEMU says.

    ``candidates``: the chosen model first, then the nearest others. ``considered``: how many models there were,
    ``whole`` how many of them lack nothing on any host. ``withheld``: features of the model's definition that its guest
    has not though nobody takes them: by QEMU's defaults for KVM, or for what they depend on. ``warnings``: ``vendor``
    (the hosts are of different ones), ``unknown`` (a host does not say everything).
    """

    sides: tuple[Side, ...]
    request: CpuRequest | None
    left: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    considered: int
    whole: int
    warnings: tuple[str, ...]
    plus: tuple[Added, ...] = ()
    minus: tuple[Lost, ...] = ()
    left_out: tuple[Lost, ...] = ()
    withheld: tuple[str, ...] = ()
    differs: tuple[Differing, ...] = ()


def baseline(sides: Sequence[Side], model: str | None = None) -> Baseline:
    """The baseline of sides that one QEMU reads and that it starts on; ``model``: of this named model only.

    Raises BadRequest where that QEMU has no such named model.
    """
    hosts = [side.with_cpu(parse("host", side.profile)) for side in sides]
    profile = hosts[0].profile
    named = nameable(profile.tables, _vendor(hosts)) if model is None else [_forced(model, hosts[0])]
    given = common(hosts)
    missing = [len(lacking(hosts, each)) for each in named]
    found: list[tuple[int, Fit]] = []
    for at in sorted(range(len(named)), key=lambda at: missing[at]):
        if len(found) > RUNNERS_UP and missing[at] > found[-1][1].missing:
            break  # nearer ones are at hand
        fit = fitted(hosts, named[at], missing[at], given)
        found += [] if fit.left and model is None else [(at, fit)]
    found.sort(key=lambda one: (one[1].missing, len(one[1].plus) + len(one[1].minus), -one[0]))
    fits = [fit for _, fit in found]
    whole = missing.count(0)
    candidates = tuple(
        Candidate(fit.named, fit.missing, len(fit.plus), len(fit.minus)) for fit in fits[: RUNNERS_UP + 1]
    )
    warnings = ("vendor",) if len({host.vendor for host in hosts if host.vendor}) > 1 else ()
    if not fits or fits[0].left:
        left = fits[0].left if fits else ()
        return Baseline(tuple(hosts), None, left, candidates, len(named), whole, warnings)
    fit = fits[0]
    lost = tuple(_left_out(hosts, fit))
    if any(each.layer == "unknown" for one in lost for each in one.lacking):
        warnings = (*warnings, "unknown")
    return Baseline(
        tuple(hosts),
        fit.request,
        (),
        candidates,
        len(named),
        whole,
        warnings,
        plus=tuple(_added(profile.tables, fit, name) for name in fit.plus),
        minus=tuple(_minus(hosts, fit)),
        left_out=lost,
        withheld=tuple(_withheld(profile.tables, fit)),
        differs=tuple(_differs(hosts, fit)),
    )


def nameable(tables: Tables, vendor: str | None) -> list[Named]:
    """Every named model once, at each of its versions, oldest first: those of ``vendor`` where there are any.

    One with versions goes by its full name: what the bare name stands for is the machine type's to say.
    """
    once: dict[tuple[str, int | None], Named] = {}
    for name, named in definitions(tables).items():
        if named is not None and (named.version is None or name == f"{named.model.name}-v{named.version}"):
            once[named.model.name, named.version] = named  # of a model without versions NAME-v1 comes last
    every = list(once.values())
    return [named for named in every if named.model.vendor == vendor] or every


def common(hosts: Sequence[Side]) -> frozenset[Place]:
    """The bits that have a name and that every host gives ``-cpu host`` for sure."""
    return frozenset(
        (word.name, bit)
        for word in hosts[0].profile.tables.words
        for bit in word.bits
        if all(_gives(host, word.name, bit) for host in hosts)
    )


def _vendor(hosts: Sequence[Side]) -> str | None:
    vendors = {host.vendor for host in hosts if host.vendor is not None}
    return vendors.pop() if len(vendors) == 1 else None


def _forced(model: str, host: Side) -> Named:
    named = parse(model, host.profile).named if "," not in model else None
    if named is None:
        raise BadRequest(
            f"A baseline starts from a named model, not from {typed(model)}; msrtui models --all lists them."
        )
    return named


def _gives(host: Side, word: str, bit: int) -> bool | None:
    """Whether ``-cpu host`` has the bit there; None: not known."""
    assert host.guest is not None
    return host.guest.bit(word, bit)


def _added(tables: Tables, fit: Fit, name: str) -> Added:
    word, bit = tables.bits_of_property[name][0]
    steps = [step for step in fit.guests[0].low.words[word].lineage if step.rule == models.KVM_DEFAULTS]
    off = any(((step.before or 0) & ~(step.after or 0)) >> bit & 1 for step in steps)
    return Added(Feature(name, tables.word_by_name[word], bit), off)


def _withheld(tables: Tables, fit: Fit) -> Iterator[str]:
    """What the definition has and the guest has not, by name, without what is switched off by ours."""
    for name, places in tables.bits_of_property.items():
        if name not in fit.minus and not any(fit.guests[0].bit(word, bit) for word, bit in places):
            defined = (_defined(fit, word) for word, _ in places)
            if all(value >> bit & 1 for value, (_, bit) in zip(defined, places, strict=True)):
                yield name


def _defined(fit: Fit, word: str) -> int:
    """The word as the model's definition and its versions make it, before anything else."""
    steps = fit.guests[0].low.words[word].lineage
    made = [step.after or 0 for step in steps if step.rule in (models.MODEL, models.VERSION_PROPS)]
    return made[-1] if made else 0


def _minus(hosts: Sequence[Side], fit: Fit) -> Iterator[Lost]:
    tables = hosts[0].profile.tables
    for name, taken in fit.minus.items():
        word = tables.word_by_name[taken.place[0]]
        bit = taken.place[1]
        lacks = tuple(Lacking(hosts[at], _layer(hosts[at], word, bit)) for at in taken.sides)
        yield Lost(Feature(name, word, bit), lacks)


def _left_out(hosts: Sequence[Side], fit: Fit) -> Iterator[Lost]:
    """Every named bit that some host gives, or may give, and that is not in the baseline's guest everywhere."""
    for word in hosts[0].profile.tables.words:
        for bit, name in sorted(word.bits.items()):
            gives = [_gives(host, word.name, bit) for host in hosts]
            some = any(gives) or all(each is None for each in gives)
            if not some or all(guest.bit(word.name, bit) for guest in fit.guests):
                continue
            feature = Feature(name, word, bit)
            if all(gives):
                # what is switched off for one bit of a name that has two goes with the other
                yield Lost(feature, (), fit.dropped.get(name, Dropped("shared-name")))
                continue
            lacks = [(host, each) for host, each in zip(hosts, gives, strict=True) if not each]
            yield Lost(
                feature,
                tuple(Lacking(host, "unknown" if each is None else _layer(host, word, bit)) for host, each in lacks),
            )


def _layer(host: Side, word: FeatureWord, bit: int) -> Layer:
    """Where the host loses a bit that it does not give."""
    assert host.outcome is not None
    found = host.outcome.words[word.name]
    if found.supported is None or found.unknown >> bit & 1:
        return "unknown"
    if found.kvm is None:
        return "not listed"
    return "qemu" if found.kvm >> (bit + 32 * is_control_word(word)) & 1 else "kvm"


def _differs(hosts: Sequence[Side], fit: Fit) -> Iterator[Differing]:
    for word in hosts[0].profile.tables.words:
        values = []
        for guest in fit.guests:
            low, high = guest.low.words[word.name].value, guest.high.words[word.name].value
            values.append(low if low == high else None)
        if None in values or len(set(values)) > 1:
            yield Differing(word, tuple(values))
