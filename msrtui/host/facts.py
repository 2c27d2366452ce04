"""Cheap facts about this machine: kernel, KVM's modules and their parameters, on request the CPU's name.

Reads a few dozen small files of /sys and nothing else by default. /proc/cpuinfo is opened only when it is
asked for: on Linux 4.15 to 5.18 opening it interrupts every CPU. Nothing here raises, and every text that
comes from the system is stripped of control characters.

Must not know: what QEMU or KVM make of these facts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Mapping

from msrtui.kvm import collector
from msrtui.kvm.collector import READ_LIMIT, plain, read_text
from msrtui.values import dataclass

SYS_MODULE = "/sys/module"
"""Where the kernel lists its modules, built-in ones with parameters included."""

CPU_MODALIAS = "/sys/devices/system/cpu/modalias"
"""The boot CPU's vendor and feature numbers in one line; reading it disturbs no CPU."""

PROC_CPUINFO = "/proc/cpuinfo"

FLAG_NUMBERS = {"vmx": 0x85, "hypervisor": 0x9F, "svm": 0xC2}
"""The kernel's feature numbers, word times 32 plus bit (arch/x86/include/asm/cpufeatures.h).

Words 4 and 6 are CPUID 1.ECX and 8000_0001.ECX as the hardware has them, so these never move.
"""


def kvm_modules() -> tuple[str, ...]:
    """Names of the /sys/module/kvm* directories, sorted: ``("kvm", "kvm_amd")``; empty when there is none.

    A directory is there for built-in code too, whether or not that code could start on this CPU.
    """
    found: tuple[str, ...] = collector.kvm_modules(SYS_MODULE)
    return found


def cpu_flags(*, may_read_cpuinfo: bool = True) -> frozenset[str] | None:
    """Which of ``svm``, ``vmx`` and ``hypervisor`` the kernel says the boot CPU has; None where it is silent.

    From the modalias; only a kernel without that file makes it open /proc/cpuinfo, and only when it may.
    The kernel withdraws vmx and (newer ones) svm where the firmware has switched them off.
    """
    alias = read_text(CPU_MODALIAS)
    if alias and ":feature:" in alias:
        numbers = set(alias.split(":feature:", 1)[1].strip().split(","))
        return frozenset(name for name, number in FLAG_NUMBERS.items() if f"{number:04X}" in numbers)
    if not may_read_cpuinfo:
        return None
    line = _cpuinfo_line("flags")
    return None if line is None else frozenset(line.split()) & frozenset(FLAG_NUMBERS)


def _cpuinfo_line(key: str) -> str | None:
    """The value of the first line of /proc/cpuinfo with that key, or None."""
    for line in (read_text(PROC_CPUINFO, 4 * READ_LIMIT) or "").splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip() == key:
            return value.strip()
    return None


def vendor_module_of(modules: tuple[str, ...]) -> str | None:
    """Which of the kvm_* modules drives this CPU, by name; None when there is none."""
    vendors = [name for name in modules if name.startswith("kvm_")]
    if len(vendors) < 2:
        return vendors[0] if vendors else None
    loaded = {name for name in vendors if collector.was_loaded(name, SYS_MODULE)}
    return likely_vendor_module(vendors, loaded, cpu_flags(may_read_cpuinfo=False) or frozenset())


def likely_vendor_module(vendors: Iterable[str], loaded: Collection[str], flags: Collection[str]) -> str | None:
    """Which of several kvm_* modules drives a CPU with these flags (``vmx``, ``svm``).

    Where several are there (built into the kernel), one that was loaded as a module has proved itself:
    a module that cannot start does not stay. Else it is the one that fits the CPU, else the first.
    """
    fitting = "kvm_intel" if "vmx" in flags else "kvm_amd" if "svm" in flags else None
    return min(vendors, key=lambda name: (name not in loaded, name != fitting, name), default=None)


def _parameters(modules: tuple[str, ...]) -> dict[str, dict[str, str]]:
    found = {module: collector.module_parameters(module, SYS_MODULE) for module in modules}
    return {module: {name: text for name, text in texts.items() if text is not None} for module, texts in found.items()}


@dataclass(frozen=True)
class HostFacts:
    """What the first line of the app says about the machine that it runs on."""

    kernel: str
    """The kernel's release, as ``uname -r`` prints it."""
    machine: str
    """The architecture, as ``uname -m`` prints it: ``x86_64``."""
    kvm_modules: tuple[str, ...]
    """The /sys/module/kvm* directories, sorted."""
    vendor_module: str | None
    """The kvm_* module that drives the CPU: kvm_intel, kvm_amd, kvm_pvm; None where there is none."""
    parameters: Mapping[str, Mapping[str, str]]
    """Each readable parameter as the kernel prints it, by module and name: ``{"kvm_amd": {"nested": "1"}}``.

    The kernel's booleans are Y and N in one module and 1 and 0 in another.
    """
    cpu: str | None
    """The first CPU's model name; None unless it was asked for and could be read."""


def host_facts(*, with_cpu: bool = False) -> HostFacts:
    """Gather the facts; what cannot be read is empty or None, nothing is raised.

    ``with_cpu`` opens /proc/cpuinfo for the model name.
    """
    modules = kvm_modules()
    model = _cpuinfo_line("model name") if with_cpu else None
    _, kernel, machine = system_names()
    return HostFacts(
        kernel=kernel,
        machine=machine,
        kvm_modules=modules,
        vendor_module=vendor_module_of(modules),
        parameters=_parameters(modules),
        cpu=plain(model) or None if model else None,
    )


def system_names() -> tuple[str, str, str]:
    """``sys.platform``, the kernel's release and the architecture: ``("linux", "6.12.9", "x86_64")``."""
    system: str = sys.platform
    if system != "win32":
        names = os.uname()
        return system, plain(names.release), plain(names.machine)
    import platform

    return system, plain(platform.release()), plain(platform.machine())
