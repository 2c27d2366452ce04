"""The app with one key more, F12: once everything that was begun is drawn, it writes a mark that draws nothing.

``python fenced_app.py SOURCE auto|on|off [THEME]``. So a test can tell which bytes are the answer to a key,
without a clock.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.pilot import Pilot

from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source
from msrtui.tui.app import MsrtuiApp
from msrtui.tui.diff import choice

FENCE = "\x1b]777;drawn\x07"


class FencedApp(MsrtuiApp):
    """Answers F12 with FENCE."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f12", "fence", show=False, priority=True)]

    def action_fence(self) -> None:
        self._fencing = asyncio.create_task(self._fence())

    async def _fence(self) -> None:
        pilot = Pilot(self)
        await pilot.pause()
        while not all(worker.is_finished for worker in self.workers):
            await pilot.pause()
        await pilot.pause()
        assert self._driver is not None
        self._driver.write(FENCE)


def main(source: str, diff: str, theme: str = "msrtui-dark") -> None:
    driver = choice.driver_class(diff, os.environ)
    FencedApp(open_source(source), QemuProfile("7.2"), theme=theme, tier="full", driver_class=driver).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
