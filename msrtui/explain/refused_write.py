"""``failed to set MSR``: why KVM may have refused that value, by the MSR, the value and, with a host, its KVM.

The families are those that people met: nested controls, the PMU, UMWAIT, ARCH_CAPABILITIES. What a public report
leaves open is said to be open, and what is only inferred from the numbers is likely, no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from msrtui.errors import BadRequest
from msrtui.explain.acceptance import ARCH_ABSENT, ARCH_GATE, CONTROL_MSRS, DERIVED, VMX_MSRS
from msrtui.explain.answer import LIKELY, PROBE, SURE, Cause, Certainty, Diagnosis, Remedy
from msrtui.explain.messages import FailedToSetMsr
from msrtui.explain.naming import feature_names, label, named_bits, refused_bits
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import labels
from msrtui.qemu.words import HIDDEN_FROM_AMD_SINCE

if TYPE_CHECKING:
    from msrtui.explain.on_host import Host, RefusedHere

PMU_MSRS = frozenset(
    (
        *range(0xC1, 0xC9),
        *range(0x186, 0x18E),
        *range(0x309, 0x310),
        *range(0x38D, 0x391),
        0x3F1,
        *range(0x4C1, 0x4C9),
        *range(0xC0010000, 0xC0010008),
        *range(0xC0010200, 0xC001020C),
        *range(0xC0000300, 0xC0000304),
    )
)
"""Counters, their selectors and the global controls, Intel's and AMD's."""

ADDED_BY_QEMU = (3, 11, 12, 16, 20)
"""The secondary controls that QEMU adds to 0x48b by CPUID: rdtscp, rdrand, invpcid, rdseed, xsaves.

Source: target/i386/kvm/kvm.c kvm_arch_get_supported_msr_feature (4.2 always; since 5.0 where KVM does not list 0x48b).
"""

INIT_MSRS = frozenset((*VMX_MSRS, 0x8B, 0xCF, 0x10A, 0x345))
"""What QEMU writes to a new vCPU; anything else is of the state that it puts later."""

_NAMED_PIN_CONTROLS = (0, 3, 5)
"""External-interrupt, NMI and virtual-NMI exiting."""

SYNTHESISED = 1 << 0 | 1 << 3 | 1 << 5 | 1 << 6
"""RDCL_NO, SKIP_L1DFL_VMENTRY, MDS_NO, PSCHANGE_MC_NO: what KVM may say by the kernel's own list of bugs."""


def explain_write(message: FailedToSetMsr, profile: QemuProfile, host: Host | None) -> Diagnosis:
    """The whole answer for one refused MSR."""
    index, value = message.index, message.value
    if message.get or value is None:
        cause = Cause("kvm-refused-the-read", SURE, {"index": index})
        # what cannot be read back is refused for a reason that is not in the message
        return Diagnosis(message, (cause,), tuple(_open_remedies(host)), PROBE, index, value, host=host)
    here = None
    if host is not None:
        from msrtui.explain.on_host import refused_here  # foretelling is dear to import, and needs a host

        here = refused_here(host, index, value)
    causes = (Cause("kvm-refused-the-write", SURE, {"index": index}), *_causes(profile, index, value, here))
    remedies = tuple(_remedies(profile, index, value, here))
    broken = here.refused if here is not None else ()
    return Diagnosis(
        message,
        causes,
        remedies,
        _certainty(causes, here),
        index,
        value,
        named_bits(profile, index, value),
        refused_bits(profile, index, broken),
        host,
        here,
    )


def _certainty(causes: tuple[Cause, ...], here: RefusedHere | None) -> Certainty:
    """Of the whole: what a vCPU showed and a rule of this host's KVM are sure; else as sure as the reasons found."""
    if here is not None and (here.refused or here.settled):
        return SURE
    found = {cause.certainty for cause in causes[1:]}
    if PROBE in found or not found:
        return PROBE
    return LIKELY if LIKELY in found else SURE


# --- reasons -----------------------------------------------------------------------------------------------------
def _causes(profile: QemuProfile, index: int, value: int, here: RefusedHere | None) -> Iterator[Cause]:
    high = value >> 32
    if here is not None and here.settled:
        yield _shown(here)
    if index in DERIVED or index == 0xCF:
        yield Cause("never-writable", SURE, {"index": index})
    elif index in PMU_MSRS:
        yield Cause("pmu-counters-missing", LIKELY, {"index": index})
    elif index == 0x48B:
        yield from _secondary(profile, high, here)
    elif index == 0x48D:
        yield from _pin(profile, value)
    elif index == 0x48E:
        yield Cause("controls-of-older-kernels", LIKELY, {})
        yield Cause("control-not-offered", LIKELY, {})
    elif index in (0x48F, 0x490):
        yield Cause("control-not-offered", LIKELY, {})
        yield from _open(here)
    elif index == 0xE1:
        yield Cause("umwait-without-waitpkg", LIKELY, {})
    elif index == 0x10A:
        if value and not value & ~SYNTHESISED:
            yield Cause("arch-capabilities-synthesised", SURE, {})
        if here is None or not here.settled:
            yield Cause("arch-capabilities-gate", PROBE, {})
    elif index == 0x480 and value == 0:
        yield Cause("vmx-msrs-absent", LIKELY, {})
    elif index == 0x345:
        yield Cause("perf-capabilities-gate", LIKELY, {})
    elif index in VMX_MSRS:
        yield Cause("not-within-kvms-own", LIKELY, {"index": index})
    else:
        yield Cause("not-an-init-write", PROBE, {"index": index, "init": index in INIT_MSRS})


def _shown(here: RefusedHere) -> Cause:
    """What a vCPU of this host showed."""
    found = here.verdict
    if found.taken:
        return Cause("vcpu-took-it", SURE, {"tried": found.tried, "taken": True})
    if found.rule == ARCH_GATE:
        return Cause("arch-capabilities-dropped", SURE, {"tried": found.tried})
    if found.rule == ARCH_ABSENT:
        return Cause("arch-capabilities-absent", SURE, {"tried": found.tried})
    return Cause("vcpu-refused-it", SURE)


def _secondary(profile: QemuProfile, high: int, here: RefusedHere | None) -> Iterator[Cause]:
    suspects = [bit for bit in ADDED_BY_QEMU if high >> bit & 1]
    if here is not None and here.added:
        names = [label(profile, 0x48B, bit) for bit in here.added if high >> bit & 1]
        yield Cause("controls-qemu-adds", SURE, {"names": names, "here": True})
    elif suspects and (here is None or here.system is None):
        names = [label(profile, 0x48B, bit) for bit in suspects]
        yield Cause("controls-qemu-adds", LIKELY, {"names": names, "here": False})
    else:
        yield Cause("control-not-offered", LIKELY, {})


def _pin(profile: QemuProfile, value: int) -> Iterator[Cause]:
    """Without the three named controls that every VMX CPU has: they were reported as must be 1, and were lost.

    QEMU keeps controls that may be 1 and need not be; of the others it restores the default-1 class alone.
    """
    high = value >> 32
    lost = [bit for bit in _NAMED_PIN_CONTROLS if not high >> bit & 1]
    if len(lost) == len(_NAMED_PIN_CONTROLS) and value & 0xFFFF_FFFF == 0x16:
        yield Cause("must-be-1-inferred", LIKELY, {"names": [label(profile, 0x48D, bit) for bit in lost]})
        return
    yield Cause("control-not-offered", LIKELY, {})
    yield Cause("no-cause-known", PROBE, {})


def _open(here: RefusedHere | None) -> Iterator[Cause]:
    """No public report of this MSR says which control it was."""
    if here is None:
        yield Cause("no-cause-known", PROBE, {})


# --- what to do --------------------------------------------------------------------------------------------------
def _remedies(profile: QemuProfile, index: int, value: int, here: RefusedHere | None) -> Iterator[Remedy]:
    if here is not None and here.cure is not None:
        cpu, names = here.cure
        yield Remedy("cpu-without", "guest-lacks", SURE, {"cpu": cpu, "names": list(names), "worked_out": True})
    # what makes QEMU write this MSR left out of the -cpu: foretold to start, on this host
    starts = None if here is None or not here.instead else here.instead[0].evidence
    base = "host" if here is None else here.guest.request.text
    known: Certainty = LIKELY if starts is None else SURE
    if here is None:
        yield Remedy("give-host", "nothing", SURE, {})
    if index in PMU_MSRS:
        yield Remedy("pmu-off", "no-counters", LIKELY, {})
        yield Remedy("outer-counters", "outer-setting", LIKELY, {})
        yield Remedy("kvm-pmu-off", "module-reload", LIKELY, {})
        return
    if index == 0x10A:
        yield from _arch_capabilities(here)
        return
    if index == 0x345:
        yield Remedy("pmu-off", "no-counters", known, {"base": base, "starts": starts})
        yield Remedy("cpu-without", "guest-lacks", LIKELY, {"cpu": f"{base},-pdcm", "names": ["pdcm"]})
    elif index == 0xE1:
        yield Remedy("newer-kernel", "host-reboot", LIKELY, {"version": ""})
    elif index in VMX_MSRS:
        yield from _nested(profile, index, value, here)
        yield Remedy("cpu-without-vmx", "no-nested", SURE, {"base": base, "starts": starts})
    else:
        yield from _open_remedies(here.host if here is not None else None)
    if here is not None and not here.refused and not here.settled:
        yield Remedy("probe", "scratch-vm", SURE, {})


def _nested(profile: QemuProfile, index: int, value: int, here: RefusedHere | None) -> Iterator[Remedy]:
    high = value >> 32
    if here is not None and here.refused and here.cure is None and here.system is not None:
        names = feature_names(profile, index, sum(each.mask for each in here.refused))
        if names and index in CONTROL_MSRS:
            cpu = ",".join(["host", *(f"-{name}" for name in names)])
            yield Remedy("cpu-without", "guest-lacks", LIKELY, {"cpu": cpu, "names": list(names)})
    elif index == 0x48B and (here is None or here.cure is None):
        added = sum(1 << bit for bit in ADDED_BY_QEMU if high >> bit & 1)
        names = feature_names(profile, index, added << 32)
        if "vmx-rdseed-exit" in names:
            yield Remedy(
                "cpu-without", "guest-lacks", LIKELY, {"cpu": "host,-vmx-rdseed-exit", "names": ["vmx-rdseed-exit"]}
            )
        if len(names) > 1:
            cpu = ",".join(["host", *(f"-{name}" for name in names)])
            yield Remedy("cpu-without", "guest-lacks", LIKELY, {"cpu": cpu, "names": list(names)})
    elif index == 0x48E and (here is None or here.cure is None):
        params = {"cpu": "host,-vmx-rdseed-exit", "names": ["vmx-rdseed-exit"]}
        yield Remedy("cpu-without", "guest-lacks", LIKELY, params)
    if index == 0x480 and value == 0:
        yield Remedy("newer-qemu", "qemu-upgrade", LIKELY, {"version": ""})
        yield Remedy("nested-on", "module-reload", LIKELY, {})
        return
    if index in (0x48B, 0x48E):
        if here is None or labels()[-1] not in {writer.version for writer in here.writers}:
            yield Remedy("newer-qemu", "qemu-upgrade", LIKELY, {"version": "5.0"})
        yield Remedy("newer-kernel", "host-reboot", LIKELY, {"version": "5.3"})
    elif index in CONTROL_MSRS:
        yield Remedy("newer-kernel", "host-reboot", LIKELY, {"version": ""})


def _arch_capabilities(here: RefusedHere | None) -> Iterator[Remedy]:
    settled = here is not None and here.settled
    if here is None or not settled or here.verdict.taken:
        yield Remedy("probe", "scratch-vm", SURE, {})
    if here is not None and settled and here.verdict.taken:
        return  # it was another host: nothing here is to be cured
    names, since = ["arch-capabilities"], "4.2"
    if here is not None and here.instead:
        (other,) = here.instead
        params = {"cpu": other.request.text, "names": names, "since": since, "starts": other.evidence}
        yield Remedy("cpu-without", "mitigations", SURE, params)
    else:
        base = "host" if here is None else here.guest.request.text
        params = {"cpu": f"{base},-arch-capabilities", "names": names, "since": since}
        yield Remedy("cpu-without", "mitigations", LIKELY, params)
    if here is None or _writes_zero(here.host, _hides_from_amd(), here.host.cpu):
        yield Remedy("machine-type", "guest-restart", LIKELY, {"version": "10.1"})
    yield Remedy("ignore-msrs", "hides-refusals", LIKELY, {})


def _hides_from_amd() -> QemuProfile:
    """The oldest QEMU known here that hides ARCH_CAPABILITIES from AMD guests."""
    profiles = map(QemuProfile, labels())
    return next(each for each in profiles if each.version >= HIDDEN_FROM_AMD_SINCE)


def _writes_zero(host: Host, profile: QemuProfile, cpu: str) -> bool:
    try:
        return host.conversation(profile, cpu).value_of(0x10A) == 0
    except BadRequest:
        return False  # that version has no such model


def _open_remedies(host: Host | None) -> Iterator[Remedy]:
    yield Remedy("probe", "scratch-vm", SURE, {})
    yield Remedy("newer-kernel", "host-reboot", LIKELY, {"version": ""})
