"""Waiting until the app has nothing left to do, by condition and not by time."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from textual.pilot import Pilot
from textual.worker import WorkerCancelled

from msrtui.tui.screens.compare import CompareScreen
from msrtui.tui.screens.explorer import ExplorerScreen


async def settled(pilot: Pilot[Any]) -> None:
    """Until no worker runs, and what other QEMUs make of the KVM stands there where it is to come."""
    for _ in range(300):
        with suppress(WorkerCancelled):  # a newer one took its place
            await pilot.app.workers.wait_for_complete()
        await pilot.pause()
        comparing = [screen.comparing for screen in pilot.app.screen_stack if isinstance(screen, CompareScreen)]
        shown = [each.comparison for each in comparing]
        if any(each.missing() for each in comparing) or any(
            each.turns is None or not (each.common or each.many) for each in shown
        ):
            continue
        screens = [screen for screen in pilot.app.screen_stack if isinstance(screen, ExplorerScreen)]
        if all(
            screen.session is not None
            and (screen.session.others or screen.session.outcome is None or not screen.exploration.reader.at_end)
            and screen.session.leaf_wanted is None
            and (screen.session.start or not screen.exploration.reader.at_end or not screen.session.state.count)
            for screen in screens
        ):
            break
    await pilot.pause()
