"""What CONTRIBUTING says is so: its recipes find what they promise."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from msrtui.cli.commands import COMMANDS
from msrtui.cli.completing import commands
from msrtui.colours import PALETTES
from msrtui.qemu import conversation
from msrtui.qemu.rules import RULES
from msrtui.stage.talk import FIGURES
from msrtui.tui.themes import THEMES


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


SKIPS = {
    "conftest.py: _missing": "is what the others use",
    "cli/test_cli_serve.py: the file": "importorskip is a failure too: tests/conftest.py sees to it",
    "tui/test_tui_web.py: the file": "likewise",
    "host/test_host_look.py: missing": "looks at MSRTUI_TESTS_NO_SKIP itself, in the child of a namespace too",
    "kernels/test_kernels_console.py: test_it_shows_the_captures_counts_and_gives_the_line_back": "one of many is run",
    "kernels/test_kernels_probe.py: test_a_guest_with_amx_is_not_known_and_the_reason_says_how_it_can_be_probed": (
        "of the hosts that are booted few have AMX"
    ),
}
"""Who may skip, by file and function, and why. A condition (skipif) says in its own words what it needs."""


def test_nothing_is_skipped_where_every_test_has_to_run(root: Path) -> None:
    """All else says ``missing(reason)``, which is a failure under MSRTUI_TESTS_NO_SKIP."""
    found = set()
    for path in (root / "tests").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in (*tree.body, *(each for one in tree.body if isinstance(one, ast.ClassDef) for each in one.body)):
            taken = {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
            if {"skip", "importorskip", "xfail"} & taken:
                found.add(f"{path.relative_to(root / 'tests').as_posix()}: {getattr(node, 'name', 'the file')}")
    assert found == set(SKIPS)


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


SMALL = ("kvm", "qemu", "transcript", "host", "snapshot", "explain", "compare", "one_file")
"""Rooms in whose row of the table each file is named."""


@pytest.mark.parametrize("room", [*SMALL, "cli", ""])
def test_each_file_of_a_small_room_is_named_in_the_rooms_row(root: Path, room: str) -> None:
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| `msrtui/{room or 'catalog'}`.*$", text, re.MULTILINE)
    files = {path.stem for path in (root / "msrtui" / room).glob("*.py")} - {"__init__"}
    if not room:
        files -= {"__main__"}
    if room == "cli":
        files -= {*COMMANDS, "explore"}  # a module a command; the app's options are those without one
    named = set(re.findall(r"`(\w+)\.py`", row))
    assert files == named


def test_a_theme_is_named_wherever_the_recipe_says(root: Path) -> None:
    names = [palette.name for palette in PALETTES]
    assert [theme.name for theme in THEMES] == names
    promised = (root / "tests" / "tui" / "test_tui_themes.py").read_text(encoding="utf-8").split("LEAST = ")[1]
    assert re.findall(r'"([\w-]+)": \d', promised.split("\n")[0]) == names
    (option,) = [each for app in commands() if not app.name for each in app.options if "--theme" in each.names]
    assert [name for name in names if name not in option.help] == []


def test_what_a_recipe_says_to_be_in_a_file_is_there(root: Path) -> None:
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8").replace("\n", " ")
    pairs = re.findall(r"`([\w-]+)(?:\(\))?`(?:,| or `[\w]+`)? +(?:in|of|\() *`([\w/.]+\.py)`", text)
    assert len(pairs) > 30
    for name, file in pairs:
        places = [root / "msrtui" / file, root / file, *root.glob(f"tests/*/{file}"), *root.glob(f"msrtui/**/{file}")]
        found = [place for place in places if place.is_file()]
        assert any(name in place.read_text(encoding="utf-8") for place in found), (name, file)
