"""``msrtui completion SHELL``: the script by which a shell completes msrtui's command line, made from the parsers."""

from __future__ import annotations

from msrtui.cli.options import Parser, command_parser
from msrtui.cli.output import say

_EPILOG = """Commands, options, bundled hosts, QEMU versions, MSRs, CPU models, features and talks complete.
Where it goes (mkdir -p makes a folder that is not there; for zsh it is any folder of $fpath):

    msrtui completion bash > ~/.local/share/bash-completion/completions/msrtui
    msrtui completion zsh > _msrtui
    msrtui completion fish > ~/.config/fish/completions/msrtui.fish"""


def parser() -> Parser:
    """The command's options."""
    made = command_parser("completion", "The script by which a shell completes msrtui's command line.", _EPILOG)
    made.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish")
    return made


def run(arguments: list[str]) -> int:
    """Print the script."""
    options = parser().parse_args(arguments)

    from msrtui.cli.completing import commands, kinds
    from msrtui.cli.shells import SHELLS

    say(SHELLS[options.shell](list(commands()), kinds()))
    return 0
