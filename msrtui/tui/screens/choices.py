"""What the screens that ask something have in common: a line to type in, and a list that moves while one types."""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen, ScreenResultType
from textual.strip import Strip
from textual.widgets import Input

from msrtui.cleaning import printable
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

    def _on_paste(self, event: events.Paste) -> None:
        """What is pasted may be anybody's text: no control character of it gets any further.

        Textual calls the handler of each class in turn: Input's own comes next, and takes what is left here.
        """
        event.text = printable(event.text, " ")


class ChoiceScreen(ModalScreen[ScreenResultType]):
    """A line to type in and one ChoiceList below it: keys move the list's cursor, Enter and a click choose.

    A subclass composes the two and says in ``choose`` what a choice means.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", show=False),
        Binding("down,ctrl+n", "move(1)", "next", show=False, priority=True),
        Binding("up", "move(-1)", "previous", show=False, priority=True),
        Binding("pagedown", "page(1)", "page on", show=False, priority=True),
        Binding("pageup", "page(-1)", "page back", show=False, priority=True),
    ]

    @property
    def choices(self) -> ChoiceList:
        """What can be chosen."""
        return self.query_one(ChoiceList)

    def choose(self, key: object) -> None:
        """The row with this key was chosen; None where the list has none."""
        raise NotImplementedError

    def action_move(self, by: int) -> None:
        """The cursor, while one types."""
        self.choices.move(by)

    def action_page(self, by: int) -> None:
        """The cursor by a page."""
        self.choices.move(by * self.choices.page())

    def action_leave(self) -> None:
        """Back without a choice."""
        self.dismiss(None)

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        message.stop()
        self.choose(self.choices.selected)

    @on(LineList.Opened)
    def _clicked(self, message: LineList.Opened) -> None:
        message.stop()
        self.choose(message.key)

    @on(LineList.Highlighted)
    def _moved(self, message: LineList.Highlighted) -> None:
        message.stop()  # the explorer's panes speak the same words
