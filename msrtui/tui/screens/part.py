"""What the rooms that the explorer is made of share: the exploration, and the one way to make a move in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from textual.screen import Screen

from msrtui.tui.exploration import Exploration
from msrtui.tui.permits import permits_of


class Part(Screen[None]):
    """A part of the explorer; what shows the outcome of a move is made by who derives from it."""

    exploration: Exploration
    _glyphs: Mapping[int, str]

    def _do(self, move: Callable[[], object]) -> None:
        raise NotImplementedError

    def _refused(self, action: str) -> bool:
        """Whether this may not be done here; then it is said at the foot why."""
        sentence = permits_of(self.app).refusal(action)
        if sentence is not None:
            self._note(sentence)
        return sentence is not None

    def _note(self, text: str) -> None:
        self._do(lambda: self.exploration.note(text))
