"""Lines of text in roles. A role is what a piece of text is for; the theme says how that looks.

Text comes from kernels, files and host names: it is never read as markup, and what cannot be printed has
been taken out before it gets here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

from rich.cells import cell_len, set_cell_size

from msrtui.cleaning import printable as printable  # lines are made with it
from msrtui.values import dataclass

Role = Literal["", "dim", "head", "mark", "bad"]
"""Plain; in the background; a heading; what is to be noticed; what was refused."""

Span: TypeAlias = "tuple[str, Role]"


@dataclass(frozen=True)
class Line:
    """One line: its pieces from left to right, and what it stands for (None: it cannot be selected)."""

    spans: tuple[Span, ...] = ()
    key: object = None

    @property
    def text(self) -> str:
        """The line without its roles."""
        return "".join(text for text, _ in self.spans)

    @property
    def width(self) -> int:
        """In cells."""
        return cell_len(self.text)


def line(*spans: Span | str, key: object = None) -> Line:
    """A line from pieces; a bare str is plain."""
    return Line(tuple((span, "") if isinstance(span, str) else span for span in spans if span), key)


def dim(text: str) -> Span:
    """Text in the background."""
    return text, "dim"


def head(text: str) -> Span:
    """A heading."""
    return text, "head"


def mark(text: str) -> Span:
    """Text to be noticed."""
    return text, "mark"


def bad(text: str) -> Span:
    """What was refused or ended."""
    return text, "bad"


def cut(spans: Iterable[Span], width: int) -> tuple[Span, ...]:
    """Pieces cut to ``width`` cells; where something was cut off the last cell is an ellipsis."""
    pieces = list(spans)
    if sum(cell_len(text) for text, _ in pieces) <= width:
        return tuple(pieces)
    kept: list[Span] = []
    room = max(width - 1, 0)
    for text, role in pieces:
        if cell_len(text) > room:
            kept.append((set_cell_size(text, room) + ("…" if width else ""), role))
            break
        kept.append((text, role))
        room -= cell_len(text)
    return tuple(kept)


def ends(left: Iterable[Span | str], right: Iterable[Span | str], width: int, key: object = None) -> Line:
    """``left`` at the left end, ``right`` at the right end; the left gives way."""
    right_spans = line(*right).spans
    taken = sum(cell_len(text) for text, _ in right_spans)
    left_spans = cut(line(*left).spans, max(width - taken - 1, 0) if taken else width)
    gap = width - taken - sum(cell_len(text) for text, _ in left_spans)
    return Line((*left_spans, (" " * max(gap, 0), ""), *right_spans), key)


def wrap(text: str, width: int, role: Role = "", indent: str = "") -> list[Line]:
    """Prose broken into lines of ``width`` cells, at blanks and around characters two cells wide; later lines begin
    with ``indent``.
    """
    lines: list[Line] = []
    current = ""
    for part, glued in _parts(_NUMBERED.sub(_NO_BREAK, text)):
        start = current or (indent if lines else "")
        joined = start + part if glued or not current else f"{start} {part}"
        if current and cell_len(joined) > width:
            lines.append(Line(((current.replace(_NO_BREAK, " "), role),)))
            current = indent + part
        else:
            current = joined
    if current:
        lines.append(Line(((current.replace(_NO_BREAK, " "), role),)))
    return lines


_NO_BREAK = "\ue000"
"""Stands for a blank where no line may end: one cell wide as that is, and of Unicode's private use, so in no text."""
_NUMBERED = re.compile(r"(?<=[0-9]) (?=[\u2e80-\u9fff])")
"""The blank between a number and what it counts, where that is Chinese: no line ends there."""


_NOT_FIRST = frozenset("，。、；：！？）】》」』”’…—～,.;:!?)]")
"""What closes or ends stays on the line of what it closes."""
_NOT_LAST = frozenset("（【《「『“‘([")


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """What may stand on a line of its own, and whether no blank is before it.

    Chinese and Japanese have no blanks: a line may end at any of their characters, but not before a full stop.
    """
    for word in text.split():
        glued, part = False, ""
        for character in word:
            wide = cell_len(character) == 2
            if character == _NO_BREAK or part[-1:] == _NO_BREAK:
                part += character
                continue
            if not cell_len(character):  # an accent stays on what it is on
                part += character
                continue
            apart = part and (wide or cell_len(part[-1]) == 2)
            if apart and character not in _NOT_FIRST and part[-1] not in _NOT_LAST:
                yield part, glued
                glued, part = True, ""
            part += character
        yield part, glued


def grouped(value: int | None, digits: int = 16) -> str:
    """A value as people read it: hexadecimal in groups of four, all ``digits``; ``?`` for what is not known."""
    if value is None:
        return "?"
    return _groups(f"{value:0{digits}x}")


def _groups(text: str) -> str:
    first = len(text) % 4 or 4
    return "_".join([text[:first], *(text[at : at + 4] for at in range(first, len(text), 4))])


def short_value(value: int | None) -> str:
    """A value without leading zeros, in groups of four: ``100_0065``, ``0``."""
    return "?" if value is None else _groups(f"{value:x}")
