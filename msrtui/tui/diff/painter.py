"""Between what the app writes and what the terminal gets: frames become differences, all else goes through."""

from __future__ import annotations

import re
from contextlib import suppress

from msrtui.tui.diff.cells import NotUnderstood, Screen
from msrtui.tui.diff.encoder import difference
from msrtui.tui.diff.style import DEFAULT, Style, sgr

_SYNC_START, _SYNC_END = "\x1b[?2026h", "\x1b[?2026l"

_NOT_DRAWING = re.compile(
    r"(?:"
    # modes: wrap, cursor, mouse, focus, paste, synchronized update, size
    r"\x1b\[\?(?:7|25|1000|1002|1003|1004|1005|1006|1007|1015|1016|2004|2026|2048)[hl]"
    # is this mode known? kitty's keys; the cursor's shape; who are you?
    r"|\x1b\[\?[0-9]+\$p|\x1b\[[<>=?][0-9;]*u|\x1b\[[0-9]* q|\x1b\[[0-9]?c"
    # title, colours, notices, pointer, clipboard
    r"|\x1b\](?:[0124579]|1[0-9]|22|52|777|1[01][0-9])(?:;[^\x07\x1b]*)?(?:\x07|\x1b\\)"
    r"|\x07"
    r")+"
)
"""What leaves the cells, the cursor's place and the style alone. Hyperlinks (OSC 8) do not: they belong to cells."""

_CLEAN_END = re.compile(r"\x1b\[0?m[^\x00-\x1f\x7f-\x9f]*(?:\r?\n|\x1b\[[0-9;]*H[^\x00-\x1f\x7f-\x9f]*)*\Z")
_PLACED_END = re.compile(r"\x1b\[([0-9]+;[0-9]+)?H\Z")


class Mismatch(Exception):
    """The difference would not show what the app drew; its text is what to send instead."""


class Painter:
    """Keeps what a terminal shows, and turns what the app writes into what is to be sent.

    The app ends each frame with a reset, and begins the next with its colours again; here the terminal keeps the
    style it has in hand until another is needed, or until something is sent as it is.
    """

    def __init__(self, *, erase: bool = False) -> None:
        self._screen = Screen(0, 0)
        self._style: Style | None = None  # the terminal's; the screen's is the one that the app believes in
        self._erase = erase
        self._sync_held = False

    def forget(self, columns: int, rows: int) -> None:
        """The terminal has this size and may show anything; whoever drew on it may have left a style in hand."""
        style = self._screen.style
        self._screen, self._style = Screen(columns, rows), None
        self._screen.style = style  # what the app believes in stays so

    def lose(self, columns: int, rows: int) -> None:
        """Nothing is known any more, not even which style the app believes in."""
        self._screen, self._style = Screen(columns, rows), None

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        return (self._screen.columns, len(self._screen.rows))

    def send(self, data: str, *, check: bool = False) -> str:
        """What to send so that the terminal shows what it would after ``data``; never longer, but for the style.

        A frame's synchronized update begins with its first change, so a frame that changes nothing sends nothing.
        ``check``: write what is sent to the model too, and raise Mismatch, with ``data`` made fit to be sent,
        where that shows something else.
        """
        if data == _SYNC_START:
            self._sync_held = True
            return ""
        if data == _SYNC_END and self._sync_held:
            self._sync_held = False
            return ""
        if _NOT_DRAWING.fullmatch(data):
            return data
        before = self._screen
        as_it_is = ("" if before.style is None else sgr(self._style, before.style)) + data
        try:
            after = before.after(data)
            if after.x == after.columns or (after.y is not None and after.x is None):
                raise NotUnderstood("it ends where terminals differ")
        except NotUnderstood:
            self._screen = _known_after(data, before)
            self._style = self._screen.style
            return self._synced(as_it_is)
        sent, style = difference(before, after, self._style, erase=self._erase)
        if check:
            before.style = self._style
            if not before.after(sent).shows_the_same_as(after):
                self._screen = _known_after(data, before)
                self._style = self._screen.style
                raise Mismatch(self._synced(as_it_is))
        if len(sent) > len(as_it_is):
            sent, style = as_it_is, after.style
        self._screen, self._style = after, style
        return self._synced(sent)

    def _synced(self, sent: str) -> str:
        if sent and self._sync_held:
            self._sync_held = False
            return _SYNC_START + sent
        return sent


def _known_after(data: str, before: Screen) -> Screen:
    """Nothing, but that a text may end with a reset and a move."""
    screen = Screen(before.columns, len(before.rows))
    if _CLEAN_END.search(data):
        screen.style = DEFAULT
        if _PLACED_END.search(data):
            with suppress(NotUnderstood):
                screen = screen.after(data[data.rindex("\x1b") :])
    return screen
