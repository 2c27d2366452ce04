"""The collector alone, fed to every Python 3.6 or later that is on this machine, as ssh and Ansible feed it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from msrtui.snapshot import codec, frames

_VERSION = "import sys; print('%d.%d' % sys.version_info[:2], sys.implementation.name)"


def _candidates() -> Iterator[str]:
    yield sys.executable
    yield "/usr/libexec/platform-python"
    for minor in range(6, 20):
        found = shutil.which(f"python3.{minor}", path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/local/bin")
        if found:
            yield found
    # where pyenv and uv keep theirs
    for pattern in (".pyenv/versions/*/bin/python3", ".local/share/uv/python/*/bin/python3"):
        yield from map(str, sorted(Path.home().glob(pattern)))


def _interpreters() -> dict[str, str]:
    """One of each version: {"cpython-3.11": path}; always the running one."""
    found: dict[str, str] = {}
    for path in _candidates():
        try:
            said = subprocess.run([path, "-I", "-S", "-c", _VERSION], capture_output=True, text=True, check=False)
        except OSError:
            continue
        version, _, name = said.stdout.strip().partition(" ")
        if said.returncode == 0 and tuple(map(int, version.split("."))) >= (3, 6):
            found.setdefault(f"{name}-{version}", path)
    return found


INTERPRETERS = _interpreters()


def _fed(root: Path, folder: Path, python: str, *options: str) -> bytes:
    source = (root / "msrtui" / "kvm" / "collector.py").read_bytes()
    child = subprocess.run(
        [python, "-I", "-W", "error", "-", *options], input=source, cwd=folder, capture_output=True, check=False
    )
    assert child.returncode == 0, child.stderr
    assert child.stderr == b""
    return child.stdout


def _told(data: bytes) -> dict[str, Any]:
    document = codec.read_document(data, "the collector")
    codec.decode(document, "the collector")
    return document


def test_the_running_python_is_among_them() -> None:
    assert f"{sys.implementation.name}-{sys.version_info[0]}.{sys.version_info[1]}" in INTERPRETERS


@pytest.mark.parametrize("name", INTERPRETERS)
def test_it_runs_from_standard_input_and_says_the_same(root: Path, tmp_path: Path, name: str) -> None:
    framed = _fed(root, tmp_path, INTERPRETERS[name])
    assert frames.has_frame(framed)
    taken = _told(framed)
    assert f"-{taken['made'].pop('python')}.".startswith(f"-{name.rpartition('-')[2]}.")
    here = _told(_fed(root, tmp_path, sys.executable, "--plain"))
    assert set(here["made"]) - {"python"} == set(taken.pop("made"))
    del here["made"]
    assert taken == here


@pytest.mark.parametrize("name", INTERPRETERS)
def test_an_argument_that_is_not_known_is_refused(root: Path, tmp_path: Path, name: str) -> None:
    collector = root / "msrtui" / "kvm" / "collector.py"
    said = subprocess.run(
        [INTERPRETERS[name], "-I", collector, "--all"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith("usage: ")
