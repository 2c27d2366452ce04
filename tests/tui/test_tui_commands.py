"""The command palette says what the keymap says, and does it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import ClassVar

from asking import STYLES
from textual.app import App
from textual.command import Provider
from textual.pilot import Pilot
from textual.screen import Screen

from msrtui.qemu import tables
from msrtui.qemu.profile import QemuProfile
from msrtui.resources import bundled_hosts, data_path
from msrtui.snapshot.sources import open_source
from msrtui.tui.app import MsrtuiApp
from msrtui.tui.commands import Command, Commands
from msrtui.tui.keymap import KEYMAP
from msrtui.tui.screens.explorer import ExplorerScreen
from msrtui.tui.themes import THEMES
from msrtui.tui.view.frame import PANE_TITLES


def palette() -> type[Provider]:
    return Commands


class Everything(ExplorerScreen):
    """An explorer that can open and switch, and says so."""

    done: ClassVar[list[tuple[str, str]]] = []

    def action_source(self, text: str) -> None:
        self.done.append(("source", text))

    def action_qemu(self, label: str) -> None:
        self.done.append(("qemu", label))


class Palette(App[None]):
    CSS_PATH: ClassVar[list[str]] = [data_path("styles", name) for name in STYLES]  # type: ignore[assignment]
    COMMANDS = {palette}  # noqa: RUF012 - as Textual has it

    def __init__(self, first: Screen[None] | None = None) -> None:
        super().__init__()
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = THEMES[0].name
        self.animation_level = "none"
        self.first = first or Everything(open_source("amd-pvm-linux6.18"), QemuProfile("7.2"), {})

    action_redraw = MsrtuiApp.action_redraw  # as the app has it

    def on_mount(self) -> None:
        Everything.done.clear()
        self.push_screen(self.first)

    @property
    def text(self) -> str:
        return "\n".join(strip.text.rstrip() for strip in self.screen._compositor.render_strips())


def commands(app: Palette) -> list[Command]:
    return list(Commands(app.first).commands())


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Wait for a condition, not for a time."""
    for _ in range(2000):
        if condition():
            return
        await pilot.pause()
    raise AssertionError("it never came to that")


async def test_every_action_of_the_keymap_is_there_with_its_key() -> None:
    app = Palette()
    async with app.run_test(size=(80, 24)):
        there = {(command.about, command.text.lower()) for command in commands(app)}
        for key in KEYMAP:
            if key.owner == "pane":
                titles = enumerate(PANE_TITLES.values(), 1)
                assert {(f"key {n}", f"to the pane {title}") for n, title in titles} <= there
            elif key.action == "help":
                assert (f"key {key.shown}", "all keys") in there
            elif key.action:
                assert any(
                    about == f"key {key.shown}" and key.help.lower().startswith(text) for about, text in there
                ), key


async def test_hosts_versions_and_themes_are_there_where_the_screen_can_use_them() -> None:
    app = Palette()
    async with app.run_test(size=(80, 24)):
        texts = [command.text for command in commands(app)]
        assert {f"Open {name}" for name in bundled_hosts()} <= set(texts)
        assert {f"QEMU {label}" for label in tables.labels()} <= set(texts)
        assert {f"Theme {theme.name}" for theme in THEMES} <= set(texts)
        assert len(texts) == len(set(texts))
    bare = Palette(Screen())
    async with bare.run_test(size=(80, 24)):
        texts = [command.text for command in commands(bare)]
        assert not [text for text in texts if text.startswith(("Open ", "QEMU ", "Next", "To the pane"))]
        of_the_app = [key.help.lower() for key in KEYMAP if key.owner in ("app", "textual")]
        there = [text.lower() for text in texts if not text.startswith("Theme ")]
        assert all(help_text.startswith(text) for text, help_text in zip(there, of_the_app, strict=True))


async def test_every_command_runs() -> None:
    """Each by itself on a fresh screen; those that leave are another test's."""
    app = Palette()
    async with app.run_test(size=(80, 24)) as pilot:
        for command in commands(app):
            if command.text in ("Quit", "Suspend"):
                continue
            run = command.run()
            if run is not None:
                await run  # type: ignore[misc]
            await pilot.pause()
            while app.screen is not app.first:
                app.pop_screen()
                await pilot.pause()
        assert [text for kind, text in Everything.done if kind == "source"] == list(bundled_hosts())
        assert [text for kind, text in Everything.done if kind == "qemu"] == list(tables.labels())


async def test_a_theme_is_taken() -> None:
    app = Palette()
    async with app.run_test(size=(80, 24)):
        next(command for command in commands(app) if command.text == "Theme msrtui-light").run()
        assert app.theme == "msrtui-light"


async def test_by_keys_a_few_letters_and_enter_do_it() -> None:
    app = Palette()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+p")
        await until(pilot, lambda: "Next event" in app.text)
        assert "key n" in app.text
        assert not set(app.text) & set("🔎│┌▄▀")
        await pilot.press(*"migratable")
        await until(pilot, lambda: "Migratable on or off" in app.text and "Next event" not in app.text)
        await pilot.press("enter")
        await until(pilot, lambda: not app.first.session.qemu.migratable)  # type: ignore[attr-defined]


def test_it_costs_nothing_before_it_is_opened() -> None:
    look = "import sys, msrtui.tui.app; assert 'msrtui.tui.commands' not in sys.modules"
    subprocess.run([sys.executable, "-c", look], check=True, timeout=60)
