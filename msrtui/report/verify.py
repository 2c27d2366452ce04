"""msrtui against a real QEMU on the same KVM: what both say of each CPU, and where they do not agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from msrtui.errors import BadRequest
from msrtui.host.oracle import EXPANDED, MAX, UNMASKED, Told
from msrtui.kvm.collector import plain
from msrtui.kvm.requests import Answerer
from msrtui.qemu import cpu_request, filtering, models, tables, words
from msrtui.qemu.conversation import Outcome, negotiate
from msrtui.qemu.negotiation import Lineage
from msrtui.qemu.profile import QemuProfile
from msrtui.report.heading import heading_lines
from msrtui.report.sentences import decision_text
from msrtui.report.shape import aligned, counted, hexed, wrapped
from msrtui.report.views import lineage_document
from msrtui.snapshot.model import About
from msrtui.transcript.stepper import run
from msrtui.values import dataclass, replace

UNAVAILABLE = "unavailable-features"
START = "start"
EVERYWHERE = ("base", *cpu_request.MAX_MODELS)
"""Definitions that a build may leave out: whether they are there says nothing of the tables."""

Said: TypeAlias = "bool | str | tuple[str, ...] | None"


@dataclass(frozen=True)
class Disagreement:
    """One thing that the two do not say alike.

    ``name`` is a property, "unavailable-features" or "start". None on a side: it has no such name, or (msrtui,
    with a lineage that says so) does not know.
    """

    cpu: str
    name: str
    qemu_says: Said
    msrtui_says: Said
    lineage: Lineage = ()


@dataclass(frozen=True)
class Comparison:
    """What was compared: how many answers by CPU ("models" for all CPU models), and where they differ."""

    told: Told
    profile: QemuProfile
    counts: Mapping[str, int]
    disagreements: tuple[Disagreement, ...]

    @property
    def compared(self) -> int:
        """How many answers."""
        return sum(self.counts.values())


def profile_label(told: Told, binary: str) -> str:
    """The profile for the version that the QEMU reports. Raises BadRequest where there is none."""
    numbers = tuple(int(part) for part in told.version.split(".")[:2])
    known = {tuple(int(part) for part in label.split(".")): label for label in tables.labels()}
    if numbers in known:
        return known[numbers]
    below = [label for version, label in sorted(known.items()) if version < numbers][-1:]
    above = [label for version, label in sorted(known.items()) if version > numbers][:1]
    nearest = " and ".join((*below, *above))
    raise BadRequest(
        f"{plain(binary)} is QEMU {told.version}, and there is no profile of that version; the nearest: {nearest} "
        f"(--profile {(below or above)[0]} compares with that one all the same)."
    )


# --- comparing ---------------------------------------------------------------------------------------------------
def compare(told: Told, profile: QemuProfile, answerer: Answerer) -> Comparison:
    """Work out with ``answerer`` what QEMU was asked, and compare."""
    with answerer.held():
        outcomes = {cpu: _outcome(profile, cpu, answerer) for cpu in EXPANDED}
    counts: dict[str, int] = {}
    found: list[Disagreement] = []
    for cpu, outcome in outcomes.items():
        if isinstance(outcome, str):
            return Comparison(told, profile, {START: 1}, (Disagreement(cpu, START, "it runs", outcome),))
        names = sorted({*profile.tables.canonical_names, *told.switches})
        counts[cpu] = len(names)
        found += _properties(cpu, outcome, told.expansions[cpu], names)
    at_first = outcomes[next(iter(EXPANDED))]
    assert not isinstance(at_first, str)
    ours = cpu_request.definitions(profile.tables)
    names = [name for name in sorted({*ours, *told.definitions}) if _there(name, ours, told) or name not in EVERYWHERE]
    counts["models"] = len(names)
    for name in names:
        found += _unavailable(name, at_first, told, known=name in ours)
    return Comparison(told, profile, counts, tuple(found))


def _there(name: str, ours: Iterable[str], told: Told) -> bool:
    return name in ours and name in told.definitions


def _outcome(profile: QemuProfile, cpu: str, answerer: Answerer) -> Outcome | str:
    """Every word for that CPU, or QEMU's last words where it would have ended."""
    profile = replace(profile, migratable=cpu != UNMASKED)
    stepper = run(negotiate(profile, words=tuple(profile.tables.word_by_name)), answerer)
    if stepper.outcome is None:
        return " ".join(stepper.ended.text.split()) if stepper.ended else ""
    return stepper.outcome


def _properties(cpu: str, outcome: Outcome, theirs: Mapping[str, bool], names: Iterable[str]) -> Iterator[Disagreement]:
    profile = outcome.state.profile
    request = cpu_request.parse("max" if cpu == MAX else "host", profile)
    guest = filtering.guest_cpu(outcome.state, outcome.words, request).words
    for name in names:
        canonical = profile.tables.canonical_names.get(name)
        places = profile.tables.bits_of_property[canonical] if canonical is not None else ()
        ours = all(_bit(outcome, guest, *place) for place in places) if places else None
        if any(_bit(outcome, guest, *place) is None for place in places):
            ours = None
        if ours is None or ours != theirs.get(name):
            lineage = tuple(
                step
                for word in dict.fromkeys(word for word, _ in places)
                for step in (*outcome.words[word].lineage, *_before_the_filter(guest[word].lineage))
            )
            yield Disagreement(cpu, name, theirs.get(name), ours, lineage)


def _bit(outcome: Outcome, guest: models.Guest, word: str, bit: int) -> bool | None:
    """A bit of the expansion; None where the source does not say enough to know it."""
    value = guest[word].expanded
    return None if value is None or outcome.words[word].unknown >> bit & 1 else bool(value >> bit & 1)


def _before_the_filter(lineage: Lineage) -> Lineage:
    behind = (models.FILTER, models.AMD_ALIASES)
    return lineage[: next((n for n, step in enumerate(lineage) if step.rule in behind), len(lineage))]


def _unavailable(name: str, outcome: Outcome, told: Told, *, known: bool) -> Iterator[Disagreement]:
    theirs = told.definitions.get(name)
    if not known:
        yield Disagreement(name, UNAVAILABLE, theirs, None)
        return
    profile = outcome.state.profile
    cpu = filtering.guest_cpu(outcome.state, outcome.words, cpu_request.parse(name, profile))
    guest, ours = cpu.words, tuple(filtering.unavailable_features(profile.tables, cpu))
    if ours == theirs:
        return
    differing = set(_only(ours, theirs or ())) | set(_only(theirs or (), ours))
    lineage: Lineage = ()
    for word in profile.tables.words:
        if differing & {*word.bits.values()} or (not differing and guest[word.name].unavailable):
            lineage += (*_unmasked(outcome.words[word.name].lineage), *guest[word.name].lineage)
    yield Disagreement(name, UNAVAILABLE, theirs, ours, lineage)


def _unmasked(lineage: Lineage) -> Lineage:
    """The way of what the filter compares with: it knows no mask and no CPU."""
    expansion = {words.MIGRATABLE_MASK, *(case.id for case in words.EXPANSION_CASES)}
    return tuple(step for step in lineage if step.rule not in expansion)


def _only(these: Iterable[str], others: Iterable[str]) -> list[str]:
    """What ``these`` have more often than ``others``, in order."""
    left = Counter(others)
    more = []
    for name in these:
        if left[name]:
            left[name] -= 1
        else:
            more.append(name)
    return more


# --- for programs ------------------------------------------------------------------------------------------------
def verify_document(source_name: str, binary: str, done: Comparison) -> dict[str, Any]:
    """``verify --json``."""
    return {
        "source": source_name,
        "qemu": done.profile.label,
        "binary": binary,
        "version": done.told.version,
        "package": done.told.package,
        "compared": done.compared,
        "disagreements": [
            {
                "cpu": each.cpu,
                "name": each.name,
                "qemu_says": _json(each.qemu_says),
                "msrtui_says": _json(each.msrtui_says),
                "lineage": lineage_document(each.lineage, done.profile),
            }
            for each in done.disagreements
        ],
    }


def _json(said: Said) -> bool | str | list[str] | None:
    return list(said) if isinstance(said, tuple) else said


# --- for people --------------------------------------------------------------------------------------------------
def verify_text(source_name: str, about: About, binary: str, done: Comparison) -> str:
    """What was started and compared, the counts, then each disagreement with both sides."""
    told = done.told
    switched = about.parameters.get("kvm", {}).get("enable_virt_at_load") in ("N", "0")
    virtualization = " and turned virtualization on for all CPUs while it ran" if switched else ""
    package = f" ({plain(told.package)})" if told.package else ""
    lines = [
        *wrapped(f"{plain(binary, 400)} made a VM for this{virtualization}; it booted nothing and is gone.", "", "  "),
        *wrapped(f"It is QEMU {told.version}{package}, compared with msrtui's profile:", "", "  "),
        *heading_lines(source_name, about, done.profile),
        "",
        *aligned(_counts(done), right=frozenset({1})),
        "",
    ]
    differ = len(done.disagreements)
    lines.append(
        f"{counted(done.compared, 'answer', 'answers')} compared, {counted(differ, 'disagreement', 'disagreements')}."
    )
    for together in _alike(done.disagreements):
        lines += ["", *_disagreement(together, done)]
    if differ:
        release = done.profile.tables.release
        lines += [
            "",
            *wrapped(
                f"The profile was made from QEMU {release}. A distribution's build may differ from that; if this one "
                "does not, msrtui is wrong, and its makers would like to know."
            ),
        ]
    return "\n".join(lines) + "\n"


def _counts(done: Comparison) -> Iterator[tuple[str, str, str, str]]:
    differing = Counter(each.cpu if each.cpu in EXPANDED else "models" for each in done.disagreements)
    for cpu, count in done.counts.items():
        what = {"models": f"their {UNAVAILABLE}", START: "as QEMU begins"}.get(cpu, "features of the expansion")
        differ = differing[cpu] if cpu != START else len(done.disagreements)
        shown = "CPU models" if cpu == "models" else cpu
        yield shown, str(count), what, f"{differ} differ" if differ else "all alike"


def _alike(disagreements: Iterable[Disagreement]) -> Iterator[list[Disagreement]]:
    """Those that say the same of one CPU for the same reason, such as a feature and its aliases, are told once."""
    groups: list[list[Disagreement]] = []
    for each in disagreements:
        for group in groups:
            first = group[0]
            if each.name != UNAVAILABLE and replace(each, name=first.name) == first:
                group.append(each)
                break
        else:
            groups.append([each])
    yield from groups


def _disagreement(together: list[Disagreement], done: Comparison) -> Iterator[str]:
    first = together[0]
    yield from wrapped(f"{plain(first.cpu)}: {' '.join(plain(each.name) for each in together)}", "", "    ")
    yield from wrapped(_qemu_says(first), "  QEMU    ", " " * 10)
    yield from wrapped(_msrtui_says(first), "  msrtui  ", " " * 10)
    values = [hexed(step.after) or "?" for step in first.lineage]
    width = max(map(len, values), default=0)
    for step, value in zip(first.lineage, values, strict=True):
        yield from wrapped(decision_text(step, done.profile), f"    {value:>{width}}  ", " " * (width + 6))


def _qemu_says(it: Disagreement) -> str:
    if it.name == START:
        return _shown(it.qemu_says, it.msrtui_says)
    if it.name == UNAVAILABLE:
        said = "has no such CPU model" if it.qemu_says is None else _shown(it.qemu_says, it.msrtui_says)
        return f"{said}   (query-cpu-definitions)"
    said = "has no such feature" if it.qemu_says is None else _shown(it.qemu_says, it.msrtui_says)
    return f"{said}   (query-cpu-model-expansion)"


def _msrtui_says(it: Disagreement) -> str:
    if it.msrtui_says is not None:
        return _shown(it.msrtui_says, it.qemu_says)
    if it.lineage:
        return "does not know"
    return f"has no such {'CPU model' if it.name == UNAVAILABLE else 'feature'} in this profile"


def _shown(said: Said, other: Said) -> str:
    """An answer; of two lists only what one has and the other has not."""
    if isinstance(said, bool):
        return "on" if said else "off"
    if not isinstance(said, tuple):
        return plain(said or "", 400)
    if not said or not isinstance(other, tuple):
        return _joined(said)
    more = _only(said, other)
    if more:
        return _joined(more) if len(more) == len(said) else f"besides what both name: {_joined(more)}"
    return "only what both name" if _only(other, said) else f"the same in another order: {_joined(said)}"


def _joined(names: Iterable[str]) -> str:
    return ", ".join(plain(name) or '""' for name in names) or "none"
