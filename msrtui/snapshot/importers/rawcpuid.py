"""Reads files that hold what the CPUID instruction says, and nothing of KVM.

Two formats are known: the XML of libvirt's CPU test data (tests/cputestdata/cpu-data.py gather, files named
x86_64-cpuid-*.xml) and the text of ``cpuid -r``, the program by Todd Allen. No such file is a source: what KVM
makes of the CPU is not in it.

Loading is strict: sizes are limited, XML has neither a document type nor entities, numbers are 0x and digits,
and each mistake is one sentence with its line. Text from the file never carries control characters further.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Literal, NamedTuple
from xml.parsers import expat

from msrtui.errors import BadSource
from msrtui.kvm.collector import FORMAT, plain
from msrtui.snapshot.frames import has_frame
from msrtui.snapshot.importers.kvmdump import is_kvmdump
from msrtui.values import dataclass, field

SIZE_LIMIT = 2 * 1024 * 1024
"""Bytes. One CPU is 8 kB; a machine of 256 of them still fits."""
OVER = "cpuid -1 -r writes one CPU, which is enough"
"""What a file over the limit is told."""
LINE_LIMIT = 32768
"""Lines of ``cpuid -r``: more than rows fit into SIZE_LIMIT."""
WIDTH_LIMIT = 500
"""Characters of a line of ``cpuid -r``, which has some 90: in a longer one there is no end to where a row may begin."""
ROW_LIMIT = 1024
"""Rows of one CPU, and MSRs: the largest CPUs have some 150."""

Format = Literal["libvirt", "cpuid -r"]

_REGISTERS = ("eax", "ebx", "ecx", "edx")

_REMEDY: Mapping[Format, str] = {
    "libvirt": "cpu-data.py gather of libvirt writes a whole one",
    "cpuid -r": "cpuid -1 -r writes a whole one",
}


class CpuidRow(NamedTuple):
    """What CPUID answers for one ``leaf`` (EAX) and ``subleaf`` (ECX): four registers of 32 bits."""

    leaf: int
    subleaf: int
    eax: int
    ebx: int
    ecx: int
    edx: int


@dataclass(frozen=True)
class RawCpuid:
    """The first CPU of a file.

    ``rows`` stand in the file's order, each (leaf, subleaf) once. ``msrs`` are index and value of 64 bits; only
    libvirt's files have any, and what wrote them read them from the CPU or, where it could not, from KVM.
    ``cpus`` is how many CPUs the file holds, ``differing`` whether another of them answers otherwise than the
    first by more than the numbers that tell CPUs apart.
    """

    rows: tuple[CpuidRow, ...]
    msrs: Mapping[int, int]
    format: Format
    cpus: int = 1
    differing: bool = False


def read(data: bytes, shown: str) -> RawCpuid:
    """The CPUID in the bytes of a file; ``shown`` is what sentences call it, and is printed as it is.

    Raises BadSource: it is of no known format, something in it is wrong, or it is a source of other commands.
    """
    if len(data) > SIZE_LIMIT:
        raise BadSource(f"{shown} is over {SIZE_LIMIT >> 20} MiB: {OVER}.")
    try:
        text = data.decode("utf-8-sig").lstrip(" \t\r\n")
    except UnicodeDecodeError:
        raise BadSource(f"{shown} is not text: decode reads cpuid -r and libvirt's XML of raw CPUID.") from None
    if not text:
        raise BadSource(f"{shown} is empty: decode reads cpuid -r and libvirt's XML of raw CPUID.")
    if has_frame(data) or (text[0] in "{[" and _is_source(text)):
        raise BadSource(f"{shown} is a SOURCE, a host with the answers of its KVM: msrtui words FILE reads it.")
    if text[0] in "{[":
        raise BadSource(f"{shown} is JSON: decode reads cpuid -r and libvirt's XML of raw CPUID.")
    is_xml = text.startswith("<")
    try:
        # the text as it came, so that lines count from the first one
        return _libvirt(data) if is_xml else _cpuid_r(data.decode("utf-8-sig"))
    except _Wrong as wrong:
        remedy = _REMEDY["libvirt" if is_xml else "cpuid -r"]
        raise BadSource(f"{shown} cannot be read as raw CPUID: {wrong}; {remedy}.") from None


def _is_source(text: str) -> bool:
    """Whether a JSON text is one that other commands read; what is wrong with it they say themselves."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return is_kvmdump(raw) or (isinstance(raw, dict) and raw.get("format") == FORMAT)


class _Wrong(Exception):
    """What is wrong, with its line."""


# a number of 32 bits, be there zeros in front of it or not; int() would take more than that
_NUMBER = re.compile(r"0x0*([0-9a-fA-F]{1,8})")


def _number(text: str, name: str, at: str) -> int:
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise _Wrong(f"{at}: {name} is not a number of 32 bits such as 0x0000000d")
    return int(found[1], 16)


class _Cpu:
    """The rows of one CPU while they are read."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, int], CpuidRow] = {}

    def add(self, row: CpuidRow, at: str) -> None:
        if (row.leaf, row.subleaf) in self.rows:
            raise _Wrong(f"{at}: leaf {row.leaf:#x} with subleaf {row.subleaf:#x} is there twice")
        if len(self.rows) == ROW_LIMIT:
            raise _Wrong(f"{at}: a CPU of over {ROW_LIMIT} rows is none")
        self.rows[row.leaf, row.subleaf] = row

    def without_ids(self) -> set[CpuidRow]:
        return {_without_ids(row) for row in self.rows.values()}


_IDS: Mapping[int, tuple[int, int, int, int]] = {
    0x1: (0, 0xFF00_0000, 0, 0),  # the initial APIC id
    0xB: (0, 0, 0, 0xFFFF_FFFF),  # the x2APIC id, as in the next one
    0x1F: (0, 0, 0, 0xFFFF_FFFF),
    0x8000_001E: (0xFFFF_FFFF, 0xFF, 0xFF, 0),  # AMD: the APIC id, the core's, the node's
    0x8000_0026: (0, 0, 0, 0xFFFF_FFFF),  # AMD: the x2APIC id
}
"""The bits of eax, ebx, ecx and edx by leaf that number a CPU, so that no two of a machine have the same."""


def _without_ids(row: CpuidRow) -> CpuidRow:
    ids = _IDS.get(row.leaf)
    if ids is None:
        return row
    return CpuidRow(row.leaf, row.subleaf, *(value & ~mask for value, mask in zip(row[2:], ids, strict=True)))


# --- cpuid -r ------------------------------------------------------------------------------------------------------
_HEAD = re.compile(r"CPU(?: [0-9]{1,9})?:")
_ROW = re.compile(r"(\S+)[ \t]+(\S+):[ \t]*" + r"[ \t]+".join(rf"{name}=(\S+)" for name in _REGISTERS))


def _cpuid_r(text: str) -> RawCpuid:
    if text.count("\n") > LINE_LIMIT:
        raise _Wrong(f"it has over {LINE_LIMIT} lines")
    cpus: dict[str, _Cpu] = {}
    at = cpu = None
    for number, line in enumerate(text.split("\n"), 1):
        at = f"line {number}"
        line = line.strip(" \t\r")
        if _HEAD.fullmatch(line):
            if line in cpus:
                raise _Wrong(f"{at}: {line.rstrip(':')} is there twice")
            _not_empty(cpu, at)
            cpu = cpus[line] = _Cpu()
        elif line:
            if cpu is None:
                cpu = cpus[""] = _Cpu()  # rows without a heading, as in a letter
            cpu.add(_row(line, at), at)
    _not_empty(cpu, at or "line 1")
    first, *others = cpus.values()
    mine = first.without_ids()
    differing = any(other.without_ids() != mine for other in others)
    return RawCpuid(tuple(first.rows.values()), {}, "cpuid -r", len(cpus), differing)


def _not_empty(cpu: _Cpu | None, at: str) -> None:
    if cpu is not None and not cpu.rows:
        raise _Wrong(f"{at}: the CPU before it has no rows")


def _row(line: str, at: str) -> CpuidRow:
    found = _ROW.fullmatch(line) if len(line) <= WIDTH_LIMIT else None
    if found is None:
        raise _Wrong(f"{at} is no row of cpuid -r")
    names = ("the leaf", "the subleaf", *_REGISTERS)
    return CpuidRow(*(_number(text, name, at) for text, name in zip(found.groups(), names, strict=True)))


# --- libvirt's XML -------------------------------------------------------------------------------------------------
def _libvirt(data: bytes) -> RawCpuid:
    # the encoding is given, so that none that the file names is looked up
    parser = expat.ParserCreate("utf-8")
    document = _Document(parser)
    parser.StartDoctypeDeclHandler = document.doctype
    parser.EntityDeclHandler = document.entity
    parser.StartElementHandler = document.start
    parser.EndElementHandler = document.end
    parser.CharacterDataHandler = document.text
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise _Wrong(f"line {error.lineno}: no well-formed XML, {expat.ErrorString(error.code)}") from None
    if not document.cpu.rows:
        raise _Wrong("it has no <cpuid> element")
    return RawCpuid(tuple(document.cpu.rows.values()), document.msrs, "libvirt")


@dataclass
class _Document:
    """What libvirt's XML holds while it is read: a <cpudata>, in it <cpuid> and <msr>, in these nothing."""

    parser: expat.XMLParserType
    cpu: _Cpu = field(default_factory=_Cpu)
    msrs: dict[int, int] = field(default_factory=dict)
    depth: int = 0

    @property
    def line(self) -> str:
        return f"line {self.parser.CurrentLineNumber}"

    def doctype(self, *_: object) -> None:
        raise _Wrong(f"{self.line}: it declares a document type, which is not read")

    def entity(self, *_: object) -> None:
        raise _Wrong(f"{self.line}: it declares an entity, which is not read")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        at = f"{self.line}, <{plain(name, 40)}>"
        if self.depth == 1:
            if name != "cpudata":
                raise _Wrong(f"{at} is not <cpudata>")
            if attributes.get("arch") != "x86":
                raise _Wrong(f"{at}: its arch is not x86, and only x86 has CPUID")
        elif self.depth == 2 and name == "cpuid":
            self._cpuid(attributes, at)
        elif self.depth == 2 and name == "msr":
            self._msr(attributes, at)
        else:
            raise _Wrong(f"{at} is an element that does not belong there")

    def end(self, _: str) -> None:
        self.depth -= 1

    def text(self, text: str) -> None:
        if text.strip():
            raise _Wrong(f"{self.line}: there is text where only elements belong")

    def _cpuid(self, attributes: dict[str, str], at: str) -> None:
        # libvirt takes a row without ecx_in for subleaf 0
        numbers = _numbers({"ecx_in": "0x0", **attributes}, ("eax_in", "ecx_in", *_REGISTERS), at)
        self.cpu.add(CpuidRow(*numbers), at)

    def _msr(self, attributes: dict[str, str], at: str) -> None:
        index, eax, edx = _numbers(attributes, ("index", "eax", "edx"), at)
        if index in self.msrs:
            raise _Wrong(f"{at}: MSR {index:#x} is there twice")
        if len(self.msrs) == ROW_LIMIT:
            raise _Wrong(f"{at}: there are over {ROW_LIMIT} MSRs")
        self.msrs[index] = edx << 32 | eax


def _numbers(attributes: Mapping[str, str], names: tuple[str, ...], at: str) -> list[int]:
    """The attributes called ``names``, of which none may be missing and beside which there may be no other."""
    for name in names:
        if name not in attributes:
            raise _Wrong(f"{at} has no {name}")
    for name in attributes:
        if name not in names:
            raise _Wrong(f"{at} has the unknown attribute {plain(name, 40)}")
    return [_number(attributes[name], name, at) for name in names]
