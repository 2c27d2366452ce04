"""The shortest text that makes one screen of another."""

from __future__ import annotations

from msrtui.tui.diff.cells import Cell, Row, Screen, width_of
from msrtui.tui.diff.style import Style, sgr

_FAR = 24
"""Cells that stay as they are between two that change: from this many on a move is always shorter."""


def difference(before: Screen, after: Screen, style: Style | None, *, erase: bool) -> tuple[str, Style | None]:
    """What to write to a terminal that shows ``before`` so that it shows ``after``, its cursor included.

    ``style`` is what the terminal would write with; what it then writes with is given back, so that the next
    difference goes on from there. Cells that ``after`` does not know are left alone. ``erase``: the terminal
    erases with the background in hand (terminfo's bce); without it only the terminal's own background is erased.
    """
    pen = _Pen(before, style, erase)
    for y, (old, new) in enumerate(zip(before.rows, after.rows, strict=True)):
        if old is not new and old != new:
            pen.row(y, old, new)
    if after.x is not None and after.y is not None:
        pen.go(after.x, after.y)
    return "".join(pen.out), pen.style


def move(x: int | None, y: int | None, to_x: int, to_y: int) -> str:
    """The shortest move from a place, None where that is not known."""
    if (x, y) == (to_x, to_y):
        return ""
    home = ("" if not to_y else str(to_y + 1)) + ("" if not to_x else f";{to_x + 1}")
    best = f"\x1b[{home}H"
    if y is None:
        return best
    down = _count(to_y - y, "B", "A")
    across = [f"\x1b[{to_x + 1}G" if to_x else "\r"]
    if x is not None:
        across.append(
            _count(to_x - x, "C", "D") if to_x >= x else min(_count(to_x - x, "C", "D"), "\b" * (x - to_x), key=len)
        )
    if to_x:
        across.append("\r" + _count(to_x, "C", "D"))
    return min(best, down + min(across, key=len), key=len)


def _count(by: int, on: str, back: str) -> str:
    if not by:
        return ""
    return f"\x1b[{abs(by) if abs(by) > 1 else ''}{on if by > 0 else back}"


def _needed(style: Style | None, cell: Cell) -> Style:
    """The style to write a cell with: a plain blank takes what is in hand, but for the background."""
    if style is None or cell[0] != " " or not cell[1].plain_when_blank:
        return cell[1]
    return style.on(cell[1].background)


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


class _Pen:
    """Where the terminal's cursor is, what it writes with, and what was written so far."""

    def __init__(self, screen: Screen, style: Style | None, erase: bool) -> None:
        self.out: list[str] = []
        self.style = style
        self._x, self._y = screen.x, screen.y
        self._columns = screen.columns
        self._erase = erase

    def take(self, cell: Cell) -> None:
        """Have a style in hand that this cell can be written with."""
        style = _needed(self.style, cell)
        if style != self.style:
            self.out.append(sgr(self.style, style))
            self.style = style

    def go(self, x: int, y: int) -> None:
        """Put the cursor there."""
        if (x, y) != (self._x, self._y):
            self.out.append(move(self._x, self._y, x, y))
            self._x, self._y = x, y

    def row(self, y: int, old: Row, new: Row) -> None:
        """Write the cells of a row that changed, from left to right."""
        changed = [
            x
            for x, (was, cell) in enumerate(zip(old, new, strict=True))
            if cell is not None and was != cell and cell[0]
        ]
        tail = self._blank_tail(new)
        end = -1
        for x in changed:
            if x < end:
                continue  # an erasure went over it
            self._reach(x, y, new)
            cell = new[x]
            assert cell is not None
            end = self._blanks(x, cell, new, changed[-1], tail) or self._one(x, cell)
            if end >= self._columns:
                break

    def _blank_tail(self, new: Row) -> int:
        """From which column on the row is one and the same blank that can be erased."""
        last = new[-1]
        start = self._columns
        if last is not None and self._erasable(last):
            while start and new[start - 1] == last:
                start -= 1
        return start

    def _erasable(self, cell: Cell) -> bool:
        style = cell[1]
        return cell[0] == " " and style.plain_when_blank and (self._erase or not style.background)

    def _reach(self, x: int, y: int, new: Row) -> None:
        """To a cell that changes: by a move, or by writing what lies between once more, if that is shorter."""
        here = self._x
        if self._y == y and here is not None and here < x <= here + _FAR:
            between = new[here:x]
            jump = move(here, y, x, y)
            target = new[x]
            assert target is not None
            over = self._rewritten(between, len(jump) + len(sgr(self.style, _needed(self.style, target))), target)
            if over is not None:
                self.out.append(over[0])
                self._x, self.style = x, over[1]
                return
        self.go(x, y)

    def _rewritten(self, cells: Row, most: int, then: Cell) -> tuple[str, Style] | None:
        text, style = "", self.style
        for cell in cells:
            if cell is None:
                return None
            needed = _needed(style, cell)
            text += sgr(style, needed) + cell[0]
            style = needed
            if len(text) > most:
                return None
        if style is None or _length(text) + len(sgr(style, _needed(style, then))) > most:
            return None
        return (text, style)

    def _blanks(self, x: int, cell: Cell, new: Row, last: int, tail: int) -> int:
        """Erase if that is shorter than writing spaces: how far, 0 if it is not."""
        if not self._erasable(cell):
            return 0
        if x >= tail:
            if last - x < 3:
                return 0
            self.take(cell)
            self.out.append("\x1b[K")
            return self._columns
        end = x
        while end <= last and new[end] == cell:
            end += 1
        code = f"\x1b[{end - x}X"
        # the cursor stays: what follows must be moved to
        if end - x <= len(code) + (len(move(x, 0, end, 0)) if end <= last else 0):
            return 0
        self.take(cell)
        self.out.append(code)
        return end

    def _one(self, x: int, cell: Cell) -> int:
        self.take(cell)
        self.out.append(cell[0])
        end = x + 1 if cell[0].isascii() else x + width_of(cell[0])
        self._x = end if end < self._columns else None
        return end
