"""The Pythons of this machine, from 3.6 on: for what has to run under any of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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


def interpreters() -> dict[str, str]:
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
