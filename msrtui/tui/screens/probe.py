"""Before a vCPU is made: what will be done on this machine, and whether it may write too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from msrtui.lines import Line, dim, head, line, wrap
from msrtui.tui.widgets.line_view import LineView

WIDTH = 60
HEIGHT = 16


class ProbeScreen(ModalScreen["bool | None"]):
    """Gives False for a look, True where writes are to be tried as well, None after Escape."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "dismiss(False)", "look", show=False),
        Binding("t", "dismiss(True)", "try", show=False),
        Binding("escape,q", "dismiss(None)", "back", show=False),
    ]

    def __init__(self, look: str, more: str, guest: str, glyphs: Mapping[int, str]) -> None:
        super().__init__()
        self._look = look
        self._more = more
        self._guest = guest
        self._glyphs = glyphs

    def compose(self) -> ComposeResult:
        """One panel."""
        yield LineView(self._glyphs, id="probe")

    def on_mount(self) -> None:
        """Show what will be done."""
        self.query_one("#probe", LineView).show(probe_lines(self._guest, self._look, self._more, WIDTH - 2))


def probe_lines(guest: str, look: str, more: str, width: int) -> Sequence[Line]:
    """The panel's lines."""
    return [
        line(head("Probe"), "  ", dim(guest[: width - 8])),
        Line(),
        *wrap(look, width),
        Line(),
        *wrap(more, width, "dim"),
        Line(),
        line(dim("Enter looks   t tries writes too   Esc leaves it")),
    ]
