"""The app in tmux with the driver that sends differences, and without it: the same screens."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyte
import pytest
from terminals import Terminal
from test_in_a_terminal import EPYC, at_rest

COMMAND = f"COLORTERM=truecolor MSRTUI_THEME=msrtui-dark {sys.executable} -m msrtui --qemu 7.2"


class Both:
    """Two terminals with the same app, one with the driver and one without; whatever is done is done to both."""

    def __init__(self) -> None:
        self.windows = [Terminal(80, 24, "PS1='ready$ ' sh -i") for _ in range(2)]
        for window, options in zip(self.windows, ("--diff-check", "--diff off"), strict=True):
            # from a shell with job control, so that Ctrl+Z has somewhere to go
            window.wait_for(lambda text: "ready$" in text)
            window.types(f"clear; {COMMAND} {options} {EPYC}")
            window.keys("Enter")

    def keys(self, *names: str) -> None:
        for window in self.windows:
            window.keys(*names)

    def resize(self, columns: int, rows: int) -> None:
        for window in self.windows:
            window.resize(columns, rows)

    def show_the_same(self, condition: Callable[[str], bool]) -> str:
        """Wait until both have come to that; then both must come to be one, colours included."""
        one, other = self.windows
        other.wait_for(condition)
        try:
            return one.wait_for(
                lambda text: condition(text) and text == other.screen() and self._coloured(one) == self._coloured(other)
            )
        except AssertionError as different:
            raise AssertionError(f"{different}\nand without it:\n{other.screen()}") from None

    @staticmethod
    def _coloured(window: Terminal) -> list[list[tuple[object, ...]]]:
        """Each row's cells up to its last character: tmux's capture leaves erased cells behind it out.

        A blank's foreground is not seen, and not kept where cells were erased.
        """
        lines = window._tmux("capture-pane", "-p", "-e", "-N").rstrip("\n").split("\n")
        screen = pyte.Screen(130, len(lines))
        pyte.Stream(screen).feed("\r\n".join(lines))
        return [
            [
                (cell.bg,) if cell.data == " " and not cell.reverse and not cell.underscore else tuple(cell)
                for cell in (screen.buffer[y][x] for x in range(len(text.rstrip())))
            ]
            for y, text in enumerate(screen.display)
        ]


@pytest.fixture
def both(need_tool: Callable[[str], str]) -> Iterator[Both]:
    """The two; they are gone afterwards."""
    need_tool("tmux")
    opened = Both()
    yield opened
    for window in opened.windows:
        window.kill()


def test_the_same_screens_through_keys_resizes_and_a_suspend(both: Both) -> None:
    first = both.show_the_same(at_rest)
    both.keys("<")
    both.show_the_same(lambda text: "Nothing is asked yet" in text)
    both.keys("n")
    both.show_the_same(lambda text: "open(/dev/kvm)" in text)
    both.keys(*["n"] * 8)
    both.show_the_same(lambda text: "KVM_GET_MSR_INDEX_LIST" in text or "KVM_" in text)
    both.keys(">", "PageDown", "Down")
    both.show_the_same(lambda text: "│ FEAT_ARCH_CAPABILITIES" not in text and "not asked yet" not in text)
    both.keys("z")
    both.show_the_same(lambda text: "kvm_feature_msrs" not in text)
    both.keys("?")
    both.show_the_same(lambda text: "Esc goes back" in text)
    both.keys("Escape")
    both.show_the_same(lambda text: "Esc goes back" not in text)
    both.keys("z", "1")
    # the count of lines says that what is worked out behind the screen is all there
    zoomed_out = both.show_the_same(lambda text: "CSTAR" in text and "15 more lines below" in text)
    both.resize(120, 40)
    both.show_the_same(lambda text: "emulated_msrs" in text)
    both.resize(60, 20)
    both.show_the_same(lambda text: "of 8" in text and "QEMU" in text)
    both.resize(80, 24)
    both.show_the_same(lambda text: text == zoomed_out)
    assert zoomed_out != first
    both.keys("C-z")
    for window in both.windows:
        window.wait_for(lambda text: "Stopped" in text or "suspended" in text.lower())
        window.types("clear; echo others write here; fg")
        window.keys("Enter")
    both.show_the_same(lambda text: text == zoomed_out)
    both.keys("q")
    # a terminal breaks a line wherever it ends
    tally = both.windows[0].wait_for(lambda text: "theappdrew" in "".join(text.split()))
    assert "0frameswerenotwhattheappdrew" in "".join(tally.split())


def test_ctrl_l_heals_what_was_drawn_over(both: Both) -> None:
    whole = both.show_the_same(at_rest)
    for window in both.windows:
        tty = window._tmux("display-message", "-p", "#{pane_tty}").strip()
        Path(tty).write_text("\x1b[5;1H\x1b[45m" + "WALL MESSAGE " * 12 + "\x1b[m")
        window.wait_for(lambda text: "WALL MESSAGE" in text)
    both.keys("C-l")
    both.show_the_same(lambda text: text == whole)
