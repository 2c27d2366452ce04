"""Hosts made by hand, a few numbers each, for tests that need one that nobody has recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from scripted import Played, play_on

from msrtui.kvm.recorded import RecordedHost, RecordedMsr, Recording
from msrtui.kvm.requests import CpuidEntry
from msrtui.qemu.cpu_request import parse, profile_for
from msrtui.qemu.cpuid import CpuidFeature, kvm_arch_get_supported_cpuid
from msrtui.qemu.filtering import GuestCpu, guest_cpu
from msrtui.qemu.models import Cpu, expand
from msrtui.qemu.msrs import MsrFeature, kvm_arch_get_supported_msr_feature
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.state import KvmState
from msrtui.qemu.words import SupportedWord, x86_cpu_get_supported_feature_word
from msrtui.values import replace

PROFILES = ("3.1", "4.0", "4.2", "5.2", "6.2", "7.2", "8.2", "10.0", "10.2", "11.1")
"""Every version that there is a table for."""
RELEASES = (
    "3.1", "4.0", "4.1", "4.2", "5.0", "5.1", "5.2", "6.0", "6.1", "6.2", "7.0", "7.1", "7.2",
    "8.0", "8.1", "8.2", "10.0", "10.1", "10.2", "11.0", "11.1",
)  # fmt: skip
"""The same and releases between them: rules know the version alone and need no table. Those of 9 nobody read."""
ALL32, ALL64 = (1 << 32) - 1, (1 << 64) - 1
FIRECRACKER = 0x4000_0000_0C00_0069
"""MSR 0x10a of the article's machine."""

Registers = tuple[int, int, int, int]
INTEL: Registers = (0x16, 0x756E6547, 0x6C65746E, 0x49656E69)
"""Leaf 0 of GenuineIntel: EAX, EBX, ECX, EDX."""
AMD: Registers = (0x10, 0x68747541, 0x444D4163, 0x69746E65)
HYGON: Registers = (0x10, 0x6F677948, 0x656E6975, 0x6E65476E)


def number(label: str) -> tuple[int, int]:
    """(major, minor) of a version."""
    major, minor = label.split(".")
    return int(major), int(minor)


def between(label: str, since: str, until: str = "99.0") -> bool:
    """Whether a version is one of ``since`` … ``until``, both included."""
    return number(since) <= number(label) <= number(until)


def bits(value: int | None) -> set[int]:
    """The numbers of the bits that are 1."""
    assert value is not None
    return {bit for bit in range(64) if value >> bit & 1}


def mask(*numbers: int) -> int:
    """The other way round."""
    return sum(1 << bit for bit in set(numbers))


def leaf(function: int, index: int = 0, **registers: int) -> CpuidEntry:
    """An entry of KVM's table, 0 in the registers that are not named."""
    return CpuidEntry(function, index, 0, 0, 0, 0, 0)._replace(**registers)


def vendor(registers: Registers) -> CpuidEntry:
    """Leaf 0."""
    return CpuidEntry(0, 0, 0, *registers)


def state(
    profile: QemuProfile | str,
    *entries: CpuidEntry,
    flags: Iterable[str] = (),
    features: tuple[int, ...] | None = None,
) -> KvmState:
    """QEMU after kvm_init, with this table of KVM's."""
    profile = QemuProfile(profile) if isinstance(profile, str) else profile
    table = {(entry.function, entry.index): entry for entry in entries}
    return KvmState(profile, frozenset(flags), features, table)


def register(
    profile: QemuProfile | str,
    function: int,
    name: str,
    value: int | None,
    *others: CpuidEntry,
    sub: int = 0,
    flags: Iterable[str] = (),
    **host: Any,
) -> CpuidFeature:
    """One register with ``value`` in KVM's table (None: no such leaf), as QEMU takes it; ``host`` is a Recording's."""
    entries = others if value is None else (leaf(function, sub, **{name.lower(): value}), *others)
    made = state(profile, *entries, flags=flags)
    return play_on(kvm_arch_get_supported_cpuid(made, function, sub, name), RecordedHost(Recording(**host))).value()


def msr(
    label: str, index: int, raw: int, *entries: CpuidEntry, flags: Iterable[str] = ()
) -> MsrFeature:  # fmt: skip
    """One feature MSR that KVM lists and gives as ``raw``."""
    host = RecordedHost(Recording(msrs={index: RecordedMsr(1, raw)}))
    made = state(label, *entries, flags=flags, features=(index,))
    return play_on(kvm_arch_get_supported_msr_feature(made, index), host).value()


def word(
    profile: QemuProfile | str,
    name: str,
    raw: int,
    *others: CpuidEntry,
    flags: Iterable[str] = ("has_msr_arch_capabs", "has_msr_vmx_procbased_ctls2"),
    **host: Any,
) -> SupportedWord:
    """One feature word in both views, with KVM giving ``raw`` for its register or MSR."""
    return word_played(profile, name, raw, *others, flags=flags, **host).value()


def word_played(
    profile: QemuProfile | str,
    name: str,
    raw: int,
    *others: CpuidEntry,
    flags: Iterable[str] = ("has_msr_arch_capabs", "has_msr_vmx_procbased_ctls2"),
    **host: Any,
) -> Played[SupportedWord]:
    """The same with all that was asked and decided."""
    profile = QemuProfile(profile) if isinstance(profile, str) else profile
    row = profile.tables.word_by_name[name]
    if row.kind == "msr":
        made = state(profile, *others, flags=flags, features=(row.index,))
        host = {"msrs": {row.index: RecordedMsr(1, raw)}, **host}
    else:
        entry = leaf(row.leaf, row.subleaf or 0, **{row.register.lower(): raw})
        made = state(profile, entry, *others, flags=flags)
    return play_on(x86_cpu_get_supported_feature_word(made, row), RecordedHost(Recording(**host)))


def supported(
    profile: QemuProfile, offered: Mapping[str, int] | int, unmasked: Mapping[str, int] | None = None
) -> dict[str, SupportedWord]:
    """Every word: what ``host`` may take (a number: the same everywhere), and what the filter sees where it differs."""

    def one(name: str) -> int:
        return offered if isinstance(offered, int) else offered.get(name, 0)

    return {
        row.name: SupportedWord(row, None, (unmasked or {}).get(row.name, one(row.name)), one(row.name), None, ())
        for row in profile.tables.words
    }


def _asked(
    text: str,
    label: str,
    offered: Mapping[str, int] | int,
    unmasked: Mapping[str, int] | None,
    entries: Iterable[CpuidEntry],
    flags: Iterable[str],
    profile: Mapping[str, Any],
) -> tuple[KvmState, dict[str, SupportedWord], Any]:
    plain = QemuProfile(label, **profile)
    request = parse(text, plain)
    chosen = profile_for(request, plain)
    return state(chosen, *entries, flags=flags), supported(chosen, offered, unmasked), request


def guest(
    label: str,
    text: str,
    offered: Mapping[str, int] | int,
    *entries: CpuidEntry,
    unmasked: Mapping[str, int] | None = None,
    flags: Iterable[str] = (),
    **profile: Any,
) -> GuestCpu:
    """What ``-cpu text`` gives in this version of QEMU (``profile``: its options), on a GenuineIntel by default."""
    entries = entries or (vendor(INTEL),)
    return guest_cpu(*_asked(text, label, offered, unmasked, entries, flags, profile))


def expanded(
    label: str,
    text: str,
    offered: Mapping[str, int] | int,
    *entries: CpuidEntry,
    unmasked: Mapping[str, int] | None = None,
    flags: Iterable[str] = (),
    **profile: Any,
) -> Cpu:
    """The same before the filter."""
    entries = entries or (vendor(INTEL),)
    return expand(*_asked(text, label, offered, unmasked, entries, flags, profile))


def with_tables(profile: QemuProfile, **changed: Any) -> QemuProfile:
    """The profile as if these of QEMU's tables were others."""
    made = replace(profile)
    vars(made)["tables"] = replace(profile.tables, **changed)
    return made


def values(cpu: GuestCpu) -> dict[str, int]:
    """The words that are not 0."""
    return {name: each.value for name, each in cpu.words.items() if each.value}


def rules(lineage: Iterable[Any]) -> list[str]:
    """The rules of a lineage, in order."""
    return [step.rule for step in lineage]


XSAVE, AVX = mask(26), mask(28)
"""Of 1.ECX."""
KVM_DEFAULTS = mask(0, 1, 3, 4, 5, 6, 24)
"""kvmclock (two bits), kvm-nopiodelay, kvm-asyncpf, kvm-steal-time, kvm-pv-eoi, kvmclock-stable-bit."""


def xcr0(label: str) -> str:
    """The word of XCR0's lower half."""
    return "FEAT_XSAVE_XCR0_LO" if between(label, "7.0") else "FEAT_XSAVE_COMP_LO"
