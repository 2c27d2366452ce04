"""The collector alone, fed to every Python 3.6 or later that is on this machine, as ssh and Ansible feed it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pythons import interpreters

from msrtui.snapshot import codec, frames

INTERPRETERS = interpreters()


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
