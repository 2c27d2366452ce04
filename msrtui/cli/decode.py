"""``msrtui decode``: raw CPUID that was saved without KVM's answers, by name."""

from __future__ import annotations

import argparse

from msrtui.cli.options import Parser, add_json, command_parser, profiles_from
from msrtui.cli.output import say, say_json
from msrtui.qemu.profile import DEFAULT_VERSION

_EPILOG = """FILE is what  cpuid -r  prints, or libvirt's XML of a CPU (tests/cputestdata/x86_64-cpuid-*.xml, written
by cpu-data.py gather). Such a file holds what the CPU says, not what KVM offers of it: it is no SOURCE for the
other commands. Where it holds several CPUs the first is shown, and whether the others differ by more than the
ids that tell them apart.

--json: {"source", "qemu", "format": "libvirt"|"cpuid -r", "cpus", "differing",
"cpu": {"vendor", "family", "model", "stepping", "name", "hypervisor"},
"cpuid": [{"leaf", "subleaf", "eax", "ebx", "ecx", "edx",
"words": [{"word", "register", "bits": [{"bit", "name"}]}]}],
"msrs": [{"index", "names", "value", "fields": [{"bits", "name", "value", "text"}]}]};
of cpu each is null where the file does not say it, of bits only the set ones are there, each with QEMU's name of
it or null."""


def parser() -> Parser:
    """The command's options."""
    made = command_parser("decode", "Raw CPUID of a file, by QEMU's names.", _EPILOG)
    made.add_argument("what", metavar="FILE", help="what to decode: a file's path, or - for standard input")
    add_json(made)
    made.add_argument(
        "--qemu",
        metavar="VERSION",
        default=DEFAULT_VERSION,
        help=f"whose names: a version, or auto for that of a QEMU that is here (default {DEFAULT_VERSION})",
    )
    # of a profile the names depend on the version alone
    made.set_defaults(machine="none", irqchip="on", cpu_pm=False, pmu=None, no_migratable=False)
    return made


def run(arguments: list[str]) -> int:
    """Print what was given by name. Raises MsrtuiError where it cannot be read."""
    options = parser().parse_args(arguments)
    return _decode_file(options)


def _decode_file(options: argparse.Namespace) -> int:
    versions, profiles = profiles_from(options)

    from msrtui.report.between import one_document, one_text
    from msrtui.report.rawcpuid import decode_document, decode_text
    from msrtui.snapshot.files import read_bytes
    from msrtui.snapshot.importers import rawcpuid

    raw = rawcpuid.read(*read_bytes(options.what, rawcpuid.OVER))
    if options.json:
        say_json(one_document(versions, [decode_document(options.what, profile, raw) for profile in profiles]))
    else:
        say(one_text(versions, [decode_text(options.what, profile, raw) for profile in profiles]))
    return 0
