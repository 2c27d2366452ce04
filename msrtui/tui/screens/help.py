"""All keys, from the one keymap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from msrtui.tui.keymap import KEYMAP
from msrtui.tui.view.lines import Line, dim, head, line
from msrtui.tui.widgets.detail_pane import DetailPane


class HelpScreen(Screen[None]):
    """The keys and the signs; any of Escape, q and ? goes back."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark", "dismiss", "back", show=False)]

    def __init__(self, glyphs: Mapping[int, str]) -> None:
        super().__init__()
        self._glyphs = glyphs

    def compose(self) -> ComposeResult:
        """One text."""
        yield DetailPane(self._glyphs, id="help")

    def on_mount(self) -> None:
        """Show it."""
        pane = self.query_one(DetailPane)
        pane.show_text(help_lines(), keep=False)
        pane.focus()


def help_lines() -> list[Line]:
    """The help as lines."""
    lines = [line(" ", head("Keys"), dim("                    Esc goes back")), Line()]
    lines += [line(f" {key.shown:>10}   ", key.help) for key in KEYMAP]
    lines += [Line(), line(" ", head("Signs")), Line()]
    signs = (
        ("1", "the bit is set in this layer"),
        ("-", "it was set, and this layer took it away"),
        ("·", "never set; a phase that is still to come"),
        ("?", "not known: the source does not say"),
        ("✓", "QEMU keeps a flag for it; a phase that is behind"),
        ("≠", "a guest gets something else than KVM answered"),
        ("✗", "QEMU ended here"),
        ("k q m", "in the grid: the bit is gone behind KVM, QEMU, migratable"),
    )
    return lines + [line(f" {sign:>10}   ", text) for sign, text in signs]
