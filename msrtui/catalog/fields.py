"""Bit fields of MSRs, and a register's value taken apart into them.

Positions and names are in ``fields.json``, whose header says where they come from. Nothing here knows who
gave the value or what QEMU makes of it.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TypedDict

from msrtui.catalog.tables import load_table
from msrtui.values import dataclass

_CONTROL_BITS = 32  # a control word's low half says must be 1, its high half may be 1


@dataclass(frozen=True)
class Field:
    """One named field of a register.

    ``lo`` and ``hi`` are its lowest and highest bit, from 0; in a VMX control word they are the number of the
    control, 0 to 31. ``qemu`` is QEMU 10.2.2's property on the same bit, ``kvm`` what KVM does with it, both
    None where there is nothing to say. ``default1``: the control is of the class that older CPUs require to
    be 1. ``origin``: ``linux`` (position checked against the kernel's headers), ``sdm`` or ``apm`` (the Intel
    or AMD manual alone), ``none`` (no field is known here, see ``decode``).
    """

    lo: int
    hi: int
    name: str
    text: str
    qemu: str | None
    kvm: str | None
    default1: bool
    origin: str

    @property
    def bits(self) -> str:
        """The position as manuals write it: ``"5:0"``, or ``"26"`` for a single bit."""
        return str(self.lo) if self.lo == self.hi else f"{self.hi}:{self.lo}"

    @property
    def width(self) -> int:
        """The number of bits."""
        return self.hi - self.lo + 1


@dataclass(frozen=True)
class MsrLayout:
    """What is known of one register's inside.

    ``layout`` is ``flat64`` (plain fields), ``bitmap64`` (a bit for each bit of a control register),
    ``control32`` (a VMX control word) or ``allowed1_64`` (64 controls that may be 1). ``fields`` ascend.
    ``vcpu_write`` says in words what KVM_SET_MSRS on a vCPU accepts, None where that was not looked up;
    ``default1_mask`` is a control word's default-1 class, None for other layouts.
    """

    index: int
    name: str
    meaning: str
    layout: str
    fields: tuple[Field, ...]
    vcpu_write: str | None
    default1_mask: int | None


@dataclass(frozen=True)
class DecodedField:
    """A field and what a given value of the register has in it.

    For a control of a VMX control word ``value`` and ``may_be_1`` are its bit in the high half and
    ``must_be_1`` its bit in the low half; both flags are None in other registers.
    """

    field: Field
    value: int
    may_be_1: bool | None
    must_be_1: bool | None


_Row = tuple[int, int, str, str, str | None, str | None, bool, str]


class _Written(TypedDict):
    name: str
    meaning: str
    layout: str
    vcpu_write: str | None
    default1_mask: str | None
    fields: list[_Row]


@cache
def _table() -> dict[str, _Written]:
    table: dict[str, _Written] = load_table("fields.json")["msrs"]
    return table


@lru_cache(maxsize=256)
def layout_of(index: int) -> MsrLayout | None:
    """Return the layout of the MSR ``index``, None where the catalogue has none."""
    written = _table().get(hex(index))
    if written is None:
        return None
    mask = written["default1_mask"]
    return MsrLayout(
        index=index,
        name=written["name"],
        meaning=written["meaning"],
        layout=written["layout"],
        fields=tuple(Field(*row) for row in written["fields"]),
        vcpu_write=written["vcpu_write"],
        default1_mask=None if mask is None else int(mask, 16),
    )


def decode(index: int, value: int) -> tuple[DecodedField, ...]:
    """Return every known field of the MSR ``index`` with what ``value`` has in it, lowest bit first.

    A bit that is set where no field is known comes too, as a field ``bit_N`` of origin ``none``; in a control
    word that is a control with a bit in either half. () for an MSR without a layout.

    Raises:
        ValueError: ``value`` is not a 64-bit unsigned number.
    """
    if not 0 <= value < 1 << 64:
        raise ValueError(f"{hex(value)} is not the value of an MSR: it has to be of 64 bits and not below 0")
    layout = layout_of(index)
    if layout is None:
        return ()
    if layout.layout == "control32":
        allowed_1 = value >> _CONTROL_BITS
        required_1 = value & ((1 << _CONTROL_BITS) - 1)
        fields = _with_unnamed(layout, allowed_1 | required_1)
        return tuple(_control(field, allowed_1, required_1) for field in fields)
    return tuple(
        DecodedField(field, _extract(field, value), may_be_1=None, must_be_1=None)
        for field in _with_unnamed(layout, value)
    )


def bit_name(index: int, bit: int) -> str | None:
    """Return the name of the single-bit field at ``bit`` of the MSR ``index``, None where there is none.

    In a VMX control word ``bit`` is the number of the control, 0 to 31, as QEMU's feature words count.
    """
    layout = layout_of(index)
    for field in layout.fields if layout else ():
        if field.lo == field.hi == bit:
            return field.name
    return None


def _extract(field: Field, value: int) -> int:
    return value >> field.lo & ((1 << field.width) - 1)


def _control(field: Field, allowed_1: int, required_1: int) -> DecodedField:
    may = _extract(field, allowed_1)
    return DecodedField(field, may, may_be_1=bool(may), must_be_1=bool(_extract(field, required_1)))


def _with_unnamed(layout: MsrLayout, bits: int) -> list[Field]:
    """The layout's fields and one for each other bit that is set, lowest bit first."""
    for field in layout.fields:
        bits &= ~(((1 << field.width) - 1) << field.lo)
    unnamed = [
        Field(bit, bit, f"bit_{bit}", "set, but no field is known here", None, None, False, "none")
        for bit in range(bits.bit_length())
        if bits >> bit & 1
    ]
    return sorted((*layout.fields, *unnamed), key=lambda field: field.lo)
