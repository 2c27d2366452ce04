"""Text from elsewhere without what cannot be printed: what people typed, for a sentence, and whole lines. A leaf.

Names and values that a snapshot or a kernel says go through ``kvm.collector.plain``, which drops what cannot be
printed and stays in the collector, for that travels alone. Here something is left in each one's place, so that a
reader sees that it was there and columns stay where they are.
"""

from __future__ import annotations

LIMIT = 60
"""Characters of what was typed that a sentence repeats."""


def printable(text: str, instead: str = "?") -> str:
    """The last gate before the terminal: whatever a file or a kernel put into a text, no control character leaves.

    ``instead`` stands for each character that has no picture: control, format and unassigned ones, ends of lines too.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else instead for c in text)


def typed(text: str) -> str:
    """What somebody typed, as a sentence repeats it: its beginning, in one line."""
    return printable(text[:LIMIT])
