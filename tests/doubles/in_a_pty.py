"""A program in a pseudo-terminal that answers like a terminal of today."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCED = [sys.executable, str(Path(__file__).with_name("fenced_app.py"))]
FENCE = b"\x1b]777;drawn\x07"
KEYS = {
    "down": b"\x1b[B",
    "up": b"\x1b[A",
    "home": b"\x1b[H",
    "end": b"\x1b[F",
    "pagedown": b"\x1b[6~",
    "pageup": b"\x1b[5~",
    "enter": b"\r",
    "tab": b"\t",
    "shift+tab": b"\x1b[Z",
    "escape": b"\x1b[27u",  # as a terminal with kitty's keys sends it: nothing to wait for behind it
    "backspace": b"\x7f",
    "less_than_sign": b"<",
    "greater_than_sign": b">",
    "question_mark": b"?",
    "colon": b":",
    "ctrl+l": b"\x0c",
    "f12": b"\x1b[24~",
}
_ANSWERS = ((b"\x1b[?2026$p", b"\x1b[?2026;2$y"), (b"\x1b[?2048$p", b"\x1b[?2048;0$y"))


class Pty:
    """Runs a program; ``columns`` by ``rows``, 24-bit colours. Linux only, like the driver that is tested with it."""

    def __init__(self, arguments: Sequence[str], columns: int = 80, rows: int = 24, theme: str = "msrtui-dark") -> None:
        known = {
            name: value
            for name, value in os.environ.items()
            if name not in ("NO_COLOR", "COLUMNS", "LINES", "SSH_CONNECTION", "SSH_TTY")
            and not name.startswith("MSRTUI_")
        }
        known |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT)}
        self.started = time.perf_counter()
        self.pid, self._fd = pty.fork()
        if not self.pid:
            fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execvpe(arguments[0], list(arguments), {**known, "MSRTUI_THEME": theme})
        self._seen = b""

    def more(self, seconds: float) -> bytes:
        """What comes next, nothing if that takes longer; its questions are answered."""
        if not select.select([self._fd], [], [], seconds)[0]:
            return b""
        try:
            data = os.read(self._fd, 1 << 16)
        except OSError:
            raise AssertionError(f"it ended: {self._seen[-2000:].decode(errors='replace')}") from None
        for question, answer in _ANSWERS:
            if question in data:
                os.write(self._fd, answer)
        return data

    def until(self, mark: bytes) -> bytes:
        """All up to a mark."""
        end = time.monotonic() + 60
        while mark not in self._seen:
            self._seen += self.more(1)
            if time.monotonic() > end:
                raise AssertionError(f"{mark!r} never came: {self._seen[-500:]!r}")
        found, self._seen = self._seen.split(mark, 1)
        return found

    def press(self, key: str) -> None:
        """Press a key, by Textual's name for it."""
        os.write(self._fd, KEYS.get(key, key.encode()))

    def drawn(self) -> bytes:
        """What it writes until everything that was begun is drawn; the program must be the fenced app."""
        self.press("f12")
        return self.until(FENCE)

    def close(self) -> None:
        """End it."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._fd)
