"""An error message in, what it means on this host out: pasted, or typed as far as one remembers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input

from msrtui.cleaning import printable
from msrtui.lines import Line, dim, head, line
from msrtui.report.shape import EXPLANATION_WIDTH
from msrtui.tui.screens.choices import QuietInput
from msrtui.tui.view.reflow import reflow
from msrtui.tui.widgets.detail_pane import DetailPane
from msrtui.tui.widgets.line_view import LineView

_HINT = "error: failed to set MSR 0x48b to 0x1582e00000000"
_MOST = 20_000
"""Characters of a pasted text: a log in full is for msrtui explain."""


class Explained(Message):
    """What a text means, in lines; ``text`` is the one that was asked about."""

    def __init__(self, text: str, lines: list[str]) -> None:
        super().__init__()
        self.text = text
        self.lines = lines


class PastedInput(QuietInput):
    """Takes a paste of many lines whole: what a log breaks in two is one message."""

    def _on_paste(self, event: events.Paste) -> None:
        event.text = " ".join(printable(event.text[:_MOST], " ").split())


class ExplainScreen(Screen[None]):
    """``explain`` gives the lines for a text; it may take a moment, and is called in a thread. ``whose``: the host."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", show=False, priority=True),
        Binding("tab,shift+tab", "other", "to the message and back", show=False, priority=True),
    ]

    def __init__(self, explain: Callable[[str], list[str]], whose: str, glyphs: Mapping[int, str]) -> None:
        super().__init__()
        self._explain = explain
        self._whose = whose
        self._glyphs = glyphs
        self._lines: list[str] = []

    def compose(self) -> ComposeResult:
        """Heading, the message, what it means."""
        yield LineView(self._glyphs, id="explain-title")
        yield PastedInput(placeholder=_HINT, id="explain-input")
        yield DetailPane(self._glyphs, id="explain-text")

    def on_mount(self) -> None:
        """Take the keys."""
        self.query_one("#explain-input").focus()

    def on_resize(self) -> None:
        """Lines are broken at the width."""
        self._show()

    def _show(self) -> None:
        width = self.size.width
        if not width:
            return
        keys = "Enter explains  Tab to the text and back  Esc leaves"
        title = [
            line(head("Explain"), "   an error message of QEMU, libvirt or the kernel", dim(f", on {self._whose}"))
        ]
        self.query_one("#explain-title", LineView).show(title)
        lines = [Line(), line(dim(keys))]
        lines += reflow(self._lines, EXPLANATION_WIDTH, width)
        self.query_one(DetailPane).show_text(lines, keep=True)

    @on(Input.Submitted)
    def _asked(self, message: Input.Submitted) -> None:
        message.stop()
        text = message.value.strip()
        if text:
            self._lines = ["", "Looking …"]
            self._show()
            self._work_out(text)

    @work(thread=True, exclusive=True, group="explain", exit_on_error=False)
    def _work_out(self, text: str) -> None:
        self.post_message(Explained(text, self._explain(text)))

    @on(Explained)
    def _explained(self, message: Explained) -> None:
        if self.query_one(Input).value.strip() == message.text:
            self._lines = ["", *message.lines]
            self._show()
            self.set_focus(self.query_one(DetailPane))

    def action_other(self) -> None:
        """To the message, or to what it means."""
        field = self.query_one(Input)
        self.set_focus(self.query_one(DetailPane) if self.focused is field else field)

    def action_leave(self) -> None:
        """Back."""
        self.dismiss(None)
