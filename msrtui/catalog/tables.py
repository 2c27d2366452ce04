"""Reads the JSON tables that stand beside this file. It knows nothing of what is in them."""

from __future__ import annotations

import json
import os.path
from typing import Any

_HERE = os.path.dirname(__file__)  # noqa: PTH120 - pathlib costs more to import than the whole catalogue


def load_table(name: str) -> Any:
    """Return what the table ``name`` (``"names.json"``) holds, read anew at each call.

    Callers keep what they need of it: each table is read once, when something first asks for it.
    """
    with open(os.path.join(_HERE, name), encoding="utf-8") as file:  # noqa: PTH118, PTH123
        return json.load(file)
