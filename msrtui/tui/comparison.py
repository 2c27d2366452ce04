"""What the compare screen shows, as one frozen value; the next one is made with ``dataclasses.replace``."""

from __future__ import annotations

from collections.abc import Mapping

from msrtui.compare.causes import Cause
from msrtui.compare.differences import Difference
from msrtui.compare.later import Turn
from msrtui.compare.pair import Common, Pair, WordPair
from msrtui.compare.verdict import MoveVerdict
from msrtui.explain.predict import Prediction
from msrtui.snapshot.sources import Source
from msrtui.tui.session import Subject
from msrtui.values import dataclass, field

REFERENCE = 0
"""The place of A among the sources: the others are held against it."""

GROUPS = ("msr", "feature_list", "index_list", "order", "capability", "cpuid", "kvm", "parameter", "mitigation", "fact")
"""What is compared beside the words, by the kind of the differences."""


@dataclass(frozen=True)
class Comparison:
    """Everything that the screen depends on.

    ``sources`` are all hosts; ``other`` is the place of B, the one whose words are shown beside A's. ``found`` is all
    that differs between the two, each with its likely cause in ``causes``. ``verdicts`` are those of the others, by
    place, as far as they are worked out: (A → it, it → A).
    """

    sources: tuple[Source, ...]
    other: int
    pair: Pair
    found: tuple[Difference, ...]
    causes: tuple[Cause | None, ...]
    subject: Subject
    home: Prediction
    """Whether A's guest starts on A."""
    focus: str = "rows"
    every: bool = False
    """All rows, not only those that differ."""
    opened: frozenset[object] = frozenset()
    common: Common | None = None
    turns: Mapping[str, Turn] | None = None
    """What newer QEMUs make of each word, once that was worked out."""
    verdicts: Mapping[int, tuple[MoveVerdict, MoveVerdict]] = field(default_factory=dict)
    refused: Mapping[int, str] = field(default_factory=dict)
    """Hosts that cannot be compared, by place, with the sentence that says why."""
    prints: Mapping[int, str] = field(default_factory=dict)
    """The fingerprints of saved hosts by place: those that answered alike have the same."""
    notice: str | None = None

    def alike(self, place: int) -> list[int]:
        """The places of the others that answered as this one did, itself included."""
        mine = self.prints.get(place)
        others = range(1, len(self.sources))
        return [other for other in others if other == place or (mine is not None and self.prints.get(other) == mine)]

    @property
    def groups(self) -> list[int]:
        """The place of the first of each group of others that answered alike."""
        return [place for place in range(1, len(self.sources)) if self.alike(place)[0] == place]

    @property
    def many(self) -> bool:
        """Whether there are hosts beside A and B."""
        return len(self.sources) > 2

    @property
    def word(self) -> WordPair | None:
        """The word that is looked at."""
        if self.subject[0] != "word":
            return None
        return next((each for each in self.pair.words if each.name == self.subject[1]), None)

    @property
    def differing(self) -> tuple[WordPair, ...]:
        """The words in which the two differ."""
        return tuple(each for each in self.pair.words if each.differs)


def letter(place: int) -> str:
    """A, B … Z, A1 …"""
    return chr(ord("A") + place % 26) + (str(place // 26) if place >= 26 else "")
