"""``msrtui [SOURCE…]``: the app. Everything that it needs is imported here, when it is opened."""

from __future__ import annotations

import os

from msrtui.cli.app_options import add_app, checked, meant
from msrtui.cli.commands import COMMANDS
from msrtui.cli.options import Help, Parser, add_profile
from msrtui.errors import BadRequest
from msrtui.resources import bundled_hosts
from msrtui.snapshot.sources import Source, open_source


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
    add_app(made)
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
        meant(arguments[0])  # first: the options behind a mistyped command would be complained of
    options = parser().parse_args(arguments)
    profiles = checked(options)
    from msrtui.tui.permits import check_served, permits_for

    served = permits_for(os.environ, ()).served
    if served:
        check_served(options.sources)
    first = bundled_hosts()[0] if served else None
    sources: list[Source] = [open_source(text) for text in options.sources] or [open_source(first)]
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
