"""A fleet for people: how many kinds of host there are, which are odd and why, and who can exchange guests.

What is cut says how much was cut; ``--json`` and ``--csv`` have all (``fleet_documents``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from msrtui.catalog import short_name
from msrtui.compare.fingerprint import Different
from msrtui.compare.fleet import Comparison, Group, Move, Outlier
from msrtui.kvm.collector import plain
from msrtui.report.heading import qemu_of
from msrtui.report.shape import aligned, counted, wrapped

WIDTH = 80
_GROUPS, _ODD, _POOLS, _KINDS, _OFTEN = 10, 8, 6, 6, 4
_MATRIX = 22
"""Kinds of guest up to which who can move where is shown as a square."""
_MARKS = {"can": "+", "cannot": ".", "unknown": "?"}


def host_name(name: str) -> str:
    """A snapshot as people call it: its file's name without the folder and ``.json``."""
    return plain(name.rpartition("/")[2].removesuffix(".json") or name, 60)


def kind_name(kind: int) -> str:
    """``G1``: the kind of guest that most hosts have."""
    return f"G{kind + 1}"


def different_text(each: Different) -> str:
    """``0x10a bit 26 GDS_NO 1 → 0``: the nearest's, then its own."""
    subject = plain(each.subject, 60)
    if each.kind in ("msr", "index_list", "feature_list") and subject.startswith("0x"):
        name = short_name(int(subject, 16))
        if name != subject and each.bit is None:
            subject = f"{subject} {name}"
    if each.kind in ("index_list", "feature_list") and subject.startswith("0x"):
        subject = f"{subject} in the {each.kind.partition('_')[0]} list"
    if each.kind == "host_cpuid":
        subject = f"the CPU's own {subject}"
    if each.bit is not None:
        subject += f" bit {each.bit}" + (f" {plain(each.name, 40)}" if each.name else "")
    before, after = (_value(value) for value in each.values)
    return f"{subject} {before} → {after}"


def _value(value: object) -> str:
    if value is None:
        return "?"
    if isinstance(value, bool):
        return str(int(value))
    return hex(value) if isinstance(value, int) else plain(str(value), 40)


def fleet_text(found: Comparison, moves: Sequence[Move], shown_as: str) -> str:
    """The whole on some 60 lines."""
    return "\n".join(line.rstrip() for line in _lines(found, moves, shown_as)) + "\n"


def fleet_markdown(found: Comparison, moves: Sequence[Move], shown_as: str) -> str:
    """The text in a fenced block, so that nothing in it is read as markup."""
    text = fleet_text(found, moves, shown_as).replace("```", "'''")
    return f"**msrtui diff**, QEMU {found.profile.label}\n\n```text\n{text}```\n"


def _lines(found: Comparison, moves: Sequence[Move], shown_as: str) -> Iterator[str]:
    snapshots = counted(found.hosts, "snapshot", "snapshots")
    yield from wrapped(
        f"{qemu_of(found.profile)}, -cpu {plain(found.request.text)}, {snapshots} of {plain(shown_as, 200)}",
        "",
        "  ",
        WIDTH,
    )
    skipped = f"; {counted(len(found.skipped), 'file', 'files')} skipped" if found.skipped else ""
    kinds = counted(len(found.kinds), "kind", "kinds")
    said = f"{counted(len(found.groups), 'kind', 'kinds')} of host by what KVM answers, {kinds} of guest{skipped}."
    yield from wrapped(said, "", "", WIDTH)
    yield ""
    yield from _groups(found)
    yield from _odd(found)
    if len(found.kinds) > 1:
        yield from _square(found, moves) if len(found.kinds) <= _MATRIX else _reach(found)
        yield from _pools(found)


# --- the kinds of host -------------------------------------------------------------------------------------------
def _groups(found: Comparison) -> Iterator[str]:
    shown = found.groups[:_GROUPS] if len(found.groups) > 2 * _GROUPS + 5 else found.groups
    rows = [("hosts", "fingerprint", "guest", "what they are")]
    rows += [(str(len(group.hosts)), group.fingerprint, kind_name(group.kind), who(group)) for group in shown]
    yield from (_cut(line) for line in aligned(rows, "  ", frozenset({0})))
    if len(shown) < len(found.groups):
        rest = sum(len(group.hosts) for group in found.groups[len(shown) :])
        yield f"  and {len(found.groups) - len(shown)} more, with {counted(rest, 'host', 'hosts')}"
    yield ""


def who(group: Group) -> str:
    """What the hosts of a group are: CPU, kernel, module, and what differs among them."""
    first = group.hosts[0].facts
    kernels, modules, cpus = (group.facts[name] for name in ("kernel", "vendor_module", "cpu"))
    kernel = ""
    if len(kernels) == 1 and first.kernel:
        kernel = f"Linux {plain(re.split('[-+]', first.kernel)[0], 12)}"
    if len(kernels) > 1:
        kernel = f"{len(kernels)} kernels"
    cpu = plain(" ".join((first.cpu or "").split()), 34) if len(cpus) == 1 else f"{len(cpus)} CPU names"
    module = plain(first.vendor_module, 20) if len(modules) == 1 and first.vendor_module else ""
    name = host_name(group.hosts[0].name) if len(group.hosts) == 1 else ""
    return ", ".join(part for part in (name or cpu, kernel, module, name and cpu) if part) or "nothing is known of them"


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"


# --- the odd ones ------------------------------------------------------------------------------------------------
def _odd(found: Comparison) -> Iterator[str]:
    if not found.outliers:
        return
    hosts = sum(len(found.groups[each.group].hosts) for each in found.outliers)
    said = (
        f"Odd: {counted(hosts, 'host that differs', 'hosts that differ')} in little from a larger kind (there → here)"
    )
    yield from wrapped(said, "", "  ", WIDTH)
    ranked = sorted(found.outliers, key=lambda each: (not _another_guest(found, each), len(each.differences)))
    others = sum(_another_guest(found, each) for each in ranked)
    if others < len(ranked):
        yield f"  {others or 'none'} of them with another guest than the larger kind has" + ", these first" * bool(
            others
        )
    shown = ranked[:_ODD] if len(ranked) > _ODD + 4 else ranked
    for each in shown:
        yield from _outlier(found, each)
    if len(shown) < len(ranked):
        yield f"  and {len(ranked) - len(shown)} more"
        often = Counter(different.subject for each in ranked for different in each.differences).most_common(_OFTEN)
        said = ", ".join(f"{plain(subject, 40)} ({count})" for subject, count in often)
        yield from wrapped(f"most often in {said}", "  ", "    ", WIDTH)
    yield ""


def _another_guest(found: Comparison, each: Outlier) -> bool:
    return found.groups[each.group].kind != found.groups[each.nearest].kind


def _outlier(found: Comparison, each: Outlier) -> Iterator[str]:
    group, nearest = found.groups[each.group], found.groups[each.nearest]
    names = ", ".join(host_name(host.name) for host in group.hosts)
    parts = [different_text(different) for different in each.differences]
    start = f"  {names}: as {nearest.fingerprint} ({counted(len(nearest.hosts), 'host', 'hosts')}) but for"
    if len(parts) == 1 and len(start) + 1 + len(parts[0]) <= WIDTH:
        yield f"{start} {parts[0]}"
        return
    yield _cut(start)
    more = [f"and {len(parts) - 3} more"] if len(parts) > 4 else []
    for part in [*parts[: 3 if more else 4], *more]:
        yield _cut(f"      {part}")


# --- who can move where ------------------------------------------------------------------------------------------
def _square(found: Comparison, moves: Sequence[Move]) -> Iterator[str]:
    answers = {(move.source, move.target): move for move in moves}
    count = len(found.kinds)
    yield "Where a guest can go, from row to column: + it can, . it cannot, ? not known"
    yield "  guest  hosts" + "".join(f"{place + 1:3}" for place in range(count))
    for source in range(count):
        cells = (_mark(answers.get((source, target))) for target in range(count))
        yield f"  {kind_name(source):5}  {found.kinds[source].hosts:5}" + "".join(f"{cell:>3}" for cell in cells)
    ends = [kind_name(place) for place, kind in enumerate(found.kinds) if kind.behaviour.ends is not None]
    if ends:
        yield from wrapped(f"QEMU does not start on {', '.join(ends)}.", "  ", "  ", WIDTH)
    yield ""


def _mark(move: Move | None) -> str:
    return "=" if move is None else _MARKS[move.answer]


def _reach(found: Comparison) -> Iterator[str]:
    kinds = len(found.kinds)
    yield f"Where a guest can go beyond its own kind, the {_KINDS} largest of {kinds} kinds"
    rows = [("", "hosts", "can go to", "can come from", "such as")]
    for place in range(_KINDS):
        kind = found.kinds[place]
        to, back = found.reach(place)
        rows.append(
            (kind_name(place), str(kind.hosts), f"{to} hosts", f"{back} hosts", who(found.groups[kind.groups[0]]))
        )
    yield from (_cut(line) for line in aligned(rows, "  ", frozenset({1, 2, 3})))
    ends = sum(kind.hosts for kind in found.kinds if kind.behaviour.ends is not None)
    if ends:
        yield f"  QEMU does not start on {counted(ends, 'host', 'hosts')}"
    yield ""


def _pools(found: Comparison) -> Iterator[str]:
    yield "Pools: within one every guest can go to every host"
    useful = [pool for pool in found.pools if any(found.moves.answer(kind, kind) == "can" for kind in pool)]
    shown = useful[:_POOLS] if len(useful) > _POOLS + 2 else useful
    rows = []
    for pool in shown:
        hosts = sum(found.kinds[kind].hosts for kind in pool)
        names = " ".join(kind_name(kind) for kind in pool[:6]) + (f" and {len(pool) - 6} more" if len(pool) > 6 else "")
        rows.append((counted(hosts, "host", "hosts"), names, _cpus(found, pool)))
    yield from (_cut(line) for line in aligned(rows, "  ", frozenset({0})))
    if len(shown) < len(useful):
        rest = sum(found.kinds[kind].hosts for pool in useful[len(shown) :] for kind in pool)
        yield f"  and {len(useful) - len(shown)} more, with {counted(rest, 'host', 'hosts')}"
    yield from wrapped("A -cpu that more of them can share:  msrtui baseline", "", "  ", WIDTH)


def _cpus(found: Comparison, pool: Sequence[int]) -> str:
    names: Counter[str] = Counter()
    for kind in pool:
        for group in found.kinds[kind].groups:
            for cpu, count in found.groups[group].facts["cpu"].items():
                names[plain(" ".join((cpu or "?").split()), 34)] += count
    first = names.most_common(1)[0][0]
    return first if len(names) == 1 else f"{first} and {counted(len(names) - 1, 'other', 'others')}"
