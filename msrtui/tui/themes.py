"""The themes of the house. Styles use variables only, so any theme of Textual's works as well.

Blue and amber, which every kind of colour vision tells apart; and no meaning is carried by colour alone. Text stands
at 4.5:1 or more against what is behind it, on the themes for a projector and of high contrast at 7:1, as tests measure.
"""

from __future__ import annotations

from collections.abc import Mapping

from textual.theme import BUILTIN_THEMES, Theme

from msrtui.errors import BadRequest

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
    secondary="#525f69",
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
CONTRAST = Theme(
    name="msrtui-contrast",
    primary="#9fd8ff",
    secondary="#c8d0d6",
    accent="#ffd75f",
    warning="#ffd75f",
    error="#ffb0ac",
    success="#9fd8ff",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#1c2b3a",
    dark=True,
)
PROJECTOR = Theme(
    name="msrtui-projector",
    primary="#003e66",
    secondary="#3c4043",
    accent="#6b3500",
    warning="#6b3500",
    error="#7f0f0a",
    success="#003e66",
    foreground="#000000",
    background="#ffffff",
    surface="#ffffff",
    panel="#e6edf5",
    dark=False,
)
THEMES = (DARK, LIGHT, CONTRAST, PROJECTOR)


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
