"""``msrtui collector``: the program that captures a host, to run where msrtui is not installed."""

from __future__ import annotations

from msrtui.cli.options import Parser, command_parser
from msrtui.cli.output import say

_EPILOG = """It needs Python 3.6 or later and nothing else, changes nothing, and prints a snapshot between two marks:

    msrtui collector > collector.py
    ssh HOST python3 - < collector.py | msrtui words -
    kubectl exec POD -- python3 -c "$(msrtui collector)" > node.txt;  msrtui node.txt
    ansible all -m script -a 'collector.py executable=python3' > replies.txt;  msrtui convert replies.txt -o hosts/

msrtui capture HOST does the first for many hosts at once."""


def parser() -> Parser:
    """The command's options: none."""
    return command_parser("collector", "The program that captures a host where msrtui is not installed.", _EPILOG)


def run(arguments: list[str]) -> int:
    """Print the program."""
    parser().parse_args(arguments)

    from msrtui.resources import package_file, read

    say(read(package_file("kvm/collector.py")).decode())
    return 0
