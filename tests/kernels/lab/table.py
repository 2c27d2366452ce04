"""The table of what was compared on each kernel: printed at the end, and kept as TABLE.md where that is asked for.

``MSRTUI_WRITE_KERNELS=1 pytest -m kernels`` writes what one run did. Nothing holds the file to it: Debian's kernels get
newer, and counts with them; that nothing disagrees is what the tests hold.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).resolve().parents[1] / "TABLE.md"
_HEAD = """# Kernels, and what was compared on each

What one run of the tests of this folder did: `MSRTUI_WRITE_KERNELS=1 pytest -m kernels` writes it anew. "Values" counts
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


def lines() -> list[str]:
    """The rows as a table."""
    texts = [
        (
            row.kernel,
            row.cpu,
            row.emulator,
            row.what,
            str(row.values),
            str(row.disagree),
            str(row.excused),
            f"{row.seconds:.0f}",
        )
        for row in ROWS
    ]
    widths = [max(len(each[column]) for each in (_COLUMNS, *texts)) for column in range(len(_COLUMNS))]

    def line(cells: tuple[str, ...]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return [line(_COLUMNS), rule, *map(line, texts)]


def keep() -> None:
    """Write TABLE.md, where that is asked for."""
    if ROWS and os.environ.get("MSRTUI_WRITE_KERNELS"):
        FILE.write_text(_HEAD + "\n".join(lines()) + "\n", encoding="utf-8")
