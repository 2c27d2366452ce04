"""What CONTRIBUTING says is so: its recipes find what they promise."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from msrtui.qemu import conversation
from msrtui.qemu.rules import RULES


def test_the_recipe_that_lists_the_rules_finds_every_one(root: Path) -> None:
    assert conversation  # which imports every room that registers rules
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"`(grep [^`]*fix_up[^`]*)`", text)
    found = subprocess.run(["bash", "-c", recipe], cwd=root, capture_output=True, text=True, check=True).stdout
    missed = [rule for rule in RULES if f'"{rule}"' not in found]
    assert len(RULES) > 50
    assert not missed
