"""The grid: what a terminal shows, and what it shows after a text with escape codes was written to it.

Only the codes that draw are known here: those that Textual's compositor writes, and those that the encoder does.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TypeAlias

from msrtui.tui.diff.style import Style, changed_by

Cell: TypeAlias = "tuple[str, Style]"
"""A character and its look; "" is the second half of a wide character.

A blank that shows nothing but its background has no other look than that: its foreground is not seen.
"""

Row: TypeAlias = "list[Cell | None]"
"""The cells of a row; None is one of which nothing is known."""

_TOKEN = re.compile(
    r"(?P<text>[^\x00-\x1f\x7f-\x9f]+)"
    r"|\x1b\[(?P<parameters>[0-9;]*)(?P<final>[mHABCDGKX])"
    r"|(?P<control>[\r\n\b])"
    r"|(?P<strange>.)",
    re.DOTALL,
)
_EMOJI = range(0x1F000, 0x20000)


class NotUnderstood(Exception):
    """A text holds something whose effect on the screen is not known here."""


@lru_cache(maxsize=4096)
def width_of(character: str) -> int:
    """How many cells a character takes: 1 or 2.

    Raises NotUnderstood where terminals differ: combining and invisible characters, emoji, what this Python's
    Unicode tables do not have yet. Ambiguous width is taken as 1, as Textual does.
    """
    if unicodedata.category(character) in ("Mn", "Me", "Mc", "Cf", "Cc", "Cn", "Cs", "Co", "Zl", "Zp"):
        raise NotUnderstood(character)
    if ord(character) in _EMOJI or 0x1160 <= ord(character) <= 0x11FF or 0xD7B0 <= ord(character) <= 0xD7FF:
        raise NotUnderstood(character)  # and Hangul's joining letters
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


@lru_cache(maxsize=1024)
def _blank(style: Style) -> Cell:
    return (" ", Style(background=style.background) if style.plain_when_blank else style)


class Screen:
    """What a terminal shows and where its cursor is; as a value: ``after`` gives the next one.

    ``x`` and ``y`` count from 0 and are None while unknown; ``x`` is ``columns`` when the last column was just
    written, which terminals take for different places. ``style`` is what is written next, None while unknown.
    """

    __slots__ = ("_cut", "columns", "rows", "style", "x", "y")

    def __init__(self, columns: int, rows: int) -> None:
        self.columns = columns
        nothing: Row = [None] * columns
        self.rows: list[Row] = [nothing] * rows  # rows are copied before they are written
        self.x: int | None = None
        self.y: int | None = None
        self.style: Style | None = None
        self._cut: list[tuple[Row, int]] = []

    def after(self, data: str) -> Screen:
        """The screen after ``data`` was written to it.

        Raises NotUnderstood for what does not draw or may move the whole screen.
        """
        screen = Screen.__new__(Screen)
        screen.columns, screen.rows, screen.x, screen.y, screen.style = (
            self.columns, list(self.rows), self.x, self.y, self.style,
        )  # fmt: skip
        screen._cut = []
        own: set[int] = set()
        for token in _TOKEN.finditer(data):
            text, parameters, final, control, strange = token.groups()
            if text is not None:
                screen._write(text, own)
            elif final == "m":
                try:
                    screen.style = changed_by(screen.style, parameters)
                except ValueError:
                    raise NotUnderstood(token.group()) from None
            elif final == "H":
                screen._go(parameters)
            elif final is not None:
                screen._relative(parameters, final, own)
            elif control is not None:
                screen._control(control)
            else:
                raise NotUnderstood(strange)
        if any(row[x] is None for row, x in screen._cut):
            raise NotUnderstood("half a wide character")
        return screen

    def shows_the_same_as(self, other: Screen) -> bool:
        """Whether all cells and the cursor's place are the same."""
        return (self.rows, self.x, self.y) == (other.rows, other.x, other.y)

    def _own(self, y: int, own: set[int]) -> Row:
        if y not in own:
            own.add(y)
            self.rows[y] = list(self.rows[y])
        return self.rows[y]

    def _write(self, text: str, own: set[int]) -> None:
        x, y, style = self.x, self.y, self.style
        if x is None or y is None or style is None:
            raise NotUnderstood(text)
        blank = _blank(style)
        if text.isascii():
            cells: list[Cell] = [(character, style) if character != " " else blank for character in text]
        else:
            cells = []
            for character in text:
                cells.append((character, style) if character != " " else blank)
                if character > "\x7f" and width_of(character) == 2:
                    cells.append(("", style))
        self._put(self._own(y, own), x, cells)
        self.x = x + len(cells)

    def _put(self, row: Row, x: int, cells: list[Cell]) -> None:
        end = x + len(cells)
        if end > self.columns:
            raise NotUnderstood("beyond the last column")
        # the other half of a wide character that is cut through: terminals do not agree on what becomes of it
        for half, tail in ((x - 1, x), (end, end)):
            if half >= 0 and tail < self.columns and (cell := row[tail]) is not None and not cell[0]:
                row[half] = None
                self._cut.append((row, half))
        row[x:end] = cells

    def _go(self, parameters: str) -> None:
        place = [int(part) if part else 1 for part in parameters.split(";")]
        y, x = max(place[0], 1) - 1, max(place[1] if len(place) > 1 else 1, 1) - 1
        if len(place) > 2 or y >= len(self.rows) or x >= self.columns:
            raise NotUnderstood(parameters)
        self.x, self.y = x, y

    def _relative(self, parameters: str, final: str, own: set[int]) -> None:
        if ";" in parameters or self.y is None:
            raise NotUnderstood(final)
        count = max(int(parameters or 1), 1)
        x, y = self.x, self.y
        if final == "G":
            x = count - 1
        elif final in "AB":
            y += count if final == "B" else -count
        elif x is None or x == self.columns:
            raise NotUnderstood(final)  # where that is, terminals differ
        elif final in "CD":
            x += count if final == "C" else -count
        else:
            if self.style is None or not self.style.plain_when_blank or (final == "K" and parameters not in ("", "0")):
                raise NotUnderstood(final)
            end = self.columns if final == "K" else min(x + count, self.columns)
            self._put(self._own(y, own), x, [_blank(self.style)] * (end - x))
        if not 0 <= y < len(self.rows) or (final in "CDG" and not 0 <= (x or 0) < self.columns):
            raise NotUnderstood(final)
        self.x, self.y = x, y

    def _control(self, control: str) -> None:
        if control == "\r":
            self.x = 0
        elif control == "\b" and self.x is not None and 0 < self.x < self.columns:
            self.x -= 1
        elif control == "\n" and self.y is not None and self.y + 1 < len(self.rows):
            self.x, self.y = None, self.y + 1  # whether the column is kept is the tty's affair
        else:
            raise NotUnderstood(repr(control))
