"""``msrtui pyz``: msrtui as one file, to run where nothing is installed."""

from __future__ import annotations

from msrtui.cli.options import Parser, command_parser
from msrtui.cli.output import note, say, say_bytes

_EPILOG = """The file needs Python 3.10 or later and no package, and writes nothing where it runs:

    msrtui pyz && scp msrtui.pyz HOST: && ssh -t HOST python3 msrtui.pyz
    msrtui pyz -o - | ssh HOST 'cat > msrtui.pyz && python3 msrtui.pyz doctor'

It is made of what is installed here, without asking anything of the network; the same installation makes the same
bytes. It starts quickest with the Python that made it. It does all that msrtui does but serve and verify, which
need packages that one file cannot hold. A capture needs none of it: msrtui capture HOST."""


def parser() -> Parser:
    """The command's options."""
    made = command_parser("pyz", "msrtui as one file that any python3 runs, with nothing installed.", _EPILOG)
    made.add_argument(
        "-o", "--output", metavar="FILE", default="msrtui.pyz", help="where to, - for a pipe (default msrtui.pyz)"
    )
    return made


def run(arguments: list[str]) -> int:
    """Write the file. Raises MsrtuiError where it cannot be made or written."""
    options = parser().parse_args(arguments)

    from msrtui.kvm.collector import plain
    from msrtui.one_file import one_file
    from msrtui.snapshot.files import write_whole

    made = one_file()
    for sentence in made.lacks:
        note(sentence)
    if options.output == "-":
        say_bytes(made.archive)
        return 0
    write_whole(options.output, made.archive, 0o777)
    say(f"{plain(options.output)}: {len(made.archive) / 2**20:.1f} MiB. Run it: python3 {plain(options.output)}\n")
    return 0
