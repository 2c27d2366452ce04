"""What a guest of one ``-cpu`` gets: every feature by its name, and why it does not get all that KVM could give."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from msrtui.kvm.collector import plain
from msrtui.qemu import models, words
from msrtui.qemu.both_ways import BothWays, Guests
from msrtui.qemu.conversation import Outcome
from msrtui.qemu.cpu_request import CpuRequest
from msrtui.qemu.negotiation import Decision, QemuExit
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.words import SupportedWord, bits_of
from msrtui.report.between import Versions, merge
from msrtui.report.heading import heading_lines
from msrtui.report.sentences import bit_label, decision_text, names_in
from msrtui.report.shape import columns, counted, wrapped
from msrtui.report.views import number_bits
from msrtui.snapshot.model import About
from msrtui.values import dataclass, replace

_NOT_IN_MODEL = "not part of the model"
_NOT_IN_MODEL_SHOWN = 24


class Withheld(NamedTuple):
    """A bit and why the guest does not get it; ``word`` is empty where ``name`` is QEMU's own."""

    why: str
    word: str
    name: str


@dataclass(frozen=True)
class FeaturesView:
    """The features of one ``-cpu`` under one QEMU.

    ``on`` has every property name that stands for a bit, aliases behind; None is not known. ``aliases`` are the
    second names among them, ``in_msrs`` those whose bit is in an MSR. ``withheld`` is what KVM could give and the
    guest does not get, ``filtered`` what it was to get and KVM lacks. ``warnings`` are QEMU's lines, None where
    neighbours differ; ``refused`` is its last line where it would not start.
    """

    profile: QemuProfile
    cpu: str
    expanded: bool
    on: Mapping[str, bool | None]
    aliases: frozenset[str]
    in_msrs: frozenset[str]
    withheld: tuple[Withheld, ...] = ()
    filtered: tuple[str, ...] = ()
    warnings: tuple[str, ...] | None = ()
    refused: str | None = None


def view_features(
    profile: QemuProfile, request: CpuRequest, outcome: Outcome | None, ended: QemuExit | None, *, expanded: bool
) -> FeaturesView:
    """Look at the guest of ``request``; where QEMU ``ended`` before it had words, nothing is known of it."""
    tables = profile.tables
    names = tables.canonical_names
    aliases = frozenset(name for name, canonical in names.items() if name != canonical)
    msrs = frozenset(n for n, c in names.items() if tables.word_by_name[tables.bits_of_property[c][0][0]].kind == "msr")
    if outcome is None:
        text = " ".join(ended.text.split()) if ended is not None else None
        return FeaturesView(profile, request.text, expanded, dict.fromkeys(names), aliases, msrs, refused=text)
    both = Guests(outcome.state, outcome.words).guest(request)
    on: dict[str, bool | None] = {}
    for name, canonical in names.items():
        bits = [both.bit(word, bit, expanded=expanded) for word, bit in tables.bits_of_property[canonical]]
        on[name] = False if False in bits else None if None in bits else True
    return FeaturesView(
        profile,
        request.text,
        expanded,
        on,
        aliases,
        msrs,
        tuple(_withheld(profile, outcome.words.values(), both)),
        tuple(_filtered(outcome.words.values(), both)),
        both.warnings,
        both.refused,
    )


def _withheld(profile: QemuProfile, supported: Iterable[SupportedWord], both: BothWays) -> Iterator[Withheld]:
    """Every bit that KVM could give and that is off, before the filter or behind it; numbers are no features."""
    for word in supported:
        guest = both.low.words[word.word.name]
        off = (word.supported or 0) & ~(guest.value or 0) & ~word.unknown
        for bit in bits_of(off & ~number_bits(word.word, word.kvm)):
            why = _why(profile, word, both, bit)
            if why is not None:
                yield Withheld(why, "" if bit in word.word.bits else word.word.short, bit_label(word.word, bit))


def _why(profile: QemuProfile, word: SupportedWord, both: BothWays, bit: int) -> str | None:
    """Why the guest does not get a bit that KVM could give: by the last rule that took it away."""
    guest, request = both.low.words[word.word.name], both.low.request
    if not request.takes_all and bit not in word.word.bits:
        return None  # a model is made of names: what has none cannot be added to it
    lineage = (*word.lineage, *guest.lineage) if request.takes_all else guest.lineage
    took = [step for step in lineage if (step.before or 0) & ~(step.after or 0) & 1 << bit]
    if not took or took[-1].rule in (models.MODEL, models.VERSION_PROPS):
        return f"{_NOT_IN_MODEL} {request.name}"
    return _title(profile, word, took[-1], bit)


def _title(profile: QemuProfile, word: SupportedWord, step: Decision, bit: int) -> str:
    if step.rule == words.MIGRATABLE_MASK:
        named = bit in word.word.bits
        return "marked as not migratable" if named else "without a name in this QEMU, and so not migratable"
    if step.rule == models.AUTO_ENABLE:
        return "must be asked for by name"
    if step.rule == models.DEPENDENCY:
        owner = profile.tables.word_by_name[step.params["from"]]
        return f"off because {names_in(owner, step.params['mask'], 3)} is off, and they depend on it"
    if step.rule == models.USER:
        return "switched off by --cpu"
    if step.rule == models.KVM_DEFAULTS:
        return "off by QEMU's defaults for named models under KVM"
    if step.rule == models.FILTER:
        return "filtered: KVM offers it, but not all that it needs"
    if step.rule == models.XSAVE_COMPONENTS:
        return "XSAVE components whose features are off"
    return f"QEMU {decision_text(step, profile)}"


def _filtered(supported: Iterable[SupportedWord], both: BothWays) -> Iterator[str]:
    for word in supported:
        low, high = (cpu.words[word.word.name] for cpu in both)
        gone = low.unavailable & high.unavailable & ~(word.supported or 0)
        for bit in bits_of(gone):
            named = bit in word.word.bits
            yield bit_label(word.word, bit) if named else f"{word.word.short}:{bit}"


# --- for programs ------------------------------------------------------------------------------------------------
def features_document(source_name: str, view: FeaturesView) -> dict[str, Any]:
    """``features --json``; ``warnings`` and ``refused`` are QEMU's own lines."""
    return {
        "source": source_name,
        "qemu": view.profile.label,
        "cpu": view.cpu,
        "migratable": view.profile.migratable,
        "expanded": view.expanded,
        "features": dict(view.on),
        "warnings": None if view.warnings is None else list(view.warnings),
        "refused": view.refused,
    }


# --- for people --------------------------------------------------------------------------------------------------
def features_text(source_name: str, about: About, versions: Versions, views: Sequence[FeaturesView]) -> str:
    """Counts, the features that are on, what is withheld and why, and QEMU's own lines."""
    view = views[0] if versions.sure else _agreed(versions, views)
    return "\n".join(_lines(source_name, about, versions, view)) + "\n"


def _agreed(versions: Versions, views: Sequence[FeaturesView]) -> FeaturesView:
    """What both neighbours say."""
    one, other = views
    return replace(
        one,
        profile=replace(one.profile, label=versions.label),
        on={name: merge(one.on.get(name), other.on.get(name)) for name in (*one.on, *other.on)},
        aliases=one.aliases | other.aliases,
        in_msrs=one.in_msrs | other.in_msrs,
        withheld=tuple(each for each in one.withheld if each in other.withheld),
        filtered=tuple(name for name in one.filtered if name in other.filtered),
        warnings=one.warnings if one.warnings == other.warnings else None,
        refused=one.refused if one.refused == other.refused else None,
    )


def _lines(source_name: str, about: About, versions: Versions, view: FeaturesView) -> Iterator[str]:
    yield from heading_lines(source_name, about, view.profile)
    if not versions.sure:
        yield versions.agreed
    named = {name: on for name, on in view.on.items() if name not in view.aliases}
    on = [name for name, value in named.items() if value]
    unknown = [name for name, value in named.items() if value is None]
    when = "before QEMU's filter" if view.expanded else "after QEMU's filter"
    known = f", {len(unknown)} are not known" if unknown else ""
    yield from wrapped(f"-cpu {plain(view.cpu)}, {when}: {len(on)} of {len(named)} features are on{known}", "", "  ")
    if view.refused is not None:
        yield ""
        yield "QEMU does not start. It says:"
        yield from wrapped(plain(view.refused, 1000), "  ", "    ")
    for title, wanted in (("in CPUID", False), ("in MSRs", True)):
        of_kind = [name for name in on if (name in view.in_msrs) is wanted]
        if of_kind:
            yield ""
            yield f"On, {title}: {len(of_kind)}"
            yield from columns(of_kind)
    if unknown and len(unknown) < len(named):
        yield ""
        yield "Not known" if versions.sure else f"Not known, {' and '.join(versions.profiles)} differ: {len(unknown)}"
        yield from columns(unknown)
    yield from _withheld_lines(view)
    if view.filtered:
        takes = "will take" if view.expanded else "takes"
        yield ""
        yield f"KVM lacks these, so the filter {takes} them away: {len(view.filtered)}"
        yield from wrapped(" ".join(view.filtered), "  ", "  ")
    if view.warnings:
        yield ""
        yield "QEMU says"
        yield from view.warnings
    elif view.warnings is None:
        yield ""
        yield from wrapped(f"What QEMU prints differs between {' and '.join(versions.profiles)}.")


def _withheld_lines(view: FeaturesView) -> Iterator[str]:
    groups: dict[str, list[Withheld]] = {}
    for each in view.withheld:
        groups.setdefault(each.why, []).append(each)
    if not groups:
        return
    yield ""
    yield f"KVM could also give {counted(len(view.withheld), 'bit', 'bits')} that the guest does not get"
    for why, members in groups.items():
        yield ""
        yield from wrapped(f"{why}: {len(members)}", "  ", "    ")
        named = [each.name for each in members if not each.word]
        limit = _NOT_IN_MODEL_SHOWN if why.startswith(_NOT_IN_MODEL) else len(named)
        more = f" and {len(named) - limit} more" if limit < len(named) else ""
        if named:
            yield from wrapped(" ".join(named[:limit]) + more, "    ", "    ")
        words: dict[str, list[str]] = {}
        for each in members:
            if each.word:
                words.setdefault(each.word, []).append(each.name)
        width = max(map(len, words), default=0)
        for word, names in words.items():
            yield from wrapped(_named_then_numbers(names), f"    {word:{width}}  ", " " * (width + 6))


def _named_then_numbers(names: Sequence[str]) -> str:
    """``GDS_NO RFDS_NO bits 5 6``: the architecture's names, then the numbers of the bits that have none there."""
    numbers = [name.removeprefix("bit ") for name in names if name.startswith("bit ")]
    said = [name for name in names if not name.startswith("bit ")]
    if numbers:
        said.append(f"{'bit' if len(numbers) == 1 else 'bits'} {' '.join(numbers)}")
    return " ".join(said)
