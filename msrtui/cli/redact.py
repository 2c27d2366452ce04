"""``msrtui redact``: a snapshot without what could say whose host it is."""

from __future__ import annotations

import os

from msrtui.cli.options import Parser, command_parser
from msrtui.cli.output import note, say
from msrtui.resources import bundled_hosts, data_path

_EPILOG = """Takes out the host's name and where the snapshot comes from, every key that the format does not name, of
the kernel's command line all but mitigations and KVM's switches, and whatever looks like an address. What was
taken is said on standard error. What KVM answered stays as it is."""


def parser() -> Parser:
    """The command's options."""
    made = command_parser("redact", "A snapshot without what could say whose host it is.", _EPILOG)
    made.add_argument("file", metavar="FILE", help="the snapshot to read, the name of a bundled host, or -")
    made.add_argument("-o", "--output", metavar="PATH", default="-", help="where to (default -: standard output)")
    return made


def run(arguments: list[str]) -> int:
    """Write the snapshot, say what was taken out. Raises BadSource where the file is no snapshot."""
    options = parser().parse_args(arguments)

    from msrtui.snapshot.codec import decode, encode, read_document
    from msrtui.snapshot.files import read_bytes, write_whole
    from msrtui.snapshot.privacy import redact
    from msrtui.snapshot.sources import no_such_source

    bundled = options.file in bundled_hosts()
    if options.file != "-" and not bundled and not os.path.lexists(options.file):
        raise no_such_source(options.file)
    data, shown = read_bytes(data_path("snapshots", f"{options.file}.json") if bundled else options.file)
    document, taken = redact(read_document(data, shown))
    decode(document, shown)
    if options.output == "-":
        say(encode(document))
    else:
        write_whole(options.output, encode(document))
    note(f"taken out: {', '.join(taken)}" if taken else "There was nothing to take out.")
    return 0
