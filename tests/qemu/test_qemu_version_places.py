"""Where a version of QEMU stands: each place has every version, and CONTRIBUTING names the places."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from startup_orders import GOLDEN
from test_qemu_every_bit import BUILDS
from worlds import PROFILES, RELEASES

from msrtui.errors import BadRequest
from msrtui.qemu import tables
from msrtui.qemu.capability_checks import CHECKS
from msrtui.qemu.profile import DEFAULT_VERSION, QemuProfile

NAME = re.compile(r"\d+\.\d+")
GUIDE = "CONTRIBUTING.md"


def section(root: Path) -> str:
    """What CONTRIBUTING says of a new version."""
    text = (root / GUIDE).read_text(encoding="utf-8")
    return text.split("\n## A new QEMU version\n")[1].split("\n## ")[0]


def told_in_the_readme(root: Path) -> str:
    """The paragraph that lists the versions."""
    text = (root / "README.md").read_text(encoding="utf-8")
    (told,) = re.findall(r"^\*\*Which QEMU\?\*\* (.*?)^$", text, re.MULTILINE | re.DOTALL)
    return str(told)


def places(root: Path) -> dict[str, set[str]]:
    """The versions that stand at each place where every version has to."""
    return {
        "msrtui/qemu/tables": set(tables.labels()),
        "CHECKS": set(CHECKS),
        "PROFILES": set(PROFILES),
        "tests/qemu/startup_orders.py": set(GOLDEN),
        "README": set(NAME.findall(told_in_the_readme(root).split("(`--qemu")[0])),
    }


def test_every_version_stands_at_every_place(root: Path) -> None:
    there = places(root)
    every = set().union(*there.values(), BUILDS.values(), [DEFAULT_VERSION])
    lack = {label: [place for place, labels in there.items() if label not in labels] for label in sorted(every)}
    assert {label: where for label, where in lack.items() if where} == {}, f"{GUIDE} says how a version is added"
    assert set(RELEASES) >= every


def test_the_guide_names_every_place(root: Path) -> None:
    text = section(root)
    assert [place for place in (*places(root), "RELEASES", "BUILDS", "DEFAULT_VERSION") if place not in text] == []
    for path in re.findall(r"`((?:msrtui|tests)/[\w./]+)`", text):
        assert (root / path).exists() or "12.0" in path, path


def test_no_other_place_in_the_program_names_a_version(root: Path) -> None:
    """A label in a string: 4.2 also stands where a sentence says since when an option is there."""
    named = {
        (path.relative_to(root / "msrtui").as_posix(), node.value)
        for path in (root / "msrtui").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in tables.labels()
    }
    checks = {("qemu/capability_checks.py", label) for label in CHECKS}
    assert named - checks == {("qemu/profile.py", DEFAULT_VERSION), ("explain/refused_write.py", "4.2")}


def test_the_default_is_the_one_that_is_told_of(root: Path) -> None:
    assert f"the default is {DEFAULT_VERSION})" in told_in_the_readme(root)
    page = (root / "msrtui" / "help" / "sources.txt").read_text(encoding="utf-8")
    assert f"--qemu ({DEFAULT_VERSION} where it is not given" in page


def test_the_builds_are_those_that_answered_and_that_the_readme_names(root: Path) -> None:
    for path in (root / "tests" / "data" / "answers").glob("*.json"):
        assert set(json.loads(path.read_text(encoding="ascii"))) == set(BUILDS), path.name
    assert f"({', '.join(BUILDS)})" in told_in_the_readme(root)


def test_a_table_that_is_gone_is_named() -> None:
    with pytest.raises(
        BadRequest, match=r"There is no table msrtui/qemu/tables/9\.9\.json; there are: 3\.1, 4\.0, .*11"
    ):
        assert QemuProfile("9.9").tables


def _pairs(path: Path) -> Iterator[int]:
    """The lines with a (major, minor) that a version is compared with."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        held: list[ast.expr] = []
        if isinstance(node, ast.Compare) and re.search(r"version$", ast.unparse(node.left)):
            held = node.comparators
        elif isinstance(node, ast.keyword) and node.arg in ("since", "until"):
            held = [node.value]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("machine_at_most", "_case")):
            held = node.args
        elif isinstance(node, ast.Assign) and re.search(r"_(SINCE|UNTIL|FIRST|LAST)$", ast.unparse(node.targets[0])):
            held = [node.value]
        yield from (
            each.lineno
            for each in held
            if isinstance(each, ast.Tuple) and re.fullmatch(r"\(\d+, \d+\)", ast.unparse(each))
        )


def test_the_recipe_that_lists_the_pairs_finds_every_one(root: Path) -> None:
    (recipe,) = re.findall(r"`(grep -rnE [^`]*msrtui/qemu [^`]*)`", section(root))
    found = subprocess.run(["bash", "-c", recipe], cwd=root, capture_output=True, text=True, check=True).stdout
    listed = {tuple(line.split(":")[:2]) for line in found.splitlines()}
    pairs = {
        (path.relative_to(root).as_posix(), str(line))
        for path in (root / "msrtui").rglob("*.py")
        if "kvm" not in path.parts
        for line in _pairs(path)
    }
    assert len(pairs) > 50
    assert pairs <= listed


def test_each_function_that_the_guide_names_is_a_source_of_the_file_beside_it(root: Path) -> None:
    rows = re.findall(r"^   \| (.*) \| `(\w+\.py)`", section(root), re.MULTILINE)
    for functions, file in rows:
        text = (root / "msrtui" / "qemu" / file).read_text(encoding="utf-8")
        assert [name for name in re.findall(r"`(\w+)`", functions) if not re.search(rf"\b{name}\b", text)] == []
    # the others are the machinery that these are written in
    known = {file for _, file in rows}
    for path in (root / "msrtui" / "qemu").glob("*.py"):
        assert path.name in known or not set(_pairs(path)), path.name
