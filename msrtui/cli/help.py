"""``msrtui help [TOPIC]``: the pages on how to read what msrtui shows; the app's help screen shows them too."""

from __future__ import annotations

from msrtui.cli.options import Parser, command_parser
from msrtui.cli.output import say


def parser() -> Parser:
    """The command's options."""
    made = command_parser("help", "How to read each screen, the ladder, a snapshot, the JSON, an exit status.")
    made.add_argument("topic", metavar="TOPIC", nargs="?", help="a page (without it: which pages there are)")
    return made


def run(arguments: list[str]) -> int:
    """Print a page, or which there are. Raises BadRequest where there is none of that name."""
    options = parser().parse_args(arguments)

    from msrtui.report.help import page_text, topics_text

    say(topics_text() if options.topic is None else page_text(options.topic))
    return 0
