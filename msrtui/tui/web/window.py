"""One window of a browser: the msrtui process that draws in it, fed with its keys, gone when it is.

Textual's web driver in that process and textual-serve's script in the page speak with each other; this stands in
between and lets through what the app needs: what it draws, keys, sizes and that it ends. Files for the browser and
addresses to open are not let through: the app that is served has none.
"""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from textual_serve.app_service import AppService
from textual_serve.download_manager import DownloadManager

_STARTED = b"__GANGLION__\n"
_LINES = 10
"""Lines that may stand before the web driver's first one (``drivers/web_driver.py``: start_application_mode)."""
_PATIENCE = 3.0
"""Seconds that a process has to end by itself."""
_WIDEST, _HIGHEST = 1000, 500
"""Cells: a window larger than that is none, and each cell costs."""


class Window(AppService):
    """``command``: the program and its arguments; no shell reads them."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        write_bytes: Callable[[bytes], Awaitable[None]],
        write_str: Callable[[str], Awaitable[None]],
        close: Callable[[], Awaitable[object]],
    ) -> None:
        async def closed() -> None:
            await close()

        super().__init__(
            "", write_bytes=write_bytes, write_str=write_str, close=closed, download_manager=DownloadManager()
        )
        self._argv = tuple(command)

    def _build_environment(self, width: int = 80, height: int = 24) -> dict[str, str]:
        """Textual is told that it draws in a browser, and nothing that was meant for a terminal: TEXTUAL_LOG would
        write a file.
        """
        mine = {name: value for name, value in os.environ.items() if not name.startswith("TEXTUAL")}
        return {
            **mine,
            "TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver",
            "TEXTUAL_COLOR_SYSTEM": "truecolor",
            "TEXTUAL_ANIMATIONS": "none",
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "COLUMNS": str(width),
            "ROWS": str(height),
        }

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        # a session of its own: Ctrl+C where the server runs is the server's, which then ends the windows itself;
        # what it has to say on standard error stands beside what the server says
        self._process = await asyncio.create_subprocess_exec(
            *self._argv,
            stdin=PIPE,
            stdout=PIPE,
            env=self._build_environment(width, height),
            start_new_session=True,
        )
        self._stdin = self._process.stdin
        return self._process

    async def run(self) -> None:
        """Hand on what the process draws, until it ends or says that it does; then the window is told."""
        assert self._process is not None
        assert self._process.stdout is not None
        stdout = self._process.stdout
        with suppress(asyncio.IncompleteReadError, ConnectionError, ValueError):
            for _ in range(_LINES):
                if await stdout.readline() == _STARTED:
                    await self._draw(stdout)
                    break
        with suppress(ConnectionError, RuntimeError):
            await self.remote_close()

    async def _draw(self, stdout: asyncio.StreamReader) -> None:
        """Raises IncompleteReadError at the end of what the process says."""
        while True:
            kind = await stdout.readexactly(1)
            payload = await stdout.readexactly(int.from_bytes(await stdout.readexactly(4), "big"))
            if kind == b"D":
                # a window that is gone is still read from: a process that cannot write does not hear that it ends
                with suppress(ConnectionError, RuntimeError):
                    await self.on_data(payload)

    async def set_terminal_size(self, width: object, height: object) -> None:
        """Tell the process how large its window is, in cells."""
        await super().set_terminal_size(*size_of(width, height))

    async def stop(self) -> None:
        """End the process, by force where it does not listen. May be called again."""
        process, task = self._process, self._task
        if process is None:
            return
        if process.returncode is None:
            # the app ends when nobody is left to send it keys (terminal.end_with_terminal), also while it is just being
            # started, where "quit" would be lost; a signal could reap it behind asyncio's back, which complains of that
            self.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), _PATIENCE)
            except asyncio.TimeoutError:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if task is not None:
            await task


def size_of(width: object, height: object) -> tuple[int, int]:
    """A window's size in cells from what a browser says, which may be anything."""
    return _between(width, 80, _WIDEST), _between(height, 24, _HIGHEST)


def _between(said: object, otherwise: int, most: int) -> int:
    if isinstance(said, (int, str)):
        with suppress(ValueError):
            return max(1, min(int(said), most))
    return otherwise
