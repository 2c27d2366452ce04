"""What the CPUID instruction says on this host. QEMU executes it itself, beside KVM's table, for a few rules.

Three ways, in order, each the collector's: the kernel's /dev/cpu/N/cpuid, the instruction in a short-lived
child process, /proc/cpuinfo. Where none answers, the registers are unknown and the caller is told why; they
are never 0.
"""

from __future__ import annotations

from functools import lru_cache

from msrtui.kvm import collector
from msrtui.kvm.requests import Registers


def read(leaf: int, subleaf: int) -> tuple[Registers | None, str]:
    """((eax, ebx, ecx, edx), where it is from), or (None, why it is unknown). Never raises."""
    device = collector.cpuid_device(collector.first_allowed_cpu())
    found = collector.cpuid_from_device(device, [(leaf, subleaf)])
    if found:
        return found[leaf, subleaf], device
    table, how = from_instruction()
    if table:
        return table.get((leaf, subleaf)), how
    registers = _from_cpuinfo().get((leaf, subleaf))
    return (registers, collector.CPUINFO) if registers is not None else (None, how)


@lru_cache(maxsize=1)
def from_instruction() -> tuple[dict[tuple[int, int], Registers], str]:
    """Every leaf that is ever asked for, by one child, once: ({(leaf, subleaf): registers}, how or why not)."""
    table, how = collector.cpuid_from_instruction(collector.EXECUTED_LEAVES)
    return table, how


@lru_cache(maxsize=1)
def _from_cpuinfo() -> dict[tuple[int, int], Registers]:
    return collector.cpuid_from_cpuinfo()
