"""The command palette: every action of the keymap, every bundled host, every QEMU version, every theme.

The app names ``provider`` in its COMMANDS; Textual calls it when the palette is opened, and not before that is
this module imported::

    def palette() -> type[Provider]:
        from msrtui.tui.commands import Commands
        return Commands
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.screen import Screen

from msrtui import resources
from msrtui.qemu import tables
from msrtui.tui.keymap import KEYMAP, Key
from msrtui.tui.permits import permits_of
from msrtui.tui.view.frame import PANE_TITLES

OPEN_SOURCE = "source"
"""The action of a screen that opens a source by its text."""
SWITCH_QEMU = "qemu"
"""The action of a screen that reads the same KVM as another QEMU version."""

_COLUMN = 50
"""Cells up to the word on a command: what the longest of them takes."""


class Command(NamedTuple):
    """One line of the palette: what it does, a word on it, and what is run."""

    text: str
    about: str
    run: Callable[[], object]


class Commands(Provider):
    """What can be done on the screen that the palette was opened on."""

    async def discover(self) -> Hits:
        """Everything, before a letter is typed: the keymap first."""
        for command in self.commands():
            yield DiscoveryHit(_row(Content(command.text), command.about), command.run, text=command.text)

    async def search(self, query: str) -> Hits:
        """What fits the query."""
        matcher = self.matcher(query)
        for command in self.commands():
            score = matcher.match(command.text)
            if score > 0:
                yield Hit(score, _row(matcher.highlight(command.text), command.about), command.run, text=command.text)

    def commands(self) -> Iterator[Command]:
        """All that the screen, or the app, has an action for."""
        for key in permits_of(self.app).offered(getattr(self.screen, "KEYS", KEYMAP)):
            yield from self._of_key(key)
        if _has(self.screen, OPEN_SOURCE):
            for name in resources.bundled_hosts():
                run = partial(self._act, f"{OPEN_SOURCE}({name!r})")
                yield Command(f"Open {name}", "a saved host that is brought along", run)
        if _has(self.screen, SWITCH_QEMU):
            for label in tables.labels():
                run = partial(self._act, f"{SWITCH_QEMU}({label!r})")
                yield Command(f"QEMU {label}", "the same KVM, read by this version", run)
        for name in sorted(self.app.available_themes):
            yield Command(f"Theme {name}", "other colours", partial(setattr, self.app, "theme", name))

    def _of_key(self, key: Key) -> Iterator[Command]:
        if key.owner == "list":
            return
        about = f"key {key.shown}"
        if key.owner == "pane":
            for place, title in enumerate(PANE_TITLES.values(), 1):
                if _has(self.screen, "pane"):
                    yield Command(f"To the pane {title}", f"key {place}", partial(self._act, f"pane({place})"))
            return
        name = key.action.partition("(")[0]
        if key.owner != "screen":
            action = f"app.{key.action}"
        elif _has(self.screen, name):
            action = key.action
        else:
            return  # another screen's
        text = key.help if name != "help" else "all keys"  # which calls itself this list
        yield Command(_title(text), about, partial(self._act, action))

    async def _act(self, action: str) -> None:
        await self.app.run_action(action, self.screen)


def _row(text: Content, about: str) -> Content:
    """One line: what it does, and a word on it in the background."""
    return Content.assemble(text, " " * max(_COLUMN - text.cell_length, 2), (about, "$secondary"))


def _has(screen: Screen[object], action: str) -> bool:
    return hasattr(screen, f"action_{action}")


def _title(text: str) -> str:
    """The first clause of a key's help, as much of it as leaves the second column where it is."""
    clause = text.partition(";")[0].partition(":")[0].partition(" (")[0]
    while len(clause) > _COLUMN - 2 and ", " in clause:
        clause = clause.rpartition(", ")[0]
    return clause[:1].upper() + clause[1:]
