"""The table of what was compared on each kernel: printed at the end, and kept as TABLE.md where that is asked for.

``MSRTUI_WRITE_KERNELS=1 pytest -m kernels`` writes the rows of what it ran, and leaves the others. Nothing holds the
file to it: Debian's kernels get newer, and counts with them; that nothing disagrees is what the tests hold.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).resolve().parents[1] / "TABLE.md"
_HEAD = """# Kernels, and what was compared on each

What the tests of this folder did when they last ran with `MSRTUI_WRITE_KERNELS=1`, host by host. "Values" counts
what was compared, "excused" what may differ and does (`lab/comparing.py` says why). Seconds are that machine's.

"""
_COLUMNS = ("kernel", "CPU", "emulator", "what was compared", "values", "disagree", "excused", "seconds")


class Row(NamedTuple):
    """One comparison on one host."""

    kernel: str
    cpu: str
    emulator: str
    what: str
    values: int
    disagree: int
    excused: int
    seconds: float


ROWS: list[Row] = []


def _cells(row: Row) -> tuple[str, ...]:
    return (*row[:4], *(f"{number:.0f}" for number in row[4:]))


def _about(cells: tuple[str, ...]) -> tuple[str, ...]:
    """What a row is of: another build of the same series takes its place."""
    return (".".join(cells[0].split(".")[:2]), *cells[1:4])


def lines(rows: Iterable[tuple[str, ...]] | None = None) -> list[str]:
    """The rows, those of this run if none are given, as a table."""
    texts = list(map(_cells, ROWS) if rows is None else rows)
    widths = [max(len(each[column]) for each in (_COLUMNS, *texts)) for column in range(len(_COLUMNS))]

    def line(cells: tuple[str, ...]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return [line(_COLUMNS), rule, *map(line, texts)]


def merged(known: str, rows: Iterable[tuple[str, ...]]) -> str:
    """The file with these rows in the place of those that were of the same."""
    found = {}
    for text in known.splitlines():
        cells = tuple(cell.strip() for cell in text.strip("|").split("|"))
        if text.startswith("| ") and cells != _COLUMNS:
            found[_about(cells)] = cells
    found.update((_about(cells), cells) for cells in rows)
    ordered = sorted(
        found.values(),
        key=lambda cells: (cells[2], cells[1], [int(n) for n in cells[0].split("-")[0].split("+")[0].split(".")]),
    )
    return _HEAD + "\n".join(lines(ordered)) + "\n"


def keep() -> None:
    """Write TABLE.md, where that is asked for."""
    if ROWS and os.environ.get("MSRTUI_WRITE_KERNELS"):
        known = FILE.read_text(encoding="utf-8") if FILE.exists() else ""
        FILE.write_text(merged(known, map(_cells, ROWS)), encoding="utf-8")
