"""A text that was broken for one width, broken anew for a narrower one; rows of tables stay rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msrtui.lines import Line, wrap


def reflow(text: Sequence[str], made_for: int, width: int) -> list[Line]:
    """The lines of ``text``, which keeps to ``made_for`` columns, for a screen of ``width``."""
    if width >= made_for:
        return [Line(((row, ""),)) for row in text]
    return [part for row in _paragraphs(text, made_for) for part in _broken(row, width)]


def _paragraphs(text: Sequence[str], made_for: int) -> Iterator[str]:
    """Lines that were one before they were broken are one again."""
    current: str | None = None
    last = ""
    for row in text:
        if current is not None and _goes_on(last, row, made_for):
            current = f"{current} {row.strip()}"
        else:
            if current is not None:
                yield current
            current = row
        last = row
    if current is not None:
        yield current


def _goes_on(before: str, row: str, made_for: int) -> bool:
    """Whether a line is the rest of the one before: its first word did not fit there, and it begins no less far in."""
    first = row.split(maxsplit=1)
    if not first or not before.strip() or _indent(row) < _indent(before):
        return False
    return len(before.rstrip()) + 1 + len(first[0]) > made_for


def _indent(row: str) -> int:
    return len(row) - len(row.lstrip())


def _broken(row: str, width: int) -> list[Line]:
    if len(row) <= width:
        return [Line(((row, ""),))]
    indent = " " * min(_indent(row), width // 2)
    parts = wrap(row, width - len(indent), "", "  ")
    return [Line(((indent, ""), *part.spans)) for part in parts]
