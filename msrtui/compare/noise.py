"""What differs in CPUID between two CPUs of one host, or from boot to boot, and so says nothing of a host.

Each rule has a name, so that what is hidden can be said. Which bits a guest gets is no business of these rules:
QEMU makes ids and topology for each guest anew, and the rest follows from what the guest's kernel switches on.
Source: Intel SDM volume 2A and AMD APM volume 3, CPUID; target/i386/cpu.c cpu_x86_cpuid.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

from msrtui.kvm.requests import Registers

Because = Literal["per CPU", "of the moment", "topology"]
"""``per CPU``: another on each CPU of the host. ``of the moment``: follows from control registers as they are now.
``topology``: counts of threads, cores and caches, which QEMU makes for each guest from ``-smp``."""
_ALL = 0xFFFFFFFF


class NoiseRule(NamedTuple):
    """Bits of a leaf that are no difference: ``subleaf`` None stands for all of them, ``masks`` are EAX to EDX."""

    id: str
    because: Because
    leaf: int
    subleaf: int | None
    masks: Registers


RULES = (
    NoiseRule("initial-apic-id", "per CPU", 0x1, 0, (0, 0xFF000000, 0, 0)),
    NoiseRule("logical-processors", "topology", 0x1, 0, (0, 0x00FF0000, 0, 0)),
    NoiseRule("osxsave", "of the moment", 0x1, 0, (0, 0, 1 << 27, 0)),
    NoiseRule("cache-sharing", "topology", 0x4, None, (0xFFFFC000, 0, 0, 0)),
    NoiseRule("ospke", "of the moment", 0x7, 0, (0, 0, 1 << 4, 0)),
    NoiseRule("x2apic-id", "per CPU", 0xB, None, (0, 0, 0, _ALL)),
    NoiseRule("topology-levels", "topology", 0xB, None, (_ALL, _ALL, _ALL, 0)),
    NoiseRule("xsave-size-now", "of the moment", 0xD, 0, (0, _ALL, 0, 0)),
    NoiseRule("xsaves-size-now", "of the moment", 0xD, 1, (0, _ALL, 0, 0)),
    NoiseRule("x2apic-id", "per CPU", 0x1F, None, (0, 0, 0, _ALL)),
    NoiseRule("topology-levels", "topology", 0x1F, None, (_ALL, _ALL, _ALL, 0)),
    NoiseRule("core-counts", "topology", 0x80000008, 0, (0, 0, 0x0000F0FF, 0)),
    NoiseRule("cache-sharing", "topology", 0x8000001D, None, (0x03FFC000, 0, 0, 0)),
    NoiseRule("extended-apic-id", "per CPU", 0x8000001E, 0, (_ALL, 0, 0, 0)),
    NoiseRule("core-and-node-ids", "per CPU", 0x8000001E, 0, (0, 0x000000FF, 0x000000FF, 0)),
    NoiseRule("threads-and-nodes", "topology", 0x8000001E, 0, (0, 0x0000FF00, 0x00000700, 0)),
    NoiseRule("x2apic-id", "per CPU", 0x80000026, None, (0, 0, 0, _ALL)),
    NoiseRule("topology-levels", "topology", 0x80000026, None, (_ALL, _ALL, _ALL, 0)),
)


@lru_cache(maxsize=1024)
def noise_in(leaf: int, subleaf: int) -> Registers | None:
    """The bits of one leaf that say nothing of the host, EAX to EDX; None where there are none."""
    masks = [0, 0, 0, 0]
    for rule in RULES:
        if rule.leaf == leaf and rule.subleaf in (None, subleaf):
            masks = [mask | more for mask, more in zip(masks, rule.masks, strict=True)]
    return (masks[0], masks[1], masks[2], masks[3]) if any(masks) else None


def without_noise(leaf: int, subleaf: int, registers: Registers) -> Registers:
    """The registers of one leaf with the noise taken out."""
    masks = noise_in(leaf, subleaf)
    if masks is None:
        return registers
    eax, ebx, ecx, edx = registers
    return eax & ~masks[0], ebx & ~masks[1], ecx & ~masks[2], edx & ~masks[3]


def noise_between(leaf: int, subleaf: int, one: Registers, other: Registers) -> tuple[str, ...]:
    """The names of the rules that hide a difference between two readings of one leaf."""
    changed = [mine ^ theirs for mine, theirs in zip(one, other, strict=True)]
    found = (
        rule.id
        for rule in RULES
        if rule.leaf == leaf
        and rule.subleaf in (None, subleaf)
        and any(bits & mask for bits, mask in zip(changed, rule.masks, strict=True))
    )
    return tuple(dict.fromkeys(found))
