"""The detail view: a text that scrolls, with a cursor that stands on its links."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.strip import Strip

from msrtui.lines import Line, dim, line
from msrtui.tui.widgets.line_view import LineList

_NO_LINE = Line()


class DetailPane(LineList):
    """Scrolls as a text. A line that stands for something is a link: the arrows stop there, Enter and a click follow.

    Until an arrow was pressed no link is chosen, and Enter opens nothing. Where the text is longer than the pane, the
    last row says how many lines are above and below.
    """

    _link: int | None = None
    _revealed: str | None = None
    """The heading whose part is kept in view while the text grows, until someone scrolls."""

    @property
    def selected(self) -> object:
        """What the chosen link stands for."""
        return self._lines[self._link].key if self._link is not None and self._link < len(self._lines) else None

    def show_text(self, lines: Sequence[Line], *, keep: bool) -> None:
        """Show another subject from its top, or (``keep``) the same one where it stands."""
        heading, rows = (lines[0], list(lines[1:])) if lines else (_NO_LINE, [])
        if not keep:
            if self._top:
                self.refresh()  # every row stands elsewhere now
            self._cursor = self._top = 0
            self._link = self._revealed = None
        elif self._link is not None and (self._link >= len(rows) or rows[self._link].key is None):
            self._link = None
        place = self._place
        self.show_list(heading, rows)
        if place != self._place:
            self.refresh_row(self.size.height - 1)
        if self._revealed is not None:
            self.reveal(self._revealed)

    @property
    def _too_long(self) -> bool:
        return len(self._lines) > max(self.size.height - 1, 1) > 1

    @property
    def _visible(self) -> int:
        return max(self.size.height - 1 - self._too_long, 1)

    @property
    def _place(self) -> str:
        """What the last row says of a text that is too long."""
        if not self._too_long:
            return ""
        below = max(len(self._lines) - self._top - self._visible, 0)
        if not self._top:
            return f" {below} more lines below"
        return f" {self._top} lines above, {below} below" if below else f" {self._top} lines above"

    def render_line(self, y: int) -> Strip:
        """As a list does, but for the row that says where in the text one is."""
        if self._too_long and y == self.size.height - 1:
            return self._strip(line(dim(self._place)))
        return super().render_line(y)

    def reveal(self, heading: str) -> None:
        """Scroll as little as brings the part under this heading into view, as much of it as fits."""
        self._revealed = heading
        place = next((at for at, row in enumerate(self._lines) if row.text.strip() == heading), None)
        if place is None:
            return
        end = next((at for at in range(place, len(self._lines)) if not self._lines[at].text.strip()), len(self._lines))
        if end > self._top + self._visible:
            super()._scroll(max(min(place, end - self._visible), 0) - self._top)

    def _scroll(self, by: int) -> None:
        self._revealed = None
        super()._scroll(by)

    def move(self, by: int) -> None:
        """To the next link in view, else scroll."""
        step = 1 if by > 0 else -1
        if abs(by) == 1:
            start = self._link if self._link is not None and self._in_view(self._link) else self._edge(step)
            place = start + step
            while self._in_view(place):
                if self._lines[place].key is not None:
                    self._choose(place)
                    return
                place += step
        self._scroll(by)

    def move_to(self, place: int, direction: int = 1) -> None:
        """Scroll to a line."""
        self._scroll(place - self._top)

    def on_click(self, event: events.Click) -> None:
        """A click follows a link."""
        place = event.y - 1 + self._top
        if event.y > 0 and self._in_view(place) and self._lines[place].key is not None:
            self._choose(place)
            self.post_message(self.Opened(self, self._lines[place].key))

    def _edge(self, step: int) -> int:
        return self._top - 1 if step > 0 else self._end

    @property
    def _end(self) -> int:
        """The first line below what is shown."""
        return min(self._top + self._visible, len(self._lines))

    def _in_view(self, place: int) -> bool:
        return self._top <= place < self._end

    def _choose(self, place: int) -> None:
        before, self._link, self._cursor = self._link, place, place
        for row in (before, place):
            if row is not None:
                self.refresh_row(row - self._top + 1)

    def _scroll_to_cursor(self) -> None:
        self._top = max(0, min(self._top, max(len(self._lines) - self._visible, 0)))

    def _resized(self) -> None:
        self._scroll_to_cursor()  # a text stays where it was read

    def _shows_cursor(self) -> bool:
        return self._link is not None
