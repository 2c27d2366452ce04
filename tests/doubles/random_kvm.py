"""KVMs that answer at random, and QEMUs that are started at random: for what holds whatever KVM says.

Half of them begin as a captured host, for combinations that there are; the others have every register and every
feature MSR drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from random import Random

from other_answers import ERRNOS, number

from msrtui.kvm.abi import Cap
from msrtui.kvm.recorded import RecordedHost, RecordedList, RecordedMsr, RecordedTable, Recording
from msrtui.kvm.requests import CpuidEntry
from msrtui.qemu.cpu_request import CpuRequest, definitions, parse, profile_for
from msrtui.qemu.filtering import GuestCpu, guest_cpu
from msrtui.qemu.profile import Irqchip, QemuProfile
from msrtui.qemu.state import UNKNOWN, KvmState
from msrtui.qemu.tables import labels, load
from msrtui.qemu.words import SupportedWord, supported_words
from msrtui.resources import bundled_hosts
from msrtui.snapshot.sources import open_source
from msrtui.transcript.stepper import conclude
from msrtui.values import dataclass, replace

VERSIONS = labels()
_TABLES = tuple(map(load, VERSIONS))
LEAVES = tuple(
    sorted(
        {(word.leaf, word.subleaf or 0) for tables in _TABLES for word in tables.words if word.kind == "cpuid"}
        | {(0, 0), (0x14, 0), (0x14, 1), (0x24, 0), (0x40000000, 0), (0x80000000, 0)}
    )
)
"""Every leaf that QEMU reads a feature word or a decision from."""
FEATURE_MSRS = tuple(
    sorted({word.index for tables in _TABLES for word in tables.words if word.kind == "msr"} | {0x8B, 0xCE, 0x345})
)
FLAG_MSRS = tuple(sorted({flag.index for tables in _TABLES for flag in tables.msr_flags}))
VENDORS = (
    (0x756E6547, 0x6C65746E, 0x49656E69),
    (0x68747541, 0x444D4163, 0x69746E65),
    (0x6F677948, 0x656E6975, 0x6E65476E),
)
"""GenuineIntel, AuthenticAMD, HygonGenuine: EBX, ECX, EDX of leaf 0."""


@lru_cache(maxsize=1)
def captured() -> tuple[Recording, ...]:
    """The bundled hosts that have a KVM."""
    answerers = [open_source(name).answerer for name in bundled_hosts()]
    said = [answerer.recording for answerer in answerers if isinstance(answerer, RecordedHost)]
    return tuple(each for each in said if each.open_errno is None)


def random_kvm(chance: Random) -> Recording:
    """A KVM that starts every QEMU as far as it asks, with registers, feature MSRs and capabilities at random."""
    base = chance.choice(captured()) if chance.random() < 0.5 else Recording()
    table = {(entry.function, entry.index): entry for entry in (base.supported_cpuid or RecordedTable()).entries}
    for leaf in LEAVES:
        if leaf not in table or chance.random() < 0.3:
            table[leaf] = CpuidEntry(*leaf, 0, *(number(chance, 32) for _ in range(4)))
        if leaf != (0, 0) and chance.random() < 0.1:
            del table[leaf]
    ebx, ecx, edx = chance.choice(VENDORS)
    table[0, 0] = table[0, 0]._replace(ebx=ebx, ecx=ecx, edx=edx)
    listed = tuple(index for index in FEATURE_MSRS if chance.random() < 0.9)
    msrs = {index: base.msrs.get(index, RecordedMsr(1, number(chance, 64))) for index in listed}
    for index in listed:
        if msrs[index].value is None or chance.random() < 0.4:
            msrs[index] = RecordedMsr(1, number(chance, 64))
    asked = {**dict.fromkeys(range(256), 1), **base.capabilities}
    for which in (Cap.TSC_DEADLINE_TIMER, Cap.X86_DISABLE_EXITS, Cap.SYS_ATTRIBUTES, Cap.CLOCKSOURCE, Cap.ASYNC_PF):
        asked[int(which)] = chance.choice((0, 1, 15))
    attribute = chance.choice((RecordedMsr(-1, None, chance.choice(ERRNOS)), RecordedMsr(0, number(chance, 64))))
    leaf_of = {
        leaf: (number(chance, 32), number(chance, 32), number(chance, 32), number(chance, 32)) for leaf in LEAVES
    }
    return replace(
        base,
        api_version=12,
        capabilities=asked,
        index_list=RecordedList(tuple(index for index in FLAG_MSRS if chance.random() < 0.8)),
        feature_list=RecordedList(listed),
        msrs=msrs,
        supported_cpuid=RecordedTable(tuple(table.values())),
        attributes={(0, 0): attribute},
        host_cpuid=chance.choice((leaf_of, base.host_cpuid or leaf_of)),
        host_cpuid_incomplete=None,
    )


def partly_unknown(said: Recording, chance: Random) -> Recording:
    """The same, as a source has it that does not say everything."""
    if chance.random() < 0.3:
        said = replace(said, supported_cpuid=None)
    if chance.random() < 0.3:
        said = replace(said, feature_list=None)
    if chance.random() < 0.5:
        said = replace(said, host_cpuid={}, host_cpuid_incomplete="not allowed")
    if chance.random() < 0.5:
        kept = {index: value for index, value in said.msrs.items() if chance.random() < 0.7}
        said = replace(said, msrs=kept)
    return said


def random_qemu(chance: Random, label: str | None = None) -> QemuProfile:
    """Any version, or the one given, with any options."""
    irqchips: tuple[Irqchip, ...] = ("on", "split", "off")
    return QemuProfile(
        label or chance.choice(VERSIONS),
        machine=chance.choice(("none", "pc", "q35", "pc-q35-7.2", "pc-i440fx-10.0", "microvm")),
        irqchip=chance.choice(irqchips),
        cpu_pm=chance.random() < 0.3,
        pmu=chance.choice((None, True, False)),
        migratable=chance.random() < 0.7,
    )


def random_cpu(chance: Random, profile: QemuProfile) -> CpuRequest:
    """``-cpu`` with any model and some of that QEMU's properties on or off."""
    name = chance.choice(("host", "host", "max", chance.choice(sorted(definitions(profile.tables)))))
    known = sorted(profile.tables.canonical_names)
    asked = [chance.choice(known) for _ in range(chance.choice((0, 0, 1, 3, 12)))]
    options = [chance.choice((f"+{prop}", f"-{prop}", f"{prop}=on", f"{prop}=off")) for prop in asked]
    return parse(",".join([name, *options]), profile)


@dataclass(frozen=True)
class World:
    """One QEMU behind its start on one KVM: its variables and every word."""

    said: Recording
    profile: QemuProfile
    state: KvmState
    words: Mapping[str, SupportedWord]

    def guest(self, request: CpuRequest) -> GuestCpu:
        """The guest of one ``-cpu``, whose own options (``migratable=off``) the profile has already."""
        return guest_cpu(self.state, self.words, request)


def state_of(said: Recording, profile: QemuProfile) -> KvmState:
    """QEMU's variables behind kvm_init, where nothing made it end."""
    flags = profile.tables.flag_by_index
    listed = said.index_list.indices if said.index_list is not None else ()
    table: dict[tuple[int, int], CpuidEntry] = {}
    for entry in (said.supported_cpuid or RecordedTable()).entries:
        table.setdefault((entry.function, entry.index), entry)
    return KvmState(
        profile,
        frozenset(flags[index].flag for index in listed if index in flags),
        UNKNOWN if said.feature_list is None else said.feature_list.indices,
        None if said.supported_cpuid is None else table,
    )


def world(said: Recording, profile: QemuProfile) -> World:
    """All words of one QEMU on one KVM. Raises QemuExit where a listed MSR cannot be read."""
    state = state_of(said, profile)
    return World(said, profile, state, conclude(supported_words(state), RecordedHost(said)))


def random_world(chance: Random, label: str | None = None) -> World:
    """Any QEMU, or that version, on any KVM that says everything."""
    return world(random_kvm(chance), random_qemu(chance, label))


def with_guest(chance: Random, label: str | None = None) -> tuple[World, CpuRequest, GuestCpu]:
    """The same with any ``-cpu``."""
    profile = random_qemu(chance, label)
    request = random_cpu(chance, profile)
    made = world(random_kvm(chance), profile_for(request, profile))
    return made, request, made.guest(request)
