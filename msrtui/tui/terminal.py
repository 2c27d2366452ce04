"""The terminal that the app needs: keys on standard input, a screen on standard error, given back at the end."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import threading
from collections.abc import Callable

from msrtui.errors import MsrtuiError

_INSTEAD = "For text try:  msrtui lists  |  msrtui trace  |  msrtui words"


def ready() -> None:
    """Make sure that the app can draw and hear keys.

    Standard input that was a pipe (``capture -o - | msrtui -``) is replaced by the terminal; so is standard
    error, where Textual draws, when it was sent into a file. Raises MsrtuiError where there is no terminal.
    """
    if os.environ.get("TERM", "") == "dumb":
        raise MsrtuiError(f"This terminal is dumb (TERM=dumb): the app cannot draw on it. {_INSTEAD}")
    if not os.isatty(1):
        raise MsrtuiError(f"Standard output is not a terminal, so there is nothing to draw the app on. {_INSTEAD}")
    for fd, flags in ((0, os.O_RDONLY), (2, os.O_WRONLY)):
        if not os.isatty(fd):
            try:
                tty = os.open("/dev/tty", flags | os.O_CLOEXEC)
            except OSError:
                raise MsrtuiError(f"There is no terminal (/dev/tty) to hear keys from. {_INSTEAD}") from None
            os.dup2(tty, fd)
            os.close(tty)
    for stale in ("COLUMNS", "LINES"):
        # a shell may have exported the size it had; believed, it would hide every later resize
        os.environ.pop(stale, None)


def give_back_when_told(leave: Callable[[int], object]) -> None:
    """Have ``leave(128 + number)`` called for a signal that would end the process and leave its terminal as it is.

    Must be called where the event loop runs. It also lets every signal wake that loop: SIGCONT may be delivered
    to another thread (kernel/signal.c: wants_signal, not to one that is stopped), and the handler that takes the
    terminal again after a suspend would wait for the next key, which nobody can type then. A second signal, or one
    that comes because the terminal is gone, ends the process at once: there is nothing to give back.
    """
    loop = asyncio.get_running_loop()
    heard: list[int] = []

    def told(number: int) -> None:
        for other in heard:
            loop.remove_signal_handler(other)
        if not os.isatty(0):  # a terminal that was hung up is none: each call on it fails with EIO
            os._exit(128 + number)
        leave(128 + number)

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is None or signal.getsignal(number) is signal.SIG_IGN:
            continue  # who started us wants it ignored, as nohup does
        try:
            loop.add_signal_handler(number, told, int(number))
        except (NotImplementedError, RuntimeError, ValueError):
            return  # no such thing on this system, or not the main thread: as it was before
        heard.append(number)


def end_with_terminal() -> None:
    """End the process once its terminal is gone: whoever ignores SIGHUP (nohup) would read its end for ever, busily."""
    if not hasattr(select, "poll"):
        return

    def wait() -> None:
        hangup = select.poll()
        hangup.register(0, 0)  # nothing is asked for: POLLHUP and POLLERR are told all the same
        hangup.poll()
        os._exit(128 + 1)

    threading.Thread(target=wait, name="hangup", daemon=True).start()
