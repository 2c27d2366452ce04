"""An app with one screen that asks something, for the tests of such screens."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import App
from textual.screen import Screen
from textual.theme import Theme

from msrtui.resources import data_path
from msrtui.tui import app
from msrtui.tui.themes import THEMES

STYLES = tuple(f"{name}.tcss" for name in app.STYLES)
"""All that the app has, as files."""


class Asking(App[None]):
    """Opens a screen over an empty one and keeps what it gives in ``answers``."""

    CSS_PATH: ClassVar[list[str]] = [data_path("styles", name) for name in STYLES]  # type: ignore[assignment]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, screen: Screen[Any], theme: Theme = THEMES[0]) -> None:
        super().__init__()
        self.asked = screen
        self.answers: list[Any] = []
        self.register_theme(theme)
        self.theme = theme.name
        self.animation_level = "none"

    def on_mount(self) -> None:
        self.push_screen(self.asked, self.answers.append)

    @property
    def shown(self) -> list[str]:
        """The screen as lines of text."""
        return [strip.text.rstrip() for strip in self.screen._compositor.render_strips()]

    @property
    def text(self) -> str:
        return "\n".join(self.shown)
