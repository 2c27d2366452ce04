"""The second view of a word: all of its bits as a grid, each with how far its 1 came."""

from __future__ import annotations

from collections.abc import Sequence

from msrtui.lines import Line, Role, Span, dim, line
from msrtui.qemu.tables import FeatureWord
from msrtui.tui.view.detail.layers import Layer, cells_of

_LETTER = {"KVM": "k", "QEMU": "q", "migr": "m"}
"""How far a bit came that a guest does not get: the last layer that still has it."""


def grid_lines(word: FeatureWord, layers: Sequence[Layer], width: int) -> list[Line]:
    """Rows of 16 bits (32 where there is room), high bit left; every cell is one bit."""
    bits = 64 if word.kind == "msr" and not _narrow(word, layers) else 32
    row = 32 if width >= 60 and bits == 64 else 16
    lines = [_head(row)]
    for top in range(bits - 1, -1, -row):
        spans: list[Span] = [dim(f" {top:>2} ")]
        for at in range(row):
            bit = top - at
            spans.append((" " if at and at % 4 == 0 else "", ""))
            spans.append(_cell(layers, bit))
        spans.append(dim(f" {top - row + 1:<2}"))
        lines.append(line(*[span for span in spans if span[0]]))
    return [
        *lines,
        Line(),
        line(" 1 ", dim("the guest has it"), "  · ", dim("never set"), "  ? ", dim("not known")),
        line(" k q m ", dim("it is gone behind KVM, QEMU, migratable")),
    ]


def _narrow(word: FeatureWord, layers: Sequence[Layer]) -> bool:
    return not any((layer.value or 0) >> 32 for layer in layers) and not word.named_mask >> 32


def _head(row: int) -> Line:
    return line(dim("    " + " ".join("3210" if row < 16 else "····" for _ in range(row // 4)).replace("·", " ")))


def _cell(layers: Sequence[Layer], bit: int) -> Span:
    cells = cells_of(tuple(layers), bit)
    reached = [(layer, cell) for layer, cell in zip(layers, cells, strict=True) if layer.reached]
    if any(cell == "?" for _, cell in reached):
        return "?", "mark"
    last = [layer.name for layer, cell in reached if cell == "1"]
    if not last:
        return "·", "dim"
    if reached[-1][1] == "1":
        return "1", "head"
    role: Role = "mark"
    return _LETTER.get(last[-1], "-"), role
