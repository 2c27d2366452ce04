"""The phases of the conversation, in QEMU's order; every face walks this one table."""

from __future__ import annotations

from typing import NamedTuple


class Phase(NamedTuple):
    """``id`` is what programs read, ``shown`` what people read, ``function`` the QEMU function that it is about."""

    id: str
    shown: str
    function: str


PHASES = (
    Phase("kvm_init", "kvm_init", "kvm_init"),
    Phase("kvm_arch_init", "arch_init", "kvm_arch_init"),
    Phase("index_list", "index list", "kvm_get_supported_msrs"),
    Phase("feature_list", "feature list", "kvm_get_supported_feature_msrs"),
    Phase("cpuid", "CPUID", "get_supported_cpuid"),
    Phase("words", "words", "x86_cpu_get_supported_feature_word"),
    Phase("guest", "-cpu", "x86_cpu_expand_features"),
    Phase("vcpu", "vCPU", "kvm_init_msrs"),
)
