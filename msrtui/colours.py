"""The colours of the house: for the app's themes and for what is exported without it. A leaf.

Blue and amber, which every kind of colour vision tells apart; and no meaning is carried by colour alone. Text stands
at 4.5:1 or more against what is behind it, for a projector and with high contrast at 7:1, as tests measure.
"""

from __future__ import annotations

from typing import NamedTuple


class Palette(NamedTuple):
    """Colours as ``#rrggbb``: ``secondary`` is text in the background, ``accent`` what is to be noticed."""

    name: str
    primary: str
    secondary: str
    accent: str
    error: str
    foreground: str
    background: str
    panel: str
    dark: bool


DARK = Palette("msrtui-dark", "#7fb4ca", "#8a9ba8", "#e6b450", "#e67e80", "#d7dce0", "#14181c", "#1e242a", True)
LIGHT = Palette("msrtui-light", "#1f5f82", "#525f69", "#8a5200", "#a8201a", "#1c2328", "#fbfaf7", "#ece9e2", False)
CONTRAST = Palette("msrtui-contrast", "#9fd8ff", "#c8d0d6", "#ffd75f", "#ffb0ac", "#ffffff", "#000000", "#1c2b3a", True)
PROJECTOR = Palette(
    "msrtui-projector", "#003e66", "#3c4043", "#6b3500", "#7f0f0a", "#000000", "#ffffff", "#e6edf5", False
)
PALETTES = (DARK, LIGHT, CONTRAST, PROJECTOR)
