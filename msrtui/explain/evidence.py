"""What is known of a host that the kernel's rules for its MSR lists can be held against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msrtui.catalog import kernel_entries
from msrtui.catalog.makers import Maker, maker_of
from msrtui.kvm.abi import REGISTERS, Cap
from msrtui.kvm.requests import Answerer, CheckExtension, CpuidEntry, GetMsrs, HostCpuid
from msrtui.qemu.state import KvmState
from msrtui.snapshot.model import About
from msrtui.transcript.heard_lists import HeardLists
from msrtui.transcript.state import State
from msrtui.values import dataclass, field


@dataclass(frozen=True)
class Evidence:
    """What is known of a host that a rule can be checked with. None, or a key that is missing: not known.

    ``index_list`` and ``feature_list`` are KVM's lists (``feature_list`` is None too where KVM has none, and then
    ``feature_known`` is True). ``cpuid`` is KVM's table by (function, index), the first entry of each.
    ``host_cpuid`` are (eax, ebx, ecx, edx) of the host's own instruction. ``capabilities`` are answers to
    KVM_CHECK_EXTENSION by number, None where it failed. ``arch_capabilities`` is what KVM_GET_MSRS gave for 0x10a, 64
    bits.
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
    def cpu_vendor(self) -> Maker | None:
        """Whose CPU it is by leaf 0 of KVM's table: Intel's kind (VMX), or AMD's (SVM, Hygon's too)."""
        entry = self.cpuid.get((0, 0)) if self.cpuid is not None else None
        return None if entry is None else maker_of(entry.ebx)


def evidence_of(about: About, lists: HeardLists, state: KvmState, answerer: Answerer, index: int) -> Evidence:
    """What can be had of a host for the rules of the MSR ``index``; only what these need is asked."""
    cpuid = state.cpuid
    caps: dict[int, int | None] = {}
    wanted = [Cap.PMU_CAPABILITY] if "enable_pmu" not in about.parameters.get("kvm", {}) else []
    conditions = " ".join(entry.condition for entry in kernel_entries(index))
    wanted += [Cap.X86_SMM] if "SMM" in conditions or "unrestricted_guest" in conditions else []
    wanted += [Cap.HYPERV] if "HYPERV" in conditions else []
    listed = lists.feature_msrs or ()
    arch: int | None = None
    leaves: dict[tuple[int, int], tuple[int, int, int, int]] = {}
    with answerer.held():
        for cap in wanted:
            said = answerer.ask(CheckExtension(int(cap)))
            caps[cap] = said.result if said.errno is None else None
        if "ARCH_CAPABILITIES" in conditions and 0x10A in listed:
            reply = answerer.ask(GetMsrs((0x10A,)))
            arch = reply.values[0] if reply.values else None
        if "INTEL_PT" in conditions and (entry := (cpuid or {}).get((7, 0))) and entry.ebx >> 25 & 1:
            for leaf in ((0x14, 0), (0x14, 1)):
                registers = answerer.ask(HostCpuid(*leaf)).registers
                if registers is not None:
                    leaves[leaf] = registers
    known = lists.feature_known and lists.feature_errno is None
    return Evidence(about, lists.index_list, lists.feature_msrs, known, cpuid, leaves, caps, arch)


def evidence_at(state: State, about: About) -> Evidence:
    """What QEMU has heard of a host so far: nothing is asked for it."""
    table: dict[tuple[int, int], CpuidEntry] = {}
    for entry in state.cpuid or ():
        table.setdefault((entry.function, entry.index), entry)
    arch = state.msrs.get(0x10A)
    return Evidence(
        about,
        state.index_list,
        state.feature_list,
        state.feature_list is not None or state.without_feature_list,
        table if state.cpuid is not None else None,
        capabilities=state.capabilities,
        arch_capabilities=arch.values[0] if arch is not None and arch.values else None,
    )
