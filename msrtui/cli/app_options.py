"""The options of the app, wherever it is drawn: in this terminal, or in the windows of a browser."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from msrtui.cli.commands import COMMANDS
from msrtui.cli.options import SOURCE_HELP, profile_from
from msrtui.colours import PALETTES
from msrtui.errors import BadRequest
from msrtui.qemu.cpu_request import parse
from msrtui.qemu.profile import DEFAULT_VERSION, QemuProfile
from msrtui.snapshot.sources import may_be_source, no_such_source


def add_app(
    parser: ArgumentParser, *, sources: str = SOURCE_HELP, theme: str = "by terminal", glyphs: str = "by locale"
) -> None:
    """What is shown and how it looks, and what the help says of each default.

    Which QEMU reads it is ``add_profile``'s.
    """
    parser.add_argument("sources", metavar="SOURCE", nargs="*", help=sources)
    parser.add_argument("--step", action="store_true", help="begin at the first question instead of at the end")
    parser.add_argument("--cpu", metavar="MODEL", default="host", help="as QEMU's -cpu (default host)")
    parser.add_argument(
        "--theme",
        metavar="NAME",
        help=f"colours: {', '.join(palette.name for palette in PALETTES)} or any that Textual has "
        f"(default: MSRTUI_THEME, else {theme})",
    )
    parser.add_argument(
        "--glyphs", choices=("full", "narrow", "ascii"), help=f"characters to draw with (default: {glyphs})"
    )


def checked(options: Namespace, *, command: bool = False) -> list[QemuProfile]:
    """The QEMU that reads all, or two: the first reads the first source, the second the others.

    ``command``: a command was named, and no other can be meant.

    Raises BadRequest or BadSource where there is no such QEMU or ``-cpu``, or a SOURCE can be none. Opens nothing.
    """
    labels = options.qemu or [DEFAULT_VERSION]
    if len(labels) > 2:
        raise BadRequest("--qemu is given once, or twice to compare two QEMUs.")
    profiles = []
    for label in labels:
        options.qemu = label
        profiles.append(profile_from(options))
    for profile in profiles:
        parse(options.cpu, profile)
    for text in options.sources:
        if text in COMMANDS:
            raise BadRequest(f"A command comes first, its options after it: msrtui {text} …")
        if command and not may_be_source(text):
            raise no_such_source(text)
        meant(text)
    return profiles


def meant(word: str) -> None:
    """Raises BadSource, with what is near it, where a word is neither a source nor a command."""
    if word not in COMMANDS and not may_be_source(word):
        raise no_such_source(word, COMMANDS)


def again(options: Namespace, profiles: list[QemuProfile]) -> list[str]:
    """The words that give another msrtui these options and sources, each value where it cannot be an option."""
    words = [f"--qemu={profile.label}" for profile in profiles]
    for name in ("cpu", "machine", "irqchip", "pmu", "theme", "glyphs"):
        value = getattr(options, name)
        if value is not None:
            words.append(f"--{name}={value}")
    for name in ("step", "cpu_pm", "no_migratable"):
        if getattr(options, name):
            words.append(f"--{name.replace('_', '-')}")
    return [*words, *map(no_option, options.sources)]


def no_option(path: str) -> str:
    """A file's path, so that it is not taken for an option."""
    return f"./{path}" if path.startswith("-") else path
