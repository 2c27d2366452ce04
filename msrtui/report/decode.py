"""A register's value taken apart: its fields by the architecture's and QEMU's names; of two values what changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from msrtui.catalog import DecodedField, Field, decode, layout_of, names_of, short_name
from msrtui.explain.naming import CONTROLS
from msrtui.explain.rdmsr import Reading
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.words import bits_of
from msrtui.report.shape import aligned, counted, grouped, wrapped

_WIDTH = 100


class Part(NamedTuple):
    """A field with its value; for a VMX control ``may`` and ``must`` are its two bits, else None."""

    field: Field
    value: int
    may: bool | None
    must: bool | None

    @property
    def shown(self) -> str:
        """``0x5``; of a control ``may be 1``, ``must be 1``, ``0`` (never), ``must, may not`` for what no CPU says."""
        if self.may is None:
            return hex(self.value)
        return {(True, False): "may be 1", (True, True): "must be 1", (False, False): "0"}.get(
            (self.may, bool(self.must)), "must be 1, may not"
        )


def parts_of(index: int, value: int) -> list[Part]:
    """Every field of the register, lowest first; of one that the catalogue does not know each bit that is set."""
    found = decode(index, value)
    if not found and layout_of(index) is None:
        return [Part(_bit(bit), 1, None, None) for bit in bits_of(value)]
    return [_part(each) for each in found]


def _part(each: DecodedField) -> Part:
    return Part(each.field, each.value, each.may_be_1, each.must_be_1)


def _bit(bit: int) -> Field:
    return Field(bit, bit, f"bit_{bit}", "", None, None, False, "none")


def qemu_name(profile: QemuProfile, index: int, field: Field) -> str | None:
    """What this QEMU calls the bit, None where it has no name for it."""
    word = profile.tables.word_by_msr.get(index)
    return word.bits.get(field.lo) if word is not None and field.lo == field.hi else None


def changed(index: int, before: int, after: int) -> list[tuple[Part, Part]]:
    """The fields that differ between two values, lowest first."""
    one, other = ({part.field.lo: part for part in parts_of(index, value)} for value in (before, after))
    pairs = []
    for lo in sorted({*one, *other}):
        part = one.get(lo) or _absent(other[lo])
        match = other.get(lo) or _absent(part)
        if part[1:] != match[1:]:
            pairs.append((part, match))
    return pairs


def _absent(part: Part) -> Part:
    """The same field as 0: a bit that has no field is only told where it is set."""
    control = part.may is not None
    return Part(part.field, 0, False if control else None, False if control else None)


# --- for programs ------------------------------------------------------------------------------------------------
def msr_document(index: int, value: int, profile: QemuProfile) -> dict[str, Any]:
    """One register and its fields."""
    return {
        "index": hex(index),
        "names": list(names_of(index)),
        "value": hex(value),
        "fields": [_field_document(index, part, profile) for part in parts_of(index, value)],
    }


def _field_document(index: int, part: Part, profile: QemuProfile) -> dict[str, Any]:
    document: dict[str, Any] = {
        "bits": part.field.bits,
        "name": part.field.name,
        "qemu": qemu_name(profile, index, part.field),
        "value": hex(part.value),
        "text": part.field.text,
    }
    if part.may is not None:
        document |= {"may_be_1": part.may, "must_be_1": part.must}
    return document


def decode_values_document(source: str | None, readings: Sequence[Reading], profile: QemuProfile) -> dict[str, Any]:
    """``decode MSR VALUE --json``, and of pasted text."""
    msrs = [{**msr_document(each.msr, each.value, profile), "cpus": each.cpus} for each in readings]
    return {"source": source, "qemu": profile.label, "msrs": msrs}


def decode_change_document(index: int, before: int, after: int, profile: QemuProfile) -> dict[str, Any]:
    """``decode MSR VALUE VALUE2 --json``."""
    return {
        "source": None,
        "qemu": profile.label,
        "index": hex(index),
        "names": list(names_of(index)),
        "values": [hex(before), hex(after)],
        "changed": [
            {
                "bits": one.field.bits,
                "name": one.field.name,
                "qemu": qemu_name(profile, index, one.field),
                "before": one.shown,
                "after": other.shown,
                "text": one.field.text,
            }
            for one, other in changed(index, before, after)
        ],
    }


# --- for people --------------------------------------------------------------------------------------------------
def decode_values_text(readings: Sequence[Reading], profile: QemuProfile) -> str:
    """Each register with what is set in it."""
    blocks = ["\n".join(_block(each, profile)) for each in readings]
    return "\n\n".join((f"By the names of QEMU {profile.label}", *blocks)) + "\n"


def _block(each: Reading, profile: QemuProfile) -> Iterator[str]:
    times = f"  ({counted(each.cpus, 'CPU', 'CPUs')})" if each.cpus > 1 else ""
    yield f"{_title(each.msr)}  {grouped(each.value)}{times}"
    yield from _meaning(each.msr)
    found = parts_of(each.msr, each.value)
    ones = [part for part in found if part.shown not in ("0", "0x0")]
    zeros = [part for part in found if part not in ones]
    if ones:
        yield ""
        yield from _rows(each.msr, ones, profile)
    if zeros:
        yield ""
        names = " ".join(qemu_name(profile, each.msr, part.field) or part.field.name for part in zeros)
        yield from wrapped(f"0: {names}", "  ", "     ", _WIDTH)
    if not found:
        yield "  no bit is set"


def _title(index: int) -> str:
    name = short_name(index)
    return f"MSR {index:#x}" + ("" if name == hex(index) else f"  {name}")


def _meaning(index: int) -> Iterator[str]:
    layout = layout_of(index)
    if layout is None:
        yield "  What is in this register is not in the catalogue; its bits are shown by number."
        return
    halves = " The high half says what may be 1, the low half what must be 1." if index in CONTROLS else ""
    yield from wrapped(layout.meaning + halves, "  ", "  ", _WIDTH)


def _rows(index: int, parts: Sequence[Part], profile: QemuProfile) -> Iterator[str]:
    rows = [
        (part.field.bits, part.field.name, qemu_name(profile, index, part.field) or "", part.shown) for part in parts
    ]
    first = "control" if index in CONTROLS else "bits"
    heads = list(aligned([(first, "name", "QEMU", ""), *rows], right=frozenset({0})))
    yield heads[0]
    width = max(map(len, heads))
    for head, part in zip(heads[1:], parts, strict=True):
        yield from wrapped(part.field.text, f"{head:<{width}}  ", " " * (width + 2), max(_WIDTH, width + 30))


def decode_change_text(index: int, before: int, after: int, profile: QemuProfile) -> str:
    """Only what changed."""
    pairs = changed(index, before, after)
    lines = [
        f"{_title(index)}, by the names of QEMU {profile.label}",
        f"  {grouped(before)}",
        f"  {grouped(after)}",
        "",
    ]
    if not pairs:
        lines.append("  Nothing changed.")
    rows = [
        (one.field.bits, one.field.name, qemu_name(profile, index, one.field) or "", one.shown, "->", other.shown)
        for one, other in pairs
    ]
    first = "control" if index in CONTROLS else "bits"
    if rows:
        lines += aligned([(first, "name", "QEMU", "before", "", "after"), *rows], right=frozenset({0}))
    return "\n".join(lines) + "\n"
