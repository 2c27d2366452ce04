"""The CPU that all the compared hosts can run, and why it is that one; y copies it as a -cpu value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from msrtui.tui.view.lines import Line, dim, head, line, wrap
from msrtui.tui.widgets.detail_pane import DetailPane


class BaselineScreen(Screen["str | None"]):
    """Gives the ``-cpu`` value that is to be copied, None after Escape. ``text`` are its lines, ``cpu`` the value."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,b", "dismiss", "back", show=False),
        Binding("y", "copy", "copy", show=False),
    ]

    def __init__(self, text: Sequence[str], cpu: str | None, glyphs: Mapping[int, str]) -> None:
        super().__init__()
        self._text = text
        self._cpu = cpu
        self._glyphs = glyphs

    def compose(self) -> ComposeResult:
        """One text."""
        yield DetailPane(self._glyphs, id="baseline")

    def on_mount(self) -> None:
        """Take the keys."""
        self.query_one(DetailPane).focus()

    def on_resize(self) -> None:
        """Lines are broken at the width."""
        width = self.size.width
        if width:
            keys = "y copies it  Esc goes back" if self._cpu else "Esc goes back"
            lines = [line(head("Baseline"), dim(f"   {keys}")), Line()]
            for text in self._text:
                indent = " " * (len(text) - len(text.lstrip()))
                # the text keeps to 80 columns: on a narrower screen it is broken again
                broken = wrap(text, width - len(indent)) if len(text) > width else [line(text.lstrip())]
                lines += [Line(((indent, ""), *part.spans)) for part in broken or [Line()]]
            self.query_one(DetailPane).show_text(lines, keep=True)

    def action_copy(self) -> None:
        """Back, with the CPU to be copied."""
        self.dismiss(self._cpu)
