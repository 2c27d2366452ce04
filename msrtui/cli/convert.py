"""``msrtui convert``: what people already have, as snapshots."""

from __future__ import annotations

from msrtui.cli.options import Parser, command_parser
from msrtui.cli.output import note, say

_EPILOG = """Reads a capture of kvmdump, a collector's output with whatever was printed around it (a mail, a log, what
Ansible saved), or a snapshot of an older format. Every key of a snapshot survives, known or not.

What holds raw CPUID but not KVM's answer (libvirt's XML, cpuid -r) is no snapshot: msrtui decode shows it."""


def parser() -> Parser:
    """The command's options."""
    made = command_parser("convert", "A capture of another kind, as a snapshot.", _EPILOG)
    made.add_argument("file", metavar="FILE", help="the file to read, or -")
    made.add_argument("-o", "--output", metavar="PATH", default="-", help="where to (default -: standard output)")
    made.add_argument("--origin", metavar="TEXT", help="a line on where it comes from, kept in the snapshot")
    return made


def run(arguments: list[str]) -> int:
    """Write the snapshot. Raises BadSource where the file is none that can be read."""
    options = parser().parse_args(arguments)

    from msrtui.kvm.collector import plain
    from msrtui.report.snapshots import captured_line
    from msrtui.snapshot.codec import decode, encode, read_document
    from msrtui.snapshot.files import read_bytes, write_whole

    data, shown = read_bytes(options.file)
    document = read_document(data, shown)
    if options.origin is not None:
        host = document.get("host")
        document["host"] = {**(host if isinstance(host, dict) else {}), "origin": plain(options.origin, 400)}
    saved = decode(document, shown)
    if options.output == "-":
        say(encode(document))
    else:
        write_whole(options.output, encode(document))
        note(f"{plain(options.output)}: {captured_line(saved)}")
    return 0
