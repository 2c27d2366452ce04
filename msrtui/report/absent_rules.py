"""The rules by which KVM keeps an MSR in its lists or drops it, checked against what is known of one host.

Each clause of a condition in ``catalog/kernel_arrays.json`` is one rule here. A rule never sees the lists: what
it says of an MSR can be held against them, and a test does that for every captured host. Source: kvm_probe_msr_to_save,
kvm_probe_feature_msr and kvm_init_msr_lists in arch/x86/kvm/x86.c, vmx_has_emulated_msr in vmx/vmx.c,
svm_has_emulated_msr in svm/svm.c.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from msrtui.kvm.abi import REGISTERS, Cap
from msrtui.kvm.requests import CpuidEntry
from msrtui.report.sentences import _
from msrtui.snapshot.model import About


@dataclass(frozen=True)
class Evidence:
    """What is known of a host that a rule can be checked with. None, or a key that is missing: not known.

    ``index_list`` and ``feature_list`` are KVM's lists (``feature_list`` is None too where KVM has none, and then
    ``feature_known`` is True). ``cpuid`` is KVM's table by (function, index), the first entry of each.
    ``host_cpuid`` are (eax, ebx, ecx, edx) of the host's own instruction. ``capabilities`` are answers to
    KVM_CHECK_EXTENSION by number. ``arch_capabilities`` is what KVM_GET_MSRS gave for 0x10a, 64 bits.
    """

    about: About = field(default_factory=About)
    index_list: tuple[int, ...] | None = None
    feature_list: tuple[int, ...] | None = None
    feature_known: bool = False
    cpuid: Mapping[tuple[int, int], CpuidEntry] | None = None
    host_cpuid: Mapping[tuple[int, int], tuple[int, int, int, int]] = field(default_factory=dict)
    capabilities: Mapping[int, int | None] = field(default_factory=dict)
    arch_capabilities: int | None = None

    def kvm_bit(self, leaf: int, subleaf: int, register: str, bit: int) -> bool | None:
        """One bit of KVM's CPUID table; a leaf that the table lacks is all zeros; None without a table."""
        if self.cpuid is None:
            return None
        entry = self.cpuid.get((leaf, subleaf))
        return entry is not None and bool(entry.register(register) >> bit & 1)

    def kvm_field(self, leaf: int, subleaf: int, register: str, low: int, width: int) -> int | None:
        """Some bits of KVM's CPUID table as a number; a leaf that the table lacks is 0; None without a table."""
        if self.cpuid is None:
            return None
        entry = self.cpuid.get((leaf, subleaf))
        return 0 if entry is None else entry.register(register) >> low & ((1 << width) - 1)

    def host_field(self, leaf: int, subleaf: int, register: str, low: int, width: int) -> int | None:
        """Some bits of the host's own CPUID, None where that is not known."""
        registers = self.host_cpuid.get((leaf, subleaf))
        return None if registers is None else registers[REGISTERS.index(register)] >> low & ((1 << width) - 1)

    def parameter(self, module: str, name: str) -> str | None:
        """A module parameter as the kernel prints it."""
        return self.about.parameters.get(module, {}).get(name)

    def switched(self, module: str, name: str) -> bool | None:
        """A module parameter that is a switch; it is printed as Y and N or as 1 and 0."""
        return {"Y": True, "1": True, "N": False, "0": False}.get(self.parameter(module, name) or "")

    @property
    def vendor(self) -> Literal["intel", "amd"] | None:
        """Whose vendor module is at work; None for another one (kvm_pvm), whose own rules are not known."""
        if self.about.vendor_module is None:
            return self.cpu_vendor
        known: dict[str, Literal["intel", "amd"]] = {"kvm_intel": "intel", "kvm_amd": "amd"}
        return known.get(self.about.vendor_module)

    @property
    def vendor_sure(self) -> bool:
        """Whether ``vendor`` is said by the host, not guessed from its CPU."""
        return self.about.vendor_module is not None

    @property
    def cpu_vendor(self) -> Literal["intel", "amd"] | None:
        """Whose CPU it is by leaf 0 of KVM's table: Intel's kind (VMX), or AMD's (SVM, Hygon's too)."""
        entry = self.cpuid.get((0, 0)) if self.cpuid is not None else None
        if entry is None:
            return None
        kinds: dict[int, Literal["intel", "amd"]] = {
            0x756E6547: "intel",  # GenuineIntel, the first four letters
            0x746E6543: "intel",  # CentaurHauls
            0x68532020: "intel",  # Shanghai
            0x68747541: "amd",  # AuthenticAMD
            0x6F677948: "amd",  # HygonGenuine
        }
        return kinds.get(entry.ebx)


class Finding(NamedTuple):
    """What a rule says of one MSR here. ``holds``: True keeps it, False drops it, None is not known.

    ``rule`` says the rule in words, as things are here; ``remedy`` what would make it hold. ``sure`` is False
    where it was concluded from something that only goes along with it.
    """

    holds: bool | None
    rule: str
    remedy: str | None = None
    sure: bool = True


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
    return Finding(True, _("nothing drops it"))


def _probe(evidence: Evidence, index: int, _k: str) -> Finding:
    """RDMSR on the CPU that runs the module's start. Nothing that a host can be asked tells how it went."""
    rule = _("KVM tries RDMSR of it when its module starts, and drops what faults on that CPU")
    maker = evidence.cpu_vendor
    if maker == "intel" and index in _AMD_ONLY_REGISTERS:
        return Finding(None, rule + _("; it is a register of AMD's, and this is no AMD CPU"), _("an AMD CPU"))
    if maker == "amd" and index in _INTEL_ONLY_REGISTERS:
        return Finding(None, rule + _("; it is a register of Intel's, and this is no Intel CPU"), _("an Intel CPU"))
    if index == 0x48:
        return Finding(None, rule, _("a CPU with speculation control (IBRS, STIBP or SSBD)"))
    return Finding(None, rule, _("a CPU, or a hypervisor under this host, that lets it be read"))


def _capability(name: str, *bits: tuple[int, int, str, int], remedy: str | None = None) -> Rule:
    """KVM's own CPUID has one of these bits."""

    def rule(evidence: Evidence, _i: int, _k: str) -> Finding:
        found = [evidence.kvm_bit(*bit) for bit in bits]
        holds = None if None in found else any(found)
        if holds is False:
            said = _("KVM's CPUID does not have {name}").format(name=name)
        else:
            said = _("KVM's CPUID must have {name}").format(name=name)
        return Finding(holds, said, remedy or _("a CPU with {name}, in a KVM that offers it").format(name=name))

    return rule


_RDTSCP = (0x80000001, 0, "EDX", 27)
_RDPID = (0x7, 0, "ECX", 22)
_LM = (0x80000001, 0, "EDX", 29)
_SHSTK = (0x7, 0, "ECX", 7)
_IBT = (0x7, 0, "EDX", 20)
_PT = (0x7, 0, "EBX", 25)
_CET = _("a CPU with it, in a KVM that offers it (kvm_intel.cet=Y)")


def _enable_pmu(evidence: Evidence, _i: int, _k: str) -> Finding:
    """The PMU's array as a whole. KVM turns the parameter off itself where the host's kernel uses no counters."""
    on = evidence.switched("kvm", "enable_pmu")
    if on is None:
        answer = evidence.capabilities.get(Cap.PMU_CAPABILITY)
        on = None if answer is None else bool(answer)
    rule = _("kvm.enable_pmu is off, and without it no MSR of the PMU is listed") if on is False else None
    return Finding(
        on,
        rule or _("kvm.enable_pmu must be on"),
        _("kvm.enable_pmu=Y, on a CPU whose performance counters Linux uses (else KVM turns it off itself)"),
    )


def _counters(kind: str, low: int, width: int, register: str, firsts: tuple[int, ...]) -> Rule:
    """The number of the counter is below how many KVM gives a guest: leaf 0xA, which only Intel's kind has."""

    def rule(evidence: Evidence, index: int, kernel: str) -> Finding:
        number = next(index - first for first in reversed(firsts) if index >= first)
        if kernel.startswith("6.1.") and evidence.switched("kvm", "enable_pmu") is False:
            said = _("kvm.enable_pmu is off, so KVM counts no counter as there")
            return Finding(False, said, _("kvm.enable_pmu=Y, on a CPU whose counters Linux uses"), sure=False)
        count = evidence.kvm_field(0xA, 0, register, low, width) if evidence.cpu_vendor == "intel" else None
        if count is None:
            return Finding(None, _("KVM must give a guest more than {n} {kind} counters").format(n=number, kind=kind))
        return Finding(
            number < count,
            _("KVM gives a guest {count} {kind} counters (CPUID 0xa), and this is number {n} counted from 0").format(
                count=count, kind=kind, n=number
            ),
            _("a CPU, or a hypervisor under this host, with more {kind} counters").format(kind=kind),
        )

    return rule


def _mpx(evidence: Evidence, _i: int, _k: str) -> Finding:
    states = [evidence.kvm_bit(0xD, 0, "EAX", bit) for bit in (3, 4)]
    holds = None if None in states else all(states)
    said = _("KVM can give a guest no MPX") if holds is False else _("KVM must be able to give a guest MPX")
    return Finding(
        holds, said + _(" (bits 3 and 4 of XCR0)"), _("a CPU with MPX, which Intel has taken out of newer ones")
    )


def _tsx_ctrl(evidence: Evidence, _i: int, _k: str) -> Finding:
    value = evidence.arch_capabilities
    holds = None if value is None else bool(value >> 7 & 1)
    said = (
        _("bit 7 (TSX_CTRL) of KVM's own ARCH_CAPABILITIES is 0")
        if holds is False
        else _("bit 7 (TSX_CTRL) of KVM's own ARCH_CAPABILITIES must be 1")
    )
    return Finding(holds, said, _("a CPU, with its microcode, that has TSX_CTRL"))


def _xss(evidence: Evidence, _i: int, _k: str) -> Finding:
    parts = [evidence.kvm_field(0xD, 1, register, 0, 32) for register in ("ECX", "EDX")]
    holds = None if None in parts else any(parts)
    said = _("KVM supports no bit of XSS") if holds is False else _("KVM must support a bit of XSS")
    return Finding(holds, said, _("a CPU with a supervisor XSAVE state that KVM offers, such as CET's"))


def _pt(*needs: tuple[int, int, str, int, int]) -> Rule:
    """Intel PT as KVM's CPUID has it, then what the host's own leaf 0x14 says: one of ``needs`` is not 0."""

    def rule(evidence: Evidence, index: int, _k: str) -> Finding:
        offered = evidence.kvm_bit(*_PT)
        remedy = _("kvm_intel.pt_mode=1 on a CPU with Intel PT; only a kernel built with CONFIG_BROKEN has that mode")
        if offered is not True:
            said = _("KVM offers no Intel PT") if offered is False else _("KVM must offer Intel PT")
            return Finding(offered, said, remedy)
        found = [evidence.host_field(*need) for need in needs]
        if None in found:
            return Finding(None, _("the CPU's Intel PT must have what this MSR is for (CPUID 0x14)"))
        if index >= 0x580:
            ranges = 2 * max((value or 0 for value in found), default=0)
            said = _("the CPU's Intel PT has {count} address registers").format(count=ranges)
            return Finding(index - 0x580 < ranges, said)
        return Finding(not needs or any(found), _("the CPU's Intel PT does not have what this MSR is for (CPUID 0x14)"))

    return rule


def _64_bit(evidence: Evidence, _i: int, _k: str) -> Finding:
    return Finding(
        evidence.kvm_bit(*_LM), _("only a 64-bit kernel has it (KVM's CPUID has no LM)"), _("a 64-bit kernel")
    )


def _by_vendor(keeps: Literal["intel", "amd"]) -> Rule:
    names = {"intel": "kvm_intel", "amd": "kvm_amd"}

    def rule(evidence: Evidence, _i: int, _k: str) -> Finding:
        vendor = evidence.vendor
        if vendor is None:
            return _vendor_unknown(evidence)
        other = _("only {module} has it").format(module=names[keeps])
        return Finding(
            vendor == keeps, other, _("a host with {module}").format(module=names[keeps]), evidence.vendor_sure
        )

    return rule


def _vendor_unknown(evidence: Evidence) -> Finding:
    module = evidence.about.vendor_module
    if module is None:
        return Finding(None, _("the vendor module decides, and which one is at work is not known"))
    return Finding(
        None, _("the vendor module decides, and what {module} does msrtui does not know").format(module=module)
    )


def _nested(evidence: Evidence, _i: int, _k: str) -> Finding:
    """The VMX MSRs: kvm_intel has them where a guest may have VMX."""
    vendor = evidence.vendor
    if vendor is None:
        return _vendor_unknown(evidence)
    if vendor == "amd":
        return Finding(
            False,
            _("kvm_amd never has it: nested guests there are SVM's, which has no such register"),
            _("a host with kvm_intel and nested=1"),
            evidence.vendor_sure,
        )
    on, sure = evidence.switched("kvm_intel", "nested"), True
    if on is None:
        on, sure = evidence.kvm_bit(0x1, 0, "ECX", 5), False  # KVM's CPUID has VMX where guests may nest
    if on is False:
        return Finding(False, _("kvm_intel.nested is off"), _("kvm_intel.nested=1"), sure)
    return Finding(on, _("kvm_intel.nested must be on"), _("kvm_intel.nested=1"), sure)


def _smbase(evidence: Evidence, _i: int, kernel: str) -> Finding:
    """KVM_CAP_X86_SMM answers by the same test that the list is made with (kvm_vm_ioctl_check_extension)."""
    switches = ("unrestricted_guest", "emulate_invalid_guest_state")
    if evidence.vendor == "intel" and all(evidence.switched("kvm_intel", name) is False for name in switches):
        said = _("kvm_intel.unrestricted_guest and kvm_intel.emulate_invalid_guest_state are both off: no SMM")
        return Finding(False, said, _("kvm_intel.emulate_invalid_guest_state=1"))
    built = "" if kernel.startswith("6.1.") else _("a kernel built with CONFIG_KVM_SMM and ")
    remedy = built + _("a vendor module that does SMM")
    answer = evidence.capabilities.get(Cap.X86_SMM)
    if answer is None:
        return Finding(None, _("KVM must be able to do SMM"), remedy)
    return Finding(answer > 0, _("this KVM does no SMM (KVM_CAP_X86_SMM is 0)"), remedy)


def _hyperv(evidence: Evidence, _i: int, _k: str) -> Finding:
    answer = evidence.capabilities.get(Cap.HYPERV)
    remedy = _("a kernel built with CONFIG_KVM_HYPERV")
    if answer is None:
        return Finding(None, _("the kernel must be built with CONFIG_KVM_HYPERV"), remedy)
    return Finding(answer > 0, _("this kernel was built without CONFIG_KVM_HYPERV (KVM_CAP_HYPERV is 0)"), remedy)


_GP = (0xC1, 0x186)
_gp_counters = _counters(_("general"), 8, 8, "EAX", _GP)

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
    "fixed counter number below the fixed counter count KVM exposes": _counters(_("fixed"), 0, 5, "EDX", (0x309,)),
    "KVM capability PERFMON_V2": _capability("PERFMON_V2", (0x80000022, 0, "EAX", 0)),
    "KVM capability WAITPKG": _capability("WAITPKG", (0x7, 0, "ECX", 5)),
    "KVM capability XFD (AMX)": _capability("XFD", (0xD, 1, "EAX", 4), remedy=_("a CPU with AMX")),
    "KVM capability RDTSCP or RDPID": _capability("RDTSCP or RDPID", _RDTSCP, _RDPID),
    "KVM capability SHSTK": _capability("SHSTK", _SHSTK, remedy=_CET),
    "KVM capability SHSTK or IBT": _capability("SHSTK or IBT", _SHSTK, _IBT, remedy=_CET),
    "KVM capabilities LM and SHSTK": _capability("SHSTK", _SHSTK, remedy=_CET),
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
