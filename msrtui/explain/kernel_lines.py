"""What the kernel says, on the host or in the guest, what other monitors say, and troubles without a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msrtui.explain import messages as m
from msrtui.explain.answer import LIKELY, SURE, Cause, CauseId, Diagnosis, MsrHere, Remedy
from msrtui.explain.naming import named_bits
from msrtui.qemu.profile import QemuProfile

if TYPE_CHECKING:
    from msrtui.explain.on_host import Host

SPEC_CTRL, HWCR, FEATURE_CONTROL = 0x48, 0xC0010015, 0x3A
_NONE = Remedy("nothing", "nothing", LIKELY, {})
_GIVE = Remedy("give-host", "nothing", SURE, {})


def explain_access(
    message: m.KernelMsrAccess | m.GuestMsrFault | m.MonitorMsrShort, profile: QemuProfile, host: Host | None
) -> Diagnosis:
    """A guest touched an MSR that KVM does not know, or another monitor tried to."""
    if isinstance(message, m.MonitorMsrShort):
        return _short(message, profile, host)
    index = message.index
    ignored = isinstance(message, m.KernelMsrAccess) and message.ignored
    causes = [Cause("guest-was-ignored" if ignored else "guest-got-a-fault", SURE, {"write": message.write})]
    if not ignored and message.write and message.value == 0:
        causes.append(Cause("write-of-zero", SURE, {}))
    remedies = [_NONE, *([_GIVE] if host is None else [])]
    if index == SPEC_CTRL:
        causes.append(Cause("speculation-control-not-seen", LIKELY, {}))
        remedies.append(Remedy("cpu-without", "mitigations", LIKELY, {"cpu": "host,-amd-psfd", "names": ["amd-psfd"]}))
    remedies += [] if ignored else [Remedy("ignore-msrs", "hides-refusals", LIKELY, {})]
    value = message.value
    return Diagnosis(
        message,
        tuple(causes),
        tuple(remedies),
        LIKELY if index == SPEC_CTRL else SURE,
        index,
        value,
        () if value is None else named_bits(profile, index, value),
        host=host,
        access=None if host is None else access_here(host, index),
    )


def access_here(host: Host, index: int) -> MsrHere:
    """In which of KVM's lists an MSR is on a host, and what the host does with one that KVM does not know."""
    state = host.conversation().state
    indexed = None if state.index_list is None else index in state.index_list
    featured = (
        False if state.without_feature_list else None if state.feature_list is None else index in state.feature_list
    )
    ignores = {"Y": True, "1": True, "N": False, "0": False}.get(host.parameter("kvm", "ignore_msrs") or "")
    return MsrHere(indexed, featured, ignores)


def _short(message: m.MonitorMsrShort, profile: QemuProfile, host: Host | None) -> Diagnosis:
    remedies = (
        Remedy("check-count", "code-change", SURE, {}),
        Remedy("newer-kernel", "host-reboot", LIKELY, {"version": ""}),
    )
    access = None if host is None or message.index is None else access_here(host, message.index)
    cause = Cause("monitor-stopped-short", SURE, {})
    return Diagnosis(message, (cause,), remedies, SURE, message.index, host=host, access=access)


def explain_vmxon(message: m.VmxonFaulted, profile: QemuProfile, host: Host | None) -> Diagnosis:
    """VMXON faulted although FEATURE_CONTROL allows it, or because it does not."""
    cause = Cause("feature-control-value", LIKELY, {"value": message.value, "allows": message.value & 5 == 5})
    remedies = (
        Remedy("compare-hosts", "nothing", LIKELY, {}),
        Remedy("restart-guest", "guest-restart", LIKELY, {}),
        Remedy("firmware-on", "host-reboot", LIKELY, {}),
    )
    bits = named_bits(profile, FEATURE_CONTROL, message.value)
    return Diagnosis(message, (cause,), remedies, LIKELY, FEATURE_CONTROL, message.value, bits, host=host)


_PLAIN: Mapping[type[m.Message], tuple[CauseId, tuple[Remedy, ...]]] = {
    m.InconsistentVmcsConfig: (
        "vmcs-config-differs",
        (
            Remedy("restart-guest", "guest-restart", LIKELY, {}),
            Remedy("compare-hosts", "nothing", LIKELY, {}),
            Remedy("same-level", "host-reboot", LIKELY, {}),
        ),
    ),
    m.VirtualizationNotEnabled: (
        "cpu-not-enabled",
        (Remedy("restart-guest", "guest-restart", LIKELY, {}), Remedy("same-level", "host-reboot", LIKELY, {})),
    ),
    m.TscFirmwareBug: ("tsc-and-hwcr", (_NONE,)),
    m.SplitLock: ("split-lock-policy", (_NONE, Remedy("split-lock-off", "split-lock", SURE, {}))),
}

_SYMPTOMS: Mapping[m.SymptomId, tuple[Remedy, ...]] = {
    "lbr-format-by-hand": (
        Remedy("lbr-as-host", "nothing", SURE, {}),
        _GIVE,
    ),
    "stale-node-labels": (
        Remedy("compare-hosts", "nothing", SURE, {}),
        Remedy("refresh-labels", "nothing", LIKELY, {}),
    ),
    "no-svm-with-host-model": (Remedy("host-model-policy", "guest-restart", LIKELY, {}), _GIVE),
    "windows-and-arch-capabilities": (
        Remedy(
            "cpu-without", "mitigations", LIKELY, {"cpu": "host,-arch-capabilities", "names": ["arch-capabilities"]}
        ),
        Remedy("machine-type", "guest-restart", LIKELY, {"version": "10.1"}),
    ),
    "feature-control-hot-plug": (Remedy("restart-guest", "guest-restart", LIKELY, {}),),
    "mshv-lists-too-much": (Remedy("check-count", "code-change", LIKELY, {}),),
}
_ABOUT: Mapping[m.SymptomId, int] = {
    "lbr-format-by-hand": 0x345,
    "windows-and-arch-capabilities": 0x10A,
    "feature-control-hot-plug": FEATURE_CONTROL,
}


def explain_plain(message: m.Message, profile: QemuProfile, host: Host | None) -> Diagnosis:
    """The lines whose answer is the same wherever they are from. Raises KeyError for another kind."""
    if isinstance(message, m.Symptom):
        msr = _ABOUT.get(message.what)
        bits = named_bits(profile, 0x345, message.value) if message.value is not None else ()
        cause = Cause(message.what, LIKELY, {"value": message.value})
        return Diagnosis(message, (cause,), _SYMPTOMS[message.what], LIKELY, msr, message.value, bits, host=host)
    if isinstance(message, m.NoHardwareSupport):
        why: CauseId = "off-in-firmware" if message.bios else "no-hardware-support"
        ways: tuple[Remedy, ...] = (
            Remedy("doctor", "nothing", SURE, {}),
            Remedy("firmware-on", "host-reboot", LIKELY, {}),
        )
        return Diagnosis(message, (Cause(why, LIKELY, {}),), ways, LIKELY, host=host)
    if isinstance(message, m.MsrDeviceRefused):
        why = "raw-msr-locked" if message.lockdown else "msr-device-missing"
        ways = (Remedy("capture-instead", "nothing", SURE, {}),)
        return Diagnosis(message, (Cause(why, SURE, {}),), ways, SURE, host=host)
    if isinstance(message, m.IntelPtLeaf):
        ways = (Remedy("min-level", "guest-restart", SURE, {}),)
        return Diagnosis(message, (Cause("intel-pt-leaf", SURE, {}),), ways, SURE, host=host)
    cause_id, remedies = _PLAIN[type(message)]
    msr = HWCR if isinstance(message, m.TscFirmwareBug) else None
    certainty = SURE if isinstance(message, m.SplitLock) else LIKELY
    params = {"program": message.program} if isinstance(message, m.SplitLock) else {}
    return Diagnosis(message, (Cause(cause_id, certainty, params),), remedies, certainty, msr, host=host)
