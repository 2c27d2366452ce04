"""A fleet for programs: the whole as JSON, and a table of one row a host as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from msrtui.compare.differences import Difference
from msrtui.compare.fingerprint import Different
from msrtui.compare.fleet import Comparison, Group, Move
from msrtui.compare.fleet_reading import Facts
from msrtui.kvm.collector import plain
from msrtui.report.fleet import different_text, kind_name
from msrtui.report.shape import hexed
from msrtui.report.verdicts import verdict_document

COLUMNS = (
    *("name", "fingerprint", "guest", "cpu", "kernel", "microcode", "bios", "module"),
    *("nearest", "differs", "moves_to_largest", "moves_from_largest"),
)
"""Of the CSV: ``guest`` is the kind of guest, ``nearest`` the fingerprint that an odd host is nearest to, ``differs``
what it has otherwise (nearest's → its own, ``; `` between), ``moves_to_largest`` can, cannot or unknown."""


def fleet_document(
    found: Comparison, moves: Sequence[Move], differences: Sequence[Difference] | None
) -> dict[str, Any]:
    """``diff FOLDER --json``; ``differences`` between the groups, None where there are too many to say."""
    return {
        "sources": [host.name for group in found.groups for host in group.hosts],
        "qemu": found.profile.label,
        "cpu": found.request.text,
        "alike": len(found.groups) < 2,
        "differences": None
        if differences is None
        else [
            {
                "kind": each.kind,
                "subject": each.subject,
                "values": [_value(value) for value in each.values],
                "cause": None,
            }
            for each in differences
        ],
        "verdicts": [_move(found, move) for move in moves],
        "groups": [_group(group) for group in found.groups],
        "guests": [_kind(found, place) for place in range(len(found.kinds))],
        "pools": [
            {"hosts": sum(found.kinds[kind].hosts for kind in pool), "guests": [kind_name(kind) for kind in pool]}
            for pool in found.pools
        ],
        "outliers": [
            {
                "hosts": [host.name for host in found.groups[each.group].hosts],
                "fingerprint": found.groups[each.group].fingerprint,
                "nearest": found.groups[each.nearest].fingerprint,
                "nearest_hosts": len(found.groups[each.nearest].hosts),
                "differences": [_different(different) for different in each.differences],
            }
            for each in found.outliers
        ],
        "skipped": [{"name": plain(each.name), "reason": each.reason} for each in found.skipped],
    }


def _value(value: object) -> object:
    return hexed(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _different(each: Different) -> dict[str, Any]:
    return {
        "kind": each.kind,
        "subject": each.subject,
        "bit": each.bit,
        "name": each.name,
        "values": [_value(value) for value in each.values],
        "text": different_text(each),
    }


def _move(found: Comparison, move: Move) -> dict[str, Any]:
    words = found.profile.tables.words
    lacks = {word.name: hex(may) for word, (_, may) in zip(words, move.lost, strict=False) if may}
    source, target = (found.kinds[kind] for kind in (move.source, move.target))
    document: dict[str, Any] = {
        "from": found.groups[source.groups[0]].hosts[0].name,
        "to": found.groups[target.groups[0]].hosts[0].name,
        "verdict": move.answer,
        "clean": move.clean,
        "reasons": None,
        "warnings": [text for text in (source.behaviour.ends, target.behaviour.ends) if text is not None],
    }
    if move.verdict is not None:
        document = verdict_document(move.verdict)
    return {**document, "guests": [kind_name(move.source), kind_name(move.target)], "lacks": lacks}


def _group(group: Group) -> dict[str, Any]:
    names = Facts._fields[:-1]
    varies = {name: values for name, values in group.facts.items() if len(values) > 1}
    return {
        "hosts": [host.name for host in group.hosts],
        "fingerprint": group.fingerprint,
        "guest": kind_name(group.kind),
        **{name: group.shared(name) for name in names},
        "parameters": {
            name: group.shared(name) for name in sorted(group.facts) if name not in names and name not in varies
        },
        "varies": {
            name: [{"value": value, "hosts": count} for value, count in values.most_common()]
            for name, values in sorted(varies.items())
        },
    }


def _kind(found: Comparison, place: int) -> dict[str, Any]:
    kind = found.kinds[place]
    to, back = found.reach(place)
    return {
        "guest": kind_name(place),
        "hosts": kind.hosts,
        "groups": [found.groups[group].fingerprint for group in kind.groups],
        "vendor": kind.behaviour.vendor,
        "ends": kind.behaviour.ends,
        "clean": kind.behaviour.clean,
        "among_themselves": found.moves.answer(place, place),
        "moves_to_hosts": to,
        "moves_from_hosts": back,
    }


# --- a row a host ------------------------------------------------------------------------------------------------
def fleet_csv(found: Comparison) -> str:
    """The table, in the order of the groups. A text that a spreadsheet would take for a formula gets a ``'``."""
    odd = {each.group: each for each in found.outliers}
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(COLUMNS)
    for place, group in enumerate(found.groups):
        each = odd.get(place)
        nearest = "" if each is None else found.groups[each.nearest].fingerprint
        differs = "" if each is None else "; ".join(different_text(different) for different in each.differences)
        largest = found.moves.answer(group.kind, 0), found.moves.answer(0, group.kind)
        for host in group.hosts:
            facts = host.facts
            told = (facts.cpu, facts.kernel, facts.microcode, facts.bios, facts.vendor_module)
            cells = (host.name, group.fingerprint, kind_name(group.kind), *told, nearest, differs, *largest)
            rows.writerow([_cell(cell) for cell in cells])
    return out.getvalue()


def _cell(text: str | None) -> str:
    shown = plain(text or "")
    return f"'{shown}" if shown[:1] in "=+-@" and shown else shown
