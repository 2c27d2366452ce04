"""Names for the bits of a value: QEMU's of the version that is meant, else the architecture's."""

from __future__ import annotations

from typing import NamedTuple

from msrtui.catalog import bit_name, layout_of
from msrtui.explain.acceptance import CONTROL_MSRS, AcceptanceRule, Refusal
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.words import bits_of, is_control_word

CONTROLS = frozenset((*CONTROL_MSRS, 0x481, 0x482, 0x483, 0x484))
_TRUE_OF = {0x481: 0x48D, 0x482: 0x48E, 0x483: 0x48F, 0x484: 0x490}
"""The control MSR whose controls the older one has too."""


class NamedBit(NamedTuple):
    """One bit of the value, counted in the register: in a control MSR bit 32 + n says that control n may be 1."""

    bit: int
    name: str
    set: bool


class RefusedBit(NamedTuple):
    """One bit that this host's KVM refuses, by which rule."""

    bit: int
    name: str
    rule: AcceptanceRule


def label(profile: QemuProfile, index: int, bit: int) -> str:
    """The name of a bit; for a control MSR ``bit`` is the number of the control. ``bit N`` where there is none."""
    word = profile.tables.word_by_msr.get(_TRUE_OF.get(index, index))
    if word is not None and bit in word.bits:
        return word.bits[bit]
    return bit_name(index, bit) or bit_name(_TRUE_OF.get(index, index), bit) or f"bit {bit}"


def register_label(profile: QemuProfile, index: int, bit: int) -> str:
    """The name of a bit of the register: of a control MSR's low half ``X must be 1``, of a field its name."""
    if index in CONTROLS:
        return label(profile, index, bit - 32) if bit >= 32 else f"{label(profile, index, bit)} must be 1"
    layout = layout_of(index)
    for field in layout.fields if layout is not None else ():
        if field.lo <= bit <= field.hi and field.lo != field.hi:
            return field.name
    return label(profile, index, bit)


def named_bits(profile: QemuProfile, index: int, value: int) -> tuple[NamedBit, ...]:
    """Every bit that has a name or is set, lowest first; bits of a field of several only where they are set."""
    layout = layout_of(index)
    word = profile.tables.word_by_msr.get(index)
    named = set(word.bits) if word is not None else set()
    if layout is not None:
        named |= {field.lo for field in layout.fields if field.lo == field.hi}
    if index in CONTROLS:
        # of the low half only what is set: "must be 1" is what it says
        named = {bit + 32 for bit in named}
    return tuple(
        NamedBit(bit, register_label(profile, index, bit), bool(value >> bit & 1))
        for bit in sorted(named | set(bits_of(value)))
    )


def refused_bits(profile: QemuProfile, index: int, broken: tuple[Refusal, ...]) -> tuple[RefusedBit, ...]:
    """The bits of broken rules, in the order of the rules."""
    return tuple(
        RefusedBit(bit, register_label(profile, index, bit), each.rule) for each in broken for bit in bits_of(each.mask)
    )


def feature_names(profile: QemuProfile, index: int, mask: int) -> tuple[str, ...]:
    """QEMU's properties for bits of an MSR; a control's bit counts in either half. () without a word of it."""
    word = profile.tables.word_by_msr.get(index)
    if word is None:
        return ()
    bits = (mask >> 32 | mask & 0xFFFF_FFFF) if is_control_word(word) else mask
    return tuple(dict.fromkeys(name for bit, name in sorted(word.bits.items()) if bits >> bit & 1))
