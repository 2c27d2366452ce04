"""What one difference means: which bits, controls or fields it is made of, and what each says of the CPU.

Values and names only; the sentences are the report's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from msrtui.catalog import Field, MsrLayout, layout_of
from msrtui.compare.capability_worth import MASKS, Worth, worth_of
from msrtui.compare.differences import Difference
from msrtui.compare.polarity import WORD_OF_MSR, Polarity, mask_of, polarity_of
from msrtui.compare.side import Side, newest_name
from msrtui.kvm.abi import MORE_CAPABILITIES, Cap
from msrtui.qemu.tables import FeatureWord
from msrtui.qemu.words import bits_of

Freedom = Literal["free", "fixed 1", "fixed 0", "may be 1", "may be 0"]
"""What a guest hypervisor can do with a control. ``may be 1`` and ``may be 0`` are half known: a CR's FIXED MSRs say
one half each."""


class Control(NamedTuple):
    """A VMX control as its MSR allows it: the bit must be 1, the bit may be 1; None where that MSR does not say it."""

    must: bool | None
    may: bool | None

    @property
    def freedom(self) -> Freedom:
        """What follows for a guest hypervisor."""
        if self.must:
            return "fixed 1"
        if self.may is None:
            return "may be 0"
        if not self.may:
            return "fixed 0"
        return "free" if self.must is False else "may be 1"


class BitDifference(NamedTuple):
    """One bit that differs; ``values`` has True, False or None (not known) a side."""

    bit: int
    name: str | None
    values: tuple[bool | None, ...]
    polarity: Polarity | None = None


class ControlDifference(NamedTuple):
    """One VMX control, by its number, that differs."""

    bit: int
    name: str | None
    values: tuple[Control | None, ...]


class FieldDifference(NamedTuple):
    """One field of several bits that differs; ``bits`` as manuals write them (``5:0``), ``mask`` where it is."""

    bits: str
    name: str
    values: tuple[int | None, ...]
    mask: int


class Meaning(NamedTuple):
    """What a difference is made of; ``worth`` is of a capability alone. All empty: the values say it as they are."""

    bits: tuple[BitDifference, ...] = ()
    controls: tuple[ControlDifference, ...] = ()
    fields: tuple[FieldDifference, ...] = ()
    worth: Worth | None = None


class Lost(NamedTuple):
    """One bit by which a guest that goes on elsewhere would trust what is no longer so."""

    word: FeatureWord
    bit: int
    polarity: Polarity


_CAPABILITIES = {**{cap.name: int(cap) for cap in Cap}, **{name: n for n, name in MORE_CAPABILITIES.items()}}
_FIXED0, _FIXED1 = (0x486, 0x488), (0x487, 0x489)
_CONTROLS = 32


def meaning(found: Difference) -> Meaning:
    """What the difference is made of; empty for those that are one thing, and where a value is no number."""
    values = [value for value in found.values if value is not None]
    numbers = [value for value in values if isinstance(value, int) and not isinstance(value, bool)]
    if found.kind == "capability":
        return _capability(found)
    if not numbers or len(numbers) < len(values):
        return Meaning()
    if found.word is not None:
        word = found.word
        names = {bit: word.bits.get(bit) or _catalogued(word.index, bit) for bit in bits_of(_differs(numbers))}
        return Meaning(bits=tuple(_bits(found.values, names, word.name)))
    if found.kind == "msr":
        layout = layout_of(int(found.subject, 16))
        return Meaning() if layout is None else _msr(layout, found.values)
    return Meaning()


def lost(source: Side, target: Side) -> tuple[Lost, ...]:
    """What a guest of ``source`` would trust on ``target`` though KVM there does not say so.

    Good news that the guest was told and that the other KVM does not have, and bad news that only the other has. Of
    the other KVM's values, whatever its QEMU shows: the guest keeps what it read when it booted.
    """
    found: list[Lost] = []
    for name, both in source.guest_words.items():
        mask = mask_of(name)
        here, there = source.words.get(name), target.words.get(name)
        if not mask or here is None or there is None or any(word.value is None for word in both):
            continue
        told = (both[0].value or 0) & (both[1].value or 0)
        has, had = there.kvm or 0, here.kvm or 0
        by_sign = {"good": told & had & ~has, "bad": has & ~had & ~told}
        for bit in bits_of(mask):
            polarity = polarity_of(name, bit)
            if polarity is not None and by_sign.get(polarity.sign, 0) >> bit & 1:
                found.append(Lost(here.word, bit, polarity))
    return tuple(found)


def _differs(numbers: Sequence[int]) -> int:
    differs = 0
    for number in numbers:
        differs |= number ^ numbers[0]
    return differs


def _bits(values: Sequence[object], names: dict[int, str | None], word: str | None) -> Iterator[BitDifference]:
    for bit, name in sorted(names.items()):
        has = tuple(bool(value >> bit & 1) if isinstance(value, int) else None for value in values)
        yield BitDifference(bit, name, has, None if word is None else polarity_of(newest_name(word), bit))


def _catalogued(index: int, bit: int) -> str | None:
    layout = layout_of(index) if index else None
    return next((field.name for field in layout.fields if field.lo == field.hi == bit), None) if layout else None


def _capability(found: Difference) -> Meaning:
    name = found.subject.removeprefix("KVM_CAP_")
    number = _CAPABILITIES.get(name, int(name) if name.isdigit() else -1)
    worth = worth_of(number)
    if worth != "mask":
        return Meaning(worth=worth)
    known = [value for value in found.values if isinstance(value, int)]
    names = {bit: MASKS[number].get(bit) for bit in bits_of(_differs(known))}
    return Meaning(bits=tuple(_bits(found.values, names, None)), worth=worth)


def _msr(layout: MsrLayout, values: Sequence[object]) -> Meaning:
    if layout.layout in ("control32", "bitmap64", "allowed1_64"):
        if layout.layout == "bitmap64" and layout.index not in _FIXED0 + _FIXED1:
            return Meaning()
        return Meaning(controls=tuple(_controls(layout, values)))
    differs = _differs([value for value in values if isinstance(value, int)])
    word = WORD_OF_MSR.get(layout.index)
    fields: list[FieldDifference] = []
    names: dict[int, str | None] = {}
    for field in layout.fields:
        mask = ((1 << field.width) - 1) << field.lo
        if not differs & mask:
            continue
        differs &= ~mask
        if field.width == 1:
            names[field.lo] = _name(field)
        else:
            both = tuple((value & mask) >> field.lo if isinstance(value, int) else None for value in values)
            fields.append(FieldDifference(field.bits, field.name, both, mask))
    names.update(dict.fromkeys(bits_of(differs)))
    return Meaning(bits=tuple(_bits(values, names, word)), fields=tuple(fields))


def _name(field: Field) -> str:
    """QEMU's property where it is a plain name, else the architecture's name."""
    return field.qemu if field.qemu and " " not in field.qemu else field.name


def _controls(layout: MsrLayout, values: Sequence[object]) -> Iterator[ControlDifference]:
    names = {field.lo: field.name for field in layout.fields if field.width == 1}
    differs = _differs([value for value in values if isinstance(value, int)])
    if layout.layout == "control32":
        differs = (differs | differs >> _CONTROLS) & ((1 << _CONTROLS) - 1)
    for bit in bits_of(differs):
        allowed = tuple(_allowed(layout, value, bit) if isinstance(value, int) else None for value in values)
        yield ControlDifference(bit, names.get(bit), allowed)


def _allowed(layout: MsrLayout, value: int, bit: int) -> Control:
    has = bool(value >> bit & 1)
    if layout.layout == "control32":
        return Control(has, bool(value >> (bit + _CONTROLS) & 1))
    if layout.layout == "allowed1_64":
        return Control(False, has)
    return Control(has, None) if layout.index in _FIXED0 else Control(None, has)
