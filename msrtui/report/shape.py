"""How numbers and lines are written: for programs as Python's hex() prints them, for people grouped and aligned.

Knows nothing of QEMU or KVM.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

LINE = 100
"""Columns that text for people keeps to."""

EXPLANATION_WIDTH = 96
"""Columns that an explanation keeps to: it is pasted into mails and trackers, and shown in a window of the app."""

SET, TAKEN, NEVER, UNKNOWN = "1", "-", "·", "?"
"""A bit in a layer: set, taken away by this layer, never set so far, not known."""


def hexed(value: int | None) -> str | None:
    """``"0x10a"`` for programs: no padding, no grouping; None stays None."""
    return None if value is None else hex(value)


def grouped(value: int | None, bits: int = 64) -> str:
    """``0x0000_0000_0000_0069`` for people: every digit of ``bits`` bits, by four; ``?`` where it is not known."""
    if value is None:
        return UNKNOWN
    digits = f"{value:0{bits // 4}x}"
    head = len(digits) % 4
    groups = [digits[:head]] if head else []
    groups += [digits[at : at + 4] for at in range(head, len(digits), 4)]
    return "0x" + "_".join(groups)


def marks(layers: Sequence[int | None], bit: int, unknown: int = 0) -> list[str]:
    """One mark a layer for one bit, read from left to right until the 1 stops; blank after it was taken away.

    ``unknown`` are bits that QEMU's layers, all but the first, hold as 0 and that could not be decided.
    """
    row: list[str] = []
    before = NEVER
    for place, layer in enumerate(layers):
        if layer is None or (place and unknown >> bit & 1):
            mark = UNKNOWN
        elif layer >> bit & 1:
            mark = SET
        elif before == SET:
            mark = TAKEN
        elif before in (TAKEN, " "):
            mark = " "
        else:
            mark = NEVER
        row.append(mark)
        before = mark
    return row


def wrapped(text: str, first: str = "", rest: str = "", width: int = LINE) -> Iterator[str]:
    """``text`` on lines of at most ``width`` columns, ``first`` before the first and ``rest`` before the others.

    Words longer than a line stand alone on theirs.
    """
    line, start = first, first
    for word in text.split(" "):
        if line == start:
            line += word
        elif len(line) + 1 + len(word) <= width:
            line += " " + word
        else:
            yield line.rstrip()
            start = rest
            line = rest + word
    yield line.rstrip()


def aligned(rows: Iterable[Sequence[str]], indent: str = "  ", right: frozenset[int] = frozenset()) -> Iterator[str]:
    """Rows of cells as lines: each column as wide as its widest cell, two blanks between, the last one free."""
    table = [list(row) for row in rows]
    count = max((len(row) for row in table), default=0)
    widths = [max((len(row[place]) for row in table if place < len(row)), default=0) for place in range(count)]
    for row in table:
        cells = [
            cell.rjust(widths[place]) if place in right else cell.ljust(widths[place]) for place, cell in enumerate(row)
        ]
        yield (indent + "  ".join(cells)).rstrip()


def columns(words: Sequence[str], indent: str = "  ", width: int = LINE) -> Iterator[str]:
    """Words as a table that is read downwards: as many columns as ``width`` has room for, each as wide as it must."""
    for rows in range(1, len(words) + 1):
        table = [words[at : at + rows] for at in range(0, len(words), rows)]
        widths = [max(map(len, column)) for column in table]
        if len(indent) + sum(widths) + 2 * (len(widths) - 1) <= width or rows == len(words):
            for row in range(rows):
                cells = (
                    column[row].ljust(wide) for column, wide in zip(table, widths, strict=True) if row < len(column)
                )
                yield (indent + "  ".join(cells)).rstrip()
            return


def counted(count: int, one: str, many: str) -> str:
    """``1 bit``, ``3 bits``."""
    return f"{count} {one if count == 1 else many}"
