"""Snapshots made of the bundled ones, for the tests of fleets; the benchmark makes its own the same way."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from msrtui.resources import data_path
from msrtui.snapshot.codec import encode

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from fleet import made as made
from fleet import named as named
from fleet import turn_a_bit as turn_a_bit

EPYC = "amd-pvm-linux6.18"
SKYLAKE = "intel-skylake-bochs-linux6.12"


def bundled(name: str = EPYC) -> dict[str, Any]:
    """The document of a bundled host."""
    document = json.loads(Path(data_path("snapshots", f"{name}.json")).read_text(encoding="ascii"))
    assert isinstance(document, dict)
    return document


def written(document: dict[str, Any]) -> bytes:
    """As a capture writes it."""
    return encode(document).encode("ascii")
