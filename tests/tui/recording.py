"""A driver that keeps what the app writes, and a pyte terminal that shows it."""

from __future__ import annotations

from typing import Any, NamedTuple

import pyte
from pyte.screens import Char
from textual.drivers.headless_driver import HeadlessDriver


class RecordingDriver(HeadlessDriver):
    """A terminal driver without a terminal: each write of the app is kept."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.writes: list[str] = []

    @property
    def is_headless(self) -> bool:
        return False  # so that the app draws

    @property
    def can_suspend(self) -> bool:
        return True

    def start_application_mode(self) -> None:
        self.write("\x1b[?1049h")
        super().start_application_mode()

    def stop_application_mode(self) -> None:
        self.write("\x1b[?1049l")

    def write(self, data: str) -> None:
        self.writes.append(data)


class Look(NamedTuple):
    """All that one cell shows."""

    character: str
    foreground: str
    background: str
    bold: bool
    dim: bool
    italic: bool
    underline: bool
    reverse: bool
    strike: bool


class Terminal(pyte.Screen):
    """pyte's screen, which also knows dim: its blink, which nothing here uses, stands for it."""

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__(columns, rows)
        self._stream = pyte.Stream(self)

    def shows(self, data: str) -> Terminal:
        """Write to it."""
        # pyte draws the letter of what it does not know: kitty's keys and whether a mode is known
        for unknown in ("\x1b[>25u", "\x1b[<u", "\x1b[?2026$p", "\x1b[?2048$p"):
            data = data.replace(unknown, "")
        self._stream.feed(data)
        return self

    def select_graphic_rendition(self, *attrs: int, **_: Any) -> None:
        rest = list(attrs) or [0]
        while rest:
            code = rest.pop(0)
            if code in (38, 48):
                length = 2 if rest[:1] == [5] else 4
                super().select_graphic_rendition(code, *rest[:length])
                del rest[:length]
            elif code == 2:
                super().select_graphic_rendition(5)
            elif code == 22:
                super().select_graphic_rendition(22, 25)
            else:
                super().select_graphic_rendition(code)

    def looks(self) -> list[list[Look]]:
        """Every cell."""
        return [[self._look(self.buffer[y][x]) for x in range(self.columns)] for y in range(self.lines)]

    @staticmethod
    def _look(cell: Char) -> Look:
        unseen = cell.data == " " and not (cell.underscore or cell.reverse or cell.strikethrough)
        return Look(
            cell.data,
            # a blank that is neither underlined, struck nor reversed shows its background and nothing else
            "" if unseen else cell.fg,
            cell.bg,
            not unseen and cell.bold,
            not unseen and cell.blink,
            not unseen and cell.italics,
            cell.underscore,
            cell.reverse,
            cell.strikethrough,
        )


SESSION = (
    *["down"] * 8,
    *["up"] * 3,
    *("enter", "down", "down", "pagedown", "pageup", "backspace"),
    *("3", *["down"] * 6, "end", "home", "pagedown", "pageup"),
    *("tab", *["down"] * 6, "pagedown", "home"),
    *("tab", *["down"] * 12, "pagedown", "pagedown", "end", "home", "enter", "escape"),
    *("tab", *["down"] * 4, "enter", "escape", "up"),
    *("less_than_sign", *["n"] * 30, *["p"] * 6, "N", "N", "P", "N", "N", "greater_than_sign"),
    *("1", *["down"] * 5, "2", "down", "3", "down", "4", "down", "3"),
    *("z", *["down"] * 5, "z", "m", "down", "m"),
    *("question_mark", "escape", "colon", "1", "0", "a", "enter", "down", "down"),
    *("shift+tab", "down", "shift+tab", "down", "shift+tab", "down", "shift+tab"),
    *["p"] * 8,
    *["n"] * 8,
    *("3", *["down"] * 10, *["up"] * 10, "enter", "escape"),
    *("z", "z", "1", "2", "3", "4", "3", *["up"] * 3, "greater_than_sign", "down", "down", "up", "ctrl+l"),
)
"""200 keys through all panes."""
