"""Textual's driver for terminals, with the difference in between.

``textual.drivers.linux_driver`` is documented as little as it is private: ``App(driver_class=…)`` is public, and so
is ``Driver.write``, but that one call of ``write`` is one whole frame is only so in 8.x. Therefore Textual is pinned
(``textual>=8.2,<9``), and a test compares every frame of a session with the stock driver's.
"""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING, Any, ClassVar

from textual.drivers.linux_driver import LinuxDriver
from textual.events import Resize

from msrtui.tui.diff.painter import Mismatch, Painter
from msrtui.values import dataclass

if TYPE_CHECKING:
    from textual.app import App
    from textual.message import Message


@dataclass
class Tally:
    """What was written by the app and sent to the terminal, in bytes; and how often that would not have fitted."""

    writes: int = 0
    drawn: int = 0
    sent: int = 0
    mismatches: int = 0

    def __str__(self) -> str:
        return (
            f"{self.writes} writes of the app, {self.drawn} bytes; {self.sent} bytes sent; "
            f"{self.mismatches} frames were not what the app drew"
        )


class DiffDriver(LinuxDriver):
    """Sends only the cells that changed. ``erase``: see ``encoder.difference``; ``tally``: count and verify."""

    erase: ClassVar[bool] = False
    tally: ClassVar[Tally | None] = None

    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        # the thread that hears the keys writes too, and so do signal handlers, in the middle of anything
        self._painting = RLock()
        self._painter = Painter(erase=self.erase)
        self._turn = 0
        super().__init__(app, debug=debug, mouse=mouse, size=size)

    def forget_screen(self) -> None:
        """The terminal may show anything now: what is drawn next is sent in full."""
        with self._painting:
            self._turn += 1
            self._painter.forget(*self._app.size)

    def write(self, data: str) -> None:
        """Write a frame, or what is none, to the terminal."""
        with self._painting:
            self._turn += 1
            turn = self._turn
            size = self._app.size
            if self._painter.size != size:
                self._painter.forget(*size)
            try:
                sent = self._painter.send(data, check=self.tally is not None)
            except Mismatch as mismatch:
                sent = str(mismatch)
                if self.tally is not None:
                    self.tally.mismatches += 1
            if self.tally is not None:
                self.tally.writes += 1
                self.tally.drawn += len(data.encode())
                self.tally.sent += len(sent.encode())
            if sent:
                super().write(sent)
            if turn != self._turn:  # a signal's handler wrote, or forgot the screen, in the middle of this
                self._painter.lose(*size)

    def start_application_mode(self) -> None:
        """Take the terminal, at the start or after a suspend; the other screen that it shows then is not known."""
        super().start_application_mode()  # type: ignore[no-untyped-call]
        self.write("\x1b[m")  # whatever the shell left in hand, the first frame begins without it

    def process_message(self, message: Message) -> None:
        """A terminal that tells its size by itself has a new one."""
        if isinstance(message, Resize):
            self.forget_screen()
        super().process_message(message)

    def _get_terminal_size(self) -> tuple[int, int]:
        """Asked for at each SIGWINCH: the terminal has cut or wrapped what it shows."""
        self.forget_screen()
        return super()._get_terminal_size()
