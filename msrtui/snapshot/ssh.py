"""One run of the user's own ssh: started, fed a program, heard within limits, ended.

Nothing that the other side does costs more than the limits here: what it sends is counted, what is kept is bounded,
and past its time the whole process group is gone. asyncio is dear to import, so this file is imported when it is used.

Must not know: hosts, options, or the sentences that are made of what was heard.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

from msrtui.kvm.collector import END
from msrtui.snapshot import frames
from msrtui.snapshot.guard import Guard
from msrtui.values import dataclass

OUTPUT_LIMIT = 4 * 1024 * 1024
"""Bytes of standard output, and of standard error, that are read before ssh is ended: a snapshot is under 0.1 MB."""
TAIL = 8192
"""Bytes of each that are kept for a sentence: the last ones."""
GRACE = 1.0
"""Seconds for what may come or may not: the end of ssh behind a snapshot, the rest of its words, its end by SIGTERM."""

_END = END.encode("ascii")


@dataclass(frozen=True)
class Heard:
    """What one run of ssh gave.

    ``snapshot`` are the bytes of the first that was whole; ``cut``: there was one that was not. ``status`` is the exit
    status, or -N for signal N; None where ssh had to be ended here, and then it was ``late``, or said ``too_much``, or
    stayed on behind a snapshot. ``output`` and ``errors`` are the last bytes of standard output and standard error.
    """

    snapshot: bytes | None
    cut: bool
    status: int | None
    late: bool
    too_much: bool
    output: bytes
    errors: bytes


async def run(arguments: Sequence[str], program: bytes, limit: float, guard: Guard | None = None) -> Heard:
    """Run ``arguments`` with ``program`` as standard input, for ``limit`` seconds at most.

    However this ends, cancelled or not, ssh has ended by itself or its process group is gone; where this process is
    killed meanwhile, ``guard`` sees to that. Raises OSError and ValueError where it cannot be started.
    """
    loop = asyncio.get_running_loop()
    # a protocol, and no asyncio.create_subprocess_exec: its wait() waits, in some versions, until every pipe is
    # closed, and a master connection that stays (ControlPersist) can hold standard error open for hours
    transport, ear = await loop.subprocess_exec(
        lambda: _Ear(loop),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    by_itself = False
    if guard is not None:
        guard.begun(transport.get_pid())
    try:
        line = cast(asyncio.WriteTransport, transport.get_pipe_transport(0))
        line.write(program)
        line.write_eof()
        await _first(limit, ear.enough, ear.ended)
        late = not (ear.enough.done() or ear.ended.done())
        if ear.ended.done():
            await _first(GRACE, ear.enough, ear.closed)
        elif ear.snapshot is not None:
            await _first(GRACE, ear.ended)
        by_itself = ear.ended.done()
        return Heard(
            snapshot=ear.snapshot,
            cut=ear.cut,
            status=transport.get_returncode() if by_itself else None,
            late=late,
            too_much=ear.too_much,
            output=bytes(ear.output[-TAIL:]),
            errors=bytes(ear.errors[-TAIL:]),
        )
    finally:
        # what the user's own configuration left running behind an ssh that ended by itself is his
        try:
            await _end(transport, ear, left_alone=by_itself)
        finally:
            if guard is not None:
                guard.ended(transport.get_pid())


async def _first(seconds: float, *those: asyncio.Future[None]) -> None:
    await asyncio.wait(those, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)


async def _end(transport: asyncio.SubprocessTransport, ear: _Ear, *, left_alone: bool) -> None:
    """The process group is gone afterwards, unless it is to be left alone; the pipes are closed."""
    try:
        if not left_alone:
            # SIGTERM first: ssh removes its control socket, and what it runs as a proxy can say goodbye
            _signal(transport, signal.SIGTERM)
            await _first(GRACE, ear.ended)
    finally:  # a second Ctrl+C comes here too
        if not left_alone:
            _signal(transport, signal.SIGKILL)
        try:
            await _first(GRACE, ear.ended)
        finally:
            transport.close()


def _signal(transport: asyncio.SubprocessTransport, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(transport.get_pid(), number)


class _Ear(asyncio.SubprocessProtocol):
    """Takes what ssh says, and tells by futures: ``enough`` was heard, the process ``ended``, its lines are closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.enough: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.snapshot: bytes | None = None
        self.broken = False
        self.output = bytearray()
        self.errors = bytearray()
        self._heard = {1: 0, 2: 0}
        self._open = {1, 2}
        self._searched = 0  # a snapshot that is whole by now would have ended before this byte of the output
        self._dealt_with = 0  # none begins before this one

    @property
    def too_much(self) -> bool:
        """Whether one of the two said more than is read."""
        return max(self._heard.values()) > OUTPUT_LIMIT

    @property
    def cut(self) -> bool:
        """Whether a snapshot began that is not whole."""
        return self.broken or frames.has_frame(bytes(self.output[self._dealt_with :]))

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        """Keep what may matter; past the limits nothing does."""
        if self.enough.done():
            return
        self._heard[fd] += len(data)
        if fd == 2:
            self.errors += cast(bytes, data)
            del self.errors[:-TAIL]
        else:
            self.output += cast(bytes, data)
            self._search()
        if self.snapshot is not None or self.too_much:
            _tell(self.enough)

    def _search(self) -> None:
        """Look for a snapshot in what came since the last look; no byte is decoded twice."""
        end = self.output.rfind(_END, self._searched)
        self._searched = max(0, len(self.output) - len(_END) + 1)
        if end < 0:
            return
        piece = bytes(self.output[self._dealt_with : end + len(_END)])
        self._dealt_with = end + len(_END)
        self.snapshot = next(frames.snapshots(piece), None)
        self.broken = self.broken or frames.has_frame(piece)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """One of the lines is closed; that standard input is (it had heard enough) is no news."""
        self._open.discard(fd)
        if not self._open:
            _tell(self.closed)

    def process_exited(self) -> None:
        """The process itself has ended; what it wrote may still be on its way."""
        _tell(self.ended)


def _tell(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_result(None)
