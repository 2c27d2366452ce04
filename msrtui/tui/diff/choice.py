"""Whether the terminal gets differences, and what it can do. Imports no driver until one is wanted."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msrtui.errors import BadRequest

if TYPE_CHECKING:
    from msrtui.tui.diff.driver import DiffDriver

CHOICES = ("auto", "on", "off")

_ERASES_IN_COLOUR = ("xterm", "tmux", "linux", "alacritty", "foot", "rxvt", "konsole", "wezterm", "kitty", "ghostty")
"""What TERM begins with where an erased cell keeps the background in hand; GNU screen's own is not among them."""


def wanted(option: str | None, environment: Mapping[str, str]) -> bool:
    """The option, else MSRTUI_DIFF, else auto: over ssh, where bytes are waited for.

    Raises BadRequest if MSRTUI_DIFF is none of the choices.
    """
    choice = option or environment.get("MSRTUI_DIFF") or "auto"
    if choice not in CHOICES:
        raise BadRequest(f"MSRTUI_DIFF is {choice!r}; it can be {', '.join(CHOICES[:-1])} or {CHOICES[-1]}.")
    if choice == "auto":
        return bool(environment.get("SSH_CONNECTION") or environment.get("SSH_TTY"))
    return choice == "on"


def driver_class(option: str | None, environment: Mapping[str, str], *, check: bool = False) -> type[DiffDriver] | None:
    """The driver for this terminal; None leaves the choice to Textual, whose web driver must stay what it is.

    ``check``: count the bytes and verify each frame. Raises BadRequest as ``wanted`` does.
    """
    if not wanted("on" if check and option is None else option, environment) or environment.get("TEXTUAL_DRIVER"):
        return None
    if sys.platform == "win32":
        return None
    try:
        from msrtui.tui.diff.driver import DiffDriver, Tally
    except ImportError:  # no termios: Textual has another driver there
        return None

    class ForThisTerminal(DiffDriver):
        erase = environment.get("TERM", "").startswith(_ERASES_IN_COLOUR)
        tally = Tally() if check else None

    return ForThisTerminal
