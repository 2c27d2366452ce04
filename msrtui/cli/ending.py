"""SIGTERM and SIGHUP end a command as Ctrl+C does: what is half done is undone first.

By default these signals end a process at once. Then a file half written would stay behind, and an ssh that was started
in a session of its own would live on. So the first one unwinds the command, and the process then ends of that very
signal, as its parent expects; a second one ends it at once. What who started us wants ignored (nohup) stays ignored.

A signal may come in the middle of what no exception can leave: a weak reference's callback, ``__del__``, what a module
has run around a fork (logging does). Python then prints the exception and goes on; here it is raised again just after.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_SOON = 0.001
"""Seconds until what could not be raised is raised again; as often as need be."""


class Told(KeyboardInterrupt):
    """A signal told the command to end; whatever lets Ctrl+C through lets this through."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _signals() -> tuple[int, ...]:
    names = ("SIGTERM", "SIGHUP")
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


def unwind_when_told() -> None:
    """From here on these signals raise Told in the main thread, and neither it nor Ctrl+C is ever lost."""
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
    if hasattr(signal, "setitimer"):
        sys.unraisablehook = _raise_it_soon


def _raise_it_soon(unraisable: UnraisableHookArgs) -> None:
    lost = unraisable.exc_value
    if not isinstance(lost, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
        return

    def again(number: int, _: FrameType | None) -> None:
        raise lost

    signal.signal(signal.SIGALRM, again)
    signal.setitimer(signal.ITIMER_REAL, _SOON)


def end_by(number: int) -> int:
    """End the process by a signal; the exit status that a shell makes of that, should it be blocked."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number
