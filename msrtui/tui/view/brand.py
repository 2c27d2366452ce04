"""The CPU's brand string out of CPUID leaves 0x80000002 to 0x80000004."""

from __future__ import annotations

from collections.abc import Sequence

from msrtui.kvm.requests import CpuidEntry

BRAND_LEAVES = (0x80000002, 0x80000003, 0x80000004)


def brand(entries: Sequence[CpuidEntry] | None) -> str | None:
    """The brand string in a table of KVM's; None where the table does not pass the host's on."""
    found = {entry.function: entry for entry in entries or ()}
    leaves = [found[leaf] for leaf in BRAND_LEAVES if leaf in found]
    return brand_of([(entry.eax, entry.ebx, entry.ecx, entry.edx) for entry in leaves])


def brand_of(leaves: Sequence[tuple[int, int, int, int]]) -> str | None:
    """The brand string in the registers (eax, ebx, ecx, edx) of the three leaves."""
    if len(leaves) != len(BRAND_LEAVES):
        return None
    text = b"".join(register.to_bytes(4, "little") for registers in leaves for register in registers)
    shown = text.split(b"\0")[0].decode("ascii", "replace")
    return "".join(character for character in shown if character.isprintable()).strip() or None
