"""``msrtui decode``: an MSR's value by name, what changed between two, pasted rdmsr output, files of raw CPUID."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from msrtui.cli.options import Parser, add_json, command_parser, msr_from, profiles_from
from msrtui.cli.output import note, say, say_json
from msrtui.errors import BadRequest, BadSource
from msrtui.qemu.profile import DEFAULT_VERSION

if TYPE_CHECKING:
    from msrtui.explain.rdmsr import Reading

_EPILOG = """MSR VALUE [VALUE2] takes a register's value apart:
  msrtui decode 0x48b 0x1582e00000000
  msrtui decode ARCH_CAPABILITIES 0x69 0x400000000c000069
of two values it shows what changed. A VALUE with 0x or with letters in it is hexadecimal, digits alone are decimal.

Pasted text is read too, from a file, from standard input or in quotes: a session with rdmsr (rdmsr 0x48b, rdmsr -a …)
and lines such as  0x48b: 0x1582e00000000  or  MSR 48b = 1582e00000000.

FILE may also be what  cpuid -r  prints, or libvirt's XML of a CPU (tests/cputestdata/x86_64-cpuid-*.xml, written
by cpu-data.py gather). Such a file holds what the CPU says, not what KVM offers of it: it is no SOURCE for the
other commands. Where it holds several CPUs the first is shown, and whether the others differ by more than the
ids that tell them apart.

--json of values: {"source", "qemu", "msrs": [{"index", "names", "value", "cpus",
"fields": [{"bits", "name", "qemu", "value", "text", in a VMX control MSR "may_be_1", "must_be_1"}]}]};
of two: {"source", "qemu", "index", "names", "values",
"changed": [{"bits", "name", "qemu", "before", "after", "text"}]};
of raw CPUID: {"source", "qemu", "format": "libvirt"|"cpuid -r", "cpus", "differing",
"cpu": {"vendor", "family", "model", "stepping", "name", "hypervisor"},
"cpuid": [{"leaf", "subleaf", "eax", "ebx", "ecx", "edx",
"words": [{"word", "register", "bits": [{"bit", "name"}]}]}],
"msrs": [{"index", "names", "value", "fields": [{"bits", "name", "value", "text"}]}]};
of cpu each is null where the file does not say it, of bits only the set ones are there, each with QEMU's name of
it or null."""


def parser() -> Parser:
    """The command's options."""
    made = command_parser("decode", "Registers and raw CPUID by name, without any host.", _EPILOG)
    made.add_argument(
        "what",
        metavar="MSR|FILE",
        help="a register's number or name; or a file's path, - for standard input, pasted text",
    )
    made.add_argument("values", metavar="VALUE", nargs="*", help="the register's value, and another one to compare")
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
    if options.values:
        return _decode_values(options)
    if options.what != "-" and not os.path.lexists(options.what):
        return _decode_pasted(options)
    return _decode_file(options)


def _decode_values(options: argparse.Namespace) -> int:
    if len(options.values) > 2:
        raise BadRequest("decode takes one value of a register, or two to compare.")
    index = msr_from(options.what)
    values = [_value(text) for text in options.values]
    versions, profiles = profiles_from(options)

    from msrtui.explain.rdmsr import Reading
    from msrtui.report import decode
    from msrtui.report.between import one_document, one_text

    if len(values) == 2:
        before, after = values
        documents = [decode.decode_change_document(index, before, after, profile) for profile in profiles]
        texts = [decode.decode_change_text(index, before, after, profile) for profile in profiles]
    else:
        readings = [Reading(index, values[0])]
        documents = [decode.decode_values_document(None, readings, profile) for profile in profiles]
        texts = [decode.decode_values_text(readings, profile) for profile in profiles]
    if options.json:
        say_json(one_document(versions, documents))
    else:
        say(one_text(versions, texts))
    return 0


_DIGITS = frozenset("0123456789abcdefABCDEF")


def _value(text: str) -> int:
    """A value of 64 bits. Raises BadRequest."""
    digits = text.strip().replace("_", "")
    prefixed = digits[:2] in ("0x", "0X")
    digits = digits[2:] if prefixed else digits
    if not digits or len(digits) > 20 or not set(digits) <= _DIGITS:
        raise BadRequest("A register's value is a number of 64 bits: 0x1582e00000000, or 5.")
    decimal = not prefixed and digits.isdigit()
    value = int(digits, 10 if decimal else 16)
    if value >> 64:
        raise BadRequest("A register's value has 64 bits: that number is larger.")
    if decimal and len(digits) > 1:
        note(f"{digits} is read as a decimal number; 0x{digits} is what rdmsr means by it.")
    return value


def _decode_pasted(options: argparse.Namespace) -> int:
    """Text in quotes; where nothing can be read in it, a register without its value or a file that is not there."""
    from msrtui.explain.rdmsr import read_registers

    readings = read_registers(options.what)
    if readings:
        return _show(options, None, readings)
    from msrtui.catalog import UnknownMsr, find_msr

    try:
        index = find_msr(options.what)
    except UnknownMsr:
        return _decode_file(options)
    raise BadRequest(
        f"Give the register's value too: msrtui decode {hex(index)} VALUE; msrtui get {hex(index)} asks KVM."
    )


def _show(options: argparse.Namespace, source: str | None, readings: tuple[Reading, ...]) -> int:
    versions, profiles = profiles_from(options)

    from msrtui.report.between import one_document, one_text
    from msrtui.report.decode import decode_values_document, decode_values_text

    if options.json:
        say_json(one_document(versions, [decode_values_document(source, readings, each) for each in profiles]))
    else:
        say(one_text(versions, [decode_values_text(readings, each) for each in profiles]))
    return 0


def _decode_file(options: argparse.Namespace) -> int:
    versions, profiles = profiles_from(options)

    from msrtui.explain.rdmsr import read_registers
    from msrtui.report.between import one_document, one_text
    from msrtui.report.rawcpuid import decode_document, decode_text
    from msrtui.snapshot.files import read_bytes
    from msrtui.snapshot.importers import rawcpuid

    data, shown = read_bytes(options.what, rawcpuid.OVER)
    try:
        raw = rawcpuid.read(data, shown)
    except BadSource:
        # a broken file of CPUID is told as one
        other = b"eax=" in data or data.lstrip().startswith((b"<", b"{", b"["))
        readings = () if other else read_registers(data.decode("utf-8", "replace"))
        if not readings:
            raise
        return _show(options, options.what, readings)
    if options.json:
        say_json(one_document(versions, [decode_document(options.what, profile, raw) for profile in profiles]))
    else:
        say(one_text(versions, [decode_text(options.what, profile, raw) for profile in profiles]))
    return 0
