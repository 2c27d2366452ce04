"""What the rooms that the explorer is made of share: the exploration, and the one way to make a move in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from textual.screen import Screen

from msrtui.tui.exploration import Exploration


class Part(Screen[None]):
    """A part of the explorer; what shows the outcome of a move is made by who derives from it."""

    exploration: Exploration
    _glyphs: Mapping[int, str]

    def _do(self, move: Callable[[], object]) -> None:
        raise NotImplementedError

    def _note(self, text: str) -> None:
        self._do(lambda: self.exploration.note(text))
