"""What QEMU does because of a has_msr_* flag, in sentences: who reads the flag after kvm_get_supported_msrs set it.

Source: target/i386/kvm/kvm.c kvm_put_msrs, kvm_get_msrs, kvm_init_msrs, kvm_put_tscdeadline_msr, hyperv_fill_cpuids
and the readers named below (up to 5.2 target/i386/kvm.c).
"""

from __future__ import annotations

from typing import NamedTuple

from msrtui.language import N_
from msrtui.qemu.profile import QemuProfile


class FlagUse(NamedTuple):
    """One thing that a flag decides, since one version and until another ((major, minor), inclusive).

    ``links`` are subjects that it is about: ("word", …), ("bit", word, n), ("msr", index).
    """

    text: str
    links: tuple[tuple[object, ...], ...] = ()
    since: tuple[int, int] = (0, 0)
    until: tuple[int, int] | None = None


_STATE = FlagUse(
    N_("The MSR is part of the vCPU's state: read with KVM_GET_MSRS and put back with KVM_SET_MSRS, in migration too.")
)
_HYPERV = FlagUse(
    N_("Says that this Hyper-V property can be had, where KVM is too old to give Hyper-V's CPUID leaves.")
)

_USES: dict[str, tuple[FlagUse, ...]] = {
    "has_msr_arch_capabs": (
        FlagUse(
            N_("The word is written to each new vCPU, 0 included (kvm_init_msrs)."),
            (("word", "FEAT_ARCH_CAPABILITIES"),),
            since=(5, 0),
        ),
        FlagUse(
            N_("The word is written with every state that is put to the vCPU (kvm_put_msrs)."),
            (("word", "FEAT_ARCH_CAPABILITIES"),),
            until=(4, 2),
        ),
        FlagUse(
            N_("Without it arch-capabilities is cleared: the fix-up of CPUID 7.EDX bit 29 reads the flag."),
            (("bit", "FEAT_7_0_EDX", 29),),
            since=(4, 0),
        ),
    ),
    "has_msr_core_capabs": (
        FlagUse(N_("The word is written to each new vCPU (kvm_init_msrs)."), (("word", "FEAT_CORE_CAPABILITY"),)),
    ),
    "has_msr_perf_capabs": (
        FlagUse(
            N_("The word is written to each new vCPU whose pmu is on, where KVM's own value is not 0 (kvm_init_msrs)."),
            (("word", "FEAT_PERF_CAPABILITIES"),),
        ),
    ),
    "has_msr_ucode_rev": (FlagUse(N_("The microcode revision is written to each new vCPU (kvm_init_msrs).")),),
    "has_msr_vmx_procbased_ctls2": (
        FlagUse(
            N_("With it QEMU trusts KVM's secondary controls; without it, QEMU adds those that KVM's CPUID implies."),
            (("word", "FEAT_VMX_SECONDARY_CTLS"),),
        ),
    ),
    "has_msr_vmx_vmfunc": (
        FlagUse(N_("The word is among the VMX MSRs that a new vCPU gets."), (("word", "FEAT_VMX_VMFUNC"),)),
    ),
    "has_msr_tsc_deadline": (
        FlagUse(N_("The deadline is written by itself, before the local APIC's state (kvm_put_tscdeadline_msr).")),
    ),
    "has_msr_smi_count": (_STATE, FlagUse(N_("The count goes with a migration where it is not 0."))),
    "has_msr_smbase": (
        _STATE,
        FlagUse(N_("The state of System Management Mode goes with the vCPU's pending events.")),
    ),
    "has_msr_umwait": (
        _STATE,
        FlagUse(N_("With -overcommit cpu-pm=on it lets waitpkg be on."), (("bit", "FEAT_7_0_ECX", 5),), since=(5, 1)),
    ),
    "has_msr_tsc_aux": (
        _STATE,
        FlagUse(
            N_("It is made false again at a new vCPU whose guest has no RDTSCP."),
            (("bit", "FEAT_8000_0001_EDX", 27),),
        ),
    ),
    "has_msr_hv_runtime": (_HYPERV, _STATE),
    "has_msr_hv_stimer": (_HYPERV, FlagUse(N_("All 8 MSRs of Hyper-V's timers are part of the vCPU's state."))),
    "has_msr_hv_crash": (
        _HYPERV,
        FlagUse(N_("The crash control and its parameters P0 to P4 are part of the state.")),
    ),
    "has_msr_hv_synic": (_HYPERV, FlagUse(N_("KVM_CAP_HYPERV_SYNIC must be there as well."))),
    **dict.fromkeys(
        ("has_msr_hv_vpindex", "has_msr_hv_reset", "has_msr_hv_frequencies", "has_msr_hv_reenlightenment"), (_HYPERV,)
    ),
    "has_msr_hv_syndbg_options": (FlagUse(N_("Hyper-V's synthetic debugger can be offered to the guest.")),),
}


def flag_uses(flag: str, profile: QemuProfile) -> tuple[FlagUse, ...]:
    """What ``flag`` decides in this QEMU; most flags decide whether the MSR is part of a vCPU's state."""
    version = profile.version
    return tuple(
        use
        for use in _USES.get(flag, (_STATE,))
        if use.since <= version and (use.until is None or version <= use.until)
    )


def flags_with_uses_of_their_own() -> tuple[str, ...]:
    """The flags that ``flag_uses`` says something special of."""
    return tuple(_USES)
