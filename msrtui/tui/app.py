"""The app itself: themes, the terminal, and which screen comes first."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.screen import Screen

from msrtui import glyphs
from msrtui.qemu.profile import QemuProfile
from msrtui.resources import data_path, read
from msrtui.snapshot.sources import Source
from msrtui.tui import terminal, themes
from msrtui.tui.diff import choice
from msrtui.tui.keymap import KEYMAP
from msrtui.tui.permits import Permits, permits_for
from msrtui.tui.screens.explorer import ExplorerScreen

if TYPE_CHECKING:
    from textual.command import Provider

    from msrtui.stage.talk import Talk
    from msrtui.stage.telling import Teller
    from msrtui.tui.diff.driver import DiffDriver

STYLES = ("explorer", "what_if", "find", "dialogs")


def _palette() -> type[Provider]:
    """The command palette's commands, imported when it is opened."""
    from msrtui.tui.commands import Commands

    return Commands


def _collect_garbage() -> None:
    """From now on, where the command line put it off: while the app is opened nearly all that is made is kept.

    What is kept for good, modules above all, need not be gone through each time; that would be felt between two keys.
    """
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


class MsrtuiApp(App[None]):
    """Explores one source, or compares several, or one that two QEMUs read. ``copied`` is printed at the end.

    ``permits``: what it may do on this machine; as a rule the environment says whether a browser shows it.
    """

    TITLE = "msrtui"
    # not CSS_PATH: in the one file the styles are no files that Textual could open
    CSS: ClassVar[str] = "\n".join(read(data_path("styles", f"{name}.tcss")).decode() for name in STYLES)
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_palette}
    BINDINGS: ClassVar[list[BindingType]] = [
        # drawing anew is wanted while one types as well; the others are what the line with the focus leaves
        Binding(key.keys, key.action, key.hint or key.help, show=False, priority=key.action == "redraw")
        for key in KEYMAP
        if key.owner == "app"
    ]

    def __init__(
        self,
        source: Source | Sequence[Source],
        qemu: QemuProfile | Sequence[QemuProfile],
        *,
        cpu: str = "host",
        at_start: bool = False,
        theme: str | None = None,
        tier: str | None = None,
        driver_class: type[Driver] | None = None,
        first: Callable[[Mapping[int, str]], Screen[None]] | None = None,
        permits: Permits | None = None,
    ) -> None:
        super().__init__(driver_class=driver_class)
        self._first = first
        self._sources = (source,) if isinstance(source, Source) else tuple(source)
        self._qemus = (qemu,) if isinstance(qemu, QemuProfile) else tuple(qemu)
        self._cpu = cpu
        self._at_start = at_start
        self.permits = permits_for(os.environ, self._sources) if permits is None else permits
        self.copied: list[str] = []
        for known in themes.THEMES:
            self.register_theme(known)
        environment = glyphs.original_environment()
        self.theme = themes.choose(theme, environment)
        self._glyphs = glyphs.TABLES[glyphs.choose(tier, environment)]
        self.animation_level = "none"

    def get_default_screen(self) -> Screen[None]:
        """The explorer lies under all others; an empty screen under it would be styled, laid out and drawn first.

        Where there is more than one source, or QEMU, it is the compare screen; ``first`` makes another one.
        """
        if self._first is not None:
            return self._first(self._glyphs)
        sources, qemus = self._sources, self._qemus
        if len(sources) == len(qemus) == 1:
            return ExplorerScreen(sources[0], qemus[0], self._glyphs, cpu=self._cpu, at_start=self._at_start)
        from msrtui.tui.screens.compare import CompareScreen

        both = sources * 2 if len(sources) == 1 else sources
        return CompareScreen(both, qemus, self._glyphs, cpu=self._cpu)

    def refresh_css(self, animate: bool = True) -> None:
        """Style everything anew; while there is no screen, all styles are yet to be read, in the theme's colours."""
        if self.screen_stack:
            super().refresh_css(animate)
        else:
            self.stylesheet.set_variables(self.get_css_variables())

    def on_mount(self) -> None:
        """Take care of the terminal; after a suspend everything is drawn anew, for it was others' meanwhile."""
        if not self.is_headless:
            terminal.give_back_when_told(self._leave)
            terminal.end_with_terminal()
        self.app_resume_signal.subscribe(self, lambda _: self.screen.refresh(layout=True))
        self.call_after_refresh(_collect_garbage)

    def _leave(self, status: int) -> None:
        self.exit(return_code=status)

    def action_redraw(self) -> None:
        """Draw everything anew, on every screen; a driver that knows what the terminal shows forgets it."""
        forget = getattr(self._driver, "forget_screen", None)
        if forget is not None:
            forget()
        self.screen.refresh(layout=True)
        for widget in self.screen.query("*"):
            widget.refresh()


def run(
    sources: Sequence[Source],
    qemus: Sequence[QemuProfile],
    *,
    cpu: str = "host",
    step: bool = False,
    theme: str | None = None,
    tier: str | None = None,
    diff: str | None = None,
    diff_check: bool = False,
) -> int:
    """Open the app on one source or several; returns the exit code.

    Raises MsrtuiError where there is no terminal or theme for it.

    ``diff``, ``diff_check``: whether only cells that changed are sent, as in ``diff.choice``.
    """
    themes.choose(theme, glyphs.original_environment())  # refused before the terminal is taken
    _ready()
    driver = choice.driver_class(diff, os.environ, check=diff_check)
    return _run(MsrtuiApp(sources, qemus, cpu=cpu, at_start=step, theme=theme, tier=tier, driver_class=driver), driver)


def run_talk(
    talk: Talk,
    teller: Teller,
    language: str,
    *,
    scene: int,
    pace: float,
    auto: bool = False,
    theme: str | None = None,
    tier: str | None = None,
    diff: str | None = None,
) -> int:
    """Play a talk from ``scene`` on; returns the exit code. Raises as ``run``."""
    from msrtui.tui.screens.talk import TalkScreen

    themes.choose(theme, glyphs.original_environment())
    _ready()
    driver = choice.driver_class(diff, os.environ)

    def first(table: Mapping[int, str]) -> Screen[None]:
        return TalkScreen(talk, teller, language, table, scene=scene, pace=pace, auto=auto)

    return _run(MsrtuiApp((), (), theme=theme, tier=tier, driver_class=driver, first=first), driver)


def _ready() -> None:
    if not permits_for(os.environ, ()).served:  # there a server is at both ends, and no terminal
        terminal.ready()


def _run(app: MsrtuiApp, driver: type[DiffDriver] | None) -> int:
    app.run()
    if driver is not None and driver.tally is not None:
        sys.stderr.write(f"{driver.tally}\n")
    with contextlib.suppress(OSError):  # a terminal that is gone
        for value in () if app.permits.served else app.copied:
            os.write(1, value.encode() + b"\n")
    return app.return_code or 0
