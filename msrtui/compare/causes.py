"""What most likely made a difference: a module parameter, a mitigation, microcode, the BIOS, the CPU, the kernel.

A guess from what else differs, never more: one host before and after shows it best, two hosts seldom. The rules are a
table, the nearest first: what is known to lead there, then what must differ in an answer where nothing nearer does.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from msrtui.compare.differences import COMMAND_LINE, Difference, matters
from msrtui.compare.polarity import SYNTHETIC, mask_of
from msrtui.qemu.words import bits_of

CauseKind = Literal["parameter", "mitigation", "microcode", "bios", "cpu", "module", "hypervisor", "kernel"]

_VMX = range(0x480, 0x492)
_SVM_LEAF = 0x8000000A
_PMU = (range(0xC1, 0xC9), range(0x186, 0x18E), range(0x309, 0x30D), range(0x345, 0x346), range(0x38D, 0x394))
_AMD_PMU = range(0xC0000300, 0xC0000304)
_NESTED_BITS = {("FEAT_1_ECX", 5), ("FEAT_8000_0001_ECX", 2)}
_PMU_BITS = {("FEAT_1_ECX", 15)}
_TSX_BITS = {("FEAT_7_0_EBX", 4), ("FEAT_7_0_EBX", 11)}
_SGX_BITS = {("FEAT_7_0_EBX", 2), ("FEAT_7_0_ECX", 30)}
_FIRMWARE_BITS = _NESTED_BITS | _PMU_BITS | _SGX_BITS | {("FEAT_7_0_ECX", 13)}
"""What a BIOS switches off: VMX or SVM, the PMU, SGX, memory encryption."""
_UCODE_REV, _SPECULATION_MSRS = 0x8B, (0x48, 0x49, 0x10A, 0x122, 0xC001011F)
_RAW = ("msr", "cpuid", "kvm", "guest")


class Cause(NamedTuple):
    """``subject`` is a parameter (``kvm_intel.nested``) or the fact's name; ``values`` are both sides'."""

    kind: CauseKind
    subject: str
    values: tuple[str, str]

    @property
    def text(self) -> str:
        """``kvm_intel.nested: Y → N``, ``Linux 6.1 → 6.12``, ``microcode 0x1 → 0x2``, ``CPU model``."""
        before, after = self.values
        match self.kind:
            case "parameter" | "mitigation":
                return f"{self.subject}: {before} → {after}"
            case "kernel":
                return f"Linux {_release(before, after)} → {_release(after, before)}"
            case "cpu":
                return "CPU model"
            case "module":
                return f"{before} → {after}"
        return f"{self.subject} {before} → {after}"


def _release(mine: str, other: str) -> str:
    """A kernel's release as short as it still differs from the other's."""
    for pattern in (r"\d+\.\d+", r"\d+\.\d+\.\d+"):
        short = [re.match(pattern, release) for release in (mine, other)]
        if short[0] and short[1] and short[0].group() != short[1].group():
            return short[0].group()
    return mine


# --- what a difference is about ----------------------------------------------------------------------------------
def _index(found: Difference) -> int | None:
    return int(found.subject, 16) if found.kind in ("msr", "index_list", "feature_list") else None


def _nested(found: Difference) -> bool:
    if found.word is not None:
        name = found.word.name
        return name.startswith(("FEAT_VMX", "FEAT_SVM")) or _only(found, _NESTED_BITS)
    if found.kind == "capability":
        return found.subject.endswith(("NESTED_STATE", "ENLIGHTENED_VMCS"))
    if found.leaf is not None:
        return found.leaf[0] == _SVM_LEAF
    return _index(found) in _VMX


def _paging(found: Difference) -> bool:
    """What follows from two-dimensional paging, beside what a nested guest gets of it."""
    if found.kind == "capability":
        return found.subject.endswith(("DISABLE_QUIRKS2", "PRE_FAULT_MEMORY", "SMALLER_MAXPHYADDR", "VM_TYPES"))
    return found.leaf == (0x80000008, 0) or _nested(found)


def _pmu(found: Difference) -> bool:
    if found.word is not None:
        name = found.word.name
        return name in ("FEAT_PERF_CAPABILITIES", "FEAT_8000_0022_EAX") or _only(found, _PMU_BITS)
    if found.kind == "capability":
        return "PMU" in found.subject
    if found.leaf is not None:
        return found.leaf[0] in (0xA, 0x80000022)
    index = _index(found)
    return index is not None and any(index in indices for indices in (*_PMU, _AMD_PMU))


def _sgx(found: Difference) -> bool:
    if found.leaf is not None:
        return found.leaf[0] == 0x12
    return found.subject.startswith("FEAT_SGX") or found.subject.endswith("SGX_ATTRIBUTE") or _only(found, _SGX_BITS)


def _flush(found: Difference) -> bool:
    """L1D flushes: the kernel says by bit 3 of ARCH_CAPABILITIES that none is needed."""
    if _index(found) == 0x10A and found.kind == "msr":
        return _changed_bits(found) == 1 << 3
    return _only(found, {("FEAT_ARCH_CAPABILITIES", 3)})


def _speculation(found: Difference) -> bool:
    if found.word is not None:
        changed = _changed_bits(found)
        return changed is not None and not changed & ~(mask_of(found.word.name) | _tsx_mask(found.word.name))
    return _index(found) in _SPECULATION_MSRS


def _microcode(found: Difference) -> bool:
    """What new microcode brings: its revision, and what the CPU says of its flaws; not what a kernel makes up."""
    if _index(found) == _UCODE_REV:
        return True
    about_flaws = found.kind == "msr" or (found.word is not None and found.word.name == "FEAT_ARCH_CAPABILITIES")
    changed = _changed_bits(found)
    return _speculation(found) and not (about_flaws and changed is not None and not changed & ~SYNTHETIC)


def _revision(found: Difference) -> bool:
    return _index(found) == _UCODE_REV and found.kind == "msr"


def _firmware(found: Difference) -> bool:
    return _nested(found) or _sgx(found) or _only(found, _FIRMWARE_BITS)


def _capability(found: Difference) -> bool:
    return found.kind == "capability"


def _raw(found: Difference) -> bool:
    return found.kind in _RAW


def _any(_: Difference) -> bool:
    return True


def _tsx_mask(word: str) -> int:
    return sum(1 << bit for name, bit in _TSX_BITS if name == word)


def _changed_bits(found: Difference) -> int | None:
    """The bits that differ, None where a value is no number or not known."""
    known = [value for value in found.values if isinstance(value, int) and not isinstance(value, bool)]
    if not known or len(known) < len(found.values):
        return None
    changed = 0
    for value in known:
        changed |= value ^ known[0]
    return changed


def _only(found: Difference, bits: set[tuple[str, int]]) -> bool:
    """Whether nothing but these bits differs in the word."""
    changed = _changed_bits(found)
    if changed is None or found.word is None:
        return False
    return all((found.word.name, bit) in bits for bit in bits_of(changed))


# --- what may have made it ---------------------------------------------------------------------------------------
LEADS: tuple[tuple[str, Callable[[Difference], bool]], ...] = (
    ("nested", _nested),
    ("ept", _paging),
    ("npt", _paging),
    ("unrestricted_guest", _nested),
    ("enable_pmu", _pmu),
    ("pmu", _pmu),
    ("sgx", _sgx),
    ("vmentry_l1d_flush", _flush),
)
"""Parameters of the kvm modules, by what is known to follow from them; of two the one that the other follows from is
first (ept=N switches eptad, pml and unrestricted_guest off too)."""
FOLLOWS: Mapping[str, str] = {
    **dict.fromkeys(("eptad", "pml", "unrestricted_guest", "tdp_mmu", "mmio_caching"), "ept"),
    **dict.fromkeys(("enable_shadow_vmcs", "nested_early_check", "vls", "vgif"), "nested"),
    **dict.fromkeys(("enable_ipiv", "enable_device_posted_irqs"), "enable_apicv"),
    "allow_smaller_maxphyaddr": "ept",
    "enable_mediated_pmu": "enable_pmu",
}
"""Parameters that a module changes itself where another is off. Source: arch/x86/kvm/vmx/vmx.c vmx_hardware_setup,
arch/x86/kvm/svm/svm.c svm_hardware_setup, arch/x86/kvm/mmu/mmu.c kvm_configure_mmu."""


class _Changed:
    """What is otherwise between two sides, as far as both are known."""

    def __init__(self, found: Sequence[Difference]) -> None:
        known = [each for each in found if len(each.values) == 2 and None not in each.values]
        self.parameters = [each for each in known if each.kind == "parameter"]
        self.facts = {each.subject: each for each in known if each.kind == "fact"}
        # that a CPU is emulated is known by whom alone
        self.facts.update({each.subject: each for each in found if each.subject == "carried_by"})
        self.switches = next((each for each in known if each.subject == COMMAND_LINE), None)
        self.flaws = [each for each in known if each.kind == "mitigation" and each is not self.switches]
        signature = next((each for each in found if each.subject == "0x1 EAX"), None)
        self.cpu = self.facts.get("cpu") or self.facts.get("carried_by") or signature

    def nearest(self, name: str) -> Difference | None:
        """The fact called ``name``, unless another CPU explains more."""
        return None if self.cpu is not None else self.facts.get(name)

    def switched(self) -> Difference | None:
        """The kernel's command line, on the same CPU."""
        return None if self.cpu is not None else self.switches

    def flaw(self) -> Difference | None:
        """What the kernel says of a flaw, where nothing else tells what made it say so."""
        return self.flaws[0] if self.flaws else None

    def leader(self) -> Difference | None:
        """The one parameter that was set, where the others follow from it; None where there are several."""
        names = {each.subject.partition(".")[2] for each in self.parameters}
        leaders = [each for each in self.parameters if FOLLOWS.get(each.subject.partition(".")[2]) not in names]
        return leaders[0] if len(leaders) == 1 else None


class Rule(NamedTuple):
    """Where ``changed`` gives what is otherwise, it is the cause of what ``leads`` holds for."""

    id: str
    kind: CauseKind
    leads: Callable[[Difference], bool]
    changed: Callable[[_Changed], Difference | None]


RULES: tuple[Rule, ...] = (
    Rule("microcode-revision", "microcode", _revision, lambda changed: changed.facts.get("microcode")),
    Rule("mitigation-switched", "mitigation", _speculation, _Changed.switched),
    Rule("microcode-of-this-cpu", "microcode", _microcode, lambda changed: changed.nearest("microcode")),
    Rule("switched-in-the-bios", "bios", _firmware, lambda changed: changed.nearest("bios")),
    Rule("capability-of-a-kernel", "kernel", _capability, lambda changed: changed.facts.get("kernel")),
    Rule("another-cpu", "cpu", _any, lambda changed: changed.cpu),
    Rule("another-module", "module", _any, lambda changed: changed.facts.get("vendor_module")),
    Rule("under-another-hypervisor", "hypervisor", _raw, lambda changed: changed.facts.get("hypervisor")),
    Rule("another-kernel", "kernel", _any, lambda changed: changed.facts.get("kernel")),
    Rule("only-the-hypervisor", "hypervisor", _any, lambda changed: changed.facts.get("hypervisor")),
    Rule("only-the-microcode", "microcode", _any, lambda changed: changed.facts.get("microcode")),
    Rule("only-the-bios", "bios", _any, lambda changed: changed.facts.get("bios")),
    Rule("only-one-parameter", "parameter", _any, _Changed.leader),
    Rule("only-the-command-line", "mitigation", _any, _Changed.switched),
    Rule("said-of-a-flaw", "mitigation", _speculation, _Changed.flaw),
)
"""The nearest first, behind the parameters of LEADS: the first whose condition holds and whose thing is otherwise."""


def causes(found: Sequence[Difference]) -> tuple[Cause | None, ...]:
    """The likely cause of each difference, None where there is none to see; of two sides only."""
    changed = _Changed(found)
    return tuple(_cause(each, changed) if matters(each) and len(each.values) == 2 else None for each in found)


def _cause(found: Difference, changed: _Changed) -> Cause | None:
    for name, leads in LEADS:
        for parameter in changed.parameters:
            if parameter.subject.partition(".")[2] == name and leads(found):
                return _of("parameter", parameter)
    for rule in RULES:
        made = rule.changed(changed)
        if made is not None and rule.leads(found):
            return _of(rule.kind, made)
    return None


def _of(kind: CauseKind, found: Difference) -> Cause:
    before, after = ("?" if value is None else str(value) for value in found.values)
    return Cause(kind, found.subject, (before, after))


def ranked(found: Iterable[Cause | None]) -> list[tuple[Cause, int]]:
    """Each cause with how many differences it explains, the one that explains most first."""
    return Counter(cause for cause in found if cause is not None).most_common()
