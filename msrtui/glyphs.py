"""Three tiers of glyphs, the same cell for cell: full, narrow (nothing of ambiguous width), ascii."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

Tier = Literal["full", "narrow", "ascii"]

_NARROW = {"·": ".", "…": "~", "→": ">", "─": "-", "│": "|", "┬": "+", "┴": "+", "≠": "!", "█": "#"}
_ASCII = {**_NARROW, "✓": "*", "✗": "x", "▸": ">", "▾": "v"}
TABLES: Mapping[Tier, dict[int, str]] = {
    "full": {},
    "narrow": str.maketrans(_NARROW),
    "ascii": str.maketrans(_ASCII),
}
IN_TEXT = str.maketrans({**_ASCII, "…": "...", "→": "->", "≠": "!="})
"""ASCII for printed text, in whose lines a sign may take more than one cell."""


def choose(option: str | None, environment: Mapping[str, str]) -> Tier:
    """The tier for this terminal: the option, MSRTUI_GLYPHS, then what TERM and the locale say.

    The locale is read from the environment as the process got it: Python may have coerced its own.
    """
    wanted = option or environment.get("MSRTUI_GLYPHS", "")
    if wanted in ("full", "narrow", "ascii"):
        return wanted  # type: ignore[return-value]
    if environment.get("TERM", "") in ("linux", "vt100", "vt220", "dumb"):
        return "ascii"
    locale = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG") or ""
    if "utf8" not in locale.lower().replace("-", ""):
        return "ascii"
    return "narrow" if locale[:2] in ("zh", "ja", "ko") else "full"


def original_environment() -> dict[str, str]:
    """The environment that this process was started with; Python's own coercions are not in it."""
    try:
        with open("/proc/self/environ", "rb") as file:  # noqa: PTH123
            pairs = file.read().split(b"\0")
    except OSError:
        return dict(os.environ)
    found = dict(os.environ)
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        found.pop(name, None)
    for pair in pairs:
        key, _, value = pair.partition(b"=")
        name = key.decode("utf-8", "replace")
        if name in ("LC_ALL", "LC_CTYPE", "LANG"):
            found[name] = value.decode("utf-8", "replace")
    return found
