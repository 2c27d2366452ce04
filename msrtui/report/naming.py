"""How MSRs, bits and leaves are called in sentences: by number and by name, neighbours as a range."""

from __future__ import annotations

from collections.abc import Sequence

from msrtui.catalog import short_name
from msrtui.compare.lint.answers import newest_word
from msrtui.qemu.tables import FeatureWord
from msrtui.report.sentences import bit_label, names_in


def msr_name(index: int) -> str:
    """``0x10a (ARCH_CAPABILITIES)``, the number alone where it has no name."""
    name = short_name(index)
    return hex(index) if name == hex(index) else f"{hex(index)} ({name})"


def ranges(indices: Sequence[int], limit: int = 12) -> str:
    """``0x481 to 0x484, 0x48a``: neighbours as a range, sorted; behind ``limit`` parts only their count."""
    parts: list[list[int]] = []
    for index in sorted(set(indices)):
        if parts and index == parts[-1][1] + 1:
            parts[-1][1] = index
        else:
            parts.append([index, index])
    said = [hex(a) if a == b else f"{hex(a)}{', ' if b == a + 1 else ' to '}{hex(b)}" for a, b in parts]
    return ", ".join(said[:limit]) + (f" and {len(said) - limit} more" if len(said) > limit else "")


def msrs_text(indices: Sequence[int]) -> str:
    """One MSR with its name, several by their numbers."""
    return msr_name(indices[0]) if len(indices) == 1 else ranges(indices)


def bit_text(place: tuple[str, int | None]) -> str:
    """A bit by its name; the word where there is no bit."""
    word, bit = place
    return word if bit is None else bit_label(newest_word(word), bit)


def bits_text(places: Sequence[tuple[str, int]]) -> str:
    """Bits by name, commas between."""
    return ", ".join(bit_text(place) for place in places)


def bit_and_place(place: tuple[str, int]) -> str:
    """``amd-psfd (CPUID[eax=80000008h].EBX bit 28)``."""
    return f"{bit_text(place)} ({newest_word(place[0]).where} bit {place[1]})"


def mask_text(word: str, mask: int) -> str:
    """The bits of a mask by name, at most six."""
    return names_in(newest_word(word), mask, 6)


def leaves_text(leaves: Sequence[tuple[int, int]]) -> str:
    """``0xd.0x1``: leaves and subleaves, at most eight."""
    return ", ".join(f"{leaf:#x}.{subleaf:#x}" for leaf, subleaf in leaves[:8]) + (" …" if len(leaves) > 8 else "")


def own_word(name: str) -> FeatureWord:
    """A feature word by its name of any QEMU: XSAVE's were renamed."""
    return newest_word(name.replace("FEAT_XSAVE_COMP_", "FEAT_XSAVE_XCR0_"))
