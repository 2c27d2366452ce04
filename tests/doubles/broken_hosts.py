"""Captured hosts that can be broken on purpose, and for every lint rule what breaks one so that the rule finds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from msrtui.compare.lint import Linted, lint
from msrtui.compare.side import side_of
from msrtui.kvm.recorded import RecordedHost, RecordedList, RecordedMsr, RecordedTable, Recording
from msrtui.kvm.recorded_vcpu import ProbedCpu, RecordedProbe
from msrtui.kvm.requests import CpuidEntry
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.model import About
from msrtui.snapshot.sources import Source, open_source
from msrtui.values import dataclass, replace

HOSTS = Path(__file__).resolve().parents[1] / "data" / "hosts"
SKYLAKE, LAKE, SPR, RYZEN, PVM = (
    "intel-skylake-bochs-linux6.12",
    "intel-icelake-bochs-linux6.12",
    "intel-sapphirerapids-bochs-linux6.12",
    "amd-ryzen-bochs-linux6.12",
    "amd-pvm-linux6.18",
)


@dataclass(frozen=True)
class Host:
    """A captured host that can be changed: what its KVM said, and what is known of it."""

    said: Recording
    about: About
    probes: tuple[RecordedProbe, ...] = ()

    def is_listed(self, index: int) -> bool:
        assert self.said.index_list is not None
        return index in self.said.index_list.indices

    def listed(self, *indices: int) -> Host:
        """With these in the index list too."""
        assert self.said.index_list is not None
        more = (*self.said.index_list.indices, *indices)
        return replace(self, said=replace(self.said, index_list=RecordedList(more)))

    def unlisted(self, *indices: int) -> Host:
        assert self.said.index_list is not None
        assert set(indices) <= set(self.said.index_list.indices)
        rest = tuple(index for index in self.said.index_list.indices if index not in indices)
        return replace(self, said=replace(self.said, index_list=RecordedList(rest)))

    def features(self, *indices: int) -> Host:
        """With this feature list; what has no value gives 0."""
        values = {index: self.said.msrs.get(index, RecordedMsr(1, 0)) for index in indices}
        return replace(self, said=replace(self.said, feature_list=RecordedList(indices), msrs=values))

    @property
    def feature_list(self) -> tuple[int, ...]:
        assert self.said.feature_list is not None
        return self.said.feature_list.indices

    def value(self, index: int, change: Callable[[int], int]) -> Host:
        before = self.said.msrs[index].value
        assert before is not None
        return self.reply(index, RecordedMsr(1, change(before)))

    def reply(self, index: int, reply: RecordedMsr) -> Host:
        return replace(self, said=replace(self.said, msrs={**self.said.msrs, index: reply}))

    def cpuid(self, leaf: int, subleaf: int = 0, **change: Callable[[int], int]) -> Host:
        """KVM's table with registers of one leaf changed; a leaf that is not there is added."""
        table = self.said.supported_cpuid
        assert table is not None
        entries = list(table.entries)
        places = [at for at, each in enumerate(entries) if (each.function, each.index) == (leaf, subleaf)]
        if not places:
            entries.append(CpuidEntry(leaf, subleaf, 0, 0, 0, 0, 0))
        at = places[0] if places else -1
        made = {name: how(getattr(entries[at], name)) for name, how in change.items()}
        entries[at] = entries[at]._replace(**made)
        return replace(self, said=replace(self.said, supported_cpuid=replace(table, entries=tuple(entries))))

    def parameter(self, module: str, name: str, value: str) -> Host:
        known = {**self.about.parameters, module: {**self.about.parameters.get(module, {}), name: value}}
        return replace(self, about=replace(self.about, parameters=known))

    def capability(self, number: int, value: int) -> Host:
        return replace(self, said=replace(self.said, capabilities={**self.said.capabilities, number: value}))

    def told(self, **about: Any) -> Host:
        return replace(self, about=replace(self.about, **about))

    def probed(self, reads: int, **change: Callable[[int], int]) -> Host:
        """With a vCPU that was given all of KVM's table, kept leaf 7 with these changes, and reads 0x10a as this."""
        table = self.said.supported_cpuid
        assert table is not None
        kept = tuple(
            entry._replace(**{name: how(getattr(entry, name)) for name, how in change.items()})
            if (entry.function, entry.index) == (7, 0)
            else entry
            for entry in table.entries
        )
        probe = RecordedProbe(
            ProbedCpu("7.2", "pc", "on", cpu_pm=False, cpu="host"),
            (0, None),
            (0, None),
            set_cpuid=(table.entries, (0, None)),
            got_cpuid=RecordedTable(kept),
            msrs={0x10A: RecordedMsr(1, reads)},
        )
        return replace(self, probes=(*self.probes, probe))

    def linted(self, qemu: str = "10.2") -> Linted:
        return lint(
            side_of(Source("x", "file", RecordedHost(self.said), self.about, probes=self.probes), QemuProfile(qemu))
        )


@lru_cache
def host(name: str) -> Host:
    source = open_source(str(HOSTS / f"{name}.json"))
    assert isinstance(source.answerer, RecordedHost)
    return Host(source.answerer.recording, source.about)


def on(*bits: int) -> Callable[[int], int]:
    return lambda value: value | sum(1 << bit for bit in bits)


def off(*bits: int) -> Callable[[int], int]:
    return lambda value: value & ~sum(1 << bit for bit in bits)


def to(value: int) -> Callable[[int], int]:
    return lambda _: value


Change = Callable[[Host], Host]
BROKEN: Mapping[str, tuple[str, Change]] = {
    "offered-without-its-msr": (SKYLAKE, lambda h: h.cpuid(7, edx=on(30))),
    "listed-without-its-feature": (SKYLAKE, lambda h: h.listed(0xD90)),
    "umwait-without-waitpkg": (RYZEN, lambda h: h.listed(0xE1)),
    "psfd-without-spec-ctrl": (RYZEN, lambda h: h.cpuid(0x80000008, ebx=on(28))),
    "tsx-ctrl-not-listed": (SKYLAKE, lambda h: h.value(0x10A, on(7))),
    "index-list-refused": (SKYLAKE, lambda h: replace(h, said=replace(h.said, index_list=RecordedList((), 22)))),
    "feature-list-empty": (SKYLAKE, lambda h: h.features()),
    "feature-list-refused": (
        SKYLAKE,
        lambda h: replace(h, said=replace(h.said, feature_list=RecordedList((), 22))),
    ),
    "feature-msr-refused": (SKYLAKE, lambda h: h.reply(0x10A, RecordedMsr(0))),
    "listed-twice": (SKYLAKE, lambda h: h.listed(0x10A)),
    "foreign-registers": (RYZEN, lambda h: h.listed(0x3A, 0x38D)),
    "vmx-msrs-without-vmx": (SKYLAKE, lambda h: h.cpuid(1, ecx=off(5))),
    "vmx-without-its-msrs": (SKYLAKE, lambda h: h.features(0x8B, 0x10A, 0x345)),
    "feature-never-written": (SKYLAKE, lambda h: h.unlisted(0x10A)),
    "controls-added-by-qemu": (
        SKYLAKE,
        lambda h: h.unlisted(0x48B).value(0x48B, off(32 + 12, 32 + 16)).cpuid(7, ebx=on(10, 18)),
    ),
    "de-cfg-missing": (RYZEN, lambda h: h.features(0x8B, 0x10A, 0x345)),
    "list-without-its-capability": (SKYLAKE, lambda h: h.capability(117, 0)),
    "no-feature-list": (SKYLAKE, lambda h: h.capability(153, 0)),
    "words-without-an-msr": (SKYLAKE, lambda h: h),
    "features-without-a-word": (SKYLAKE, lambda h: h),
    "perf-capabilities-without-pdcm": (SKYLAKE, lambda h: h.cpuid(1, ecx=off(15))),
    "pmu-off-but-offered": (SKYLAKE, lambda h: h.parameter("kvm", "enable_pmu", "N")),
    "arch-capabilities-refused": (RYZEN, lambda h: h.probed(0, edx=off(29))),
    "arch-capabilities-may-be-refused": (RYZEN, lambda h: h.told(vendor_module="kvm_pvm")),
    "arch-capabilities-made-up": (RYZEN, lambda h: h),
    "immune-and-flawed": (SKYLAKE, lambda h: h.value(0x10A, on(5))),
    "lfence-disagrees": (RYZEN, lambda h: h.value(0xC0011029, lambda value: value ^ 2)),
    "microcode-placeholder": (RYZEN, lambda h: h.value(0x8B, to(0x01000065))),
    "microcode-zero": (RYZEN, lambda h: h.value(0x8B, to(0))),
    "words-without-their-owner": (SKYLAKE, lambda h: h.value(0x48E, off(32 + 31))),
    "xcr0-incomplete-set": (SKYLAKE, lambda h: h.cpuid(0xD, eax=off(6))),
    "feature-without-its-state": (SKYLAKE, lambda h: h.cpuid(0xD, eax=off(5, 6, 7))),
    "state-without-its-feature": (SKYLAKE, lambda h: h.cpuid(0xD, eax=on(9))),
    "xcr0-without-xsave": (SKYLAKE, lambda h: h.cpuid(1, ecx=off(26))),
    "xss-without-its-msr": (SKYLAKE, lambda h: h.cpuid(0xD, 1, ecx=on(11))),
    "feature-without-what-it-needs": (SKYLAKE, lambda h: h.cpuid(7, ebx=off(5))),
    "leaf-beyond-the-last": (SKYLAKE, lambda h: h.cpuid(0, eax=to(6))),
    "guest-address-bits": (SKYLAKE, lambda h: h.cpuid(0x80000008, eax=to(0x301E28))),
    "control-must-and-cannot": (SKYLAKE, lambda h: h.value(0x48D, off(32 + 1))),
    "cr-must-and-cannot": (SKYLAKE, lambda h: h.value(0x487, off(31))),
    "must-be-1-lost-by-qemu": (SKYLAKE, lambda h: h.value(0x48D, on(0, 3, 5)).value(0x481, on(0, 3, 5))),
    "true-controls-disagree": (SKYLAKE, lambda h: h.value(0x481, on(32 + 9))),
    "control-without-another": (SKYLAKE, lambda h: h.value(0x48B, off(32 + 9))),
    "capability-without-its-control": (SKYLAKE, lambda h: h.value(0x48B, off(32 + 5))),
    "nested-says-otherwise": (SKYLAKE, lambda h: h.parameter("kvm_intel", "nested", "N")),
    "ignore-msrs-on": (SKYLAKE, lambda h: h.parameter("kvm", "ignore_msrs", "Y")),
    "nested-off": (SKYLAKE, lambda h: h.parameter("kvm_intel", "nested", "N").cpuid(1, ecx=off(5))),
    "switched-off": (SKYLAKE, lambda h: h.parameter("kvm_intel", "vpid", "N")),
    "l1d-flush-never": (SKYLAKE, lambda h: h.parameter("kvm_intel", "vmentry_l1d_flush", "never")),
    "mitigations-switched": (SKYLAKE, lambda h: h.told(command_line=("mitigations=off", "kvm.ignore_msrs=1"))),
    "virtualization-with-the-first-vm": (SKYLAKE, lambda h: h.parameter("kvm", "enable_virt_at_load", "N")),
}
"""By rule: a host, and what breaks it."""
