"""Reads the JSON tables that stand beside this file. It knows nothing of what is in them."""

from __future__ import annotations

import json
from typing import Any

from msrtui.resources import package_file, read


def load_table(name: str) -> Any:
    """Return what the table ``name`` (``"names.json"``) holds, read anew at each call.

    Callers keep what they need of it: each table is read once, when something first asks for it.
    """
    return json.loads(read(package_file(f"catalog/{name}")))
