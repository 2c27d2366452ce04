"""QEMU's fix-ups of single registers of KVM's CPUID table, each a named rule.

Source: target/i386/kvm/kvm.c kvm_arch_get_supported_cpuid.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NamedTuple, TypeAlias

from msrtui.kvm import abi
from msrtui.kvm.abi import Cap
from msrtui.kvm.requests import CheckExtension, GetDeviceAttr, HostCpuid
from msrtui.qemu import rules
from msrtui.qemu.negotiation import Decision, Lineage, Negotiation, ask
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.state import KvmState
from msrtui.values import dataclass

CPUID_FOUND = rules.register("cpuid-found", rules.KVM_C, "kvm_arch_get_supported_cpuid")
CPUID_ABSENT = rules.register("cpuid-absent", rules.KVM_C, "kvm_arch_get_supported_cpuid")
CPUID_NOT_KNOWN = rules.register("cpuid-not-known", rules.KVM_C, "kvm_arch_get_supported_cpuid")

HOST_NOT_KNOWN = rules.register("host-cpuid-not-known", rules.KVM_C, "kvm_arch_get_supported_cpuid")
XCOMP_FAILED = rules.register("xcomp-guest-supp-failed", rules.KVM_C, "kvm_arch_get_supported_cpuid")


@dataclass(frozen=True)
class CpuidFeature:
    """What kvm_arch_get_supported_cpuid gave for one register.

    ``kvm`` is the register in KVM's table, None where the leaf is not in it; ``value`` what QEMU makes of it,
    None where the source does not hold the table. ``lineage`` is every rule that touched it. ``unknown`` are
    bits that a rule could not decide; they are 0 in ``value``.
    """

    kvm: int | None
    value: int | None
    lineage: Lineage
    unknown: int = 0


class Undecided(NamedTuple):
    """What a rule gives where it could not be decided: the value without ``bits``, which may be on or off."""

    value: int
    bits: int
    why: str


_Outcome: TypeAlias = "int | Generator[Any, Any, int] | Generator[Any, Any, int | Undecided]"
_Body: TypeAlias = Callable[[KvmState, int], _Outcome]


@dataclass(frozen=True)
class FixUp:
    """One rule: for which register, in which versions ((major, minor), inclusive), and what it does.

    The rest is what a reason needs and cannot learn by trying the rule: ``decides`` are bits that are on or off by
    the rule alone, whatever KVM says of them. Of a rule that asks, ``sets`` are bits that it sets whether KVM has
    them or not, and ``clears`` gives those that it takes, as far as what is known already tells. ``asks`` are the
    capabilities that it may ask for with these options.
    """

    id: str
    leaf: int
    subleaf: int
    register: str
    since: tuple[int, int]
    until: tuple[int, int] | None
    apply: _Body
    decides: int = 0
    sets: int = 0
    clears: Callable[[KvmState], int] = lambda _: 0
    asks: Callable[[QemuProfile], tuple[Cap, ...]] = lambda _: ()

    def applies(self, version: tuple[int, int]) -> bool:
        """Whether this version of QEMU has the rule."""
        return self.since <= version and (self.until is None or version <= self.until)


FIX_UPS: list[FixUp] = []
"""In QEMU's order: the rules of one register run from top to bottom."""


def fix_up(
    rule_id: str,
    leaf: int,
    register: str,
    *,
    subleaf: int = 0,
    since: tuple[int, int] = (0, 0),
    until: tuple[int, int] | None = None,
    decides: int = 0,
    sets: int = 0,
    clears: Callable[[KvmState], int] = lambda _: 0,
    asks: Callable[[QemuProfile], tuple[Cap, ...]] = lambda _: (),
) -> Callable[[_Body], _Body]:
    """Register a rule of kvm_arch_get_supported_cpuid for one register; the arguments are FixUp's."""

    def enter(body: _Body) -> _Body:
        rules.register(rule_id, rules.KVM_C, "kvm_arch_get_supported_cpuid")
        FIX_UPS.append(FixUp(rule_id, leaf, subleaf, register, since, until, body, decides, sets, clears, asks))
        return body

    return enter


def kvm_arch_get_supported_cpuid(state: KvmState, leaf: int, subleaf: int, register: str) -> Negotiation[CpuidFeature]:
    """One register as QEMU considers it supported: KVM's own, then the fix-ups of this version in order."""
    kvm = state.register(leaf, subleaf, register)
    where = {"leaf": leaf, "subleaf": subleaf, "register": register}
    if state.cpuid is None:
        step = Decision(CPUID_NOT_KNOWN, where)
        yield step
        return CpuidFeature(None, None, (step,))
    lineage = [Decision(CPUID_ABSENT if kvm is None else CPUID_FOUND, where, after=kvm or 0)]
    yield lineage[0]
    value, unknown = kvm or 0, 0
    for rule in FIX_UPS:
        if (rule.leaf, rule.subleaf, rule.register) != (leaf, subleaf, register):
            continue
        if not rule.applies(state.profile.version):
            continue
        outcome = rule.apply(state, value)
        after = outcome if isinstance(outcome, int) else (yield from outcome)
        if isinstance(after, Undecided):
            unknown |= after.bits
            step = Decision(HOST_NOT_KNOWN, {**where, "bits": after.bits, "why": after.why}, before=value, after=value)
            lineage.append(step)
            yield step
            after = after.value
        if after != value:
            lineage.append(Decision(rule.id, where, before=value, after=after))
            yield lineage[-1]
        value = after
    return CpuidFeature(kvm, value, tuple(lineage), unknown)


def _there(cap: Cap) -> Negotiation[int]:
    reply = yield from ask(CheckExtension(int(cap)))
    return max(reply.result or 0, 0)


def _bits(*numbers: int) -> int:
    return sum(1 << number for number in numbers)


@fix_up("always-emulated", 0x1, "EDX")
def _always_emulated(_: KvmState, value: int) -> int:
    """mce (7), mtrr (12), mca (14), pat (16): QEMU and KVM emulate them whatever the table says."""
    return value | _bits(7, 12, 14, 16)


@fix_up("ht-always", 0x1, "EDX", since=(8, 2))
def _ht(_: KvmState, value: int) -> int:
    """ht (28): QEMU makes the topology leaves itself, so it is supported wherever it is wanted."""
    return value | _bits(28)


@fix_up("hypervisor-bit", 0x1, "ECX")
def _hypervisor_bit(_: KvmState, value: int) -> int:
    """Bit 31: the guest runs under a hypervisor."""
    return value | _bits(31)


def _timer(profile: QemuProfile) -> tuple[Cap, ...]:
    return (Cap.TSC_DEADLINE_TIMER,) if profile.kernel_irqchip else ()


@fix_up("tsc-deadline-needs-lapic", 0x1, "ECX", sets=_bits(24), asks=_timer)
def _tsc_deadline(state: KvmState, value: int) -> Negotiation[int]:
    """tsc-deadline (24) is set where the local APIC is in the kernel and KVM has KVM_CAP_TSC_DEADLINE_TIMER."""
    for capability in _timer(state.profile):
        if (yield from _there(capability)):
            return value | _bits(24)
    return value


@fix_up("x2apic-needs-lapic", 0x1, "ECX")
def _x2apic(state: KvmState, value: int) -> int:
    """x2apic (21) is cleared where the local APIC is not in the kernel."""
    return value if state.profile.kernel_irqchip else value & ~_bits(21)


def _exits(profile: QemuProfile) -> tuple[Cap, ...]:
    return (Cap.X86_DISABLE_EXITS,) if profile.cpu_pm else ()


@fix_up("monitor-by-cpu-pm", 0x1, "ECX", asks=_exits)
def _monitor(state: KvmState, value: int) -> Negotiation[int]:
    """monitor (3) is set with cpu-pm=on where KVM can let MWAIT through (KVM_CAP_X86_DISABLE_EXITS bit 0)."""
    for capability in _exits(state.profile):
        if (yield from _there(capability)) & 1:
            return value | _bits(3)
    return value


@fix_up("arat-always", 0x6, "EAX")
def _arat(_: KvmState, value: int) -> int:
    """arat (2): the emulated APIC timer always runs."""
    return value | _bits(2)


_HLE_RTM = _bits(4, 11)


def _broken_by_kvms_leaves(state: KvmState) -> int:
    """Broken-tsx by KVM's own leaves 0 and 1, which are the host's."""
    vendor, signature = ((state.cpuid or {}).get((leaf, 0)) for leaf in (0, 1))
    if vendor is None or signature is None:
        return 0
    return _HLE_RTM if tsx_is_broken((vendor.eax, vendor.ebx, vendor.ecx, vendor.edx), signature.eax) else 0


@fix_up("broken-tsx", 0x7, "EBX", clears=_broken_by_kvms_leaves)
def _broken_tsx(state: KvmState, value: int) -> Negotiation[int]:
    """hle (4) and rtm (11) are cleared on a host CPU whose TSX is broken: Intel family 6, Haswell models.

    QEMU asks the CPUID instruction of the CPU that it runs on. Asked only where one of the two bits is set;
    where the instruction cannot be had, KVM's own leaves 0 and 1 say the same of the host.
    """
    if not value & _HLE_RTM:
        return value
    vendor = yield from _host_leaf(state, 0x0)
    signature = yield from _host_leaf(state, 0x1)
    return value & ~_HLE_RTM if tsx_is_broken(vendor, signature[0]) else value


def tsx_is_broken(vendor: tuple[int, int, int, int], signature: int) -> bool:
    """Whether a CPU with these registers of leaf 0 and this 1.EAX has a broken TSX: GenuineIntel, family 6, Haswell."""
    family = (signature >> 8 & 0xF) + (signature >> 20 & 0xFF)
    model = (signature >> 4 & 0xF) | (signature >> 12 & 0xF0)
    intel = vendor[1:] == (0x756E6547, 0x6C65746E, 0x49656E69)
    return intel and family == 6 and (model in (60, 69, 70) or (model == 63 and signature & 0xF < 4))


def _host_leaf(state: KvmState, leaf: int) -> Negotiation[tuple[int, int, int, int]]:
    reply = yield from ask(HostCpuid(leaf, 0))
    if reply.registers is not None:
        return reply.registers
    entry = (state.cpuid or {}).get((leaf, 0))
    return (0, 0, 0, 0) if entry is None else (entry.eax, entry.ebx, entry.ecx, entry.edx)


def _host_has(leaf: int, subleaf: int, register: str, wanted: int) -> _Body:
    def from_the_host(_: KvmState, value: int) -> Negotiation[int | Undecided]:
        """These bits say how fast or how safe an instruction of the host is: the host's own CPUID decides.

        Where the instruction cannot be had they are not known, which is not the same as off.
        """
        if value & wanted == wanted:
            return value
        reply = yield from ask(HostCpuid(leaf, subleaf))
        if reply.registers is None:
            return Undecided(value, wanted & ~value, reply.how)
        host = reply.registers[abi.REGISTERS.index(register)]
        return value | (host & wanted)

    return from_the_host


fix_up("erms-from-host", 0x7, "EBX", since=(8, 0))(_host_has(0x7, 0, "EBX", _bits(9)))


@fix_up("waitpkg-by-cpu-pm", 0x7, "ECX", since=(4, 2), until=(5, 0), decides=_bits(5))
def _waitpkg(state: KvmState, value: int) -> int:
    """waitpkg (5) follows -overcommit cpu-pm, whatever KVM says."""
    return value | _bits(5) if state.profile.cpu_pm else value & ~_bits(5)


@fix_up("arch-capabilities-needs-msr", 0x7, "EDX", since=(4, 0))
def _arch_capabilities(state: KvmState, value: int) -> int:
    """arch-capabilities (29) is cleared where 0x10a was not in the index list (has_msr_arch_capabs is false)."""
    return value if "has_msr_arch_capabs" in state.flags else value & ~_bits(29)


fix_up("fsrm-from-host", 0x7, "EDX", since=(8, 0))(_host_has(0x7, 0, "EDX", _bits(4)))
fix_up("fast-strings-from-host", 0x7, "EAX", subleaf=1, since=(8, 0))(_host_has(0x7, 1, "EAX", _bits(10, 11, 12)))
fix_up("mcdt-no-from-host", 0x7, "EDX", subleaf=2, since=(8, 1))(_host_has(0x7, 2, "EDX", _bits(5)))


def _xcomp(half: int) -> _Body:
    def xcomp_guest_supp(_: KvmState, value: int) -> Negotiation[int]:
        """XCR0 is replaced by what KVM can give a guest, where KVM has the attribute (Linux 5.17).

        KVM's table depends on whether this process has the AMX permission; the attribute does not.
        """
        if not (yield from _there(Cap.SYS_ATTRIBUTES)):
            return value
        reply = yield from ask(GetDeviceAttr(abi.KVM_X86_GRP_SYSTEM, abi.KVM_X86_XCOMP_GUEST_SUPP))
        if reply.errno not in (None, abi.ENXIO):
            # printed and forgotten; ENXIO, a kernel without the attribute, is passed over in silence
            text = f"KVM_GET_DEVICE_ATTR(0, KVM_X86_XCOMP_GUEST_SUPP) error: {-reply.errno}"
            yield Decision(XCOMP_FAILED, {"text": text, "errno": reply.errno})
        return value if reply.value is None else reply.value >> 32 * half & 0xFFFFFFFF

    return xcomp_guest_supp


def _attributes(_: QemuProfile) -> tuple[Cap, ...]:
    return (Cap.SYS_ATTRIBUTES,)


fix_up("xcomp-guest-supp-low", 0xD, "EAX", since=(7, 0), asks=_attributes)(_xcomp(0))
fix_up("xcomp-guest-supp-high", 0xD, "EDX", since=(7, 0), asks=_attributes)(_xcomp(1))


@fix_up("topoext-always", 0x80000001, "ECX")
def _topoext(_: KvmState, value: int) -> int:
    """topoext (22): QEMU makes the topology leaves itself; models still have to ask for it."""
    return value | _bits(22)


AMD_COPIES = 0x0183F3FF
"""The bits of 1.EDX that AMD's 8000_0001.EDX repeats (CPUID_EXT2_AMD_ALIASES)."""
AMD_COPIES_RULE = "amd-copies-of-1-edx"


@fix_up(AMD_COPIES_RULE, 0x80000001, "EDX")
def _amd_copies(state: KvmState, value: int) -> Negotiation[int]:
    """The bits that AMD repeats from 1.EDX are supported where 1.EDX has them, its own fix-ups included."""
    low = yield from kvm_arch_get_supported_cpuid(state, 0x1, 0, "EDX")
    return value | ((low.value or 0) & AMD_COPIES)


@fix_up("ras-always", 0x80000007, "EBX", since=(9, 0))
def _ras(_: KvmState, value: int) -> int:
    """overflow-recov (0) and succor (1): QEMU emulates what they promise about machine checks."""
    return value | _bits(0, 1)


@fix_up("pv-unhalt-needs-lapic", 0x40000001, "EAX")
def _pv_unhalt(state: KvmState, value: int) -> int:
    """kvm-pv-unhalt (7) is cleared where the local APIC is not in the kernel."""
    return value if state.profile.kernel_irqchip else value & ~_bits(7)


@fix_up("msi-ext-dest-id-needs-split", 0x40000001, "EAX", since=(6, 0))
def _msi_ext_dest_id(state: KvmState, value: int) -> int:
    """kvm-msi-ext-dest-id (15) is set with a split irqchip: QEMU's IOAPIC provides it."""
    return value | _bits(15) if state.profile.irqchip == "split" else value


@fix_up("realtime-hint", 0x40000001, "EDX")
def _realtime_hint(_: KvmState, value: int) -> int:
    """kvm-hint-dedicated (0) may be promised by who starts QEMU; KVM itself never says it."""
    return value | _bits(0)


PARA_FEATURES = ((Cap.CLOCKSOURCE, 0), (Cap.NOP_IO_DELAY, 1), (Cap.PV_MMU, 2), (Cap.ASYNC_PF, 4))
"""What get_para_features makes of capabilities: (capability, bit of 4000_0001.EAX)."""


@fix_up(
    "para-features-from-capabilities",
    0x40000001,
    "EAX",
    until=(5, 1),
    asks=lambda _: tuple(capability for capability, _bit in PARA_FEATURES),
)
def _para_features(state: KvmState, value: int) -> Negotiation[int]:
    """A KVM too old to have the leaf is asked for each paravirtual feature as a capability."""
    if (0x40000001, 0) in (state.cpuid or {}):
        return value
    found = 0
    for capability, bit in PARA_FEATURES:
        if (yield from _there(capability)):
            found |= _bits(bit)
    return found
