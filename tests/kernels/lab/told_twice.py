"""A booted host that two programs tell of: a C program and msrtui, in the same boot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import table
from comparing import Compared
from guests import Guest

from msrtui.snapshot.importers.kvmdump import convert

ROOT = Path(__file__).resolve().parents[3]


class Host(NamedTuple):
    """A booted guest, what the C program heard in it, and that as a snapshot's path."""

    guest: Guest
    dump: dict[str, Any]
    snapshot: dict[str, Any]
    path: Path

    def here(self, *arguments: str) -> str:
        """What msrtui, run here on the C program's capture, prints; ``SOURCE`` stands for it."""
        words = [str(self.path) if word == "SOURCE" else word for word in arguments]
        done = subprocess.run(
            [sys.executable, "-m", "msrtui", *words],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), (arguments, done.stderr)
        return done.stdout

    def tells(self, what: str, found: Compared, seconds: float) -> None:
        """A row of the table; no value may differ."""
        self.notes(what, found.values, len(found.differ), len(found.may), seconds)
        assert found.differ == []
        assert found.values

    def notes(self, what: str, values: int, disagree: int, excused: int, seconds: float) -> None:
        """A row of the table."""
        machine = self.guest.machine
        emulator = "Bochs" if machine.bochs else "QEMU TCG"
        cpu = machine.name.rsplit("-", 1)[0]
        table.ROWS.append(table.Row(self.guest.release, cpu, emulator, what, values, disagree, excused, seconds))


def dumped(guest: Guest, path: Path) -> Host:
    """The host as the C program hears it now."""
    dump = json.loads(guest.run("kvmdump").stdout)
    path.write_text(json.dumps(dump))
    return Host(guest, dump, convert(dump), path)
