"""The CPUID that a vCPU of one ``-cpu`` is given: KVM's own table, with the guest's feature words in it.

Source: target/i386/kvm/kvm.c kvm_x86_build_cpuid, target/i386/cpu.c cpu_x86_cpuid. What is not a feature word stays as
KVM gave it, where QEMU has numbers of its own: the model's family and name, cache and topology leaves, the sizes of
XSAVE areas, and leaf 0Ah, which QEMU zeroes with pmu=off. Of KVM's rules for a feature MSR two read such: 0x345 wants
the host's model number for an LBR or a PEBS format (``explain/write_rules.py`` asks for it apart), and before 6.13 a
PMU in leaf 0Ah for any value but 0, which QEMU does not write with pmu=off. The APIC id is the vCPU's own, 0, for KVM
gives that of the CPU that it was asked on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msrtui.kvm.abi import REGISTERS
from msrtui.kvm.requests import CpuidEntry
from msrtui.qemu.filtering import GuestCpu
from msrtui.qemu.models import XSAVE_BIT
from msrtui.qemu.state import KvmState
from msrtui.qemu.tables import Tables

SIGNIFICANT_INDEX = 1
"""KVM_CPUID_FLAG_SIGNIFCANT_INDEX: the leaf has subleaves."""
XSAVE_LEAF = 0xD
"""Left out for a guest without xsave, whatever its words of it still say."""
_APIC_ID = 0xFF << 24
_TOPOLOGY = (0xB, 0x1F)


class Place(NamedTuple):
    """One register of one leaf."""

    leaf: int
    subleaf: int
    register: str


_BY_STATE = (Place(XSAVE_LEAF, 0, "EBX"), Place(XSAVE_LEAF, 1, "EBX"))


class Changed(NamedTuple):
    """A register that KVM keeps otherwise than it was set; ``put`` or ``got`` is None where the leaf is not there."""

    place: Place
    put: int | None
    got: int | None

    @property
    def dropped(self) -> int:
        """The bits that were set and are gone."""
        return (self.put or 0) & ~(self.got or 0)

    @property
    def follows_state(self) -> bool:
        """Whether every KVM works this register out itself: an XSAVE area's size, by the vCPU's own XCR0 and XSS.

        Source: arch/x86/kvm/cpuid.c kvm_update_cpuid_runtime.
        """
        return self.place in _BY_STATE

    @property
    def added(self) -> int:
        """The bits that were not set and are there."""
        return (self.got or 0) & ~(self.put or 0)


def places(tables: Tables) -> dict[Place, str]:
    """Where each CPUID word of this version stands: the name of the word by its register."""
    return {Place(w.leaf, w.subleaf or 0, w.register): w.name for w in tables.words if w.kind == "cpuid"}


def guest_cpuid(state: KvmState, cpu: GuestCpu) -> tuple[CpuidEntry, ...] | None:
    """The entries for KVM_SET_CPUID2, in the order of KVM's table; None where the source does not say enough."""
    if not state.cpuid or any(word.value is None for word in cpu.words.values()):
        return None
    xsave = bool((cpu.words["FEAT_1_ECX"].value or 0) & XSAVE_BIT)
    entries = {
        key: _as_first_vcpu(entry) for key, entry in state.cpuid.items() if xsave or entry.function != XSAVE_LEAF
    }
    subleaved = {word.leaf for word in state.profile.tables.words if word.kind == "cpuid" and word.subleaf is not None}
    for place, name in places(state.profile.tables).items():
        value = cpu.words[name].value or 0
        key = (place.leaf, place.subleaf)
        if key not in entries:
            if not value or (place.leaf == XSAVE_LEAF and not xsave):
                continue
            flags = SIGNIFICANT_INDEX if place.leaf in subleaved else 0
            entries[key] = CpuidEntry(*key, flags, 0, 0, 0, 0)
        entries[key] = entries[key]._replace(**{place.register.lower(): value})
    return tuple(entries.values())


def _as_first_vcpu(entry: CpuidEntry) -> CpuidEntry:
    if entry.function == 1:
        return entry._replace(ebx=entry.ebx & ~_APIC_ID)
    return entry._replace(edx=0) if entry.function in _TOPOLOGY else entry


def changes(put: Iterable[CpuidEntry], got: Iterable[CpuidEntry]) -> tuple[Changed, ...]:
    """Every register that came back otherwise, in the order of what was set; leaves that KVM added come last."""
    first, second = _by_place(put), _by_place(got)
    found = []
    for place in (*first, *(place for place in second if place not in first)):
        one, other = first.get(place), second.get(place)
        if one != other and (one or other):
            found.append(Changed(place, one, other))
    return tuple(found)


def _by_place(entries: Iterable[CpuidEntry]) -> Mapping[Place, int]:
    table: dict[Place, int] = {}
    for entry in entries:
        for register in REGISTERS:
            table.setdefault(Place(entry.function, entry.index, register), entry.register(register))
    return table
