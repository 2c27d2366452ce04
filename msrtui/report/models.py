"""Which CPU models a host can run whole, and what it lacks for the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from msrtui.qemu.both_ways import Guests
from msrtui.qemu.conversation import Outcome
from msrtui.qemu.cpu_request import CpuRequest, definitions
from msrtui.qemu.profile import QemuProfile
from msrtui.report.between import Versions, merge
from msrtui.report.heading import heading_lines
from msrtui.report.shape import wrapped
from msrtui.snapshot.model import About

_SHOWN = 5
"""So many missing features of a model are named unless all are asked for."""


class ModelView(NamedTuple):
    """One name of query-cpu-definitions: ``family`` is the model that it is a version of.

    ``unavailable`` is QEMU's unavailable-features; None, as ``runnable``, where it is not known.
    """

    name: str
    family: str
    runnable: bool | None
    unavailable: list[str] | None


def view_models(profile: QemuProfile, outcome: Outcome | None) -> list[ModelView]:
    """Every model of this QEMU, in the order of its table; nothing is known where QEMU would end before."""
    guests = None if outcome is None else Guests(outcome.state, outcome.words)
    views = []
    for name, named in definitions(profile.tables).items():
        request = CpuRequest(name, name, named, check=False)
        runnable, unavailable = (None, None) if guests is None else guests.unavailable(request)
        views.append(ModelView(name, named.model.name if named is not None else name, runnable, unavailable))
    return views


# --- for programs ------------------------------------------------------------------------------------------------
def models_document(source_name: str, profile: QemuProfile, views: Sequence[ModelView]) -> dict[str, Any]:
    """``models --json``."""
    return {
        "source": source_name,
        "qemu": profile.label,
        "models": {view.name: {"runnable": view.runnable, "unavailable": view.unavailable} for view in views},
    }


# --- for people --------------------------------------------------------------------------------------------------
class _Row(NamedTuple):
    """Versions of one model that lack the same; None: it is not known what."""

    views: list[ModelView]
    lacks: tuple[str, ...] | None

    @property
    def distance(self) -> float:
        """How many features it lacks."""
        return float("inf") if self.lacks is None else len(self.lacks)


def models_text(
    source_name: str, about: About, profile: QemuProfile, versions: Versions, views: Sequence[ModelView], *, every: bool
) -> str:
    """The models that run here, then the others by family, the nearest first, with what each lacks.

    ``every``: all versions of a family and all that they lack, not the nearest ones and the first few.
    """
    return "\n".join(_lines(heading_lines(source_name, about, profile), versions, views, every)) + "\n"


def agreed(views: Sequence[Sequence[ModelView]]) -> list[ModelView]:
    """What both neighbours of a version say of each name that one of them has."""
    one, other = ({view.name: view for view in each} for each in views)
    merged = []
    for name, view in {**other, **one}.items():
        mine, theirs = one.get(name), other.get(name)
        if mine is None or theirs is None:
            merged.append(view._replace(runnable=None, unavailable=None))
        else:
            merged.append(
                view._replace(
                    runnable=merge(mine.runnable, theirs.runnable),
                    unavailable=merge(mine.unavailable, theirs.unavailable),
                )
            )
    return merged


def _lines(heading: list[str], versions: Versions, views: Sequence[ModelView], every: bool) -> Iterator[str]:
    yield from heading
    if not versions.sure:
        yield versions.agreed
    runs = [view for view in views if view.runnable]
    lacking = [view for view in views if view.runnable is False]
    unknown = [view for view in views if view.runnable is None]
    yield f"{len(runs)} of {len(views)} names of CPU models run here with all that they have"
    if runs:
        yield ""
        yield from _by_family(runs)
    if lacking:
        yield ""
        yield from _lacking(lacking, every)
    if unknown:
        yield ""
        yield "Not known"
        yield ""
        yield from _by_family(unknown)


def _by_family(views: Sequence[ModelView]) -> Iterator[str]:
    """The models family by family; those that come as nothing else, and those that have one version, together."""
    families: dict[str, list[ModelView]] = {}
    for view in views:
        families.setdefault(view.family, []).append(view)
    alike: dict[str, list[str]] = {}
    for members in families.values():
        said = _who(members)
        name, _, behind = said.partition(" ")
        if behind in ("", "-v1"):
            alike.setdefault(behind, []).append(name)
        else:
            alike[said] = [said]
    for behind, names in alike.items():
        each = ", each also as -v1" if behind == "-v1" and len(names) > 1 else " -v1" if behind == "-v1" else ""
        yield from wrapped(" ".join(names) + each, "  ", "    ")


def _who(views: Sequence[ModelView]) -> str:
    """A model's name, then the others of its family by what they have behind its name: ``EPYC -v1 -IBPB``."""
    first, *others = views
    behind = [
        view.name.removeprefix(view.family) if view.name.startswith(view.family) else view.name for view in others
    ]
    return " ".join((first.name, *behind))


_WHO = 30  # columns for it


def _lacking(views: Sequence[ModelView], every: bool) -> Iterator[str]:
    families: dict[str, list[_Row]] = {}
    for view in views:
        rows = families.setdefault(view.family, [])
        lacks = None if view.unavailable is None else tuple(dict.fromkeys(view.unavailable))
        alike = next((row for row in rows if row.lacks == lacks), None)
        if alike is None:
            rows.append(_Row([view], lacks))
        else:
            alike.views.append(view)
    for rows in families.values():
        rows.sort(key=lambda row: row.distance)
    yield "The others, nearest first, with the number of features that KVM lacks for them"
    if not every:
        yield "(+2: two more versions, which lack more; --all shows all)"
    yield ""
    for rows in sorted(families.values(), key=lambda rows: rows[0].distance):
        for row in rows if every else rows[:1]:
            rest = 0 if every else sum(len(more.views) for more in rows[1:])
            yield from _row(row, f" (+{rest})" if rest else "", None if every else _SHOWN)


def _row(row: _Row, more: str, limit: int | None) -> Iterator[str]:
    count = "?" if row.lacks is None else str(len(row.lacks))
    who = f"{count:>4}  {_who(row.views) + more:{_WHO}}"
    blank = " " * (_WHO + 6)
    if len(who) > len(blank):
        yield from wrapped(who[6:], who[:6], " " * 8)
        who = blank
    yield from wrapped(_lacks(row.lacks, limit), f"{who}  ", f"{blank}  ")


def _lacks(lacks: Sequence[str] | None, limit: int | None) -> str:
    if lacks is None:
        return "what is lacking is not known"
    names = [name or "(a bit without a name)" for name in lacks]
    cut = names[:limit]
    return " ".join(cut) + (f" and {len(names) - len(cut)} more" if len(cut) < len(names) else "")
