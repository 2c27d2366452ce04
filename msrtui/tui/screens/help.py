"""All keys, from the one keymap, and below them the pages on what the screen shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from msrtui.lines import Line, dim, head, line, wrap
from msrtui.report.help import page_lines
from msrtui.tui.keymap import KEYMAP, Key
from msrtui.tui.widgets.detail_pane import DetailPane


class HelpScreen(Screen[None]):
    """The keys, the signs and the pages of ``topics``; any of Escape, q and ? goes back."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark", "dismiss", "back", show=False)]

    def __init__(self, glyphs: Mapping[int, str], keymap: Sequence[Key] = KEYMAP, topics: Sequence[str] = ()) -> None:
        super().__init__()
        self._glyphs = glyphs
        self._keymap = keymap
        self._topics = topics

    def compose(self) -> ComposeResult:
        """One text."""
        yield DetailPane(self._glyphs, id="help")

    def on_mount(self) -> None:
        """Take the keys."""
        self.query_one(DetailPane).focus()

    def on_resize(self) -> None:
        """Lines are broken at the width."""
        if self.size.width:
            self.query_one(DetailPane).show_text(help_lines(self.size.width, self._keymap, self._topics), keep=True)


def help_lines(width: int, keymap: Sequence[Key] = KEYMAP, topics: Sequence[str] = ()) -> list[Line]:
    """The help as lines of this width."""
    lines = [line(" ", head("Keys"), dim("                    Esc goes back")), Line()]
    for key in keymap:
        lines += _row(key.shown, key.help, width)
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
    for sign, text in signs:
        lines += _row(sign, text, width)
    for topic in topics:
        lines += [Line(), *page_lines(topic, width)]
    return lines


def _row(sign: str, text: str, width: int) -> list[Line]:
    told = wrap(text, max(width - 16, 20))
    return [line(f" {sign if place == 0 else '':>10}   ", *part.spans) for place, part in enumerate(told)]
