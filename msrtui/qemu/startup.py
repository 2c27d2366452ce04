"""kvm_init and kvm_arch_init as far as MSRs and CPUID are concerned: the phases, in order.

Source: accel/kvm/kvm-all.c kvm_init, kvm_irqchip_create; target/i386/kvm/kvm.c kvm_arch_init,
kvm_arch_get_supported_cpuid, kvm_arch_irqchip_create.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from msrtui.kvm import abi
from msrtui.kvm.abi import Cap
from msrtui.kvm.requests import CheckExtension, GetApiVersion, OpenDevice
from msrtui.qemu.capability_checks import CHECKS, Ask, AskVm, Check, OnVm, Require
from msrtui.qemu.msrs import kvm_get_supported_feature_msrs, kvm_get_supported_msrs
from msrtui.qemu.negotiation import Negotiation, NotDone, QemuExit, ask, within
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.state import KvmState

_UPGRADE = "Please upgrade to at least kernel 2.6.29 or recent kvm-kmod\n(see http://sourceforge.net/projects/kvm)."


def failed_to_initialize(errno: int, before: str = "") -> QemuExit:
    """QEMU's last words when kvm_init returns -errno: ``before``, then the accelerator's line; exit status 1."""
    line = f"qemu-system-x86_64: -accel kvm: failed to initialize kvm: {abi.errno_text(errno)}"
    return QemuExit(f"{before}\n{line}" if before else line, 1)


def kvm_check_extension(cap: Cap) -> Negotiation[int]:
    """kvm_check_extension on the system fd: what KVM answers, any error counting as 0.

    A recording that does not hold the capability counts as 0 too; the event says that it is not known.
    """
    reply = yield from ask(CheckExtension(int(cap)))
    return max(reply.result or 0, 0)


def _run(checks: Iterable[Check], found: dict[Cap, int]) -> Negotiation[None]:
    for check in checks:
        if isinstance(check, AskVm):
            yield NotDone("KVM_CHECK_EXTENSION", "vm", {"capability": check.cap.symbol})
        elif isinstance(check, Require):
            found[check.cap] = yield from kvm_check_extension(check.cap)
            if not found[check.cap]:
                raise failed_to_initialize(abi.EINVAL, f"kvm does not support {check.cap.symbol}\n{_UPGRADE}")
        elif check.after is None or found.get(check.after):
            if isinstance(check, Ask):
                found[check.cap] = yield from kvm_check_extension(check.cap)
            else:
                yield _not_done(check)


def _not_done(step: OnVm) -> NotDone:
    argument = dict(step.argument)
    if step.capability is not None:
        argument["capability"] = step.capability.symbol
    return NotDone(step.ioctl, step.fd, argument)


def kvm_init(profile: QemuProfile) -> Negotiation[KvmState]:
    """From open(2) to the irqchip. Returns what QEMU knows then; raises QemuExit where QEMU would end."""
    return (yield from within("kvm_init", _kvm_init(profile), phase="kvm_init"))


def _kvm_init(profile: QemuProfile) -> Negotiation[KvmState]:
    found: dict[Cap, int] = {}
    opened = yield from ask(OpenDevice())
    if opened.errno is not None:
        reason = abi.errno_text(opened.errno)
        raise failed_to_initialize(opened.errno, f"Could not access KVM kernel module: {reason}")
    version = yield from ask(GetApiVersion())
    if version.result is not None and version.result != abi.API_VERSION:
        if version.result < abi.API_VERSION:
            errno = version.errno if version.errno is not None else abi.EINVAL
            raise failed_to_initialize(errno, "kvm version too old")
        raise failed_to_initialize(abi.EINVAL, "kvm version not supported")
    checks = CHECKS[profile.label]
    yield from _run(checks.before_lists, found)
    state = yield from within("kvm_arch_init", _kvm_arch_init(profile, found), phase="kvm_arch_init")
    if profile.kernel_irqchip:
        yield from within("kvm_irqchip_create", _kvm_irqchip_create(profile))
    return state


def _kvm_arch_init(profile: QemuProfile, found: dict[Cap, int]) -> Negotiation[KvmState]:
    checks = CHECKS[profile.label]
    yield from _run(checks.arch_before_lists, found)
    if not found[Cap.IRQ_ROUTING]:
        # a KVM this old is met in no field any more; the refusal is QEMU's since 5.2
        raise failed_to_initialize(abi.EOPNOTSUPP, "qemu-system-x86_64: kvm: KVM_CAP_IRQ_ROUTING not supported by KVM")
    state = KvmState(profile)
    flags = yield from within("kvm_get_supported_msrs", kvm_get_supported_msrs(profile), phase="index_list")
    state = replace(state, flags=flags)
    feature_msrs = yield from within(
        "kvm_get_supported_feature_msrs", kvm_get_supported_feature_msrs(profile), phase="feature_list"
    )
    state = replace(state, feature_msrs=feature_msrs)
    yield from _run(checks.arch_after_lists, found)
    if profile.cpu_pm:
        yield from _run(checks.arch_cpu_pm, found)
    yield from _run(checks.arch_last, found)
    return state


def _kvm_irqchip_create(profile: QemuProfile) -> Negotiation[None]:
    if not (yield from kvm_check_extension(Cap.IRQCHIP)):
        return
    if profile.irqchip == "split":
        yield NotDone("KVM_ENABLE_CAP", "vm", {"capability": Cap.SPLIT_IRQCHIP.symbol})
    else:
        yield NotDone("KVM_CREATE_IRQCHIP", "vm")
    yield from kvm_check_extension(Cap.IRQ_ROUTING)
