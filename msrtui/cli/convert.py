"""``msrtui convert``: what people already have, as snapshots."""

from __future__ import annotations

from typing import Any

from msrtui.cli.folders import is_folder, made_folder, safe_name
from msrtui.cli.options import Parser, command_parser
from msrtui.cli.output import note, say
from msrtui.errors import BadRequest
from msrtui.kvm.collector import plain

_EPILOG = """Reads a capture of kvmdump, a collector's output with whatever was printed around it (a mail, a log, what
Ansible saved), or a snapshot of an older format. Every key of a snapshot survives, known or not.

What holds raw CPUID but not KVM's answer (libvirt's XML, cpuid -r) is no snapshot: msrtui decode shows it."""


def parser() -> Parser:
    """The command's options."""
    made = command_parser("convert", "A capture of another kind, as a snapshot.", _EPILOG)
    made.add_argument("file", metavar="FILE", help="the file to read, or -")
    made.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        default="-",
        help="a file, or a folder (hosts/), as it has to be where FILE holds several",
    )
    made.add_argument("--origin", metavar="TEXT", help="a line on where it comes from, kept in the snapshot")
    return made


def run(arguments: list[str]) -> int:
    """Write the snapshot. Raises BadSource where the file is none that can be read."""
    options = parser().parse_args(arguments)

    from msrtui.report.snapshots import captured_line
    from msrtui.snapshot import frames
    from msrtui.snapshot.codec import decode, encode
    from msrtui.snapshot.files import read_bytes, write_whole

    data, shown = read_bytes(options.file)
    whole = list(frames.snapshots(data))
    if len(whole) > 1 or is_folder(options.output):
        return _each(whole or [data], shown, options.output, options.origin)
    document = _document(data, shown, options.origin)
    saved = decode(document, shown)
    if options.output == "-":
        say(encode(document))
    else:
        write_whole(options.output, encode(document))
        note(f"{plain(options.output)}: {captured_line(saved)}")
    return 0


def _document(data: bytes, shown: str, origin: str | None) -> dict[str, Any]:
    from msrtui.snapshot.codec import read_document

    document = read_document(data, shown)
    if origin is not None:
        host = document.get("host")
        document["host"] = {**(host if isinstance(host, dict) else {}), "origin": plain(origin, 400)}
    return document


def _each(whole: list[bytes], shown: str, output: str, origin: str | None) -> int:
    """A file each, by the host's name, in a folder: several collectors' snapshots, as Ansible prints them, or one."""
    from msrtui.snapshot.codec import decode, encode
    from msrtui.snapshot.files import write_whole

    if not is_folder(output):
        raise BadRequest(f"{shown} holds {len(whole)} snapshots: name a folder with -o (hosts/).")
    used: set[str] = set()
    read: list[tuple[str, dict[str, Any]]] = []
    for data in whole:
        document = _document(data, shown, origin)
        name = safe_name(decode(document, shown).about.name or "host")
        while name in used:
            name += "-again"
        used.add(name)
        read.append((name, document))
    folder = made_folder(output)
    for name, document in read:
        write_whole(str(folder / f"{name}.json"), encode(document))
    note(f"{len(read)} snapshot{'s' if len(read) > 1 else ''} in {plain(output)}")
    return 0
