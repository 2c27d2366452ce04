"""The QEMUs that are really run: the installed one, and each that MSRTUI_QEMUS (paths, separated by colons) names."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, NoReturn

from msrtui.qemu import tables

QEMUS = ("qemu-system-x86_64", *filter(None, os.environ.get("MSRTUI_QEMUS", "").split(os.pathsep)))


class Build(NamedTuple):
    """A QEMU program, and which profile is its: "7.2"."""

    program: str
    label: str


def build_of(program: str, missing: Callable[[str], NoReturn]) -> Build:
    """The program with the version that it says it is; ``missing`` hears of one that has no profile."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
    found = re.match(r"QEMU emulator version (\d+\.\d+)\.", said)
    if found is None or found[1] not in tables.labels():
        missing(f"needs a QEMU with a profile, {program} is {said.partition(chr(10))[0]}")
    return Build(program, found[1])


def named(program: str) -> str:
    """A short name of a program in a test's id."""
    return "-".join(Path(program).parts[-2:])
