"""Lines as an SVG that stands alone: nothing in it is fetched from anywhere, and the same lines give the same bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from html import unescape

from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from msrtui.colours import Palette
from msrtui.lines import Line, Role, printable

_FACE = "@font-face"
_MADE_BY = ("<!--", "-->")
_SIXTEEN = ((0, 0, 0),) * 16
"""The colours of a terminal, none of which is used."""


def svg_of_lines(lines: Sequence[Line], columns: int, palette: Palette, title: str, glyphs: dict[int, str]) -> str:
    """A page as a window called ``title``."""
    console = Console(
        width=columns,
        height=len(lines),
        record=True,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
        _environ={},
    )
    looks = _looks(palette)
    for entry in lines:
        text = Text(no_wrap=True, overflow="crop")
        for said, role in entry.spans:
            text.append(printable(said).translate(glyphs), looks[role])
        console.print(text, soft_wrap=True, highlight=False)
    theme = TerminalTheme(_rgb(palette.background), _rgb(palette.foreground), list(_SIXTEEN[:8]), list(_SIXTEEN[8:]))
    return standing_alone(console.export_svg(title=title, theme=theme, unique_id="msrtui"))


def standing_alone(drawn: str) -> str:
    """A picture of Rich's that fetches nothing and in which wide characters are wide.

    Rich names a font on a server: that goes, and the remark on who drew it. It gives a text as many cells as it has
    characters, also where a character takes two.
    """
    while (start := drawn.find(_FACE)) >= 0:
        end = drawn.index("}", start) + 1
        drawn = drawn[:start].rstrip() + drawn[end:]
    start, end = (drawn.find(sign) for sign in _MADE_BY)
    alone = drawn[:start] + drawn[end + len(_MADE_BY[1]) :] if 0 <= start < end else drawn
    return _TEXT.sub(_as_wide_as_it_is, alone)


_TEXT = re.compile(r'textLength="([0-9.]+)"([^>]*)>([^<]*)<')


def _as_wide_as_it_is(found: re.Match[str]) -> str:
    text = unescape(found[3])
    cells = cell_len(text)
    if not text or cells == len(text):
        return found[0]
    return f'textLength="{round(float(found[1]) / len(text) * cells, 3):g}"{found[2]}>{found[3]}<'


def _looks(palette: Palette) -> dict[Role, Style]:
    return {
        "": Style(color=palette.foreground),
        "dim": Style(color=palette.secondary),
        "head": Style(color=palette.foreground, bold=True),
        "mark": Style(color=palette.accent, bold=True),
        "bad": Style(color=palette.error, bold=True),
    }


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return red, green, blue
