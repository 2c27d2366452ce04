"""Find anything: one line to type in, and what it can mean below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, TypeAlias

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Input

from msrtui.tui.screens.choices import ChoiceList, QuietInput
from msrtui.tui.view.finding import Entry, entry_lines, nearest, rank
from msrtui.tui.view.lines import Line, dim, head, line
from msrtui.tui.widgets.line_view import LineList, LineView

Subject: TypeAlias = "tuple[object, ...]"

MOST = 200
"""Rows that are shown; who needs more than these types a letter more."""

_EXAMPLES = (
    ("10a  266  0xc0000081", "an MSR by its number: hexadecimal or decimal"),
    ("star  tsc dead  hsave", "an MSR or a flag by its name or parts of it"),
    ("mds-no  sse4_1  vmx ept", "a feature, as QEMU or another name calls it"),
    ("7_0_EDX  arch cap", "a feature word"),
    ("leaf 7  leaf d 1", "a leaf of KVM's CPUID table"),
    ("cap 153  irqchip", "a capability"),
    ("get_msrs  index list", "a question of QEMU's to KVM"),
)


class FindScreen(ModalScreen["Subject | None"]):
    """Takes the entries of ``view.finding.entries`` and gives the subject of the one chosen, None after Escape."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", show=False),
        Binding("down,ctrl+n", "move(1)", "next", show=False, priority=True),
        Binding("up", "move(-1)", "previous", show=False, priority=True),
        Binding("pagedown", "page(1)", "page on", show=False, priority=True),
        Binding("pageup", "page(-1)", "page back", show=False, priority=True),
    ]

    def __init__(self, entries: Sequence[Entry], glyphs: Mapping[int, str]) -> None:
        super().__init__()
        self._entries = entries
        self._glyphs = glyphs

    def compose(self) -> ComposeResult:
        """Heading, line, results, keys."""
        yield LineView(self._glyphs, id="find-title")
        yield QuietInput(placeholder="a number, a name, or parts of one", id="find-input")
        yield ChoiceList(self._glyphs, id="find-results")
        yield LineView(self._glyphs, id="find-keys")

    def on_mount(self) -> None:
        """Take the keys."""
        self.query_one("#find-input").focus()

    def on_resize(self) -> None:
        """Rows are cut to the width."""
        self._show()

    @on(Input.Changed)
    def _typed(self, message: Input.Changed) -> None:
        message.stop()
        self._show()

    def _show(self) -> None:
        width = self.size.width
        if not width:
            return
        self.query_one("#find-title", LineView).show([line(" ", head("Find"), dim("   by number or by name"))])
        self.query_one("#find-keys", LineView).show([line(dim(" Enter goes there  Up Down move  Esc back"))])
        results = self.query_one("#find-results", ChoiceList)
        query = self.query_one("#find-input", Input).value
        heading, rows = self._rows(query, width)
        first = next((row.key for row in rows if row.key is not None), None)
        results.show_list(heading, rows, first)

    def _rows(self, query: str, width: int) -> tuple[Line, list[Line]]:
        if not query.strip():
            wide = max(len(typed) for typed, _ in _EXAMPLES)
            rows = [line("  ", f"{typed:{wide}}   ", dim(meaning)) for typed, meaning in _EXAMPLES]
            return line(dim(f" {len(self._entries)} things have a name or a number, for example")), rows
        found = rank(query, self._entries, MOST)
        if found:
            count = f"{len(found)} found" if len(found) < MOST else f"the first {MOST}"
            return line(dim(f" {count}")), entry_lines(found, width)
        near = nearest(query, self._entries)
        heading = line(" Nothing is called that. Nearest to it:" if near else " Nothing is called that.")
        return heading, entry_lines(near, width)

    def action_move(self, by: int) -> None:
        """The cursor, while one types."""
        self.query_one("#find-results", ChoiceList).move(by)

    def action_page(self, by: int) -> None:
        """The cursor by a page."""
        results = self.query_one("#find-results", ChoiceList)
        results.move(by * results.page())

    @on(Input.Submitted)
    def _chosen(self, message: Input.Submitted) -> None:
        message.stop()
        self._choose(self.query_one("#find-results", ChoiceList).selected)

    @on(LineList.Opened)
    def _clicked(self, message: LineList.Opened) -> None:
        message.stop()
        self._choose(message.key)

    @on(LineList.Highlighted)
    def _moved(self, message: LineList.Highlighted) -> None:
        message.stop()  # the explorer's panes speak the same words

    def _choose(self, subject: object) -> None:
        if isinstance(subject, tuple):
            self.dismiss(subject)

    def action_leave(self) -> None:
        """Back without a choice."""
        self.dismiss(None)
