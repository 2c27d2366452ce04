"""What a guest gets: the expansion and the filter of ``-cpu host``, as plain functions of the supported words.

Source: target/i386/cpu.c x86_cpu_expand_features, x86_cpu_enable_xsave_components, x86_cpu_filter_features,
x86_cpu_realizefn (4.2 and later).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from msrtui.qemu import rules
from msrtui.qemu.cpuid import AMD_COPIES
from msrtui.qemu.negotiation import Decision, Lineage, Negotiation, within
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.state import KvmState
from msrtui.qemu.words import Supported

_EXPAND = (rules.CPU_C, "x86_cpu_expand_features")
AUTO_ENABLE = rules.register("auto-enable", *_EXPAND)
DEPENDENCY = rules.register("dependency", *_EXPAND)
XSAVE_COMPONENTS = rules.register("xsave-components", rules.CPU_C, "x86_cpu_enable_xsave_components")
FILTER = rules.register("filter", rules.CPU_C, "x86_cpu_filter_features")
AMD_ALIASES = rules.register("amd-aliases", rules.CPU_C, "x86_cpu_realizefn")
CPU_PM = rules.register("cpu-pm", "target/i386/host-cpu.c", "host_cpu_enable_cpu_pm")
GUEST_WORD = rules.register("guest-word", *_EXPAND)

XSAVE_BIT = 1 << 26
XSS_COMPONENTS = 1 << 15
"""CPUID_XSTATE_XSS_MASK: of the components that QEMU knows, ARCH_LBR alone is managed by XSS."""
AMD_VENDOR = (0x68747541, 0x69746E65, 0x444D4163)
"""AuthenticAMD in EBX, EDX, ECX of leaf 0."""


@dataclass(frozen=True)
class GuestWord:
    """A word as a guest gets it. ``value`` None: the source does not say enough. ``lineage`` continues the word's."""

    value: int | None
    unavailable: int
    lineage: Lineage


class _Cpu:
    """env->features while a CPU is made: values, and what each rule did to them."""

    def __init__(self, supported: Supported) -> None:
        self.values = dict.fromkeys(supported, 0)
        self.known = {name: word.supported is not None for name, word in supported.items()}
        self.unavailable = dict.fromkeys(supported, 0)
        self.lineage: dict[str, list[Decision]] = {name: [] for name in supported}

    def change(self, rule: str, word: str, after: int, params: Mapping[str, object]) -> None:
        before = self.values[word]
        if before != after:
            step = Decision(rule, {"word": word, **params}, before=before, after=after)
            self.lineage[word].append(step)
            self.values[word] = after


def host_cpu(state: KvmState, supported: Supported) -> dict[str, GuestWord]:
    """``-cpu host``: auto-enabled, dependencies cleared, XSAVE components set, filtered, finished.

    Words whose value is not known keep None.
    """
    profile = state.profile
    cpu = _Cpu(supported)
    for name, word in supported.items():
        start = word.migratable or 0
        cpu.values[name] = start
        cpu.change(AUTO_ENABLE, name, start & ~word.word.no_autoenable_flags, {})
    _dependencies(profile, cpu)
    _xsave_components(profile, cpu)
    for name, word in supported.items():
        missing = cpu.values[name] & ~(word.supported or 0)
        cpu.unavailable[name] = missing
        cpu.change(FILTER, name, cpu.values[name] & ~missing, {"missing": missing})
    if is_amd(state) and "FEAT_8000_0001_EDX" in cpu.values and "FEAT_1_EDX" in cpu.values:
        after = cpu.values["FEAT_8000_0001_EDX"] & ~AMD_COPIES | cpu.values["FEAT_1_EDX"] & AMD_COPIES
        cpu.change(AMD_ALIASES, "FEAT_8000_0001_EDX", after, {})
    if profile.cpu_pm:
        _cpu_pm(state, cpu)
    return {
        name: GuestWord(cpu.values[name] if cpu.known[name] else None, cpu.unavailable[name], tuple(cpu.lineage[name]))
        for name in supported
    }


def _cpu_pm(state: KvmState, cpu: _Cpu) -> None:
    """cpu-pm=on: monitor, and waitpkg where KVM lists its MSR, are switched on after the filter had its say.

    So QEMU 7.2 shows monitor even where KVM cannot let MWAIT through.
    """
    for name, bit, there in (("FEAT_1_ECX", 3, True), ("FEAT_7_0_ECX", 5, "has_msr_umwait" in state.flags)):
        if there and name in cpu.values:
            cpu.change(CPU_PM, name, cpu.values[name] | 1 << bit, {})


def _dependencies(profile: QemuProfile, cpu: _Cpu) -> None:
    """One pass in the table's order: without any of the ``from`` bits, the ``to`` bits go."""
    for row in profile.tables.dependencies:
        if row.to_word in cpu.values and not cpu.values.get(row.from_word, 0) & row.from_mask:
            after = cpu.values[row.to_word] & ~row.to_mask
            cpu.change(DEPENDENCY, row.to_word, after, {"from": row.from_word, "mask": row.from_mask})


def _xsave_components(profile: QemuProfile, cpu: _Cpu) -> None:
    """The XCR0 and XSS words follow from other features: every component whose owner is on."""
    mask = 0
    if cpu.values.get("FEAT_1_ECX", 0) & XSAVE_BIT:
        for area in profile.tables.xsave_areas:
            if cpu.values.get(area.word, 0) & area.bits:
                mask |= 1 << area.component
    xss = mask & XSS_COMPONENTS
    xcr0 = mask & ~XSS_COMPONENTS
    for name, value in (
        ("FEAT_XSAVE_XCR0_LO", xcr0 & 0xFFFFFFFF),
        ("FEAT_XSAVE_XCR0_HI", xcr0 >> 32),
        ("FEAT_XSAVE_XSS_LO", xss & 0xFFFFFFFF),
        ("FEAT_XSAVE_XSS_HI", xss >> 32),
    ):
        if name in cpu.values:
            cpu.change(XSAVE_COMPONENTS, name, value, {})


def is_amd(state: KvmState) -> bool:
    """Whether the guest of ``-cpu host`` is an AMD one: leaf 0 of KVM's table, which KVM takes from the host."""
    entry = (state.cpuid or {}).get((0, 0))
    return entry is not None and (entry.ebx, entry.edx, entry.ecx) == AMD_VENDOR


def expand_host(state: KvmState, supported: Supported) -> Negotiation[dict[str, GuestWord]]:
    """``host_cpu`` told as events: one for each word, with the rules that changed it before it."""
    guest = host_cpu(state, supported)
    return (yield from within("x86_cpu_expand_features", _told(guest), phase="guest"))


def _told(guest: dict[str, GuestWord]) -> Negotiation[dict[str, GuestWord]]:
    for name, word in guest.items():
        filtered = [step for step in word.lineage if step.rule in (FILTER, AMD_ALIASES, CPU_PM)]
        for step in word.lineage:
            function = rules.RULES[step.rule].function
            if step in filtered or step.rule == XSAVE_COMPONENTS:
                yield from within(function, _one(step), word=name)
            else:
                yield from within("x86_cpu_expand_features", _one(step), word=name)
        yield from within(
            "x86_cpu_expand_features",
            _one(Decision(GUEST_WORD, {"word": name}, {f"guest:{name}": word}, after=word.value)),
            word=name,
        )
    return guest


def _one(step: Decision) -> Negotiation[None]:
    yield step


def with_guest_lineage(lineage: Lineage, guest: GuestWord) -> Lineage:
    """The whole way of a word: as supported, then as the guest gets it."""
    return (*lineage, *(replace(step, sets={}) for step in guest.lineage))
