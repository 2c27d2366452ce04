"""A real terminal: tmux runs a command in it, keys go in, the screen is read back."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Terminal:
    """A tmux server of its own with one window of a given size."""

    def __init__(self, columns: int, rows: int, command: str) -> None:
        self.socket = f"msrtui-{uuid.uuid4().hex[:8]}"
        environment = {
            **{name: value for name, value in os.environ.items() if name not in ("TMUX", "COLORTERM", "NO_COLOR")},
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "COLUMNS": "80",  # as an exporting shell leaves it behind: the terminal's own size must win
            "LINES": "24",
            "PYTHONPATH": str(ROOT),
        }
        shell = f"{command}; echo status=$?; exec cat"
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), shell, env=environment)

    def _tmux(self, *arguments: str, env: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            ["tmux", "-L", self.socket, *arguments], capture_output=True, text=True, check=True, env=env, timeout=30
        )
        return done.stdout

    def keys(self, *names: str) -> None:
        self._tmux("send-keys", *names)

    def types(self, text: str) -> None:
        """As letters: tmux reads 0x10a among key names as one character."""
        self._tmux("send-keys", "-l", text)

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p")

    def resize(self, columns: int, rows: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def wait_for(self, condition: Callable[[str], bool]) -> str:
        """The screen as soon as it is so; what was there already does not count as an answer to a key."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            screen = self.screen()
            if condition(screen):
                return screen
        raise AssertionError(f"it never came to that:\n{self.screen()}")

    def kill(self) -> None:
        subprocess.run(["tmux", "-L", self.socket, "kill-server"], check=False, capture_output=True)
