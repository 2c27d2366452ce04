"""What two programs heard of one host in one boot, value by value; and what may differ, each with its reason."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

MAY_DIFFER = {
    r"made\.(by|when|python|root)": "who captured it, and when",
    r"host\.name": "the C program keeps no name",
    r"host\.carried_by": "the C program's captures may say what emulated the CPU; a host does not know it",
    r"host\.bios\..*|host\.bios": "the C program does not read it",
    r"host\.modules\.\w+\.loaded": "the C program does not look whether a module is built in",
    r"host\.cpu\.microcode": "the C program has it from /proc/cpuinfo, which the collector does not open (on older "
    "kernels that interrupts every CPU): it asks the microcode driver, which does not start on a virtual CPU",
    r"cpuid\.from": "the instruction there, the kernel's device here",
}
"""What of a snapshot may differ between msrtui and the C program, and why. Nothing else does."""

_NOT_READ = "the C program goes through the leaves by itself, msrtui reads those that QEMU or a reading needs"


class Compared(NamedTuple):
    """``values`` that were compared, the places where they ``differ``, and those that differ and ``may``."""

    values: int
    differ: list[str]
    may: list[str]


def flat(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a document, with its place."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from flat(inner, f"{at}.{key}".lstrip("."))
    elif isinstance(value, list) and value:
        for place, inner in enumerate(value):
            yield from flat(inner, f"{at}[{place}]")
    else:
        yield at, value


def compared(ours: Any, theirs: Any, may_differ: Mapping[str, str] | None = None) -> Compared:
    """Two documents, each value of either."""
    left, right = dict(flat(ours)), dict(flat(theirs))
    differ: list[str] = []
    may: list[str] = []
    places = left.keys() | right.keys()
    for place in sorted(places):
        if place in left and place in right and left[place] == right[place]:
            continue
        text = f"{place}: msrtui {left.get(place, 'nothing')!r}, C {right.get(place, 'nothing')!r}"
        (may if any(re.fullmatch(each, place) for each in may_differ or ()) else differ).append(text)
    return Compared(len(places) - len(may), differ, may)


def _leaves(document: dict[str, Any]) -> dict[str, Any]:
    """CPUID's rows by what they are of; a row of zeros says what no row says."""
    rows = {f"{row[0]} {row[1]}": row[2:] for row in document["cpuid"]["rows"]}
    return {pair: registers for pair, registers in rows.items() if set(registers) != {"0x0"}}


def snapshots(ours: dict[str, Any], theirs: dict[str, Any]) -> Compared:
    """msrtui's capture and the C program's, as snapshots."""
    mine, other = _leaves(ours), _leaves(theirs)
    both = mine.keys() & other.keys()
    whole = compared(_without_rows(ours), _without_rows(theirs), MAY_DIFFER)
    leaves = compared({pair: mine[pair] for pair in both}, {pair: other[pair] for pair in both})
    alone = [f"CPUID leaf {pair}: {_NOT_READ}" for pair in sorted(mine.keys() ^ other.keys())]
    differ = [f"CPUID leaf {each}" for each in leaves.differ]
    return Compared(whole.values + leaves.values, whole.differ + differ, whole.may + alone)


def _without_rows(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "cpuid": {key: value for key, value in document["cpuid"].items() if key != "rows"}}
