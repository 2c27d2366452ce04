"""An error message in, a diagnosis out: what each message of a text means, the one that ended it first.

Works on what ``reading`` found, and where a host is given on what that host's KVM says; makes no sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from msrtui.explain import lacking
from msrtui.explain import messages as m
from msrtui.explain.answer import CHEAPEST_FIRST, LIKELY, PROBE, SURE, Cause, CauseId, Diagnosis, Remedy
from msrtui.explain.kernel_lines import explain_access, explain_plain, explain_vmxon
from msrtui.explain.reading import decisive, mentioned, read_messages
from msrtui.explain.refused_write import explain_write
from msrtui.qemu.profile import QemuProfile
from msrtui.values import replace

if TYPE_CHECKING:
    from msrtui.explain.on_host import Host


class Explanation(NamedTuple):
    """The answer for a text.

    ``decisive`` is the diagnosis of the message that ended it, None where no message is known; ``all`` are those of
    every message, in the text's order; ``more`` different messages were left out. ``mentioned`` are numbers of an
    unknown text that may be an MSR and its value.
    """

    decisive: Diagnosis | None
    all: tuple[Diagnosis, ...]
    more: int
    mentioned: tuple[tuple[int, int], ...]


def explain(text: str, profile: QemuProfile, host: Host | None = None) -> Explanation:
    """Explain every known message of ``text`` by the names of ``profile``, held against ``host`` where there is one.

    Raises BadRequest where the host's ``-cpu`` is none of that QEMU.
    """
    read = read_messages(text)
    if not read.messages:
        return Explanation(None, (), 0, tuple(mentioned(read.text)))
    first = decisive(read.messages)
    found = {message: diagnose(message, profile, host, read.messages) for message in read.messages}
    return Explanation(found[first] if first is not None else None, tuple(found.values()), read.more, ())


def diagnose(
    message: m.Message, profile: QemuProfile, host: Host | None = None, others: Sequence[m.Message] = ()
) -> Diagnosis:
    """What one message means; ``others`` are all messages of its text. What to do stands in the order of its cost."""
    found = _diagnosed(message, profile, host, others)
    ways = [way for way in found.remedies if way.id != "give-host" or host is None]
    if host is not None and found.msr == _PERF_CAPABILITIES:
        system = host.system_value(_PERF_CAPABILITIES)
        form = {} if system is None else {"value": system & _LBR_FORMAT}
        ways = [way._replace(params=form) if way.id == "lbr-as-host" else way for way in ways]
    return replace(found, remedies=tuple(sorted(ways, key=lambda way: CHEAPEST_FIRST.index(way.cost))))


def _diagnosed(message: m.Message, profile: QemuProfile, host: Host | None, others: Sequence[m.Message]) -> Diagnosis:
    match message:
        case m.FailedToSetMsr():
            return explain_write(message, profile, host)
        case m.FeatureMsrUnreadable():
            cause = Cause("listed-but-unreadable", SURE, {"index": message.index, "reason": message.reason})
            ways = (
                Remedy("doctor", "nothing", SURE, {}),
                Remedy("newer-kernel", "host-reboot", LIKELY, {"version": ""}),
            )
            return Diagnosis(message, (cause,), ways, SURE, message.index, host=host)
        case m.QemuEnded(what="enforced"):
            return lacking.explain_enforced(message, profile, host, others)
        case m.QemuEnded():
            cause = Cause(message.what, SURE, {"detail": message.detail})
            return Diagnosis(
                message, (cause,), _ENDS.get(message.what, (_DOCTOR,)), SURE, _MSR.get(message.what), host=host
            )
        case m.QemuFollowed():
            return _followed(message, host)
        case m.NoSuchModel():
            cause = Cause("no-such-model", SURE, {"name": message.name})
            return Diagnosis(message, (cause,), (Remedy("list-models", "nothing", SURE, {}),), SURE, host=host)
        case m.FeatureLine():
            return lacking.explain_feature(message, profile, host, others)
        case m.Avx10Lowered():
            return lacking.explain_avx10(message, host)
        case m.LibvirtCpuDiffers():
            return lacking.explain_differs(message, profile, host)
        case m.LibvirtIncompatible():
            return lacking.explain_incompatible(message, profile, host)
        case m.LibvirtUnacceptable():
            return lacking.explain_unacceptable(message, host)
        case m.UnknownFeature():
            return lacking.explain_unknown_feature(message, profile, host)
        case m.KernelMsrAccess() | m.GuestMsrFault() | m.MonitorMsrShort():
            return explain_access(message, profile, host)
        case m.VmxonFaulted():
            return explain_vmxon(message, profile, host)
        case _:
            return explain_plain(message, profile, host)


_PERF_CAPABILITIES, _LBR_FORMAT = 0x345, 0x3F
_PUTS = ("kvm_buf_set_msrs", "kvm_put_msrs", "kvm_get_msrs")


def _followed(message: m.QemuFollowed, host: Host | None) -> Diagnosis:
    """A last line without the MSR: which one it was stands a line before, or nowhere."""
    if message.function in _PUTS:
        cause = Cause("msr-not-quoted", PROBE, {})
        ways: tuple[Remedy, ...] = (Remedy("probe", "scratch-vm", SURE, {}),)
        return Diagnosis(message, (cause,), ways, PROBE, host=host)
    why: CauseId = "vcpu-not-made" if message.function == "kvm_init_vcpu" else "followed"
    cause = Cause(why, SURE, {"function": message.function, "detail": message.detail})
    return Diagnosis(message, (cause,), (_DOCTOR,), LIKELY, host=host)


_DOCTOR = Remedy("doctor", "nothing", SURE, {})
_NEWER_KERNEL = Remedy("newer-kernel", "host-reboot", LIKELY, {"version": ""})
_ENDS: Mapping[m.EndId, tuple[Remedy, ...]] = {
    "kvm-not-accessible": (_DOCTOR,),
    "no-such-property": (Remedy("list-features", "nothing", SURE, {}),),
    "lbr-without-pmu": (
        Remedy("lbr-as-host", "nothing", SURE, {}),
        Remedy("pmu-on", "module-reload", LIKELY, {}),
    ),
    "lbr-format-differs": (Remedy("lbr-as-host", "nothing", SURE, {}),),
    "guest-phys-bits": (_NEWER_KERNEL,),
    "userspace-apic": (Remedy("irqchip-on", "guest-restart", SURE, {}),),
    "capability-missing": (_NEWER_KERNEL,),
    "kvm-version": (_NEWER_KERNEL,),
    "cpu-pm-refused": (_NEWER_KERNEL,),
    "feature-list-empty": (_NEWER_KERNEL,),
    "feature-list-failed": (_NEWER_KERNEL,),
    "mce-banks": (_NEWER_KERNEL,),
    "irqfd-missing": (_NEWER_KERNEL,),
    "xsave-area": (_NEWER_KERNEL,),
    "cpuid-full": (Remedy("smaller-model", "fewer-features", LIKELY, {}),),
}
_MSR: Mapping[m.EndId, int] = {"lbr-without-pmu": 0x345, "lbr-format-differs": 0x345}
