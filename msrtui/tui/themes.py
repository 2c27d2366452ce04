"""The two themes of the house. Styles use variables only, so any theme of Textual's works as well."""

from __future__ import annotations

from collections.abc import Mapping

from textual.theme import Theme

DARK = Theme(
    name="msrtui-dark",
    primary="#7fb4ca",
    secondary="#8a9ba8",
    accent="#e6b450",
    warning="#e6b450",
    error="#e67e80",
    success="#7fb4ca",
    foreground="#d7dce0",
    background="#14181c",
    surface="#14181c",
    panel="#1e242a",
    dark=True,
)
LIGHT = Theme(
    name="msrtui-light",
    primary="#1f5f82",
    secondary="#5c6a75",
    accent="#8a5200",
    warning="#8a5200",
    error="#a8201a",
    success="#1f5f82",
    foreground="#1c2328",
    background="#fbfaf7",
    surface="#fbfaf7",
    panel="#ece9e2",
    dark=False,
)
THEMES = (DARK, LIGHT)


def choose(option: str | None, environment: Mapping[str, str]) -> str:
    """The theme's name: the option, MSRTUI_THEME, TEXTUAL_THEME; else the terminal's own colours where it has
    no 24-bit ones (ssh does not pass COLORTERM on), else the dark one."""
    for wanted in (option, environment.get("MSRTUI_THEME"), environment.get("TEXTUAL_THEME")):
        if wanted:
            return wanted
    if environment.get("COLORTERM", "") not in ("truecolor", "24bit"):
        return "ansi-dark"
    return DARK.name
