"""The rules by which KVM keeps an MSR in its lists or drops it, checked against what is known of one host.

Each clause of a condition in ``catalog/kernel_arrays.json`` is one rule here. A rule never sees the lists: what
it says of an MSR can be held against them, and a test does that for every captured host. Source: kvm_probe_msr_to_save,
kvm_probe_feature_msr and kvm_init_msr_lists in arch/x86/kvm/x86.c, vmx_has_emulated_msr in vmx/vmx.c,
svm_has_emulated_msr in svm/svm.c.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

from msrtui.explain.evidence import Evidence
from msrtui.kvm.abi import Cap
from msrtui.values import dataclass, field

RuleId = Literal[
    "nothing-drops-it",
    "rdmsr-at-module-start",
    "rdmsr-of-an-amd-register",
    "rdmsr-of-an-intel-register",
    "kvm-capability",
    "enable-pmu",
    "no-counters-without-pmu",
    "counters",
    "mpx",
    "tsx-ctrl",
    "xss",
    "intel-pt",
    "intel-pt-leaf",
    "intel-pt-ranges",
    "64-bit-kernel",
    "one-vendor-module",
    "vendor-module-not-known",
    "vendor-module-not-read",
    "nested",
    "nested-is-not-vmx",
    "smm",
    "smm-parameters",
    "hyperv",
    # what is said of a list without a look at a condition
    "no-feature-list",
    "no-kernel-lists-it",
    "no-kernel-has-it-as-a-feature",
    "kernel-has-it-not-yet",
    "kernel-has-it-no-longer",
    "every-rule-keeps-it",
]
RemedyId = Literal[
    "amd-cpu",
    "intel-cpu",
    "cpu-with-speculation-control",
    "cpu-that-lets-it-be-read",
    "cpu-with-capability",
    "cpu-with-amx",
    "cpu-with-cet",
    "pmu-on",
    "counters-on",
    "more-counters",
    "cpu-with-mpx",
    "cpu-with-tsx-ctrl",
    "cpu-with-xss",
    "pt-mode",
    "64-bit-kernel",
    "vendor-module",
    "kvm-intel-nested",
    "nested-on",
    "invalid-guest-state-on",
    "smm-vendor-module",
    "smm-kernel",
    "hyperv-kernel",
    "feature-list-kernel",
    "kernel-like",
]


@dataclass(frozen=True)
class Finding:
    """What a rule says of one MSR here. ``holds``: True keeps it, False drops it, None is not known.

    ``remedy`` is what would make it hold; ``params`` is what the sentences for both depend on. ``sure`` is False
    where it was concluded from something that only goes along with it.
    """

    holds: bool | None
    rule: RuleId
    remedy: RemedyId | None = None
    sure: bool = True
    params: Mapping[str, Any] = field(default_factory=dict)


Rule: TypeAlias = Callable[[Evidence, int, str], Finding]
"""(what is known, the MSR's index, the kernel as ``6.12.107``) → what the rule says."""

_AMD_ONLY_REGISTERS = range(0xC0010000, 0xC0020000)
_INTEL_ONLY_REGISTERS = {
    *(0x3A, 0xE1, 0x122, 0x38D, 0x38E, 0x38F, 0x390, 0x3F1, 0x3F2, 0x600),
    *range(0xC1, 0xC9),
    *range(0x186, 0x18E),
    *range(0x309, 0x30C),
    *range(0x560, 0x588),
}


def _always(_e: Evidence, _i: int, _k: str) -> Finding:
    return Finding(True, "nothing-drops-it")


def _probe(evidence: Evidence, index: int, _k: str) -> Finding:
    """RDMSR on the CPU that runs the module's start. Nothing that a host can be asked tells how it went."""
    maker = evidence.cpu_vendor
    if maker == "intel" and index in _AMD_ONLY_REGISTERS:
        return Finding(None, "rdmsr-of-an-amd-register", "amd-cpu")
    if maker == "amd" and index in _INTEL_ONLY_REGISTERS:
        return Finding(None, "rdmsr-of-an-intel-register", "intel-cpu")
    remedy: RemedyId = "cpu-with-speculation-control" if index == 0x48 else "cpu-that-lets-it-be-read"
    return Finding(None, "rdmsr-at-module-start", remedy)


def _capability(name: str, *bits: tuple[int, int, str, int], remedy: RemedyId = "cpu-with-capability") -> Rule:
    """KVM's own CPUID has one of these bits."""

    def rule(evidence: Evidence, _i: int, _k: str) -> Finding:
        found = [evidence.kvm_bit(*bit) for bit in bits]
        holds = None if None in found else any(found)
        return Finding(holds, "kvm-capability", remedy, params={"name": name})

    return rule


_RDTSCP = (0x80000001, 0, "EDX", 27)
_RDPID = (0x7, 0, "ECX", 22)
_LM = (0x80000001, 0, "EDX", 29)
_SHSTK = (0x7, 0, "ECX", 7)
_IBT = (0x7, 0, "EDX", 20)
_PT = (0x7, 0, "EBX", 25)


def _enable_pmu(evidence: Evidence, _i: int, _k: str) -> Finding:
    """The PMU's array as a whole. KVM turns the parameter off itself where the host's kernel uses no counters."""
    on = evidence.switched("kvm", "enable_pmu")
    if on is None:
        answer = evidence.capabilities.get(Cap.PMU_CAPABILITY)
        on = None if answer is None else bool(answer)
    return Finding(on, "enable-pmu", "pmu-on")


def _counters(kind: Literal["general", "fixed"], low: int, width: int, register: str, firsts: tuple[int, ...]) -> Rule:
    """The number of the counter is below how many KVM gives a guest: leaf 0xA, which only Intel's kind has."""

    def rule(evidence: Evidence, index: int, kernel: str) -> Finding:
        number = next(index - first for first in reversed(firsts) if index >= first)
        if kernel.startswith("6.1.") and evidence.switched("kvm", "enable_pmu") is False:
            return Finding(False, "no-counters-without-pmu", "counters-on", sure=False)
        count = evidence.kvm_field(0xA, 0, register, low, width) if evidence.cpu_vendor == "intel" else None
        if count is None:
            return Finding(None, "counters", params={"kind": kind, "n": number})
        params = {"kind": kind, "n": number, "count": count}
        return Finding(number < count, "counters", "more-counters", params=params)

    return rule


def _mpx(evidence: Evidence, _i: int, _k: str) -> Finding:
    states = [evidence.kvm_bit(0xD, 0, "EAX", bit) for bit in (3, 4)]
    holds = None if None in states else all(states)
    return Finding(holds, "mpx", "cpu-with-mpx")


def _tsx_ctrl(evidence: Evidence, _i: int, _k: str) -> Finding:
    value = evidence.arch_capabilities
    holds = None if value is None else bool(value >> 7 & 1)
    return Finding(holds, "tsx-ctrl", "cpu-with-tsx-ctrl")


def _xss(evidence: Evidence, _i: int, _k: str) -> Finding:
    parts = [evidence.kvm_field(0xD, 1, register, 0, 32) for register in ("ECX", "EDX")]
    holds = None if None in parts else any(parts)
    return Finding(holds, "xss", "cpu-with-xss")


def _pt(*needs: tuple[int, int, str, int, int]) -> Rule:
    """Intel PT as KVM's CPUID has it, then what the host's own leaf 0x14 says: one of ``needs`` is not 0."""

    def rule(evidence: Evidence, index: int, _k: str) -> Finding:
        offered = evidence.kvm_bit(*_PT)
        if offered is not True:
            return Finding(offered, "intel-pt", "pt-mode")
        found = [evidence.host_field(*need) for need in needs]
        if None in found:
            return Finding(None, "intel-pt-leaf")
        if index >= 0x580:
            count = 2 * max((value or 0 for value in found), default=0)
            return Finding(index - 0x580 < count, "intel-pt-ranges", params={"count": count})
        return Finding(not needs or any(found), "intel-pt-leaf")

    return rule


def _64_bit(evidence: Evidence, _i: int, _k: str) -> Finding:
    return Finding(evidence.kvm_bit(*_LM), "64-bit-kernel", "64-bit-kernel")


def _by_vendor(keeps: Literal["intel", "amd"]) -> Rule:
    names = {"intel": "kvm_intel", "amd": "kvm_amd"}

    def rule(evidence: Evidence, _i: int, _k: str) -> Finding:
        vendor = evidence.vendor
        if vendor is None:
            return _vendor_unknown(evidence, keeps)
        params = {"module": names[keeps]}
        return Finding(vendor == keeps, "one-vendor-module", "vendor-module", evidence.vendor_sure, params)

    return rule


def _vendor_unknown(evidence: Evidence, known: Literal["intel", "amd", "nested"]) -> Finding:
    """``known`` is what is known of the module that the MSR belongs to: it has it, or has it with nested on."""
    module = evidence.about.vendor_module
    if module is None:
        return Finding(None, "vendor-module-not-known", params={"known": known})
    return Finding(None, "vendor-module-not-read", params={"module": module, "known": known})


def _nested(evidence: Evidence, _i: int, _k: str) -> Finding:
    """The VMX MSRs: kvm_intel has them where a guest may have VMX."""
    vendor = evidence.vendor
    if vendor is None:
        return _vendor_unknown(evidence, "nested")
    if vendor == "amd":
        return Finding(False, "nested-is-not-vmx", "kvm-intel-nested", evidence.vendor_sure)
    on, sure = evidence.switched("kvm_intel", "nested"), True
    if on is None:
        on, sure = evidence.kvm_bit(0x1, 0, "ECX", 5), False  # KVM's CPUID has VMX where guests may nest
    return Finding(on, "nested", "nested-on", sure)


def _smbase(evidence: Evidence, _i: int, kernel: str) -> Finding:
    """KVM_CAP_X86_SMM answers by the same test that the list is made with (kvm_vm_ioctl_check_extension)."""
    switches = ("unrestricted_guest", "emulate_invalid_guest_state")
    if evidence.vendor == "intel" and all(evidence.switched("kvm_intel", name) is False for name in switches):
        return Finding(False, "smm-parameters", "invalid-guest-state-on")
    remedy: RemedyId = "smm-vendor-module" if kernel.startswith("6.1.") else "smm-kernel"
    answer = evidence.capabilities.get(Cap.X86_SMM)
    return Finding(None if answer is None else answer > 0, "smm", remedy)


def _hyperv(evidence: Evidence, _i: int, _k: str) -> Finding:
    answer = evidence.capabilities.get(Cap.HYPERV)
    return Finding(None if answer is None else answer > 0, "hyperv", "hyperv-kernel")


_GP = (0xC1, 0x186)
_gp_counters = _counters("general", 8, 8, "EAX", _GP)

RULES: Mapping[str, Rule] = {
    "always": _always,
    "always (a failing RDMSR is ignored)": _always,
    "AMD: always": _always,  # said beside Intel's clause, whose rule sees to both
    "no extra check in this kernel": _always,
    "RDMSR must not fault on the CPU that runs module init": _probe,
    "kernel built with CONFIG_X86_64": _64_bit,
    "kernel built with CONFIG_KVM_HYPERV": _hyperv,
    "CONFIG_KVM_SMM": _always,  # said beside Intel's clause
    "Intel: unrestricted_guest or emulate_invalid_guest_state": _smbase,
    "then Intel: unrestricted_guest or emulate_invalid_guest_state": _smbase,
    "Intel with kvm_intel.nested=1": _nested,
    "never on AMD": _always,  # said beside Intel's clause
    "dropped on AMD, kept on Intel": _by_vendor("intel"),
    "AMD only": _by_vendor("amd"),
    "kvm.enable_pmu=Y (whole list skipped otherwise)": _enable_pmu,
    "counter number below min(8, host GP counters)": _gp_counters,
    "event selector number below min(8, host GP counters)": _gp_counters,
    "counter number below the GP counter count KVM exposes": _gp_counters,
    "event selector number below the GP counter count KVM exposes": _gp_counters,
    "fixed counter number below the fixed counter count KVM exposes": _counters("fixed", 0, 5, "EDX", (0x309,)),
    "KVM capability PERFMON_V2": _capability("PERFMON_V2", (0x80000022, 0, "EAX", 0)),
    "KVM capability WAITPKG": _capability("WAITPKG", (0x7, 0, "ECX", 5)),
    "KVM capability XFD (AMX)": _capability("XFD", (0xD, 1, "EAX", 4), remedy="cpu-with-amx"),
    "KVM capability RDTSCP or RDPID": _capability("RDTSCP or RDPID", _RDTSCP, _RDPID),
    "KVM capability SHSTK": _capability("SHSTK", _SHSTK, remedy="cpu-with-cet"),
    "KVM capability SHSTK or IBT": _capability("SHSTK or IBT", _SHSTK, _IBT, remedy="cpu-with-cet"),
    "KVM capabilities LM and SHSTK": _capability("SHSTK", _SHSTK, remedy="cpu-with-cet"),
    "KVM can virtualise MPX (XCR0 BNDREGS+BNDCSR and the VMX entry/exit controls)": _mpx,
    "bit 7 (TSX_CTRL_MSR) set in KVM's own ARCH_CAPABILITIES value": _tsx_ctrl,
    "KVM supports at least one XSS bit": _xss,
    "KVM capability INTEL_PT (only with pt_mode=1, a BROKEN-gated mode)": _pt(),
    "KVM capability INTEL_PT and hardware CR3 filtering": _pt((0x14, 0, "EBX", 0, 1)),
    "KVM capability INTEL_PT and ToPA or single-range output": _pt((0x14, 0, "ECX", 0, 1), (0x14, 0, "ECX", 2, 1)),
    "KVM capability INTEL_PT and enough hardware address ranges": _pt((0x14, 1, "EAX", 0, 3)),
}
"""The rule of each clause that a condition of the catalogue is made of."""


def findings(condition: str, evidence: Evidence, index: int, kernel: str) -> tuple[Finding, ...]:
    """What each clause of a condition says of the MSR ``index`` here; the lists are not looked at."""
    return tuple(RULES[clause](evidence, index, kernel) for clause in condition.split("; "))
