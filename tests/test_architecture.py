"""The arrows between the layers, and that nothing below the app imports what only the app needs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HEADLESS = ("kvm", "qemu", "transcript", "catalog", "snapshot", "host", "compare", "explain", "report", "stage")

IMPORT_ALL = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, sys.argv[1] + "."):
    importlib.import_module(module.name)
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""


def test_the_arrows_of_the_design_hold(root: Path, need_tool: Callable[..., str]) -> None:
    lint = need_tool("lint-imports")
    said = subprocess.run([lint, "--no-cache"], cwd=root, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    counted = re.search(r"Contracts: (\d+) kept, (\d+) broken", said.stdout)
    assert counted is not None, said.stdout
    said_to_hold = (root / "pyproject.toml").read_text(encoding="utf-8").count("[[tool.importlinter.contracts]]")
    assert int(counted[1]) == said_to_hold >= 7, "layers, leaves, textual, I/O, fcntl, widgets, view"
    assert int(counted[2]) == 0


@pytest.mark.parametrize("layer", HEADLESS)
def test_importing_all_of_a_layer_below_the_app_never_imports_textual(root: Path, layer: str) -> None:
    command = [sys.executable, "-c", IMPORT_ALL, f"msrtui.{layer}"]
    child = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    imported = set(child.stdout.split())
    assert "msrtui" in imported
    assert "textual" not in imported


@pytest.mark.parametrize("layer", ["kvm", "qemu", "transcript", "catalog", "snapshot", "compare", "explain"])
def test_the_core_needs_nothing_but_the_standard_library(root: Path, layer: str) -> None:
    code = IMPORT_ALL + "assert not {n for n in sys.modules} & {'rich', 'psutil', 'textual'}"
    command = [sys.executable, "-c", code, f"msrtui.{layer}"]
    child = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr


@pytest.mark.parametrize("contract", ["is a leaf", "Only the app knows Textual"])
def test_what_holds_for_the_leaves_is_held_for_each_file_beside_the_rooms(root: Path, contract: str) -> None:
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    (held,) = [each for each in text.split("[[tool.importlinter.contracts]]") if contract in each.split("\n")[1]]
    named = set(re.findall(r'"msrtui\.(\w+)"', held.split("forbidden_modules")[0]))
    leaves = {path.stem for path in (root / "msrtui").glob("*.py") if not path.stem.startswith("__")}
    assert leaves | {"catalog"} <= named
