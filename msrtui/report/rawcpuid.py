"""Raw CPUID by name: whose CPU it is, the registers that are QEMU's feature words, the MSRs beside them.

Everything here is what the CPU says of itself. What KVM offers of it, and so what a guest gets, is not in it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from msrtui.catalog import DecodedField, decode, names_of, short_name
from msrtui.kvm.collector import plain
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import FeatureWord
from msrtui.qemu.words import bits_of
from msrtui.report.shape import aligned, counted, grouped, wrapped
from msrtui.snapshot.importers.rawcpuid import CpuidRow, RawCpuid

_WIDTH = 80
"""Columns of the text: these files are read in letters and reviews."""

_REGISTERS = ("eax", "ebx", "ecx", "edx")
_KVM_SIGNATURE = "KVMKVMKVM"
_HYPERVISOR_LEAVES = range(0x4000_0000, 0x5000_0000)
"""What these leaves mean is up to the hypervisor that 0x40000000 names; QEMU's words of them are KVM's."""


class Cpu(NamedTuple):
    """Whose CPU it is; each is None where the file does not say, or where what it says is no text.

    ``vendor`` and ``hypervisor`` are of up to 12 characters, ``name`` is the brand string; ``family`` and
    ``model`` have their extended part in them.
    """

    vendor: str | None
    family: int | None
    model: int | None
    stepping: int | None
    name: str | None
    hypervisor: str | None


class NamedWord(NamedTuple):
    """A register that is a feature word of this QEMU."""

    word: FeatureWord
    value: int

    @property
    def named(self) -> list[str]:
        """The names of the set bits that have one, lowest bit first."""
        return [self.word.bits[bit] for bit in bits_of(self.value) if bit in self.word.bits]

    @property
    def unnamed(self) -> list[int]:
        """The numbers of the other set bits."""
        return [bit for bit in bits_of(self.value) if bit not in self.word.bits]


def cpu_of(raw: RawCpuid) -> Cpu:
    """Read the leaves that say whose CPU it is: 0, 1, 0x80000002 to 4 and 0x40000000."""
    rows = {(row.leaf, row.subleaf): row for row in raw.rows}
    first, version, hypervisor = (rows.get((leaf, 0)) for leaf in (0, 1, 0x4000_0000))
    family, model, stepping = (None, None, None) if version is None else _version(version.eax)
    brand = [rows.get((0x8000_0002 + place, 0)) for place in range(3)]
    return Cpu(
        None if first is None else _text((first.ebx, first.edx, first.ecx)),
        family,
        model,
        stepping,
        None if None in brand else _text([value for row in brand if row is not None for value in row[2:]]),
        None if hypervisor is None else _text((hypervisor.ebx, hypervisor.ecx, hypervisor.edx)),
    )


def _version(eax: int) -> tuple[int, int, int]:
    """Family, model and stepping of leaf 1's EAX, as the kernel's lib/cpu.c reads them."""
    family, model = eax >> 8 & 0xF, eax >> 4 & 0xF
    if family == 0xF:
        family += eax >> 20 & 0xFF
    if family >= 6:
        model += (eax >> 16 & 0xF) << 4
    return family, model, eax & 0xF


def _text(registers: Sequence[int]) -> str | None:
    """The characters in registers, blanks and what follows a NUL left out; None for what is no plain text.

    A CPU that has no such leaf answers with numbers of another one.
    """
    data = struct.pack(f"<{len(registers)}I", *registers).partition(b"\0")[0]
    text = data.decode("latin-1")
    return " ".join(text.split()) or None if text.isascii() and text.isprintable() else None


def words_of(profile: QemuProfile, row: CpuidRow, cpu: Cpu) -> list[NamedWord]:
    """The registers of a row that are feature words of this QEMU, in the order of its table."""
    if row.leaf in _HYPERVISOR_LEAVES and cpu.hypervisor != _KVM_SIGNATURE:
        return []
    return [
        NamedWord(word, row[2 + _REGISTERS.index(word.register.lower())])
        for word in profile.tables.words
        if word.kind == "cpuid" and (word.leaf, word.subleaf or 0) == (row.leaf, row.subleaf)
    ]


# --- for programs ------------------------------------------------------------------------------------------------
def decode_document(source_name: str, profile: QemuProfile, raw: RawCpuid) -> dict[str, Any]:
    """``decode FILE --json``."""
    cpu = cpu_of(raw)
    return {
        "source": source_name,
        "qemu": profile.label,
        "format": raw.format,
        "cpus": raw.cpus,
        "differing": raw.differing,
        "cpu": cpu._asdict(),
        "cpuid": [_row_document(row, words_of(profile, row, cpu)) for row in raw.rows],
        "msrs": [_msr_document(index, value) for index, value in raw.msrs.items()],
    }


def _row_document(row: CpuidRow, words: Sequence[NamedWord]) -> dict[str, Any]:
    numbers = {name: hex(value) for name, value in row._asdict().items()}
    return {**numbers, "words": [_word_document(word) for word in words]}


def _word_document(found: NamedWord) -> dict[str, Any]:
    bits = [{"bit": bit, "name": found.word.bits.get(bit)} for bit in bits_of(found.value)]
    return {"word": found.word.name, "register": found.word.register.lower(), "bits": bits}


def _msr_document(index: int, value: int) -> dict[str, Any]:
    return {
        "index": hex(index),
        "names": list(names_of(index)),
        "value": hex(value),
        "fields": [
            {"bits": part.field.bits, "name": part.field.name, "value": hex(part.value), "text": _field_text(part)}
            for part in decode(index, value)
        ],
    }


def _field_text(part: DecodedField) -> str:
    return f"{part.field.text}; must be 1" if part.must_be_1 else part.field.text


# --- for people --------------------------------------------------------------------------------------------------
def decode_text(source_name: str, profile: QemuProfile, raw: RawCpuid) -> str:
    """Whose CPU it is, its feature words by name, its MSRs by field, then every row as it is."""
    return "\n".join(_lines(source_name, profile, raw)) + "\n"


def _lines(source_name: str, profile: QemuProfile, raw: RawCpuid) -> Iterator[str]:
    cpu = cpu_of(raw)
    where = "standard input" if source_name == "-" else plain(source_name, 60)
    yield from wrapped(f"Raw CPUID of {where}, by the names of QEMU {profile.label}", "", "  ", _WIDTH)
    yield "This is what the CPU says, not what KVM offers: no SOURCE of other commands."
    yield ""
    yield from aligned(_about(cpu, raw))
    yield from _word_lines(profile, raw, cpu)
    if raw.msrs:
        yield from _msr_lines(raw)
    yield ""
    yield f"CPUID, {counted(len(raw.rows), 'row', 'rows')}"
    yield ""
    yield from aligned([("leaf", "sub", *_REGISTERS), *map(_raw_row, raw.rows)])


def _about(cpu: Cpu, raw: RawCpuid) -> Iterator[tuple[str, str]]:
    yield "vendor", cpu.vendor or "not known"
    if cpu.family is not None:
        yield "family", f"{cpu.family} ({cpu.family:#x}), model {cpu.model} ({cpu.model:#x}), stepping {cpu.stepping}"
    if cpu.name:
        yield "name", cpu.name
    if cpu.hypervisor:
        yield "hypervisor", cpu.hypervisor
    yield "format", "cpuid -r" if raw.format == "cpuid -r" else "libvirt's XML"
    if raw.cpus > 1:
        yield "CPUs", f"{raw.cpus}, {_how_alike(raw)}"


def _how_alike(raw: RawCpuid) -> str:
    if raw.differing:
        return "which differ by more than their ids: this is the first"
    return "alike but for their ids: this is the first"


def _word_lines(profile: QemuProfile, raw: RawCpuid, cpu: Cpu) -> Iterator[str]:
    found = [word for row in raw.rows for word in words_of(profile, row, cpu)]
    if not found:
        return
    set_ones = [each for each in found if each.value]
    zeros = [each.word.name for each in found if not each.value]
    yield ""
    yield "Feature words"
    heads = aligned((each.word.name, each.word.where, grouped(each.value, 32)) for each in set_ones)
    for head, each in zip(heads, set_ones, strict=True):
        yield ""
        yield head
        yield from wrapped(_bits_text(each), "    ", "    ", _WIDTH)
    if zeros:
        yield ""
        yield from wrapped(f"0: {' '.join(zeros)}", "  ", "     ", _WIDTH)


def _bits_text(found: NamedWord) -> str:
    named, unnamed = " ".join(found.named), found.unnamed
    if not unnamed:
        return named
    rest = f"{'bit' if len(unnamed) == 1 else 'bits'} {_ranges(unnamed)} without a name"
    return f"{named}, and {rest}" if named else rest


def _ranges(bits: Sequence[int]) -> str:
    """Ascending numbers, those that follow each other as one: ``0-9 12-17 23``."""
    runs: list[list[int]] = []
    for bit in bits:
        if runs and bit == runs[-1][-1] + 1:
            runs[-1].append(bit)
        else:
            runs.append([bit])
    return " ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _msr_lines(raw: RawCpuid) -> Iterator[str]:
    yield ""
    yield "MSRs, read from the CPU or, where that could not be done, from KVM"
    for index, value in raw.msrs.items():
        yield ""
        name = short_name(index) if names_of(index) else ""
        yield "  ".join(filter(None, (f"  {index:#x}", name, grouped(value))))
        rows = [(part.field.bits, part.field.name, hex(part.value)) for part in decode(index, value) if part.value]
        yield from aligned(rows, "    ", right=frozenset({0, 2}))


def _raw_row(row: CpuidRow) -> tuple[str, ...]:
    return f"{row.leaf:#010x}", f"{row.subleaf:#04x}", *(f"{value:#010x}" for value in row[2:])
