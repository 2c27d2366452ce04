"""What a guest gets: the expansion of a CPU model, as plain functions of (``-cpu``, supported words).

Source: target/i386/cpu.c x86_cpu_load_model, x86_cpu_apply_version_props, x86_cpu_expand_features,
x86_cpu_enable_xsave_components, x86_cpu_realizefn; target/i386/kvm/kvm-cpu.c kvm_cpu_instance_init.
The filter is in ``filtering``.
"""

from __future__ import annotations

from collections.abc import Mapping

from msrtui.qemu import rules
from msrtui.qemu.cpu_request import CpuRequest
from msrtui.qemu.cpuid import AMD_COPIES
from msrtui.qemu.negotiation import Decision, Lineage
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.state import KvmState
from msrtui.qemu.tables import Dependency, Tables
from msrtui.qemu.words import Supported
from msrtui.values import dataclass, field, replace

_EXPAND = (rules.CPU_C, "x86_cpu_expand_features")
MODEL = rules.register("model", rules.CPU_C, "x86_cpu_load_model")
MODEL_HYPERVISOR = rules.register("model-hypervisor", rules.CPU_C, "x86_cpu_load_model")
VERSION_PROPS = rules.register("model-version", rules.CPU_C, "x86_cpu_apply_version_props")
KVM_DEFAULTS = rules.register("kvm-default-props", rules.KVM_CPU_C, "kvm_cpu_instance_init")
USER = rules.register("asked-for", *_EXPAND)
AUTO_ENABLE = rules.register("auto-enable", *_EXPAND)
PMU_OFF = rules.register("pmu-off", *_EXPAND)
AVX10_FEATURES = rules.register("avx10-features", *_EXPAND)
ARCH_LBR_OFF = rules.register("arch-lbr-needs-pmu", *_EXPAND)
DEPENDENCY = rules.register("dependency", *_EXPAND)
APX_AND_MPX = rules.register("apx-and-mpx", *_EXPAND)
XSAVE_COMPONENTS = rules.register("xsave-components", rules.CPU_C, "x86_cpu_enable_xsave_components")
FILTER = rules.register("filter", rules.CPU_C, "x86_cpu_filter_features")
AMD_ALIASES = rules.register("amd-aliases", rules.CPU_C, "x86_cpu_realizefn")
CPU_PM = rules.register("cpu-pm", "target/i386/host-cpu.c", "host_cpu_enable_cpu_pm")
GUEST_WORD = rules.register("guest-word", *_EXPAND)

XSAVE_BIT = 1 << 26
HYPERVISOR_BIT = 1 << 31
PDCM_BIT = 1 << 15
AVX10_BIT = 1 << 19
APX_BIT = 1 << 21
MPX_BIT = 1 << 14
ARCH_LBR_BIT = 1 << 19
XSAVES_BIT = 1 << 3
XSS_COMPONENTS = 1 << 15
"""CPUID_XSTATE_XSS_MASK: of the components that QEMU knows, ARCH_LBR alone is managed by XSS."""
XSS_COMPONENTS_11_1 = XSS_COMPONENTS | 0b11 << 11
"""The same in 11.1, which knows CET_U and CET_S too."""
AVX512_COMPONENTS = 0b111 << 5
AVX10_FIRST = (10, 0)
"""From here on QEMU has a property for the AVX10 version."""
AVX10_BITS = (("FEAT_24_0_EBX", 0b111 << 16, 1), ("FEAT_24_1_ECX", 1 << 2, 2))
"""What an AVX10 version promises: (word, bits, the version that they come with)."""
AVX10_LAST = 2
"""The highest version that QEMU 11.1 knows."""


@dataclass(frozen=True)
class GuestWord:
    """A word as a guest gets it.

    ``expanded`` is before the filter, ``value`` after all; None: the source does not say enough.
    ``unavailable`` are the bits in filtered_features. ``lineage`` is what happened to it since the word was
    supported (host, max) or since nothing (a named model).
    """

    value: int | None
    unavailable: int
    lineage: Lineage
    expanded: int | None = None


@dataclass
class Cpu:
    """X86CPU while it is made: env->features, env->user_features, filtered_features, and what each rule did."""

    profile: QemuProfile
    supported: Supported
    values: dict[str, int] = field(default_factory=dict)
    user: dict[str, int] = field(default_factory=dict)
    filtered: dict[str, int] = field(default_factory=dict)
    lineage: dict[str, list[Decision]] = field(default_factory=dict)
    asked: dict[str, list[tuple[int, bool, dict[str, object]]]] = field(default_factory=dict)
    """What was asked for by name, by word: the bits, on or off, and how it was said."""
    unmet: list[tuple[str, int]] = field(default_factory=list)
    """Bits (by word) that were asked for by name and fell to a dependency: QEMU warns of each."""
    conflicts: list[tuple[str, int, str]] = field(default_factory=list)
    """Bits that exclude each other, each (word, bit, what it conflicts with): QEMU warns of each."""
    avx10_version: int = 0
    """The avx10-version property: what the model has, or KVM; 0 where nothing sets it."""
    refused: str | None = None
    """QEMU's last line where the CPU cannot be made at all."""

    def __post_init__(self) -> None:
        for name in self.supported:
            self.values[name] = self.user[name] = self.filtered[name] = 0
            self.lineage[name] = []

    @property
    def tables(self) -> Tables:
        """The version's tables."""
        return self.profile.tables

    def change(self, rule: str, word: str, after: int, **params: object) -> None:
        """Give a word another value; a value that stays leaves no trace."""
        before = self.values[word]
        if before != after:
            self.lineage[word].append(Decision(rule, {"word": word, **params}, before=before, after=after))
            self.values[word] = after

    def set_property(self, rule: str, name: str, on: bool, **params: object) -> None:
        """x86_cpu_set_bit_prop: every bit that has the name, marked as set by the user."""
        for word, bit in self.tables.bits_of_property[self.tables.canonical_names.get(name, name)]:
            if word in self.values:
                mask = 1 << bit
                after = self.values[word] | mask if on else self.values[word] & ~mask
                self.change(rule, word, after, property=name, on=on, **params)
                self.user[word] |= mask
                if rule == USER:
                    self.asked.setdefault(word, []).append((mask, on, dict(params)))


def expand(state: KvmState, supported: Supported, request: CpuRequest) -> Cpu:
    """A CPU after x86_cpu_expand_features: model, defaults, options, auto-enabled bits, dependencies, XSAVE."""
    cpu = Cpu(state.profile, supported)
    version = cpu.profile.version
    if request.named is not None:
        _load_model(state, cpu, request)
    if request.takes_all and cpu.profile.cpu_pm and version < CPU_PM_LAST:
        _cpu_pm(state, cpu)
    for name, on in request.props:
        cpu.set_property(USER, name, on, by=f"{name}={'on' if on else 'off'}")
    if version >= OPTIONS_FIRST:
        _options(cpu, request)
    if request.takes_all:
        _auto_enable(cpu)
    if version < OPTIONS_FIRST:
        _options(cpu, request)
    if version >= (10, 1) and not pmu_of(cpu.profile, request) and not cpu.profile.machine_at_most((10, 0)):
        # x-pdcm-on-even-without-pmu is the compatibility property of machine types up to 10.0
        cpu.change(PMU_OFF, "FEAT_1_ECX", cpu.values.get("FEAT_1_ECX", 0) & ~PDCM_BIT)
    if version >= (11, 0) and not pmu_of(cpu.profile, request):
        # by every machine type, unlike the rule before
        cpu.change(ARCH_LBR_OFF, "FEAT_7_0_EDX", cpu.values.get("FEAT_7_0_EDX", 0) & ~ARCH_LBR_BIT)
    if version >= AVX10_FIRST and request.takes_all:
        _avx10(state, cpu)
    for row in cpu.tables.dependencies:
        _depend(cpu, row)
    if version >= (11, 0):
        _apx_and_mpx(cpu)
    _xsave_components(cpu)
    return cpu


OPTIONS_FIRST = (4, 2)
"""From here on +x and -x are applied before the auto-enabled bits, which then leave them alone; before, after."""
CPU_PM_LAST = (6, 0)
"""From here on cpu-pm's bits are set when everything else is done, behind the filter; before, in front of it."""


def pmu_of(profile: QemuProfile, request: CpuRequest) -> bool:
    """The CPU's pmu property: what was asked for, else on for host and max and off for named models."""
    return request.takes_all if profile.pmu is None else profile.pmu


def _load_model(state: KvmState, cpu: Cpu, request: CpuRequest) -> None:
    named = request.named
    assert named is not None
    for word, bits in named.model.features.items():
        if word in cpu.values:
            cpu.change(MODEL, word, bits, model=named.model.name)
    cpu.change(MODEL_HYPERVISOR, "FEAT_1_ECX", cpu.values.get("FEAT_1_ECX", 0) | HYPERVISOR_BIT)
    for version in named.model.versions:
        if named.version is not None and version.version <= named.version:
            for prop, switch in version.props:
                if prop == "avx10-version":
                    cpu.avx10_version = int(switch)
                if prop in cpu.tables.canonical_names and switch in ("on", "off"):
                    label = f"{named.model.name}-v{version.version}"
                    cpu.set_property(VERSION_PROPS, prop, switch == "on", model=label)
    cpu.user = dict.fromkeys(cpu.user, 0)  # a version's properties do not count as asked for
    defaults = dict(cpu.tables.kvm_default_props)
    if not cpu.profile.kernel_irqchip:
        defaults["x2apic"] = "off"
    elif cpu.profile.irqchip == "split" and "kvm-msi-ext-dest-id" in defaults:
        defaults["kvm-msi-ext-dest-id"] = "on"
    for prop, switch in defaults.items():
        cpu.set_property(KVM_DEFAULTS, prop, switch == "on")


def _options(cpu: Cpu, request: CpuRequest) -> None:
    for name in request.plus:
        cpu.set_property(USER, name, True, by=f"+{name}")
    for name in request.minus:
        cpu.set_property(USER, name, False, by=f"-{name}")


def _auto_enable(cpu: Cpu) -> None:
    """host and max take what is supported and may migrate, without what must be asked for by name.

    What was set by the user stays as it is.
    """
    for name, word in cpu.supported.items():
        offered = word.migratable or 0
        kept = cpu.values[name]
        taken = kept | offered & ~cpu.user[name] & ~word.word.no_autoenable_flags
        # the word's own lineage led to what is offered: the steps of this CPU begin there
        earlier, cpu.lineage[name] = [step for step in cpu.lineage[name] if step.rule == CPU_PM], []
        cpu.values[name] = offered
        cpu.change(AUTO_ENABLE, name, offered & ~word.word.no_autoenable_flags)
        for step in earlier:
            cpu.change(CPU_PM, name, cpu.values[name] | ~(step.before or 0) & (step.after or 0))
        for mask, on, params in cpu.asked.get(name, ()):
            cpu.change(USER, name, cpu.values[name] | mask if on else cpu.values[name] & ~mask, **params)
        if cpu.values[name] != taken:
            raise AssertionError(f"the steps of {name} do not lead to what host takes")


def _avx10(state: KvmState, cpu: Cpu) -> None:
    """Where AVX10 is on, host and max take KVM's version of it; from 11.0 on with all that this version promises.

    That is without regard to KVM's own bits and to the options; the filter may take them away again. A version
    that QEMU 11 does not know makes no CPU.
    """
    if not cpu.values.get("FEAT_7_1_EDX", 0) & AVX10_BIT:
        return
    offered = cpu.avx10_version = kvm_avx10_version(state)
    if cpu.profile.version < (11, 0):
        return
    if offered > AVX10_LAST:
        cpu.refused = f"avx10-version can be at most {AVX10_LAST}"
        return
    for word, bits, since in AVX10_BITS:
        if offered >= since and word in cpu.values:
            cpu.change(AVX10_FEATURES, word, cpu.values[word] | bits, version=offered)


def kvm_avx10_version(state: KvmState) -> int:
    """The AVX10 version of KVM's table: 24.0.EBX[7:0], 0 where it has no such leaf."""
    return (state.register(0x24, 0, "EBX") or 0) & 0xFF


def _apx_and_mpx(cpu: Cpu) -> None:
    """From 11.0 on a CPU with both APX and MPX, which share a place in the XSAVE area, loses both."""
    both = (("FEAT_7_0_EBX", MPX_BIT, "APX"), ("FEAT_7_1_EDX", APX_BIT, "MPX"))
    if not all(cpu.values.get(word, 0) & bit for word, bit, _ in both):
        return
    for word, bit, other in both:
        cpu.conflicts.append((word, bit.bit_length() - 1, other))
        cpu.filtered[word] |= bit
        cpu.change(APX_AND_MPX, word, cpu.values[word] & ~bit, other=other)


def _depend(cpu: Cpu, row: Dependency) -> None:
    """Without any of the ``from`` bits the ``to`` bits go. One pass, so the table's order matters."""
    if row.to_word not in cpu.values or cpu.values.get(row.from_word, 0) & row.from_mask:
        return
    lost = cpu.values[row.to_word] & row.to_mask
    asked = lost & cpu.user[row.to_word]
    if asked:
        cpu.unmet.append((row.to_word, asked))
        cpu.filtered[row.to_word] |= asked
    params = {"from": row.from_word, "mask": row.from_mask}
    cpu.change(DEPENDENCY, row.to_word, cpu.values[row.to_word] & ~lost, **params)
    if cpu.profile.version == (4, 2):
        cpu.user[row.to_word] |= lost


def _xsave_components(cpu: Cpu) -> None:
    """The XCR0 and XSS words follow from other features: every component whose owner is on.

    Without XSAVE they are 0; up to 5.1 they kept what was auto-enabled. From 9.0 on a component that KVM's XCR0
    lacks is never used, and AVX10 brings the three of AVX-512. From 11.0 on one that KVM's XSS has is as good, so
    those that XSS manages are used at last; without XSAVES there are none of these.
    """
    version = cpu.profile.version
    low = "FEAT_XSAVE_XCR0_LO" if "FEAT_XSAVE_XCR0_LO" in cpu.values else "FEAT_XSAVE_COMP_LO"
    high = low.replace("_LO", "_HI")
    if low not in cpu.values:
        return
    if not cpu.values.get("FEAT_1_ECX", 0) & XSAVE_BIT:
        if version >= (5, 2):
            for name in (low, high, "FEAT_XSAVE_XSS_LO", "FEAT_XSAVE_XSS_HI"):
                if name in cpu.values:
                    cpu.change(XSAVE_COMPONENTS, name, 0)
        return
    mask = 0
    for area in cpu.tables.xsave_areas:
        if cpu.values.get(area.word, 0) & area.bits:
            mask |= 1 << area.component
    if version >= (9, 0):
        if cpu.values.get("FEAT_7_1_EDX", 0) & AVX10_BIT:
            mask |= AVX512_COMPONENTS
        host = (cpu.supported[low].supported or 0) | (cpu.supported[high].supported or 0) << 32
        if version >= (11, 0):
            host |= cpu.supported["FEAT_XSAVE_XSS_LO"].supported or 0
        mask &= host | 0b11
    managed = XSS_COMPONENTS if "FEAT_XSAVE_XSS_LO" in cpu.values else 0
    if version >= (11, 0):
        managed = XSS_COMPONENTS_11_1
    xcr0, xss = mask & ~managed, mask & managed
    if version >= (11, 0) and not cpu.values.get("FEAT_XSAVE", 0) & XSAVES_BIT:
        xss = 0
    for name, value in ((low, xcr0), (high, xcr0 >> 32), ("FEAT_XSAVE_XSS_LO", xss), ("FEAT_XSAVE_XSS_HI", xss >> 32)):
        if name in cpu.values:
            cpu.change(XSAVE_COMPONENTS, name, value & 0xFFFFFFFF)


def finish(state: KvmState, cpu: Cpu, request: CpuRequest) -> None:
    """What x86_cpu_realizefn still does after the filter."""
    if state.amd and "FEAT_8000_0001_EDX" in cpu.values and "FEAT_1_EDX" in cpu.values:
        after = cpu.values["FEAT_8000_0001_EDX"] & ~AMD_COPIES | cpu.values["FEAT_1_EDX"] & AMD_COPIES
        cpu.change(AMD_ALIASES, "FEAT_8000_0001_EDX", after)
    if request.takes_all and cpu.profile.cpu_pm and cpu.profile.version >= CPU_PM_LAST:
        _cpu_pm(state, cpu)


def _cpu_pm(state: KvmState, cpu: Cpu) -> None:
    """cpu-pm=on for host and max: monitor (up to 7.2), and waitpkg where KVM lists its MSR.

    From 6.0 on behind the filter, so monitor is on even where KVM cannot let MWAIT through.
    """
    version = cpu.profile.version
    bits = (
        ("FEAT_1_ECX", 3, version < (8, 0)),
        ("FEAT_7_0_ECX", 5, version >= (5, 1) and "has_msr_umwait" in state.flags),
    )
    for name, bit, there in bits:
        if there and name in cpu.values:
            cpu.change(CPU_PM, name, cpu.values[name] | 1 << bit)


def set_behind_the_filter(word: GuestWord) -> int:
    """The bits that cpu-pm=on sets when everything else is done, whether KVM has them or not (6.0 and later)."""
    last = word.lineage[-1] if word.lineage else None
    return (last.after or 0) & ~(last.before or 0) if last is not None and last.rule == CPU_PM else 0


def with_guest_lineage(lineage: Lineage, guest: GuestWord) -> Lineage:
    """The whole way of a word: as supported, then as the guest gets it."""
    return (*lineage, *(replace(step, sets={}) for step in guest.lineage))


Guest = Mapping[str, GuestWord]
"""Every word of a guest by FEAT_ name."""
