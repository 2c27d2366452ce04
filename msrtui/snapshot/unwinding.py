"""Signals that come while an event loop runs: the loop is unwound first, and only then their own handlers are called.

A handler that raises would do so wherever the loop happens to be, between a fork and the note of it as well: then an
ssh that has just begun would belong to nobody. asyncio does the same for Ctrl+C.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_NUMBERS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def held_back() -> Iterator[Callable[[], None]]:
    """Gives what a coroutine calls first, so that such a signal cancels its task.

    At the end the handlers are as before, and the one whose signal came is called. Only handlers that are functions of
    Python are held back, and only in the main thread: others get no signals.
    """
    here = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in _NUMBERS if here}
    ours = {number: handler for number, handler in handlers.items() if callable(handler)}
    heard: list[int] = []

    def cancel_when_told() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def told(number: int) -> None:
            heard.append(number)
            if task is not None:
                task.cancel()

        for number in ours:
            loop.add_signal_handler(number, told, number)

    try:
        yield cancel_when_told
    except asyncio.CancelledError:
        if not heard:
            raise
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
    if heard:
        ours[heard[0]](heard[0], None)
