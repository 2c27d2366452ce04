"""Runs msrtui in a process of its own, as a shell would."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOSTS = ROOT / "tests" / "data" / "hosts"
EPYC = str(HOSTS / "amd-pvm-linux6.18.json")
SKYLAKE = str(HOSTS / "intel-skylake-bochs-linux6.12.json")
NO_KVM = str(HOSTS / "amd-nosvm-tcg-linux6.12.json")
NOT_ALLOWED = str(HOSTS / "amd-epyc-nonroot-tcg-linux6.12.json")
UNUSABLE = (NO_KVM, NOT_ALLOWED)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment in which the package of this checkout is found."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **(extra or {})}


def msrtui(
    arguments: Sequence[str], *, stdin: bytes | None = None, extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """The finished process, its output captured."""
    return subprocess.run(
        [sys.executable, "-m", "msrtui", *arguments],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        env=environment(extra),
        timeout=60,
        check=False,
    )


def one_sentence(stderr: str) -> str:
    """The sentence on standard error: one line, ours, no traceback."""
    (line,) = stderr.splitlines()
    assert line.startswith("msrtui: ")
    assert "Traceback" not in line
    return line.removeprefix("msrtui: ")
