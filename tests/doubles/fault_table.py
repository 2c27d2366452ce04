"""TABLE.md: every fault that was made, what came of it, and the sentence. Written by the tests, and held to them.

``MSRTUI_WRITE_FAULTS=1`` makes the sections of the tests that run anew (one process, without xdist); without it a test
fails whose rows are not those of the table. What differs by host or run (addresses, MSRs, paths) is left out of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

TABLE = Path(__file__).resolve().parents[1] / "faults" / "TABLE.md"
_HEAD = """# Faults, and what comes of them

Made by the tests of this folder and compared with what they see; `MSRTUI_WRITE_FAULTS=1 pytest tests/faults` makes it
anew. "Fired" counts the faults that strace or the system really made. ERRNO stands for each errno of a row.

Faults fired: {fired}
"""
_COLUMNS = "| where | what was done | fired | exit | outcome | sentence |\n|---|---|---|---|---|---|\n"


class Row(NamedTuple):
    """One line: ``fired`` faults, ``exit`` status, ``outcome`` in a few words, the ``sentence`` on standard error."""

    where: str
    done: str
    fired: int
    exit: str
    outcome: str
    sentence: str = ""

    def __str__(self) -> str:
        return f"| {' | '.join(re.sub(r'[|]', '/', str(part)) for part in self)} |"


def alike(rows: Iterable[Row]) -> list[Row]:
    """Rows that differ in what was done alone, as one."""
    found: dict[tuple[str, ...], Row] = {}
    for row in rows:
        key = (row.where, row.exit, row.outcome, row.sentence)
        known = found.get(key)
        found[key] = (
            row if known is None else known._replace(done=f"{known.done}, {row.done}", fired=known.fired + row.fired)
        )
    return list(found.values())


def sections() -> dict[str, str]:
    """What stands in the table now, by heading."""
    parts = TABLE.read_text(encoding="utf-8").split("\n## ")[1:] if TABLE.exists() else []
    return {heading: body for heading, _, body in (part.partition("\n") for part in parts)}


def fired_in(text: str) -> int:
    """The sum of a section's column ``fired``."""
    return sum(
        int(cells[3]) for line in text.splitlines() if (cells := line.split("|"))[3:] and cells[3].strip().isdigit()
    )


def _place(heading: str) -> tuple[int, str]:
    return int(heading.partition(".")[0]), heading


def hold(heading: str, rows: Sequence[Row]) -> None:
    """The rows are those that the table has under ``heading``, or are written there."""
    text = "\n" + _COLUMNS + "".join(f"{row}\n" for row in rows)
    known = sections()
    if os.environ.get("MSRTUI_WRITE_FAULTS"):
        known[heading] = text
        body = "".join(f"\n## {each}\n{known[each].rstrip()}\n" for each in sorted(known, key=_place))
        TABLE.write_text(_HEAD.format(fired=sum(map(fired_in, known.values()))) + body, encoding="utf-8")
    else:
        assert known.get(heading, "").split() == text.split()
