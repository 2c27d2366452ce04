"""The screen as an SVG that stands alone, and as text."""

from __future__ import annotations

from typing import Any

from textual.app import App

_FACE = "@font-face"
_MADE_BY = ("<!--", "-->")


def svg_of(app: App[Any]) -> str:
    """The screen as SVG. Textual names a font on a server; a picture must not fetch anything, so that goes."""
    drawn = app.export_screenshot()
    while (start := drawn.find(_FACE)) >= 0:
        end = drawn.index("}", start) + 1
        drawn = drawn[:start].rstrip() + drawn[end:]
    start, end = (drawn.find(sign) for sign in _MADE_BY)
    return drawn[:start] + drawn[end + len(_MADE_BY[1]) :] if 0 <= start < end else drawn


def text_of(app: App[Any]) -> str:
    """The screen as text, without colours. Textual has no other way to its cells; the tests read them like this too."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips) + "\n"
