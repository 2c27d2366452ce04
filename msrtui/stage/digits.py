"""Big digits: five rows of five cells each, or a multiple of that."""

from __future__ import annotations

_ROWS = {
    "0": ("█████", "█   █", "█   █", "█   █", "█████"),
    "1": ("  █  ", " ██  ", "  █  ", "  █  ", "█████"),
    "2": ("█████", "    █", "█████", "█    ", "█████"),
    "3": ("█████", "    █", " ████", "    █", "█████"),
    "4": ("█   █", "█   █", "█████", "    █", "    █"),
    "5": ("█████", "█    ", "█████", "    █", "█████"),
    "6": ("█████", "█    ", "█████", "█   █", "█████"),
    "7": ("█████", "    █", "   █ ", "  █  ", "  █  "),
    "8": ("█████", "█   █", "█████", "█   █", "█████"),
    "9": ("█████", "█   █", "█████", "    █", "█████"),
}
HEIGHT = 5
_GAP = 2


def width_of(number: int, scale: int = 1) -> int:
    """The cells that ``number`` takes in a row."""
    return (len(str(number)) * (5 + _GAP) - _GAP) * scale


def big(number: int, scale: int = 1) -> list[str]:
    """A number not below 0 as ``HEIGHT * scale`` rows of text, all of the same width."""
    rows = []
    for y in range(HEIGHT):
        row = (" " * _GAP).join(_ROWS[digit][y] for digit in str(number))
        rows += ["".join(cell * scale for cell in row)] * scale
    return rows
