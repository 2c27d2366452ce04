"""The QEMUs that run on this host; Enter on one reads the KVM as that one does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from msrtui.lines import Line, wrap
from msrtui.report.running import RunningView
from msrtui.tui.view.running import running_lines
from msrtui.tui.widgets.detail_pane import DetailPane
from msrtui.tui.widgets.line_view import LineList


class RunningScreen(Screen["RunningView | None"]):
    """Gives the process that was chosen, None after Escape. ``whose``: the KVM that they were worked out with."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,u", "dismiss", "back", show=False)]

    def __init__(self, views: Sequence[RunningView], whose: str, glyphs: Mapping[int, str]) -> None:
        super().__init__()
        self._views = views
        self._whose = whose
        self._glyphs = glyphs

    def compose(self) -> ComposeResult:
        """One text with links."""
        yield DetailPane(self._glyphs, id="running")

    def on_mount(self) -> None:
        """Take the keys."""
        self.query_one(DetailPane).focus()

    def on_resize(self) -> None:
        """Rows are cut to the width."""
        if self.size.width:
            text = f"Worked out with the KVM of {self._whose}. Enter reads it as that QEMU does, Esc goes back."
            text = text if self._views else "Esc goes back."
            foot = [Line((("   ", ""), *part.spans)) for part in wrap(text, self.size.width - 4, "dim")]
            lines = [*running_lines(self._views, self.size.width), Line(), *foot]
            self.query_one(DetailPane).show_text(lines, keep=True)

    @on(LineList.Opened)
    def _chosen(self, message: LineList.Opened) -> None:
        message.stop()
        for view in self._views:
            if message.key == ("qemu", view.process.pid):
                self.dismiss(view)
                return
