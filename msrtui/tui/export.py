"""The screen as an SVG that stands alone."""

from __future__ import annotations

from textual.app import App

_FACE = "@font-face"
_MADE_BY = ("<!--", "-->")


def svg_of(app: App[object]) -> str:
    """The screen as SVG. Textual names a font on a server; a picture must not fetch anything, so that goes."""
    drawn = app.export_screenshot()
    while (start := drawn.find(_FACE)) >= 0:
        end = drawn.index("}", start) + 1
        drawn = drawn[:start].rstrip() + drawn[end:]
    start, end = (drawn.find(sign) for sign in _MADE_BY)
    return drawn[:start] + drawn[end + len(_MADE_BY[1]) :] if 0 <= start < end else drawn
