"""What QEMU prints where its start ends: the same failures, in other words from version to version.

``qemu-system-x86_64`` stands for the program and ``-accel kvm`` for the option, as people mostly start it.
"""

from __future__ import annotations

from msrtui.kvm import abi
from msrtui.kvm.abi import Cap
from msrtui.qemu.negotiation import QemuExit
from msrtui.qemu.profile import QemuProfile

PROGRAM = "qemu-system-x86_64"

_OPTION_NAMED_SINCE = (5, 0)
_REPORTED_SINCE = (9, 2)
_USERSPACE_APIC_UNTIL = (7, 2)
_CPU_PM_FATAL_SINCE = (9, 2)


def error_report(profile: QemuProfile, text: str) -> str:
    """``text`` as error_report() prints it inside kvm_init: since 5.0 each -accel is set up from its own option."""
    place = "-accel kvm: " if profile.version >= _OPTION_NAMED_SINCE else ""
    return f"{PROGRAM}: {place}{text}"


def failed_to_initialize(profile: QemuProfile, errno: int, said: str = "") -> QemuExit:
    """kvm_init returned -errno: what it ``said`` itself, then the accelerator's line; exit status 1."""
    name = "kvm" if profile.version >= _OPTION_NAMED_SINCE else "KVM"
    line = error_report(profile, f"failed to initialize {name}: {abi.errno_text(errno)}")
    return QemuExit(f"{said}\n{line}" if said else line, 1)


def not_accessible(profile: QemuProfile, errno: int) -> QemuExit:
    """open(2) of /dev/kvm failed."""
    said = f"Could not access KVM kernel module: {abi.errno_text(errno)}"
    return failed_to_initialize(profile, errno, _plain(profile, said))


def wrong_api_version(profile: QemuProfile, version: int, errno: int | None) -> QemuExit:
    """KVM_GET_API_VERSION gave another one than 12, or an error (``version`` is -1 then)."""
    old = version < abi.API_VERSION
    said = "kvm version too old" if old else "kvm version not supported"
    return failed_to_initialize(profile, errno if old and errno is not None else abi.EINVAL, _plain(profile, said))


def capability_missing(profile: QemuProfile, cap: Cap) -> QemuExit:
    """A required capability is not there. The note is of 10.1, and of the 10.0 stable releases."""
    if profile.version >= (10, 0):
        note = "Please upgrade to at least kernel 4.5."
    else:
        note = "Please upgrade to at least kernel 2.6.29 or recent kvm-kmod\n(see http://sourceforge.net/projects/kvm)."
    said = _plain(profile, f"kvm does not support {cap.symbol}")
    return failed_to_initialize(profile, abi.EINVAL, f"{said}\n{note}")


def irq_routing_missing(profile: QemuProfile) -> QemuExit:
    """5.2 to 8.1 test KVM_CAP_IRQ_ROUTING by itself; it is among the required capabilities since."""
    said = error_report(profile, f"kvm: {Cap.IRQ_ROUTING.symbol} not supported by KVM")
    return failed_to_initialize(profile, abi.EOPNOTSUPP, said)


def irqfd_missing() -> QemuExit:
    """An in-kernel irqchip needs irqfds, since 8.2."""
    return QemuExit("kvm: irqfd not implemented", 1)


def cpu_pm_refused(profile: QemuProfile) -> QemuExit | None:
    """KVM does not let a guest stop the CPU: a message up to 9.1 (None), the end since."""
    if profile.version < _CPU_PM_FATAL_SINCE:
        return None
    said = error_report(profile, f"kvm: guest stopping CPU not supported: {abi.errno_text(abi.EINVAL)}")
    return failed_to_initialize(profile, abi.EINVAL, said)


def userspace_apic_refused(profile: QemuProfile) -> QemuExit | None:
    """``kernel-irqchip=off`` since 8.0: the vCPU of any machine that has one would need an APIC in QEMU.

    This ends QEMU where a vCPU is realized, after the feature words and before KVM_CREATE_VCPU.
    """
    if profile.kernel_irqchip or profile.machine == "none" or profile.version <= _USERSPACE_APIC_UNTIL:
        return None
    return QemuExit(f"{PROGRAM}: KVM does not support userspace APIC", 1)


def _plain(profile: QemuProfile, text: str) -> str:
    """``text`` as kvm_init itself prints it: bare up to 9.1, by error_report() since."""
    return error_report(profile, text) if profile.version >= _REPORTED_SINCE else text
