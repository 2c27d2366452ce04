"""The same KVM read by other QEMUs: one word, a line for each value that they make of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from msrtui.lines import Line, cut, dim, ends, line, mark, wrap
from msrtui.qemu.tables import FeatureWord
from msrtui.tui.session import Reading
from msrtui.tui.view.detail.parts import WIDEST


def others_lines(word: FeatureWord, readings: Sequence[Reading], qemu: str, width: int, rows: int) -> list[Line]:
    """Versions that agree stand together, oldest first; the one that is shown above is marked.

    In fewer ``rows`` than there are values they stand one behind the other.
    """
    if not readings:
        return []
    groups = [(list(group), key) for key, group in groupby(readings, key=lambda reading: _said(word, reading))]
    lines = [line(dim(" the same KVM, read by other QEMUs"))]
    if len(groups) + 1 > rows:
        told = "  ".join(f"{_names(group)}={value}" for group, (value, _) in groups)
        return [*lines, *(Line((("   ", ""), *part.spans)) for part in wrap(told, width - 4, "dim"))]
    for group, (value, note) in groups:
        here = any(reading.label == qemu for reading in group)
        names = _names(group)
        sign = mark(" ▸ ") if here else "   "
        shown = value if here else dim(value)
        room = min(width, WIDEST) - len(value) - 18
        lines.append(ends([sign, f"{names:<12} ", shown], [*cut([dim(note)], room), " "], min(width, WIDEST)))
    return lines


def _names(group: Sequence[Reading]) -> str:
    return group[0].label if len(group) == 1 else f"{group[0].label}-{group[-1].label}"


def _said(word: FeatureWord, reading: Reading) -> tuple[str, str]:
    if reading.ended is not None:
        said = reading.ended if len(reading.ended) <= 30 else f"{reading.ended[:29]}…"
        return ("-" if reading.ended.startswith("has no") else "ends"), said
    if word.name not in reading.words:
        return "-", "has no such word"
    value = reading.words[word.name]
    if value is None:
        return "?", "not known"
    bits = value.bit_count()
    return f"{value:#x}", f"{bits} bit{'' if bits == 1 else 's'}" if bits else reading.lost.get(word.name, "no bit")
