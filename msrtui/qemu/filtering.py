"""What KVM cannot give is taken from the CPU again, and what QEMU says about it, word for word.

Source: target/i386/cpu.c x86_cpu_filter_features, mark_unavailable_features, feature_word_description,
x86_cpu_list_feature_names.
"""

from __future__ import annotations

from msrtui.qemu import rules
from msrtui.qemu.cpu_request import CpuRequest
from msrtui.qemu.models import (
    AVX10_BIT,
    AVX10_FIRST,
    FILTER,
    Cpu,
    Guest,
    GuestWord,
    expand,
    finish,
    kvm_avx10_version,
)
from msrtui.qemu.state import KvmState
from msrtui.qemu.tables import FeatureWord, Tables
from msrtui.qemu.words import Supported, bits_of
from msrtui.values import dataclass

INTEL_PT_LEAF = rules.register("intel-pt-leaf", rules.CPU_C, "x86_cpu_filter_features")
INTEL_PT_BIT = 1 << 25
_PT_EBX, _PT_ECX = 0xF, 0x7
_PT_LIP = 1 << 31
_PT_MTC = 0x0249 << 16
_PT_EBX_1 = 0x003F << 16 | 0x1FFF


@dataclass(frozen=True)
class GuestCpu:
    """A CPU as a guest gets it.

    ``warnings`` are QEMU's own lines, in order; ``refused`` is its last line where ``enforce`` ends it, or
    where no such CPU can be made, else None.
    """

    request: CpuRequest
    words: Guest
    warnings: tuple[str, ...]
    refused: str | None


def guest_cpu(state: KvmState, supported: Supported, request: CpuRequest) -> GuestCpu:
    """The whole way of one ``-cpu``: expanded, filtered, finished."""
    cpu = expand(state, supported, request)
    expanded = dict(cpu.values)
    warnings = [
        f"This feature depends on other features that were not requested: {describe(cpu.tables, name, bit)}"
        for name, mask in cpu.unmet
        for bit in bits_of(mask)
    ]
    warnings += [
        f"this feature conflicts with {other}: {describe(cpu.tables, name, bit)}" for name, bit, other in cpu.conflicts
    ]
    for name, word in supported.items():
        missing = cpu.values[name] & ~(word.supported or 0)
        if word.supported is not None and missing:
            cpu.filtered[name] |= missing
            if request.check or request.enforce:
                warnings += [_lacks(cpu.tables, name, bit) for bit in bits_of(missing)]
            cpu.change(FILTER, name, cpu.values[name] & ~missing, missing=missing)
    lip = cpu.values.get("FEAT_14_0_ECX", 0) & _PT_LIP
    if cpu.values.get("FEAT_7_0_EBX", 0) & INTEL_PT_BIT and not intel_pt_possible(state, lip):
        cpu.filtered["FEAT_7_0_EBX"] |= INTEL_PT_BIT
        cpu.change(INTEL_PT_LEAF, "FEAT_7_0_EBX", cpu.values["FEAT_7_0_EBX"] & ~INTEL_PT_BIT)
        if request.check or request.enforce:
            warnings.append(_lacks(cpu.tables, "FEAT_7_0_EBX", 25))
    lowered = _avx10_lowered(state, cpu)
    if lowered is not None and (request.check or request.enforce):
        warnings.append(f"host doesn't support requested feature: {lowered}")
    refused = cpu.refused
    if refused is None and request.enforce and (any(cpu.filtered.values()) or lowered is not None):
        refused = "Host doesn't support requested features"
    finish(state, cpu, request)
    words = {
        name: GuestWord(
            cpu.values[name] if word.supported is not None else None,
            cpu.filtered[name],
            tuple(cpu.lineage[name]),
            expanded[name] if word.supported is not None else None,
        )
        for name, word in supported.items()
    }
    return GuestCpu(request, words, tuple(f"warning: {text}" for text in warnings), refused)


def intel_pt_possible(state: KvmState, lip: int) -> bool:
    """Whether KVM's leaf 0x14 offers at least what QEMU shows a guest of Processor Trace.

    ``lip`` is the guest's intel-pt-lip (bit 31 or 0), which KVM's must equal.
    """
    eax, ebx, ecx = (state.register(0x14, 0, name) or 0 for name in ("EAX", "EBX", "ECX"))
    eax_1, ebx_1 = (state.register(0x14, 1, name) or 0 for name in ("EAX", "EBX"))
    return (
        eax != 0
        and ebx & _PT_EBX == _PT_EBX
        and ecx & _PT_ECX == _PT_ECX
        and ecx & _PT_LIP == lip
        and eax_1 & _PT_MTC == _PT_MTC
        and eax_1 & 3 >= 2
        and ebx_1 & _PT_EBX_1 == _PT_EBX_1
    )


def _avx10_lowered(state: KvmState, cpu: Cpu) -> str | None:
    """What QEMU says where the CPU's AVX10 version is not KVM's to give; None where it stays. It is no bit."""
    if cpu.profile.version < AVX10_FIRST:
        return None
    wanted, offered = cpu.avx10_version, kvm_avx10_version(state)
    if not cpu.values.get("FEAT_7_1_EDX", 0) & AVX10_BIT:
        return f"avx10.{wanted}." if wanted else None
    return f"avx10.{wanted}. Adjust to avx10.{offered}" if offered < wanted else None


def _lacks(tables: Tables, word: str, bit: int) -> str:
    return f"host doesn't support requested feature: {describe(tables, word, bit)}"


def describe(tables: Tables, name: str, bit: int) -> str:
    """A bit in QEMU's own words: ``CPUID.07H:EBX.erms [bit 9]``, in which the subleaf is missing.

    From 10.2 on: ``CPUID[eax=07h,ecx=00h].EBX.erms [bit 9]``.
    """
    word = tables.word_by_name[name]
    named = f".{word.bits[bit]}" if bit in word.bits else ""
    return f"{_place(tables, word)}{named} [bit {bit}]"


def _place(tables: Tables, word: FeatureWord) -> str:
    if tables.version >= (10, 2):
        return word.where
    if word.kind == "msr":
        return f"MSR({word.index:02X}H)"
    return f"CPUID.{word.leaf:02X}H:{word.register}"


def unavailable_features(tables: Tables, cpu: GuestCpu) -> list[str]:
    """unavailable-features of a model: ``["type"]`` alone where expanding it is an error, else what the filter took."""
    if cpu.refused is not None and not cpu.request.enforce:
        return ["type"]
    return unavailable_names(tables, cpu.words)


def unavailable_names(tables: Tables, guest: Guest) -> list[str]:
    """The filtered bits by name as query-cpu-definitions lists them: by word, by bit, duplicates kept.

    A bit of XCR0 goes by the name of the feature that owns it; a bit without any name is an empty string.
    """
    names: list[str] = []
    areas = {area.component: area for area in tables.xsave_areas}
    for word in tables.words:
        entry = guest.get(word.name)
        for bit in bits_of(entry.unavailable) if entry is not None else ():
            owner = None
            if word.name in ("FEAT_XSAVE_XCR0_LO", "FEAT_XSAVE_COMP_LO"):
                owner = areas.get(bit)
            elif word.name in ("FEAT_XSAVE_XCR0_HI", "FEAT_XSAVE_COMP_HI"):
                owner = areas.get(bit + 32)
            if owner is not None and owner.bits:
                lowest = (owner.bits & -owner.bits).bit_length() - 1
                names.append(tables.word_by_name[owner.word].bits.get(lowest, ""))
            else:
                names.append(word.bits.get(bit, ""))
    return names
