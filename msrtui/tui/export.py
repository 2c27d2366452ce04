"""The screen as an SVG that stands alone, and as text."""

from __future__ import annotations

from typing import Any

from textual.app import App

from msrtui.stage.svg import standing_alone


def svg_of(app: App[Any]) -> str:
    """The screen as SVG."""
    return standing_alone(app.export_screenshot())


def text_of(app: App[Any]) -> str:
    """The screen as text, without colours. Textual has no other way to its cells; the tests read them like this too."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips) + "\n"
