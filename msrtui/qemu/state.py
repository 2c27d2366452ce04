"""What QEMU's own variables hold after kvm_init: all that the later questions depend on."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from msrtui.kvm.requests import CpuidEntry
from msrtui.qemu.profile import QemuProfile
from msrtui.values import dataclass, field

AMD_VENDOR = (0x68747541, 0x69746E65, 0x444D4163)
"""AuthenticAMD in EBX, EDX, ECX of leaf 0."""


class Unknown(Enum):
    """What stands where a source does not say: neither a null pointer nor an empty list."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN


@dataclass(frozen=True)
class KvmState:
    """QEMU's memory of the conversation.

    ``flags`` are the has_msr_* variables that are true. ``feature_msrs`` is the cached index list kvm_feature_msrs,
    None where it is a null pointer, UNKNOWN where the source does not hold it. ``cpuid`` is KVM's table by (function,
    index), the first entry of each, None where the source does not hold it.
    """

    profile: QemuProfile
    flags: frozenset[str] = frozenset()
    feature_msrs: tuple[int, ...] | Unknown | None = None
    cpuid: Mapping[tuple[int, int], CpuidEntry] | None = field(default=None)

    @property
    def amd(self) -> bool:
        """Whether the host, and so under KVM every guest, is AuthenticAMD: leaf 0, which KVM takes from the host."""
        entry = self.cpuid.get((0, 0)) if self.cpuid is not None else None
        return entry is not None and (entry.ebx, entry.edx, entry.ecx) == AMD_VENDOR

    def register(self, leaf: int, subleaf: int, register: str) -> int | None:
        """One register of KVM's table, None where the leaf is not in it (or there is no table)."""
        entry = self.cpuid.get((leaf, subleaf)) if self.cpuid is not None else None
        return None if entry is None else entry.register(register)
