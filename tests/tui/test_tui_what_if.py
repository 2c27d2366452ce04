"""The panel of "what if": turned with the arrows, typed, refused in place, and left without a trace."""

from __future__ import annotations

import pytest

from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source
from msrtui.tui.app import MsrtuiApp
from msrtui.tui.screens.explorer import ExplorerScreen
from msrtui.tui.screens.what_if import WhatIfScreen
from msrtui.tui.session import Session


def app(qemu: str = "7.2") -> MsrtuiApp:
    return MsrtuiApp(open_source("amd-pvm-linux6.18"), QemuProfile(qemu), theme="msrtui-dark", tier="full")


def session_of(running: MsrtuiApp) -> Session:
    screen = running.screen
    assert isinstance(screen, ExplorerScreen)
    assert screen.session is not None
    return screen.session


def shown(running: MsrtuiApp) -> str:
    return "\n".join(strip.text for strip in running.screen._compositor.render_strips())


@pytest.mark.parametrize(
    ("keys", "label", "machine", "migratable", "cpu"),
    [
        (("right", "enter"), "8.2", "none", True, "host"),
        (("left", "left", "enter"), "5.2", "none", True, "host"),
        (("down", "right", "right", "enter"), "7.2", "q35", True, "host"),
        (("down", "down", "down", "space", "enter"), "7.2", "none", False, "host"),
        (("up", "end", "right", "enter"), "7.2", "none", True, "max"),
    ],
)
async def test_the_arrows_turn_what_is_selected_and_enter_works_it_out(
    keys: tuple[str, ...], label: str, machine: str, migratable: bool, cpu: str
) -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("v", *keys)
        session = session_of(running)
        got = (session.qemu.label, session.qemu.machine, session.qemu.migratable, session.cpu)
        assert got == (label, machine, migratable, cpu)
        assert f"QEMU {label}" in shown(running)
        assert f"-cpu {cpu}" in shown(running)


async def test_a_cpu_can_be_typed_and_one_that_is_none_is_refused_in_place() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("v", "tab", "end", *["backspace"] * 4, *"EPIC", "enter")
        assert isinstance(running.screen, WhatIfScreen)
        assert "no CPU model EPIC" in shown(running)
        await pilot.press(*["backspace"] * 4, *"EPYC,-svm", "enter")
        assert session_of(running).cpu == "EPYC,-svm"


async def test_escape_changes_nothing() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        before = session_of(running).state
        await pilot.press("v", "right", "down", "right", "escape")
        assert session_of(running).state == before
        assert session_of(running).qemu == QemuProfile("7.2")
