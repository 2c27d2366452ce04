"""What the screens that ask something have in common: a line to type in, and a list that moves while one types."""

from __future__ import annotations

from textual import events
from textual.strip import Strip
from textual.widgets import Input

from msrtui.tui.widgets.line_view import LineList


class ChoiceList(LineList, can_focus=False):
    """A list whose cursor is always seen: the keys go to a line above it, and the screen moves it.

    Posts LineList.Highlighted when the cursor moved, and LineList.Opened on a click.
    """

    def render_line(self, y: int) -> Strip:
        """The heading, then the rows from the first one in view."""
        if y == 0:
            return super().render_line(y)
        place = y - 1 + self._top
        here = place == self._cursor and place < len(self._lines) and self.selected is not None
        return self._strip(self._at(self._lines, place), cursor=here)

    def on_click(self, event: events.Click) -> None:
        """A click chooses: there is nothing else to be done with a row."""
        place = event.y - 1 + self._top
        event.prevent_default()
        if event.y > 0 and place < len(self._lines) and self._lines[place].key is not None:
            self.move_to(place)
            self.post_message(self.Opened(self, self.selected))

    def page(self) -> int:
        """How many rows PgDn moves."""
        return max(self._visible - 1, 1)


class QuietInput(Input):
    """A line to type in where nothing blinks and nothing that is typed or filled in is read as markup."""

    def __init__(self, value: str = "", placeholder: str = "", *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(value, placeholder, id=id, select_on_focus=False, compact=True)

    def on_mount(self) -> None:
        """A cursor that blinks costs bytes all day, over ssh as well."""
        self.cursor_blink = False
