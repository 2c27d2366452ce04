"""What QEMU writes into a new vCPU's feature MSRs: kvm_init_msrs. Only worked out; nothing is written here.

Source: target/i386/kvm/kvm.c kvm_init_msrs, kvm_msr_entry_add_perf, kvm_msr_entry_add_vmx, make_vmx_msr_value
(5.0 and later; before, the feature MSRs are part of the full state that is put later).
"""

from __future__ import annotations

from msrtui.kvm.requests import MsrWrite
from msrtui.qemu.filtering import GuestCpu
from msrtui.qemu.models import pmu_of
from msrtui.qemu.msr_index import (
    MSR_IA32_ARCH_CAPABILITIES,
    MSR_IA32_CORE_CAPABILITY,
    MSR_IA32_PERF_CAPABILITIES,
    MSR_IA32_UCODE_REV,
    MSR_IA32_VMX_BASIC,
    MSR_IA32_VMX_CR0_FIXED0,
    MSR_IA32_VMX_CR4_FIXED0,
    MSR_IA32_VMX_EPT_VPID_CAP,
    MSR_IA32_VMX_MISC,
    MSR_IA32_VMX_PROCBASED_CTLS2,
    MSR_IA32_VMX_TRUE_ENTRY_CTLS,
    MSR_IA32_VMX_TRUE_EXIT_CTLS,
    MSR_IA32_VMX_TRUE_PINBASED_CTLS,
    MSR_IA32_VMX_TRUE_PROCBASED_CTLS,
    MSR_IA32_VMX_VMCS_ENUM,
    MSR_IA32_VMX_VMFUNC,
)
from msrtui.qemu.msrs import kvm_arch_get_supported_msr_feature
from msrtui.qemu.negotiation import Negotiation, within
from msrtui.qemu.state import KvmState

_BASIC_KEPT = (1 << 31) - 1 | 0x1FFF << 32 | 0xF << 50
"""Revision, VMCS size, memory type: what no feature bit says is taken from KVM as it is."""
_MISC_KEPT = 0x1F | 0b111 << 25
_EPT_MEMORY_TYPES = 1 << 8 | 1 << 14
KEPT = {
    MSR_IA32_VMX_BASIC: _BASIC_KEPT,
    MSR_IA32_VMX_MISC: _MISC_KEPT,
    MSR_IA32_VMX_EPT_VPID_CAP: _EPT_MEMORY_TYPES,
}
"""Bits that a guest gets as KVM has them, beside those of the feature word, by MSR."""
VMX_WRITTEN_FIRST = (4, 2)
"""From here on QEMU writes the VMX MSRs of a guest that has VMX; before, the guest has KVM's own."""
AMD_UCODE_REV, INTEL_UCODE_REV = 0x01000065, 0x1_0000_0000
"""The microcode revision of a named model, by the guest's vendor: KVM's own for a new vCPU."""
_LM = 1 << 29
_VMX = 1 << 5
_CR0_PE, _CR0_NE, _CR0_PG = 1 << 0, 1 << 5, 1 << 31
_CR4_VMXE = 1 << 13


def kvm_init_msrs(state: KvmState, cpu: GuestCpu, ucode_rev: int | None) -> Negotiation[list[MsrWrite] | None]:
    """The writes in QEMU's order, for one KVM_SET_MSRS; None where a value is not known.

    ``ucode_rev`` is what KVM has at 0x8b for host and max, None for a named model.
    """
    return (yield from within("kvm_init_msrs", _writes(state, cpu, ucode_rev)))


def _writes(state: KvmState, cpu: GuestCpu, ucode_rev: int | None) -> Negotiation[list[MsrWrite] | None]:
    values = {name: word.value for name, word in cpu.words.items()}
    if None in values.values():
        return None
    words = {name: value or 0 for name, value in values.items()}
    writes: list[MsrWrite] = []
    if "has_msr_arch_capabs" in state.flags:
        writes.append((MSR_IA32_ARCH_CAPABILITIES, words["FEAT_ARCH_CAPABILITIES"]))
    if "has_msr_core_capabs" in state.flags:
        writes.append((MSR_IA32_CORE_CAPABILITY, words["FEAT_CORE_CAPABILITY"]))
    if "has_msr_perf_capabs" in state.flags and pmu_of(state.profile, cpu.request):
        kvm = yield from kvm_arch_get_supported_msr_feature(state, MSR_IA32_PERF_CAPABILITIES)
        if kvm.value:
            writes.append((MSR_IA32_PERF_CAPABILITIES, kvm.value & words["FEAT_PERF_CAPABILITIES"]))
    microcode: list[MsrWrite] = []
    if "has_msr_ucode_rev" in state.flags:
        fallback = AMD_UCODE_REV if state.amd else INTEL_UCODE_REV
        microcode = [(MSR_IA32_UCODE_REV, ucode_rev if ucode_rev else fallback)]
    vmx: list[MsrWrite] = []
    if state.feature_msrs is not None and words.get("FEAT_1_ECX", 0) & _VMX:
        vmx = yield from _vmx(state, words)
    late = state.profile.version >= (10, 1)
    return [*writes, *vmx, *microcode] if late else [*writes, *microcode, *vmx]


def _vmx(state: KvmState, words: dict[str, int]) -> Negotiation[list[MsrWrite]]:
    basic = yield from kvm_arch_get_supported_msr_feature(state, MSR_IA32_VMX_BASIC)
    if not basic.value:
        return []
    misc = yield from kvm_arch_get_supported_msr_feature(state, MSR_IA32_VMX_MISC)
    ept_vpid = yield from kvm_arch_get_supported_msr_feature(state, MSR_IA32_VMX_EPT_VPID_CAP)
    default1 = state.profile.tables.vmx_default1

    def controls(word: str, symbol: str) -> int:
        return make_vmx_msr_value(words[word], default1[symbol])

    secondary = words["FEAT_VMX_SECONDARY_CTLS"]
    exit_controls = controls("FEAT_VMX_EXIT_CTLS", "MSR_IA32_VMX_TRUE_EXIT_CTLS")
    if words.get("FEAT_8000_0001_EDX", 0) & _LM:
        exit_controls |= 1 << 41  # host-addr-space-size may be 1: a control that has no name
    memory_types = (ept_vpid.value or 0) & _EPT_MEMORY_TYPES if secondary & 2 else 0
    writes = [
        (MSR_IA32_VMX_TRUE_PROCBASED_CTLS, controls("FEAT_VMX_PROCBASED_CTLS", "MSR_IA32_VMX_TRUE_PROCBASED_CTLS")),
        (MSR_IA32_VMX_TRUE_PINBASED_CTLS, controls("FEAT_VMX_PINBASED_CTLS", "MSR_IA32_VMX_TRUE_PINBASED_CTLS")),
        (MSR_IA32_VMX_TRUE_EXIT_CTLS, exit_controls),
        (MSR_IA32_VMX_TRUE_ENTRY_CTLS, controls("FEAT_VMX_ENTRY_CTLS", "MSR_IA32_VMX_TRUE_ENTRY_CTLS")),
        (MSR_IA32_VMX_PROCBASED_CTLS2, controls("FEAT_VMX_SECONDARY_CTLS", "MSR_IA32_VMX_PROCBASED_CTLS2")),
        (MSR_IA32_VMX_EPT_VPID_CAP, words["FEAT_VMX_EPT_VPID_CAPS"] | memory_types),
        (MSR_IA32_VMX_BASIC, words["FEAT_VMX_BASIC"] | basic.value & _BASIC_KEPT),
        (MSR_IA32_VMX_MISC, words["FEAT_VMX_MISC"] | (misc.value or 0) & _MISC_KEPT),
    ]
    if "has_msr_vmx_vmfunc" in state.flags:
        writes.append((MSR_IA32_VMX_VMFUNC, words["FEAT_VMX_VMFUNC"]))
    return [
        *writes,
        (MSR_IA32_VMX_CR0_FIXED0, _CR0_PG | _CR0_NE | _CR0_PE),
        (MSR_IA32_VMX_CR4_FIXED0, _CR4_VMXE),
        (MSR_IA32_VMX_VMCS_ENUM, _vmcs_enum(state.profile.version, words)),
    ]


def make_vmx_msr_value(word: int, default1: int) -> int:
    """The MSR of a control word: may be 1 in the high half, must be 1 in the low half.

    Controls of ``default1`` that the word does not have must be 1: the split took them for no choice.
    """
    return (word | default1) << 32 | (~word & default1)


def _vmcs_enum(version: tuple[int, int], words: dict[str, int]) -> int:
    """The highest index of a VMCS field, times two, by the newest feature that has fields of its own."""
    if version >= (9, 0):
        if words.get("FEAT_7_1_EAX", 0) >> 17 & 1:
            return 0x52
        if words["FEAT_VMX_EXIT_CTLS"] >> 31 & 1:
            return 0x44
    if version >= (6, 2) and words["FEAT_VMX_SECONDARY_CTLS"] >> 25 & 1:
        return 0x32
    return 0x2E
