"""Where QEMU ends after the two MSR lists for what the host says: from the CPU's creation to the vCPU's first state.

"run" in a docstring means: seen with altered recordings on Debian's builds of these versions; "read": in their source.
Source: target/i386/cpu.c x86_cpu_init_xsave, x86_cpu_realizefn; target/i386/host-cpu.c host_cpu_adjust_phys_bits;
target/i386/kvm/kvm-cpu.c kvm_cpu_xsave_init, kvm_set_guest_phys_bits; target/i386/kvm/kvm.c kvm_arch_init_vcpu,
kvm_init_xsave, kvm_get_msrs; target/i386/xsave_helper.c x86_cpu_xsave_all_areas.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from msrtui.kvm import abi
from msrtui.kvm.abi import Cap
from msrtui.kvm.requests import HostCpuid
from msrtui.qemu.filtering import GuestCpu
from msrtui.qemu.last_words import PROGRAM
from msrtui.qemu.models import pmu_of
from msrtui.qemu.negotiation import Negotiation, NotDone, QemuExit, ask
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.startup import kvm_check_extension
from msrtui.qemu.state import KvmState
from msrtui.qemu.words import Supported

AREA_SIZES: Mapping[int, int] = {
    2: 0x100,  # YMM
    3: 0x40,  # BNDREGS
    4: 0x40,  # BNDCSR
    5: 0x40,  # OPMASK
    6: 0x200,  # ZMM_Hi256
    7: 0x400,  # Hi16_ZMM
    9: 0x8,  # PKRU
    11: 0x10,  # CET_U
    12: 0x18,  # CET_S
    15: 0x328,  # ARCH_LBR
    17: 0x40,  # XTILE_CFG
    18: 0x2000,  # XTILE_DATA
    19: 0x80,  # APX
}
"""The size of QEMU's structure for each component; which of them a version has is in its table.

Run: 7.2, 10.0, 11.1, each with the true size and with 8 more (11, 12 and 19 are known to 11.1 alone).
"""
AREAS_TOGETHER = ((3, 4), (5, 6), (5, 7))
"""x86_cpu_xsave_all_areas takes for granted that a CPU that has the first has the second, in this order."""

BANKS = 10
_MCE_AND_MCA = 1 << 7 | 1 << 14
_LM = 1 << 29
_LBR_FORMAT = 0x3F
_XSAVE_BUFFER = 4096
_WIDEST = 52
_TOO_WIDE = 64
_NARROWEST = 32
_NO_LEAF = 36

_AREAS_SINCE = (6, 2)
_AREAS_FROM_HOST_SINCE = (7, 0)
_AREAS_BY_XCR0_SINCE = (9, 0)
_AREAS_BY_XSS_SINCE = (11, 0)
_LBR_SINCE = (7, 1)
_PHYS_BITS_SINCE = (6, 0)
_GUEST_PHYS_BITS_SINCE = (9, 1)
_PHYS_BITS_UNLIMITED_SINCE = (11, 0)
_XSAVE2_SINCE = (7, 0)
_VCPU_ERROR_SINCE = (5, 2)
_MCE_REQUIRED_SINCE = (8, 2)
_FAMILY_15_EXTENDED_SINCE = (10, 1)


class Area(NamedTuple):
    """One entry of x86_ext_save_areas as kvm_cpu_xsave_init leaves it: a size or an offset of 0 means no such area."""

    size: int
    offset: int


Areas: TypeAlias = Mapping[int, Area]
"""By component; one that is missing is not known, because the host's CPUID could not be had."""


def realize(state: KvmState, supported: Supported, cpu: GuestCpu) -> Negotiation[Areas]:
    """The CPU's creation, and x86_cpu_realizefn up to the filter: their ends, raised as QemuExit, in QEMU's order.

    None ends a CPU that cannot be made (``refused`` without ``enforce``): there QEMU ended in another way before.
    What the source does not hold stops nothing.
    """
    areas = yield from xsave_areas(state, supported)
    if isinstance(areas, QemuExit):
        raise areas
    if cpu.refused is not None and not cpu.request.enforce:
        return areas
    if (end := lbr_format(state, supported, cpu)) is not None:
        raise end
    return areas


def address_width(state: KvmState, cpu: GuestCpu) -> Negotiation[int]:
    """The bits of a physical address, as ``host_phys_bits``, for a CPU that passed the filter. Raises QemuExit."""
    if cpu.refused is not None:
        return 0
    phys_bits = yield from host_phys_bits(state, cpu)
    if (end := phys_bits_range(state, phys_bits) or guest_phys_bits(state, phys_bits)) is not None:
        raise end
    return phys_bits


def first_state(state: KvmState, cpu: GuestCpu, areas: Areas, phys_bits: int) -> QemuExit | None:
    """The ends behind KVM_SET_MSRS: when the vCPU gets its first state, and when that is read back."""
    return None if cpu.refused is not None else xsave_areas_together(areas) or phys_bits_of_mtrrs(state, phys_bits)


def _error(text: str) -> QemuExit:
    return QemuExit(f"{PROGRAM}: {text}", 1)


def _assertion(function: str, text: str) -> QemuExit:
    return QemuExit(f"{PROGRAM}: {function}: Assertion `{text}' failed.", 134)


def xsave_areas(state: KvmState, supported: Supported) -> Negotiation[Areas | QemuExit]:
    """The host's CPUID 0D.i.EAX (size of a component's area) must be 0 or the size of QEMU's structure for it.

    Else an assertion when the first CPU of any kind is created, before the expansion. Looked at are:
    7.x and 8.x, the components whose feature word KVM supports (run: 7.2; read: 8.2); 10.x, those in KVM's XCR0
    (run: 10.0; read: 10.2); 11.1, those in KVM's XCR0 or XSS (run). 6.2 takes KVM's 0D.i for the host's (read).
    5.2 and before have a fixed layout (run). Source: kvm_cpu_xsave_init, x86_cpu_init_xsave.
    """
    version = state.profile.version
    areas: dict[int, Area] = {}
    if version < _AREAS_SINCE or state.cpuid is None:
        return areas
    asked_for = {area.component: (area.word, area.bits) for area in state.profile.tables.xsave_areas}
    for component, size in AREA_SIZES.items():
        if component not in asked_for:
            continue
        if not _looked_at(state, supported, component, *asked_for[component]):
            absent = version >= _AREAS_BY_XCR0_SINCE
            areas[component] = Area(0 if absent else size, 0)
            continue
        said = yield from _area(state, component)
        if said is None:
            continue
        if said.size not in (0, size):
            variable = "eax" if version >= _AREAS_FROM_HOST_SINCE else "sz"
            return _assertion("kvm_cpu_xsave_init", f"esa->size == {variable}")
        areas[component] = Area(size, said.offset if said.size else 0)
    return areas


def _looked_at(state: KvmState, supported: Supported, component: int, word: str, bits: int) -> bool:
    version = state.profile.version
    if version < _AREAS_FROM_HOST_SINCE:
        return True
    if version < _AREAS_BY_XCR0_SINCE:
        return _supported(supported, word) & bits == bits
    known = _supported(supported, "FEAT_XSAVE_XCR0_LO")
    if version >= _AREAS_BY_XSS_SINCE:
        known |= _supported(supported, "FEAT_XSAVE_XSS_LO")
    return bool(known >> component & 1)


def _supported(supported: Supported, word: str) -> int:
    return (supported[word].supported or 0) if word in supported else 0


def _area(state: KvmState, component: int) -> Negotiation[Area | None]:
    if state.profile.version < _AREAS_FROM_HOST_SINCE:
        return Area(state.register(0xD, component, "EAX") or 0, state.register(0xD, component, "EBX") or 0)
    reply = yield from ask(HostCpuid(0xD, component))
    return None if reply.registers is None else Area(reply.registers[0], reply.registers[1])


def lbr_format(state: KvmState, supported: Supported, cpu: GuestCpu) -> QemuExit | None:
    """PERF_CAPABILITIES bits 5:0 (LBR format) of the expanded CPU, where not 0, need pmu=on and KVM's own value.

    Exit 1 behind the expansion and in front of the filter, so enforce does not come to it. Reached by host and
    max with migratable=off and pmu=off on an Intel (up to 10.0, and later with machine types up to 10.0: else pmu=off
    takes pdcm, and that takes the word); the mismatch only by lbr-fmt=…, which msrtui does not read.
    Run: 7.2, 10.0, 11.1. Read: 8.2, 10.2; not in 6.2. Source: x86_cpu_realizefn.
    """
    name = "FEAT_PERF_CAPABILITIES"
    if state.profile.version < _LBR_SINCE or name not in cpu.words:
        return None
    wanted = (cpu.words[name].expanded or 0) & _LBR_FORMAT
    offered = _supported(supported, name) & _LBR_FORMAT
    if not wanted:
        return None
    if not pmu_of(state.profile, cpu.request):
        return _error("vPMU: LBR is unsupported without pmu=on")
    if wanted != offered:
        return _error(f"vPMU: the lbr-fmt value (0x{wanted:x}) does not match the host value (0x{offered:x}).")
    return None


def host_phys_bits(state: KvmState, cpu: GuestCpu) -> Negotiation[int]:
    """phys-bits of the CPU as the host has them: 8000_0008.EAX[7:0] of its CPUID, 36 without that leaf.

    0 where the host does not count: a named model (40, whatever the host), a CPU without lm, host and max before 6.x
    (host-phys-bits was off; run: 5.2, read: 6.2), a CPUID that is not known. Source: host_cpu_adjust_phys_bits.
    """
    long_mode = cpu.words.get("FEAT_8000_0001_EDX")
    if state.profile.version < _PHYS_BITS_SINCE or not cpu.request.takes_all:
        return 0
    if long_mode is None or not (long_mode.value or 0) & _LM:
        return 0
    highest = yield from ask(HostCpuid(0x80000000, 0))
    if highest.registers is None:
        return 0
    if highest.registers[0] < 0x80000008:
        return _NO_LEAF
    reply = yield from ask(HostCpuid(0x80000008, 0))
    return 0 if reply.registers is None else reply.registers[0] & 0xFF


def phys_bits_range(state: KvmState, phys_bits: int) -> QemuExit | None:
    """A host with fewer than 32 physical address bits, or up to 10.2 more than 52: exit 1; 0 passes.

    Run: 7.2, 10.0; 11.1 in other words, without the upper limit. Read: 6.2, 8.2, 10.2.
    Source: x86_cpu_realizefn; host_cpu_realizefn in 6.x to 8.x.
    """
    if not phys_bits:
        return None
    if state.profile.version >= _PHYS_BITS_UNLIMITED_SINCE:
        return _error(f"phys-bits should be at least 32 (but is {phys_bits})") if phys_bits < _NARROWEST else None
    if _NARROWEST <= phys_bits <= _WIDEST:
        return None
    return _error(f"phys-bits should be between 32 and {_WIDEST}  (but is {phys_bits})")


def guest_phys_bits(state: KvmState, phys_bits: int) -> QemuExit | None:
    """KVM's 8000_0008.EAX[23:16] is 1 … 31: exit 1 for host and max with lm; for the others it counts as 0.

    More than ``phys_bits`` counts as these. Run: 10.0, 11.1; not in 7.2 (run). Read: 10.2; not in 8.2.
    Source: kvm_set_guest_phys_bits, x86_cpu_realizefn.
    """
    bits = min((state.register(0x80000008, 0, "EAX") or 0) >> 16 & 0xFF, phys_bits)
    if state.profile.version < _GUEST_PHYS_BITS_SINCE or not 0 < bits < _NARROWEST:
        return None
    return _error(f"guest-phys-bits should be between 32 and {phys_bits}  (but is {bits})")


def asked_for_a_vcpu(profile: QemuProfile) -> tuple[Cap, ...]:
    """The capabilities that kvm_arch_init_vcpu asks for any vCPU (kvm_init_xsave: the size of its buffer)."""
    return (Cap.XSAVE2,) if profile.version >= _XSAVE2_SINCE else ()


def init_vcpu(state: KvmState, cpu: GuestCpu) -> Negotiation[None]:
    """kvm_arch_init_vcpu, behind KVM_CREATE_VCPU: its questions and its two ends, with KVM_SET_CPUID2 between them.

    Run: 5.2, 7.2, 10.0, 11.1. Read: the others. A CPU that QEMU refused before is asked nothing about. Raises QemuExit.
    """
    xsave2: int | None = 0
    if cpu.refused is None:
        for capability in asked_for_a_vcpu(state.profile):
            xsave2 = yield from kvm_check_extension(capability)
        if (end := (yield from mce_banks(state, cpu))) is not None:
            raise end
    yield NotDone("KVM_SET_CPUID2", "vcpu")
    if cpu.refused is None and (end := xsave_buffer(state, xsave2)) is not None:
        raise end


def mce_banks(state: KvmState, cpu: GuestCpu) -> Negotiation[QemuExit | None]:
    """KVM_CAP_MCE is 1 … 9: exit 1 for a CPU of family 6 or later with mce and mca, which gets 10 banks.

    In front of KVM_SET_CPUID2. 0 passes up to 7.2; later QEMU has ended before. The capability is asked only for
    such a CPU, up to 7.2 twice. Run: 5.2, 7.2, 10.0, 11.1. Read: 3.1 to 4.2 (where the last line was another),
    6.2, 8.2, 10.2. Source: kvm_arch_init_vcpu, mce_init, kvm_init_vcpu.
    """
    version = state.profile.version
    word = cpu.words.get("FEAT_1_EDX")
    if word is None or (word.value or 0) & _MCE_AND_MCA != _MCE_AND_MCA:
        return None
    if (yield from _family(state, cpu)) < 6:
        return None
    banks = yield from kvm_check_extension(Cap.MCE)
    if not banks:
        return None
    if version < _MCE_REQUIRED_SINCE:
        banks = yield from kvm_check_extension(Cap.MCE)
    if not banks or banks >= BANKS:
        return None
    reason = abi.errno_text(abi.EOPNOTSUPP)
    said = f"{PROGRAM}: kvm: Unsupported MCE bank count (QEMU = {BANKS}, KVM = {banks})"
    last = f"kvm_init_vcpu failed: {reason}"
    if version >= _VCPU_ERROR_SINCE:
        last = f"kvm_init_vcpu: kvm_arch_init_vcpu failed (0): {reason}"
    return QemuExit(f"{said}\n{PROGRAM}: {last}", 1)


def _family(state: KvmState, cpu: GuestCpu) -> Negotiation[int]:
    """Bits 11:8 of the guest's 1.EAX: the model's family, for host and max the host's, 15 where it is more.

    Up to 10.0 the extended family of the host counts for any family (run: 7.2), later for 15 alone (run: 11.1).
    """
    named = cpu.request.named
    if named is not None:
        return min(named.model.family, 0xF)
    if not cpu.request.takes_all:
        return 0
    reply = yield from ask(HostCpuid(0x1, 0))
    signature = (state.register(0x1, 0, "EAX") or 0) if reply.registers is None else reply.registers[0]
    extended = 0 if state.profile.version >= _FAMILY_15_EXTENDED_SINCE else signature >> 20 & 0xFF
    return min((signature >> 8 & 0xF) + extended, 0xF)


def xsave_buffer(state: KvmState, xsave2: int | None) -> QemuExit | None:
    """KVM's 0D.0.ECX is more than the buffer: ``xsave2`` (KVM_CAP_XSAVE2) in whole pages, 4096 where that is 0.

    An assertion behind KVM_SET_CPUID2, for every model and also without xsave. Run: 7.2, 10.0, 11.1; not in 5.2 (run).
    Read: 6.2 (always 4096, in kvm_arch_init_vcpu itself), 8.2, 10.2. Up to 7.2 a KVM without KVM_CAP_XSAVE passes;
    such a KVM has no leaf 0Dh. Source: kvm_init_xsave.
    """
    needed = state.register(0xD, 0, "ECX") or 0
    if state.profile.version < _AREAS_SINCE or xsave2 is None:
        return None
    if needed <= (-(-xsave2 // _XSAVE_BUFFER) * _XSAVE_BUFFER or _XSAVE_BUFFER):
        return None
    function = "kvm_init_xsave" if state.profile.version >= _XSAVE2_SINCE else "kvm_arch_init_vcpu"
    return _assertion(function, "kvm_arch_get_supported_cpuid(kvm_state, 0xd, 0, R_ECX) <= env->xsave_buf_len")


def xsave_areas_together(areas: Areas) -> QemuExit | None:
    """BNDREGS without BNDCSR, or OPMASK without ZMM_Hi256 or Hi16_ZMM: an assertion for every model.

    Behind KVM_SET_MSRS, when the vCPU gets its first state. ``f->size``: KVM's XCR0 lacks the second (10.0, 11.1 run;
    10.2 read). ``f->offset``: the host's CPUID 0D.i has no place for it (7.2, 10.0, 11.1 run; 6.2, 8.2, 10.2 read).
    Source: x86_cpu_xsave_all_areas.
    """
    for first, second in AREAS_TOGETHER:
        if first not in areas or second not in areas or not (areas[first].size and areas[first].offset):
            continue
        for field in ("size", "offset"):
            if not getattr(areas[second], field):
                return _assertion("x86_cpu_xsave_all_areas", f"f->{field}")
    return None


def phys_bits_of_mtrrs(state: KvmState, phys_bits: int) -> QemuExit | None:
    """A host with 53 … 63 physical address bits, from 11.x on: an assertion when the state is first read back.

    Run: 11.1, for host and max, with and without mtrr; 64 end it elsewhere. Source: kvm_get_msrs.
    """
    if state.profile.version < _PHYS_BITS_UNLIMITED_SINCE or not _WIDEST < phys_bits < _TOO_WIDE:
        return None
    return _assertion("kvm_get_msrs", "cpu->phys_bits <= 52")
