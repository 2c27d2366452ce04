"""``msrtui [SOURCE…]``: the app. Everything that it needs is imported here, when it is opened."""

from __future__ import annotations

from argparse import Namespace

from msrtui.cli.commands import COMMANDS
from msrtui.cli.options import SOURCE_HELP, Help, Parser, add_profile, profile_from
from msrtui.errors import BadRequest
from msrtui.qemu.cpu_request import parse
from msrtui.qemu.profile import DEFAULT_VERSION, QemuProfile
from msrtui.snapshot.sources import Source, may_be_source, no_such_source, open_source


def parser() -> Parser:
    """The options of ``msrtui`` without a command word."""
    from msrtui import __version__

    width = max(map(len, COMMANDS)) + 2
    commands = "\n".join(f"  {name:{width}}{summary}" for name, summary in COMMANDS.items())
    made = Parser(
        prog="msrtui",
        description="See how QEMU negotiates MSRs and CPU features with KVM. Without a command the app opens.",
        epilog=f"commands (msrtui COMMAND --help says more; ./NAME opens a file that is called like one):\n{commands}",
        formatter_class=Help,
        allow_abbrev=False,
    )
    made.add_argument("--version", action="version", version=f"msrtui {__version__}")
    made.add_argument("sources", metavar="SOURCE", nargs="*", help=SOURCE_HELP)
    made.add_argument("--step", action="store_true", help="begin at the first question instead of at the end")
    made.add_argument("--cpu", metavar="MODEL", default="host", help="as QEMU's -cpu (default host)")
    made.add_argument(
        "--theme",
        metavar="NAME",
        help="colours: msrtui-dark, msrtui-light, msrtui-contrast, msrtui-projector or any that Textual has "
        "(default: MSRTUI_THEME, else by terminal)",
    )
    made.add_argument(
        "--glyphs", choices=("full", "narrow", "ascii"), help="characters to draw with (default: by locale)"
    )
    made.add_argument(
        "--diff",
        choices=("auto", "on", "off"),
        help="send the terminal only the cells that changed (default: MSRTUI_DIFF, else auto: over ssh)",
    )
    made.add_argument(
        "--diff-check", action="store_true", help="do so, verify each frame, and say at the end what was sent"
    )
    add_profile(made, several=True)
    return made


def run(arguments: list[str]) -> int:
    """Open the app.

    Raises MsrtuiError where a source cannot be read, there is no such -cpu or theme, or no terminal to draw on.
    """
    if arguments and not arguments[0].startswith("-"):
        _meant(arguments[0])  # first: the options behind a mistyped command would be complained of
    options = parser().parse_args(arguments)
    profiles = _profiles(options)
    for profile in profiles:
        parse(options.cpu, profile)  # refused before anything is opened
    for text in options.sources:
        if text in COMMANDS:
            raise BadRequest(f"A command comes first, its options after it: msrtui {text} …")
        _meant(text)
    sources: list[Source] = [open_source(text) for text in options.sources] or [open_source(None)]
    try:
        from msrtui.tui import app
    except ModuleNotFoundError as missing:
        raise BadRequest(f"The app needs the Python package {missing.name}; msrtui trace works without.") from None
    return app.run(
        sources,
        profiles,
        cpu=options.cpu,
        step=options.step,
        theme=options.theme,
        tier=options.glyphs,
        diff=options.diff,
        diff_check=options.diff_check,
    )


def _profiles(options: Namespace) -> list[QemuProfile]:
    """The QEMU that reads all, or two: the first reads the first source, the second the others."""
    labels = options.qemu or [DEFAULT_VERSION]
    if len(labels) > 2:
        raise BadRequest("--qemu is given once, or twice to compare two QEMUs.")
    profiles = []
    for label in labels:
        options.qemu = label
        profiles.append(profile_from(options))
    return profiles


def _meant(word: str) -> None:
    """Raises BadSource, with what is near it, where a word is neither a source nor a command."""
    if word not in COMMANDS and not may_be_source(word):
        raise no_such_source(word, COMMANDS)
