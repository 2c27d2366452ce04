"""What a wheel holds, and that msrtui finds its data in a checkout and in an unpacked wheel."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest


@pytest.fixture(scope="module")
def wheel(root: Path, missing: Callable[[str], NoReturn], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this checkout."""
    for module in ("build", "hatchling"):
        if importlib.util.find_spec(module) is None:
            missing(f"needs the Python package {module}")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(root)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as a folder of Python's path."""
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def _names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_a_wheel_has_every_style_and_every_snapshot(wheel: Path, root: Path) -> None:
    names = _names(wheel)
    for folder, ending in (("styles", ".tcss"), ("snapshots", ".json")):
        ours = {f"msrtui/_data/{path.relative_to(root)}" for path in (root / folder).rglob(f"*{ending}")}
        assert ours, f"the checkout has no {folder}/*{ending}"
        assert ours <= names


def test_a_wheel_has_every_module_and_table_of_the_package(wheel: Path, root: Path) -> None:
    kinds = (".py", ".json", ".html", ".css", ".js", ".txt", ".toml", ".template", ".mo")
    ours = {str(path.relative_to(root)) for path in (root / "msrtui").rglob("*") if path.suffix in kinds}
    assert "msrtui/tui/web/page.html" in ours
    assert "msrtui/qemu/tables/7.2.json" in ours
    assert any(name.startswith("msrtui/catalog/") and name.endswith(".json") for name in ours)
    assert ours <= _names(wheel)


def test_a_wheel_has_the_license_and_starts_the_program(wheel: Path) -> None:
    names = _names(wheel)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    (entry_points,) = [name for name in names if name.endswith("entry_points.txt")]
    with zipfile.ZipFile(wheel) as archive:
        assert "msrtui = msrtui.cli.__main__:main" in archive.read(entry_points).decode()


def test_a_wheel_has_nothing_beside_the_package(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in _names(wheel)}
    assert len(tops) == 2, tops
    assert "msrtui" in tops
    assert not [name for name in _names(wheel) if "__pycache__" in name or name.startswith("msrtui/tests")]


FIND = """
import msrtui, os
from msrtui import resources
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source
print(os.path.dirname(os.path.abspath(msrtui.__file__)))
for folder, ending in (("styles", ".tcss"), ("snapshots", ".json")):
    path = resources.data_path(folder)
    names = [name for _, _, files in os.walk(path) for name in files if name.endswith(ending)]
    print(path, bool(names))
print(QemuProfile("7.2").tables.label, [open_source(name).kind for name in resources.bundled_hosts()][:1])
"""


def _find(package_root: Path, cwd: Path) -> list[str]:
    child = subprocess.run(
        [sys.executable, "-c", FIND],
        env={**os.environ, "PYTHONPATH": str(package_root)},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    return child.stdout.splitlines()


def test_an_unpacked_wheel_finds_its_own_data(unpacked: Path, tmp_path: Path) -> None:
    assert _find(unpacked, tmp_path) == [
        str(unpacked / "msrtui"),
        f"{unpacked / 'msrtui' / '_data' / 'styles'} True",
        f"{unpacked / 'msrtui' / '_data' / 'snapshots'} True",
        "7.2 ['bundled']",
    ]


def test_a_checkout_finds_its_own_data(root: Path, tmp_path: Path) -> None:
    assert _find(root, tmp_path) == [
        str(root / "msrtui"),
        f"{root / 'styles'} True",
        f"{root / 'snapshots'} True",
        "7.2 ['bundled']",
    ]


def test_what_an_installation_lacks_is_named() -> None:
    from msrtui.resources import data_path

    with pytest.raises(FileNotFoundError, match=r"lacks styles/no-such\.tcss"):
        data_path("styles", "no-such.tcss")


def test_a_wheel_made_of_the_source_archive_is_the_same(wheel: Path, root: Path, tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path)]
    done = subprocess.run([*build, "--sdist", str(root)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        tops = {name.split("/")[1] for name in source.getnames() if "/" in name}
        source.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        source.extractall(tmp_path)
    assert {"msrtui", "styles", "snapshots", "tests", "README.md", "LICENSE", "CONTRIBUTING.md"} <= tops
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    done = subprocess.run([*build, "--wheel", str(unpacked)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (again,) = tmp_path.glob("*.whl")
    assert again.read_bytes() == wheel.read_bytes()
