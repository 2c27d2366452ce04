"""What all figures are built of: the room that they have, columns beside each other, bits by four."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size

from msrtui.lines import Line, Span, cut, dim, line, mark
from msrtui.values import dataclass


@dataclass(frozen=True)
class Room:
    """The cells that a figure may take."""

    width: int
    height: int

    @property
    def wide(self) -> bool:
        """Whether there is room for more than what has to be said."""
        return self.width >= 100


def beside(left: Sequence[Line], right: Sequence[Line], at: int) -> list[Line]:
    """Two columns, the right one from cell ``at`` on."""
    made = []
    for y in range(max(len(left), len(right))):
        one = cut(left[y].spans, at - 1) if y < len(left) else ()
        taken = sum(cell_len(text) for text, _ in one)
        other = right[y].spans if y < len(right) else ()
        made.append(Line((*one, (" " * (at - taken), ""), *other)) if other else Line(tuple(one)))
    return made


def filled(text: str, width: int) -> str:
    """Text cut or filled to ``width`` cells."""
    return set_cell_size(text, width)


def bits_by_four(value: int, lit: int = 0, bits: int = 32) -> list[Span]:
    """``·1·· ····``: the high bit left; those of ``lit`` are to be noticed, ``-`` where they were taken away."""
    spans: list[Span] = []
    for bit in range(bits - 1, -1, -1):
        sign = "1" if value >> bit & 1 else "-" if lit >> bit & 1 else "·"
        spans.append(mark(sign) if lit >> bit & 1 else (sign, "") if sign == "1" else dim(sign))
        if bit and bit % 4 == 0:
            spans.append((" ", ""))
    return spans


def bit_numbers(bits: int = 32) -> str:
    """The number of each group's high bit, over ``bits_by_four``."""
    return " ".join(f"{bit:<4}" for bit in range(bits - 1, -1, -4)).rstrip()


def bar(part: int, whole: int, width: int) -> list[Span]:
    """A bar whose filled part is ``part`` of ``whole``; never empty where there is something."""
    filled = 0 if not part else max(1, round(part * width / max(whole, 1)))
    return [("█" * filled, ""), dim("·" * (width - filled))]


def spread(blocks: Iterable[Sequence[Line]], height: int, least: int = 1) -> list[Line]:
    """Blocks under each other, as far apart as the height allows but never further than three rows.

    Where they do not even fit with ``least`` rows between them, they stand close.
    """
    kept = [list(block) for block in blocks if block]
    total, gaps = sum(map(len, kept)), max(len(kept) - 1, 1)
    gap = min(max((height - total) // gaps, 0), 3)
    gap = max(gap, least) if total + least * gaps <= height else 0
    made: list[Line] = []
    for block in kept:
        if made:
            made += [line()] * gap
        made += block
    return made
