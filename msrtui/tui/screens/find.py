"""Find anything: one line to type in, and what it can mean below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual import on
from textual.app import ComposeResult
from textual.widgets import Input

from msrtui.lines import Line, dim, head, line
from msrtui.subjects import Subject
from msrtui.tui.screens.choices import ChoiceList, ChoiceScreen, QuietInput
from msrtui.tui.view.finding import Entry, entry_lines, nearest, rank
from msrtui.tui.widgets.line_view import LineView

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


class FindScreen(ChoiceScreen[Subject | None]):
    """Takes the entries of ``view.finding.entries`` and gives the subject of the one chosen, None after Escape."""

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
        query = self.query_one("#find-input", Input).value
        heading, rows = self._rows(query, width)
        first = next((row.key for row in rows if row.key is not None), None)
        self.choices.show_list(heading, rows, first)

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

    def choose(self, key: object) -> None:
        """Go there."""
        if isinstance(key, tuple):
            self.dismiss(key)
