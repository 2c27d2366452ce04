"""``msrtui convert``: what people already have, as snapshots."""

from __future__ import annotations

import re
from pathlib import Path

from msrtui.cli.options import Parser, command_parser
from msrtui.cli.output import note, say
from msrtui.errors import BadRequest

_EPILOG = """Reads a capture of kvmdump, a collector's output with whatever was printed around it (a mail, a log, what
Ansible saved), or a snapshot of an older format. Every key of a snapshot survives, known or not.

What holds raw CPUID but not KVM's answer (libvirt's XML, cpuid -r) is no snapshot: msrtui decode shows it."""


def parser() -> Parser:
    """The command's options."""
    made = command_parser("convert", "A capture of another kind, as a snapshot.", _EPILOG)
    made.add_argument("file", metavar="FILE", help="the file to read, or -")
    made.add_argument("-o", "--output", metavar="PATH", default="-", help="a file; a folder where FILE holds several")
    made.add_argument("--origin", metavar="TEXT", help="a line on where it comes from, kept in the snapshot")
    return made


def run(arguments: list[str]) -> int:
    """Write the snapshot. Raises BadSource where the file is none that can be read."""
    options = parser().parse_args(arguments)

    from msrtui.kvm.collector import plain
    from msrtui.report.snapshots import captured_line
    from msrtui.snapshot import frames
    from msrtui.snapshot.codec import decode, encode, read_document
    from msrtui.snapshot.files import read_bytes, write_whole

    data, shown = read_bytes(options.file)
    whole = list(frames.snapshots(data))
    if len(whole) > 1:
        return _each(whole, shown, options.output)
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


def _each(whole: list[bytes], shown: str, output: str) -> int:
    """Several collectors' snapshots, as Ansible prints them: a file each, by the host's name, in a folder."""
    from msrtui.snapshot.codec import decode, encode, read_document
    from msrtui.snapshot.files import write_whole

    if not Path(output).is_dir():
        raise BadRequest(f"{shown} holds {len(whole)} snapshots: name a folder that is there with -o.")
    used: set[str] = set()
    for data in whole:
        document = read_document(data, shown)
        name = re.sub(r"[^A-Za-z0-9._-]", "_", decode(document, shown).about.name or "host").lstrip(".-") or "host"
        while name in used:
            name += "-again"
        used.add(name)
        write_whole(str(Path(output) / f"{name}.json"), encode(document))
    note(f"{len(whole)} snapshots in {output}")
    return 0
