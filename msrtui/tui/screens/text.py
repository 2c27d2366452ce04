"""A text over the whole screen, with one value in it that can be copied: a baseline, a probe, an explanation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from msrtui.lines import Line, dim, head, line
from msrtui.report.shape import LINE
from msrtui.tui.view.reflow import reflow
from msrtui.tui.widgets.detail_pane import DetailPane


class TextScreen(Screen["str | None"]):
    """Gives the value that is to be copied (``copies``), None after Escape. ``text`` are lines without markup.

    ``made_for`` is the width that the text keeps to: on a narrower screen it is broken again.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "back", show=False),
        Binding("y", "copy", "copy", show=False),
    ]

    def __init__(
        self,
        title: str,
        text: Sequence[str],
        glyphs: Mapping[int, str],
        copies: str | None = None,
        *,
        made_for: int = LINE,
    ) -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._copies = copies
        self._made_for = made_for
        self._glyphs = glyphs

    def compose(self) -> ComposeResult:
        """One text."""
        yield DetailPane(self._glyphs, id="text")

    def on_mount(self) -> None:
        """Take the keys."""
        self.query_one(DetailPane).focus()

    def on_resize(self) -> None:
        """Lines are broken at the width."""
        width = self.size.width
        if width:
            keys = "y copies it  Esc goes back" if self._copies else "Esc goes back"
            lines = [line(head(self._title), dim(f"   {keys}")), Line()]
            lines += reflow(self._text, self._made_for, width)
            self.query_one(DetailPane).show_text(lines, keep=True)

    def action_copy(self) -> None:
        """Back, with the value to be copied."""
        if self._copies is not None:
            self.dismiss(self._copies)
