"""How far an answer of KVM's reaches: to the guest, to QEMU alone, or nowhere beyond KVM.

Source: target/i386/cpu.c cpu_x86_cpuid, x86_cpu_filter_features; target/i386/host-cpu.c host_cpu_instance_init;
target/i386/kvm/kvm-cpu.c kvm_cpu_max_instance_init, kvm_set_guest_phys_bits; target/i386/kvm/kvm.c kvm_init_msrs,
kvm_init_xsave (3.1 and later; 11.1, whose source was not at hand, is taken as 10.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from msrtui.compare.side import Side
from msrtui.kvm.abi import REGISTERS
from msrtui.qemu.capability_checks import OnVm
from msrtui.qemu.capability_places import capability_places
from msrtui.qemu.models import pmu_of
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.vcpu import KEPT, VMX_WRITTEN_FIRST

Reach = Literal["guest", "qemu", "kernel"]
"""``guest``: what a guest can see differs by it. ``qemu``: QEMU asks for it or uses it, and no guest sees it.
``kernel``: only KVM itself has to do with it."""

UCODE_REV, PLATFORM_INFO, PERF_CAPABILITIES = 0x8B, 0xCE, 0x345
_VMX = range(0x480, 0x492)
_VMX_CHECKED = (0x486, 0x488)
"""CR0_FIXED0 and CR4_FIXED0: QEMU writes constants of its own, which KVM holds against these."""
_EVERY = 0xFFFFFFFF
_ALL = (_EVERY, _EVERY, _EVERY, _EVERY)


class _Guest:
    """What of a side's guest decides which leaves are read for it."""

    def __init__(self, side: Side) -> None:
        self.version = side.profile.version
        self.takes_all = side.request.takes_all
        self.pmu = pmu_of(side.profile, side.request)
        self.old = side.profile.machine_at_most((9, 0))
        self._side = side

    def has(self, word: str, bit: int) -> bool:
        """Whether the guest has the bit, or may have it where that is not known."""
        found = self._side.guest_words.get(word)
        return found is not None and any(each.value is None or bool(each.value >> bit & 1) for each in found)


class LeafUse(NamedTuple):
    """Registers of KVM's CPUID table, beside the feature words, that a QEMU reads: ``masks`` are EAX to EDX."""

    leaf: int
    subleaf: int | None
    masks: tuple[int, int, int, int]
    reach: Reach
    holds: Callable[[_Guest], bool]


def _for_all(guest: _Guest) -> bool:
    return guest.takes_all


def _arch_lbr(guest: _Guest) -> bool:
    return guest.version >= (7, 1) and guest.pmu and guest.has("FEAT_7_0_EDX", 19)


LEAVES = (
    LeafUse(0x0, 0, (_EVERY, 0, 0, 0), "guest", _for_all),
    # the vendor: QEMU takes it from the CPU, which has the same there
    LeafUse(0x0, 0, (0, _EVERY, _EVERY, _EVERY), "guest", lambda _: True),
    # family, model, stepping and the CPU's name, in the same way
    LeafUse(0x1, 0, (_EVERY, 0, 0, 0), "guest", _for_all),
    *(LeafUse(leaf, 0, _ALL, "guest", _for_all) for leaf in (0x80000002, 0x80000003, 0x80000004)),
    LeafUse(0xA, None, _ALL, "guest", lambda guest: guest.pmu),
    # the size of the XSAVE area is held against the room for it
    LeafUse(0xD, 0, (0, 0, _EVERY, 0), "qemu", lambda guest: guest.version >= (7, 0)),
    LeafUse(0xD, 0xF, _ALL, "guest", _arch_lbr),
    LeafUse(0x12, None, _ALL, "guest", lambda guest: guest.version >= (6, 2) and guest.has("FEAT_7_0_EBX", 2)),
    # Intel PT is offered as QEMU's minimum, or not at all
    LeafUse(0x14, None, _ALL, "qemu", lambda guest: guest.has("FEAT_7_0_EBX", 25)),
    LeafUse(0x1C, 0, (_EVERY, _EVERY, _EVERY, 0), "guest", _arch_lbr),
    LeafUse(0x24, 0, (0, 0xFF, 0, 0), "guest", lambda guest: guest.has("FEAT_7_1_EDX", 19)),
    LeafUse(0x80000000, 0, (_EVERY, 0, 0, 0), "guest", _for_all),
    # guest physical address bits; older machine types keep 0
    LeafUse(0x80000008, 0, (0x00FF0000, 0, 0, 0), "guest", lambda guest: guest.version >= (9, 1) and not guest.old),
    LeafUse(0x80000022, 0, (0, 0xF, 0, 0), "guest", lambda guest: guest.pmu and guest.has("FEAT_8000_0022_EAX", 0)),
    LeafUse(0xC0000000, 0, (_EVERY, 0, 0, 0), "guest", _for_all),
)


@lru_cache(maxsize=64)
def _checked(profile: QemuProfile) -> frozenset[int]:
    """The capabilities that a QEMU asks for, of KVM or of a VM."""
    return frozenset(int(step.cap) for _place, step in capability_places(profile) if not isinstance(step, OnVm))


class Reaches:
    """Answers for one comparison: what one of the sides makes of an answer decides how far it reaches."""

    def __init__(self, sides: Sequence[Side], guests_differ: Callable[[str], bool]) -> None:
        """``guests_differ``: whether the guests have another value, or may have, in a word by its newest name."""
        self._sides = sides
        self._guests = [_Guest(side) for side in sides]
        self._profiles = list({id(side.profile): side.profile for side in sides}.values())
        self._guests_differ = guests_differ

    def word(self, name: str) -> Reach:
        """Of a word's register as KVM has it."""
        return "guest" if self._guests_differ(name) else "qemu"

    def capability(self, number: int) -> Reach:
        """Of a capability."""
        return "qemu" if any(number in _checked(profile) for profile in self._profiles) else "kernel"

    def index(self, index: int) -> Reach:
        """Of an MSR in the index list: whether a QEMU names it there or transfers it."""
        return "qemu" if any(_names(profile, index) for profile in self._profiles) else "kernel"

    def listed(self, index: int) -> Reach:
        """Of an MSR in the feature list."""
        word = self._word_of(index)
        if word is not None:
            return self.word(word)
        return self.feature_msr(index, (0, 1)) if index == UCODE_REV else "kernel"

    def feature_msr(self, index: int, values: Sequence[object]) -> Reach:
        """Of the values of a feature MSR, in the sides' order."""
        word = self._word_of(index)
        if word is not None and self._guests_differ(word):
            return "guest"
        kept = KEPT.get(index, 0)
        if len({value & kept if isinstance(value, int) else value for value in values}) > 1 and self._vmx():
            return "guest"
        if word is not None:
            return "qemu"
        if index == UCODE_REV:
            written = any(
                guest.takes_all and UCODE_REV in side.profile.tables.flag_by_index
                for guest, side in zip(self._guests, self._sides, strict=True)
            )
            return "guest" if written else "kernel"
        if index == PLATFORM_INFO:
            return "guest"  # no QEMU writes it: a vCPU starts with what KVM has here
        if index == PERF_CAPABILITIES:
            return "guest" if any(guest.has("FEAT_1_ECX", 15) for guest in self._guests) else "kernel"
        if index in _VMX and self._vmx():
            if any(guest.version < VMX_WRITTEN_FIRST for guest in self._guests):
                return "guest"
            return "qemu" if index in _VMX_CHECKED else "kernel"
        return "kernel"

    def leaf(self, leaf: int, subleaf: int, register: str, values: Sequence[int]) -> Reach:
        """Of a register of KVM's CPUID table that is no feature word's; ``values`` are in the sides' order."""
        place, differs = REGISTERS.index(register), 0
        for value in values:
            differs |= value ^ values[0]
        found: set[Reach] = {
            use.reach
            for use in LEAVES
            if use.leaf == leaf
            and use.subleaf in (None, subleaf)
            and use.masks[place] & differs
            and any(use.holds(guest) for guest in self._guests)
        }
        return "guest" if "guest" in found else "qemu" if found else "kernel"

    def _vmx(self) -> bool:
        return any(guest.has("FEAT_1_ECX", 5) for guest in self._guests)

    def _word_of(self, index: int) -> str | None:
        for profile in self._profiles:
            word = profile.tables.word_by_msr.get(index)
            if word is not None:
                return word.name
        return None


def passed_on(index: int) -> int:
    """The bits of a feature MSR that a guest gets as KVM has them, beside its feature word; 0 where there are none."""
    return KEPT.get(index, 0)


def _names(profile: QemuProfile, index: int) -> bool:
    return index in profile.tables.flag_by_index or index in profile.tables.transferred
