"""A capture's name and texts are untrusted: none of it moves a cursor or sets a title."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import struct
import sys
import termios
import time
from pathlib import Path


def test_a_capture_whose_name_holds_escape_codes_draws_like_any_other(root: Path, tmp_path: Path) -> None:
    hostile = tmp_path / "a\x1b]0;pwned\x07\x1b[31m\u202eX.json"
    shutil.copy(root / "tests" / "data" / "hosts" / "amd-pvm-linux6.18.json", hostile)
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(TERM="xterm-256color", LANG="C.UTF-8", LC_ALL="C.UTF-8", PYTHONPATH=str(root))
        os.execv(sys.executable, [sys.executable, "-m", "msrtui", str(hostile)])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    heard = b""
    end = time.monotonic() + 60
    while b"KVM index list" not in heard and time.monotonic() < end:
        if select.select([terminal], [], [], 1)[0]:
            heard += os.read(terminal, 65536)
    os.write(terminal, b"q")
    try:
        while chunk := os.read(terminal, 65536):
            heard += chunk
    except OSError:
        pass  # the app is gone and the terminal with it
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert b"KVM index list" in heard
    assert b"\x1b]0;pwned" not in heard
    assert "\u202e".encode() not in heard
