"""kvm_init and kvm_arch_init as far as MSRs and CPUID are concerned: the phases, in order.

Source: accel/kvm/kvm-all.c kvm_init, kvm_irqchip_create; target/i386/kvm/kvm.c kvm_arch_init,
kvm_arch_irqchip_create.
"""

from __future__ import annotations

from collections.abc import Iterable

from msrtui.kvm import abi
from msrtui.kvm.abi import Cap
from msrtui.kvm.requests import CheckExtension, GetApiVersion, OpenDevice
from msrtui.qemu import last_words
from msrtui.qemu.capability_checks import AskVm, Check, OnVm, Require, StartChecks, start_of
from msrtui.qemu.msrs import kvm_get_supported_feature_msrs, kvm_get_supported_msrs
from msrtui.qemu.negotiation import Negotiation, NotDone, ask, within
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.state import KvmState
from msrtui.values import replace

_Found = dict[Cap, int | None]
"""What KVM said of each capability, an error being 0; None where the source does not say."""


def kvm_check_extension(cap: Cap) -> Negotiation[int | None]:
    """kvm_check_extension on the system fd: what KVM answers, any error counting as 0.

    None where a recording does not hold the capability: QEMU is then taken to go on, without what depends on it.
    """
    reply = yield from ask(CheckExtension(int(cap)))
    return None if reply.result is None else max(reply.result, 0)


def _run(checks: Iterable[Check], profile: QemuProfile, found: _Found) -> Negotiation[None]:
    for check in checks:
        if isinstance(check, Require):
            found[check.cap] = yield from kvm_check_extension(check.cap)
            if found[check.cap] == 0:
                raise last_words.capability_missing(profile, check.cap)
        elif check.after is not None and not found.get(check.after):
            continue
        elif isinstance(check, OnVm):
            yield _not_done(check)
        elif isinstance(check, AskVm):
            yield NotDone("KVM_CHECK_EXTENSION", "vm", {"capability": check.cap.symbol})
        else:
            found[check.cap] = yield from kvm_check_extension(check.cap)


def _not_done(step: OnVm) -> NotDone:
    argument = dict(step.argument)
    if step.capability is not None:
        argument["capability"] = step.capability.symbol
    return NotDone(step.ioctl, step.fd, argument)


def kvm_init(profile: QemuProfile) -> Negotiation[KvmState]:
    """From open(2) to the irqchip. Returns what QEMU knows then; raises QemuExit where QEMU would end."""
    return (yield from within("kvm_init", _kvm_init(profile), phase="kvm_init"))


def _kvm_init(profile: QemuProfile) -> Negotiation[KvmState]:
    checks, found = start_of(profile), _Found()
    opened = yield from ask(OpenDevice())
    if opened.errno is not None:
        raise last_words.not_accessible(profile, opened.errno)
    version = yield from ask(GetApiVersion())
    if version.result is not None and version.result != abi.API_VERSION:
        raise last_words.wrong_api_version(profile, version.result, version.errno)
    yield from _run(checks.before_lists, profile, found)
    state = yield from within("kvm_arch_init", _kvm_arch_init(profile, checks, found), phase="kvm_arch_init")
    yield from _run(checks.after_arch, profile, found)
    if checks.irqchip:
        created = yield from within("kvm_irqchip_create", _kvm_irqchip_create(profile, checks, found))
        if not created:
            state = replace(state, profile=replace(profile, irqchip="off"))
    return state


def _kvm_arch_init(profile: QemuProfile, checks: StartChecks, found: _Found) -> Negotiation[KvmState]:
    yield from _run(checks.arch_first, profile, found)
    if checks.arch_first and found[Cap.IRQ_ROUTING] == 0:
        raise last_words.irq_routing_missing(profile)
    yield from _run(checks.arch_before_lists, profile, found)
    state = KvmState(profile)
    flags = yield from within("kvm_get_supported_msrs", kvm_get_supported_msrs(profile), phase="index_list")
    state = replace(state, flags=flags)
    feature_msrs = yield from within(
        "kvm_get_supported_feature_msrs", kvm_get_supported_feature_msrs(profile), phase="feature_list"
    )
    state = replace(state, feature_msrs=feature_msrs)
    yield from _run(checks.arch_after_lists, profile, found)
    yield from _run(checks.cpu_pm, profile, found)
    # a KVM from before 4.17 does not know the capability and so refuses to switch it on
    if checks.cpu_pm and found[Cap.X86_DISABLE_EXITS] == 0 and (end := last_words.cpu_pm_refused(profile)):
        raise end
    yield from _run(checks.arch_last, profile, found)
    return state


def _kvm_irqchip_create(profile: QemuProfile, checks: StartChecks, found: _Found) -> Negotiation[bool]:
    """Whether KVM has an irqchip then. Without KVM_CAP_IRQCHIP QEMU goes on as with kernel-irqchip=off."""
    yield from _run(checks.irqchip, profile, found)
    if found[Cap.IRQCHIP] == 0 and not (yield from kvm_check_extension(Cap.S390_IRQCHIP)):
        return False
    yield from _run(checks.irqchip_there, profile, found)
    if checks.irqchip_there and found[Cap.IRQFD] == 0:
        raise last_words.irqfd_missing()
    if profile.irqchip == "split":
        yield NotDone("KVM_ENABLE_CAP", "vm", {"capability": Cap.SPLIT_IRQCHIP.symbol})
    else:
        yield NotDone("KVM_CREATE_IRQCHIP", "vm")
    yield from _run(checks.irqchip_routing, profile, found)
    yield from _run(checks.split_routing, profile, found)
    return True
