"""The themes of the house, in the colours of ``colours.py``. Styles use variables only: all of Textual's do as well."""

from __future__ import annotations

from collections.abc import Mapping

from textual.theme import BUILTIN_THEMES, Theme

from msrtui.colours import DARK, PALETTES, Palette
from msrtui.errors import BadRequest


def _theme(palette: Palette) -> Theme:
    return Theme(
        name=palette.name,
        primary=palette.primary,
        secondary=palette.secondary,
        accent=palette.accent,
        warning=palette.accent,
        error=palette.error,
        success=palette.primary,
        foreground=palette.foreground,
        background=palette.background,
        surface=palette.background,
        panel=palette.panel,
        dark=palette.dark,
    )


THEMES = tuple(_theme(palette) for palette in PALETTES)


def choose(option: str | None, environment: Mapping[str, str]) -> str:
    """The theme's name: the option, MSRTUI_THEME, TEXTUAL_THEME; else the terminal's own colours where it has
    no 24-bit ones (ssh does not pass COLORTERM on), else the dark one. Raises BadRequest where there is none so called.
    """
    known = sorted({*BUILTIN_THEMES, *(theme.name for theme in THEMES)})
    for wanted in (option, environment.get("MSRTUI_THEME"), environment.get("TEXTUAL_THEME")):
        if wanted:
            if wanted not in known:
                raise BadRequest(f"There is no theme {wanted}; there are: {', '.join(known)}.")
            return wanted
    if environment.get("COLORTERM", "") not in ("truecolor", "24bit"):
        return "ansi-dark"
    return DARK.name


def background(name: str) -> str:
    """The background of the theme called so, as CSS has it."""
    theme = {**BUILTIN_THEMES, **{theme.name: theme for theme in THEMES}}[name]
    if theme.background is not None and theme.background.startswith("#"):
        return theme.background
    return "#121212" if theme.dark else "#e0e0e0"  # Textual's own; "ansi_default" is none of CSS's
