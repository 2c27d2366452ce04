"""What CONTRIBUTING says is so: its recipes find what they promise."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from msrtui.qemu import conversation
from msrtui.qemu.rules import RULES
from msrtui.stage.talk import FIGURES


def test_the_recipe_that_lists_the_rules_finds_every_one(root: Path) -> None:
    assert conversation  # which imports every room that registers rules
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"`(grep [^`]*fix_up[^`]*)`", text)
    found = subprocess.run(["bash", "-c", recipe], cwd=root, capture_output=True, text=True, check=True).stdout
    missed = [rule for rule in RULES if f'"{rule}"' not in found]
    assert len(RULES) > 50
    assert not missed


def test_every_room_is_in_the_table_and_the_arrows_are_those_that_are_held(root: Path) -> None:
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    held = re.findall(r'"msrtui\.(\w+)"', (root / "pyproject.toml").read_text(encoding="utf-8").split("layers = [")[1])
    (arrows,) = re.findall(r"^Arrows: `([^`]+)`", text, re.MULTILINE)
    rooms = arrows.split(" → ")
    assert rooms == held[: len(rooms)]
    assert "stage" in rooms
    for room in rooms:
        assert f"\n| `msrtui/{room}` | " in text


def test_the_command_that_compiles_translations_makes_the_file_that_is_kept(root: Path, tmp_path: Path) -> None:
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (code,) = re.findall(r'`python -c "(import polib[^"]*)"`', text)
    folder = tmp_path / "msrtui" / "locale"
    folder.mkdir(parents=True)
    shutil.copy(root / "msrtui" / "locale" / "zh.po", folder)
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)
    assert (folder / "zh.mo").read_bytes() == (root / "msrtui" / "locale" / "zh.mo").read_bytes()


def test_a_figure_is_named_wherever_the_recipe_says(root: Path) -> None:
    package = root / "msrtui"
    rooms = {path.stem for path in (package / "stage" / "figures").glob("*.py")} - {"__init__", "parts"}
    assert rooms == set(FIGURES)
    for place in ("cli/play.py", "stage/talks/new.template"):
        text = (package / place).read_text(encoding="utf-8")
        assert [name for name in FIGURES if not re.search(rf"\b{name}\b", text)] == []
