"""Which QEMU is meant: its version, and what its command line says that the negotiation depends on."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

from msrtui.cleaning import typed
from msrtui.errors import BadRequest
from msrtui.qemu import tables
from msrtui.values import dataclass

DEFAULT_VERSION = "10.2"

Irqchip = Literal["on", "split", "off"]


@dataclass(frozen=True)
class QemuProfile:
    """One QEMU as it would be started.

    ``irqchip`` is ``-machine kernel-irqchip``; ``cpu_pm`` is ``-overcommit cpu-pm``; ``migratable`` and ``pmu``
    are properties of the CPU (``pmu`` None: as that QEMU sets it for that CPU). ``machine``
    matters from 9.0 on (seen in 10.0).
    """

    label: str = DEFAULT_VERSION
    machine: str = "none"
    irqchip: Irqchip = "on"
    cpu_pm: bool = False
    pmu: bool | None = None
    migratable: bool = True

    @cached_property
    def tables(self) -> tables.Tables:
        """The tables of this version."""
        return tables.load(self.label)

    @cached_property
    def version(self) -> tuple[int, int]:
        """(major, minor), for the rules to compare with."""
        major, minor = self.label.split(".")
        return int(major), int(minor)

    @property
    def pc_machine(self) -> bool:
        """A PC machine type, for which alone QEMU shows SGX since 9.0 (seen in 10.0); ``none`` and microvm are none."""
        return self.machine.startswith(("pc", "q35", "isapc"))

    @property
    def machine_version(self) -> tuple[int, int] | None:
        """The (major, minor) of a versioned machine type, ``pc-q35-9.2``; None for one without a version."""
        last = self.machine.rsplit("-", 1)[-1]
        major, dot, minor = last.partition(".")
        return (int(major), int(minor)) if dot and _is_short(major) and _is_short(minor) else None

    def machine_at_most(self, version: tuple[int, int]) -> bool:
        """A versioned PC machine type that is not newer: it keeps older behaviour by compatibility properties."""
        return self.pc_machine and self.machine_version is not None and self.machine_version <= version

    @property
    def kernel_irqchip(self) -> bool:
        """kvm_irqchip_in_kernel(): KVM emulates the local APIC, with the whole chip or with a split one."""
        return self.irqchip != "off"


def _is_short(digits: str) -> bool:
    """Whether it is a part of a version: int() would read other scripts' digits, and fail at thousands of them."""
    return digits.isascii() and digits.isdigit() and len(digits) < 5


def version_numbers(text: str) -> tuple[int, ...] | None:
    """The numbers of a version as people write it (``7.2``, ``7.2.22``, ``v7.2.0``), two or more; None: it is none."""
    parts = text.strip().removeprefix("v").split(".")
    return tuple(map(int, parts)) if len(parts) >= 2 and all(map(_is_short, parts)) else None


def version_label(text: str) -> str:
    """The profile's label for a version as people write it: ``7.2``, ``7.2.22``, ``v7.2.0``.

    Raises BadRequest where there is no such profile.
    """
    numbers, known = version_numbers(text), tables.labels()
    if numbers is not None and (label := f"{numbers[0]}.{numbers[1]}") in known:
        return label
    raise BadRequest(f"There is no profile for QEMU {typed(text)}; there are profiles for {', '.join(known)}.")
