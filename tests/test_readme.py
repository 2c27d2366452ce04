"""What the README says of the command line is so."""

from __future__ import annotations

import re
from pathlib import Path

from msrtui.cli.commands import COMMANDS
from msrtui.resources import bundled_hosts


def test_every_command_stands_in_the_readmes_table_and_none_that_is_not_there(root: Path) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    rows = {found[1] for found in re.finditer(r"^\| `msrtui ([a-z]+)[^|]*\|", text, re.MULTILINE)}
    assert rows == set(COMMANDS)


def test_every_other_word_behind_msrtui_is_a_source(root: Path) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    for line in re.findall(r"(?:^|`|\| )msrtui ([^\s`|]+)", text, re.MULTILINE):
        assert line in COMMANDS or line in bundled_hosts() or line.endswith(".json") or line == "-", line


def test_every_file_that_it_links_to_is_there(root: Path) -> None:
    for name in ("README.md", "CONTRIBUTING.md", "snapshots/README.md"):
        page = root / name
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), (name, target)
