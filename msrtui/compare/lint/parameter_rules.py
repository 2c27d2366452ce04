"""What hides things: module parameters that are off, the kernel's switches, and parameters that say otherwise than KVM.

Of parameters that a module switches off itself only the one that leads is named (``causes.FOLLOWS``).
"""

from __future__ import annotations

from collections.abc import Iterator

from msrtui.compare.causes import FOLLOWS
from msrtui.compare.lint.answers import Answers
from msrtui.compare.lint.rules import Found, rule
from msrtui.subjects import Subject

_VMX, _SVM, _NPT = ("FEAT_1_ECX", 5), ("FEAT_8000_0001_ECX", 2), ("FEAT_SVM", 0)
NESTED = (("kvm_intel", _VMX), ("kvm_amd", _SVM))
OFF: tuple[tuple[str, str, tuple[Subject, ...]], ...] = (
    ("kvm_intel", "ept", (("word", "FEAT_VMX_EPT_VPID_CAPS"), ("bit", "FEAT_VMX_SECONDARY_CTLS", 1))),
    ("kvm_intel", "unrestricted_guest", (("bit", "FEAT_VMX_SECONDARY_CTLS", 7),)),
    ("kvm_intel", "vpid", (("bit", "FEAT_VMX_SECONDARY_CTLS", 5),)),
    ("kvm_amd", "npt", (("bit", *_NPT),)),
    ("kvm", "enable_pmu", (("bit", "FEAT_1_ECX", 15), ("word", "FEAT_PERF_CAPABILITIES"))),
)
"""(module, parameter, what it takes away). The module switches some off itself where the CPU or the hypervisor under
the host has not what they need; of Intel's nothing that can be read tells which it was."""
_HARMLESS = ("auto", "auto,nosmt")


@rule("nested-says-otherwise", "wrong", "cpuid", "parameters")
def _nested(host: Answers) -> Iterator[Found]:
    """The parameter nested and the bit in KVM's CPUID are one variable of the module."""
    for module, bit in NESTED:
        on = host.switched(module, "nested")
        if on is not None and host.about.vendor_module == module and on != host.offers(*bit):
            yield Found((("parameter", module, "nested"), ("bit", *bit)), {"module": module, "on": on, "bit": bit})


@rule("ignore-msrs-on", "hidden", "parameters")
def _ignore(host: Answers) -> Iterator[Found]:
    """Unknown MSRs read as 0 and writes to them vanish: what KVM would refuse cannot be seen."""
    if host.switched("kvm", "ignore_msrs"):
        quiet = host.switched("kvm", "report_ignored_msrs") is False
        yield Found(
            (("parameter", "kvm", "ignore_msrs"), ("parameter", "kvm", "report_ignored_msrs")), {"quiet": quiet}
        )


@rule("nested-off", "hidden", "parameters")
def _nested_off(host: Answers) -> Iterator[Found]:
    """No guest gets VMX or SVM."""
    for module, bit in NESTED:
        if host.switched(module, "nested") is False:
            yield Found((("parameter", module, "nested"), ("bit", *bit)), {"module": module, "bit": bit})


@rule("switched-off", "hidden", "parameters")
def _off(host: Answers) -> Iterator[Found]:
    """A parameter that is off and takes something from what guests, or guests of guests, are offered."""
    off = {name for module, name, _ in OFF if host.switched(module, name) is False}
    for module, name, lost in OFF:
        if name not in off or FOLLOWS.get(name) in off:
            continue
        if name == "npt" and host.cpu_has(*_NPT) is False:
            continue  # the CPU has none: nothing is hidden
        if name in ("vpid", "unrestricted_guest", "ept") and host.switched("kvm_intel", "nested") is False:
            continue  # hidden already, with all of VMX
        yield Found((("parameter", module, name), *lost), {"module": module, "name": name})


@rule("l1d-flush-never", "hidden", "parameters")
def _flush(host: Answers) -> Iterator[Found]:
    """In this mode KVM does not tell guests that they need not flush L1D themselves."""
    if host.about.parameters.get("kvm_intel", {}).get("vmentry_l1d_flush") == "never":
        yield Found((("parameter", "kvm_intel", "vmentry_l1d_flush"), ("bit", "FEAT_ARCH_CAPABILITIES", 3)))


@rule("mitigations-switched", "hidden")
def _mitigations(host: Answers) -> Iterator[Found]:
    """The kernel's switches decide what it counts as flaws, and with that what KVM says in ARCH_CAPABILITIES."""
    switched = [
        each
        for each in host.about.command_line
        if not each.startswith("kvm") and each.partition("=")[2] not in _HARMLESS
    ]
    if switched:
        yield Found((("word", "FEAT_ARCH_CAPABILITIES"),), {"switches": switched})


@rule("virtualization-with-the-first-vm", "note", "parameters")
def _at_load(host: Answers) -> Iterator[Found]:
    """enable_virt_at_load=N: another hypervisor that holds the CPUs is noticed when the first VM starts, not before."""
    if host.switched("kvm", "enable_virt_at_load") is False:
        yield Found((("parameter", "kvm", "enable_virt_at_load"),))
