"""SIGTERM and SIGHUP end a command as Ctrl+C does: what is half done is undone first.

By default these signals end a process at once. Then a file half written would stay behind, and an ssh that was started
in a session of its own would live on. So the first one unwinds the command, and the process then ends of that very
signal, as its parent expects; a second one ends it at once. What who started us wants ignored (nohup) stays ignored.
"""

from __future__ import annotations

import os
import signal
from types import FrameType


class Told(KeyboardInterrupt):
    """A signal told the command to end; whatever lets Ctrl+C through lets this through."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _signals() -> tuple[int, ...]:
    names = ("SIGTERM", "SIGHUP")
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


def unwind_when_told() -> None:
    """From here on these signals raise Told in the main thread."""
    ours = os.getpid()

    def told(number: int, _: FrameType | None) -> None:
        for each in _signals():
            signal.signal(each, signal.SIG_DFL)
        if os.getpid() != ours:  # a child that was forked and not told otherwise ends as it always did
            end_by(number)
        raise Told(number)

    for number in _signals():
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, told)


def end_by(number: int) -> int:
    """End the process by a signal; the exit status that a shell makes of that, should it be blocked."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number
