"""Widgets that show plain lines: a view, and a list with a cursor. Only rows that changed are drawn again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from msrtui.lines import Line, Role, printable

_NO_LINE = Line()
_CURSOR = "▸"


class LineView(Widget):
    """Shows lines from the top; what does not fit is not shown.

    ``glyphs`` is the str.translate table of the terminal's tier.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "line--dim",
        "line--head",
        "line--mark",
        "line--bad",
        "line--cursor",
    }
    ALLOW_SELECT = True

    def __init__(self, glyphs: Mapping[int, str], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._glyphs = dict(glyphs)
        self._lines: tuple[Line, ...] = ()
        self._looks: dict[tuple[Role, bool], Style] = {}
        """The style of each role, on the cursor's row or not; worked out once for each look of the widget."""

    @property
    def lines(self) -> tuple[Line, ...]:
        """What is shown."""
        return self._lines

    def show(self, lines: Sequence[Line]) -> None:
        """Show these lines instead; rows that stay as they are cost nothing."""
        before, self._lines = self._lines, tuple(lines)
        for y in range(max(len(before), len(self._lines))):
            if self._at(before, y) != self._at(self._lines, y):
                self.refresh_row(y)

    @staticmethod
    def _at(lines: Sequence[Line], y: int) -> Line:
        return lines[y] if y < len(lines) else _NO_LINE

    def refresh_row(self, y: int) -> None:
        """Draw one row again."""
        if 0 <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        """One row of cells."""
        return self._strip(self._at(self._lines, y))

    def _strip(self, shown: Line, *, cursor: bool = False, cursor_column: int = 0) -> Strip:
        base = self._look("", cursor)
        segments = [
            Segment(printable(text).translate(self._glyphs), self._look(role, cursor))
            for text, role in shown.spans
            if text
        ]
        strip = Strip(segments).adjust_cell_length(self.size.width, base)
        if cursor:
            if shown.text[cursor_column : cursor_column + 1].strip():
                cursor_column = 0  # a sign stands there already
            arrow = Strip([Segment(_CURSOR.translate(self._glyphs), self._look("mark", cursor))])
            strip = Strip.join([strip.crop(0, cursor_column), arrow, strip.crop(cursor_column + 1, self.size.width)])
        return strip

    def _look(self, role: Role, cursor: bool) -> Style:
        look = self._looks.get((role, cursor))
        if look is None:
            look = self.rich_style
            if role:
                look += self.get_component_rich_style(f"line--{role}", partial=True)
            if cursor:
                look += self.get_component_rich_style("line--cursor", partial=True)
            self._looks[role, cursor] = look
        return look

    def notify_style_update(self) -> None:
        """Another theme, or another state of the widget: the looks are not what they were."""
        self._looks.clear()
        super().notify_style_update()


class LineList(LineView, can_focus=True):
    """A heading and rows with a cursor; rows without a key are passed over."""

    class Highlighted(Message):
        """The cursor was moved to the row that stands for ``key``."""

        def __init__(self, pane: LineList, key: object) -> None:
            super().__init__()
            self.pane = pane
            self.key = key

        @property
        def control(self) -> LineList:
            """The list."""
            return self.pane

    class Opened(Highlighted):
        """The row was opened: Enter, or a second click."""

    def __init__(self, glyphs: Mapping[int, str], *, cursor_column: int = 0, id: str | None = None) -> None:  # noqa: A002
        super().__init__(glyphs, id=id)
        self._cursor_column = cursor_column
        self._heading = _NO_LINE
        self._cursor = 0
        self._top = 0

    @property
    def selected(self) -> object:
        """The key of the row under the cursor."""
        return self._lines[self._cursor].key if self._cursor < len(self._lines) else None

    @property
    def row(self) -> str:
        """The text of the row under the cursor, "" where none is shown."""
        return self._lines[self._cursor].text if self._cursor < len(self._lines) and self._shows_cursor() else ""

    def show_list(self, heading: Line, rows: Sequence[Line], selected: object = None) -> None:
        """Show these rows; the cursor goes to the row of ``selected``, else it stays where it can."""
        if heading != self._heading:
            self._heading = heading
            self.refresh_row(0)
        before, top, cursor = self._lines, self._top, self._cursor
        self._lines = tuple(rows)
        keys = [row.key for row in rows]
        if selected is not None and selected in keys:
            self._cursor = keys.index(selected)
        self._cursor = max(0, min(self._cursor, len(rows) - 1))
        self._scroll_to_cursor()
        if self._top != top:
            self.refresh()
            return
        for y in range(max(len(before), len(self._lines))):
            if self._at(before, y) != self._at(self._lines, y) or (
                self._cursor != cursor and y in (cursor, self._cursor)
            ):
                self.refresh_row(y - self._top + 1)

    def render_line(self, y: int) -> Strip:
        """The heading, then the rows from the first one in view."""
        if y == 0:
            return self._strip(self._heading)
        place = y - 1 + self._top
        here = place == self._cursor and self.has_focus and place < len(self._lines)
        return self._strip(
            self._at(self._lines, place), cursor=here and self._shows_cursor(), cursor_column=self._cursor_column
        )

    def _shows_cursor(self) -> bool:
        return self.selected is not None

    @property
    def _visible(self) -> int:
        return max(self.size.height - 1, 1)

    def _scroll_to_cursor(self) -> None:
        if not self.size.height:
            return
        if self._cursor < self._top:
            self._top = self._cursor
        elif self._cursor >= self._top + self._visible:
            self._top = self._cursor - self._visible + 1
        self._top = max(0, min(self._top, max(len(self._lines) - self._visible, 0)))

    def move(self, by: int) -> None:
        """Move the cursor by rows, passing over what cannot be selected."""
        self.move_to(self._cursor + by, 1 if by > 0 else -1)

    def move_to(self, place: int, direction: int = 1) -> None:
        """Put the cursor on a row, or on the next one in ``direction`` that can be selected."""
        if not self._lines:
            return
        place = max(0, min(place, len(self._lines) - 1))
        while 0 <= place < len(self._lines) and self._lines[place].key is None:
            place += direction
        if not 0 <= place < len(self._lines):
            if direction < 0:
                self._top = 0  # the rows above the first that can be selected are worth seeing
                self.refresh()
            return
        top, cursor = self._top, self._cursor
        self._cursor = place
        self._scroll_to_cursor()
        if self._top != top:
            self.refresh()
        elif cursor != place:
            self.refresh_row(cursor - self._top + 1)
            self.refresh_row(place - self._top + 1)
        if cursor != place:
            self.post_message(self.Highlighted(self, self.selected))

    def press(self, key: str) -> bool:
        """Do what a key means here: arrows, the keys vi left behind, Enter. False where it means nothing."""
        page = max(self._visible - 1, 1)
        moves = {"down": 1, "j": 1, "up": -1, "k": -1, "pagedown": page, "pageup": -page}
        if key in moves:
            self.move(moves[key])
        elif key == "home":
            self.move_to(0)
        elif key == "end":
            self.move_to(len(self._lines) - 1, -1)
        elif key == "enter":
            self.post_message(self.Opened(self, self.selected))
        else:
            return False
        return True

    def on_key(self, event: events.Key) -> None:
        """A key that the screen has not taken."""
        if self.press(event.key):
            event.stop()
            event.prevent_default()

    def on_click(self, event: events.Click) -> None:
        """A click selects; on what is selected already it opens."""
        place = event.y - 1 + self._top
        if event.y == 0 or place >= len(self._lines) or self._lines[place].key is None:
            return
        if place == self._cursor and event.chain > 1:
            self.post_message(self.Opened(self, self.selected))
        else:
            before = self._cursor
            self.move_to(place)
            if before == place:
                self.post_message(self.Highlighted(self, self.selected))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Three rows on."""
        self._scroll(3)
        event.stop()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Three rows back."""
        self._scroll(-3)
        event.stop()

    def _scroll(self, by: int) -> None:
        top = max(0, min(self._top + by, max(len(self._lines) - self._visible, 0)))
        if top != self._top:
            self._top = top
            self.refresh()

    def on_focus(self) -> None:
        """Only the row under the cursor looks different."""
        self.refresh_row(self._cursor - self._top + 1)

    def on_blur(self) -> None:
        """Only the row under the cursor looks different."""
        self.refresh_row(self._cursor - self._top + 1)

    def on_resize(self) -> None:
        """As little scrolled away as the new height needs, and the cursor in view."""
        top = self._top
        self._resized()
        if self._top != top:
            self.refresh()

    def _resized(self) -> None:
        self._top = 0
        self._scroll_to_cursor()
