"""Bits that say a CPU lacks a flaw, and what the kernel of a host says of that flaw.

KVM takes these bits from its kernel's list of the CPU's flaws, so that the two say the same of a host.
Source: arch/x86/kvm/x86.c kvm_get_arch_capabilities; drivers/base/cpu.c (the files' names), Linux 6.1 and later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msrtui.compare.side import Side
from msrtui.compare.verdict import Reason

FLAWS: dict[tuple[str, int], str] = {
    ("FEAT_ARCH_CAPABILITIES", 0): "meltdown",
    ("FEAT_ARCH_CAPABILITIES", 3): "l1tf",
    ("FEAT_ARCH_CAPABILITIES", 4): "spec_store_bypass",
    ("FEAT_ARCH_CAPABILITIES", 5): "mds",
    ("FEAT_ARCH_CAPABILITIES", 6): "itlb_multihit",
    ("FEAT_ARCH_CAPABILITIES", 8): "tsx_async_abort",
    ("FEAT_ARCH_CAPABILITIES", 13): "mmio_stale_data",
    ("FEAT_ARCH_CAPABILITIES", 14): "mmio_stale_data",
    ("FEAT_ARCH_CAPABILITIES", 15): "mmio_stale_data",
    ("FEAT_ARCH_CAPABILITIES", 20): "spectre_v2",
    ("FEAT_ARCH_CAPABILITIES", 26): "gather_data_sampling",
    ("FEAT_ARCH_CAPABILITIES", 27): "reg_file_data_sampling",
    ("FEAT_ARCH_CAPABILITIES", 62): "indirect_target_selection",
}
"""(word, bit): the file below /sys/devices/system/cpu/vulnerabilities."""


def said_of(side: Side, reasons: Iterable[Reason]) -> Iterator[tuple[str, str]]:
    """(flaw, what this side's kernel says of it) for bits that it does not give; nothing where that is not known."""
    seen: set[str] = set()
    for reason in reasons:
        flaw = FLAWS.get((reason.word.name, reason.bit))
        if flaw is not None and flaw not in seen and flaw in side.about.vulnerabilities:
            seen.add(flaw)
            yield flaw, side.about.vulnerabilities[flaw]
