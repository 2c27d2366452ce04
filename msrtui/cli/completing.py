"""What can be completed where on msrtui's command line: read off the parsers, for the shells' scripts.

What stands for a value in the help (``SOURCE``, ``VERSION``) says what completes it; an option whose name means
something else in one command has a line of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import import_module
from typing import NamedTuple

from msrtui.cli.commands import COMMANDS


class Kind(NamedTuple):
    """What completes a value: these words, files, names of hosts that ssh knows."""

    words: tuple[str, ...] = ()
    files: bool = False
    hosts: bool = False


class Slot(NamedTuple):
    """An option, or an argument (no ``names``). ``kind``: of KINDS, None where an option takes no value.

    ``choices``: the only words that it takes. ``many``: an argument that takes all words from here on.
    """

    names: tuple[str, ...]
    shown: str
    help: str
    kind: str | None
    choices: tuple[str, ...] = ()
    many: bool = False


class Command(NamedTuple):
    """A command; the app's ``name`` is empty."""

    name: str
    summary: str
    options: tuple[Slot, ...]
    arguments: tuple[Slot, ...]


ANYTHING = "anything"
_BY_METAVAR = {
    "SOURCE": "source",
    "HOST": "source",
    "MODEL": "model",
    "MODEL[,+x][,-y]": "model",
    "VERSION": "qemu",
    "TYPE": "machine",
    "MSR": "msr",
    "MSR|FILE": "msr-or-file",
    "TALK": "talk",
    "LANGUAGE": "language",
    "PATH": "file",
    "FILE": "file",
    "TOPIC": "topic",
}
_OTHERWISE = {
    ("capture", "HOST"): "host",
    ("", "--theme"): "theme",
    ("play", "--theme"): "theme",
    ("serve", "--theme"): "theme",
    ("features", "--why"): "feature",
    ("baseline", "--model"): "model",
}
"""Where the word in the help does not say it, by command and word or option."""


def kinds() -> dict[str, Kind]:
    """What completes each kind of value, by its name."""
    from msrtui import resources
    from msrtui.catalog import known_msrs, short_name
    from msrtui.colours import PALETTES
    from msrtui.language import CATALOGUES, ENGLISH
    from msrtui.qemu import tables
    from msrtui.qemu.cpu_request import definitions
    from msrtui.qemu.profile import DEFAULT_VERSION
    from msrtui.report.help import TOPICS
    from msrtui.stage.talk import bundled_talks

    newest = tables.load(DEFAULT_VERSION)
    names = sorted({short_name(index) for index in known_msrs()})
    msrs = tuple(name for name in names if name.replace("_", "").isalnum())
    models = tuple(sorted({"host", "max", *definitions(newest)}))
    return {
        "source": Kind(("live", *resources.bundled_hosts()), files=True),
        "host": Kind(("live",), hosts=True),
        "model": Kind(models),
        "qemu": Kind((*tables.labels(), "auto")),
        "machine": Kind(("none", "pc", "q35", "microvm")),
        "msr": Kind(msrs),
        "msr-or-file": Kind(msrs, files=True),
        "feature": Kind(tuple(sorted(newest.canonical_names))),
        "talk": Kind(bundled_talks(), files=True),
        "theme": Kind(tuple(palette.name for palette in PALETTES)),
        "language": Kind((ENGLISH, *CATALOGUES)),
        "topic": Kind(TOPICS),
        "file": Kind(files=True),
        ANYTHING: Kind(),
    }


def commands() -> Iterator[Command]:
    """The app, then each command."""
    for name in ("", *COMMANDS):
        parser: argparse.ArgumentParser = import_module(f"msrtui.cli.{name or 'explore'}").parser()
        slots = [_slot(name, action) for action in parser._actions]
        summary = COMMANDS.get(name, "the app")
        options = tuple(slot for slot in slots if slot.names)
        yield Command(name, summary, options, tuple(slot for slot in slots if not slot.names))


def _slot(command: str, action: argparse.Action) -> Slot:
    names = tuple(action.option_strings)
    shown = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    choices = tuple(map(str, action.choices or ()))
    kind: str | None = None
    if action.nargs != 0:
        special = [_OTHERWISE.get((command, word)) for word in (shown, *names)]
        kind = next(filter(None, special), None) or _BY_METAVAR.get(shown, ANYTHING)
    help_text = " ".join((action.help or "").split()).replace("%%", "%")
    return Slot(names, shown, help_text, kind, choices, action.nargs in ("*", "+"))
