"""Can KVM be used here, by you; if not, what to do.

``look`` (in ``circumstances``) gathers, ``diagnose`` decides from that alone and does no I/O. Each answer is
one sentence that says what is the case and, where something can be done, what to do.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Literal

from msrtui.host.circumstances import DEVICE, Circumstances, Node, look
from msrtui.kvm.abi import API_VERSION
from msrtui.kvm.collector import plain
from msrtui.values import dataclass, replace

__all__ = ["Circumstances", "Diagnosis", "Node", "Situation", "diagnose", "look", "open_error_sentence"]

Situation = Literal[
    "usable",
    "not-in-group",
    "login-older-than-group",
    "root-only",
    "unmapped-group",
    "device-cgroup",
    "no-node-module-missing",
    "no-node-module-loaded",
    "no-node-no-virtualization",
    "no-driver",
    "not-a-device",
    "not-x86",
    "not-linux",
    "nodev-mount",
    "busy-or-memory",
    "no-kvm-behind-node",
    "other",
]
"""The stable ids of what ``diagnose`` can find."""

KVM_NUMBERS = (10, 232)
"""Major and minor of /dev/kvm (include/linux/miscdevice.h: KVM_MINOR)."""

SAVED_HOST = "Showing a saved host; msrtui HOSTFILE opens yours."
AS_ROOT = (
    "sudo msrtui capture -o - | msrtui -   looks without changing anything; "
    "for good: the udev rule of your distribution is not active here "
    '(KERNEL=="kvm", GROUP="kvm", MODE="0660")'
)
NO_VIRTUALIZATION = (
    "this CPU shows neither vmx nor svm: a VM without nested virtualization, or switched off in the firmware."
)
MEANINGS = {
    errno.EACCES: ("a directory on the way to it is closed to you", None),
    errno.EAGAIN: ("the driver cannot take this open now", "try again"),
    errno.EINTR: ("a signal came in between", "try again"),
    errno.EIO: ("the device or its driver has failed", "sudo dmesg   says how"),
    errno.ELOOP: ("its symbolic links lead in a circle", "ls -l it and make it anew"),
    errno.EMFILE: ("this process has too many open files", "ulimit -n 4096   and start again"),
    errno.ENFILE: ("the whole system has too many open files", "raise it: sudo sysctl fs.file-max"),
    errno.ENOSYS: ("a system-call filter (seccomp) hides the call", "run msrtui outside of that sandbox"),
    errno.ENOTDIR: ("a part of the path is no directory", None),
    errno.EOPNOTSUPP: (
        "the driver refuses to start, most often by the firmware's settings",
        "sudo dmesg   says why",
    ),
}
"""What an errno of stat or open usually means here, and what to do, where nothing better is known of it."""

PASSING = frozenset({errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENODEV, errno.ENXIO})
"""Errors whose cause is gone when the device opens now: a module reloaded, a mode changed."""

KINDS = (
    (stat.S_ISREG, "a regular file"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISBLK, "a block device"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
)


@dataclass(frozen=True)
class Diagnosis:
    """Whether KVM can be used, in which of the known situations this is, and what to do."""

    usable: bool
    situation: Situation
    sentence: str
    """One sentence, with its full stop: what is the case. Free of control characters."""
    remedy: str | None
    """Commands and where they apply, in one line; None where there is nothing to do."""

    @property
    def text(self) -> str:
        """Sentence and remedy in one line."""
        return self.sentence if self.remedy is None else f"{self.sentence}   {self.remedy}"


def diagnose(c: Circumstances) -> Diagnosis:
    """Say what the circumstances amount to. A pure function; raises nothing."""
    path = plain(c.path)
    if c.system != "linux":
        system = {"darwin": "macOS", "win32": "Windows"}.get(c.system, plain(c.system))
        return _no("not-linux", f"KVM is part of Linux and this is {system}: nothing to ask here.", SAVED_HOST)
    if not c.is_x86:
        return _no("not-x86", "Not an x86 machine: nothing to ask here.", SAVED_HOST)
    if errno.ENOENT in (c.stat_errno, c.open_errno):
        return _no_node(c, path)
    if c.stat_errno is not None:
        return _by_errno(path, c.stat_errno)
    if c.node is not None and not c.node.is_char_device:
        return _not_a_device(c.node, path)
    if c.open_errno is not None:
        return _open_failed(c, path, c.open_errno)
    if c.api_version == API_VERSION:
        return Diagnosis(True, "usable", f"{path} can be used by you (KVM API {API_VERSION}).", None)
    return _not_kvm(c, path)


def open_error_sentence(errno_: int, path: str = DEVICE) -> str:
    """What an error on opening ``path`` means and what to do, in one line.

    ``errno_`` is the error that the caller got. What the machine looks like now explains it; where it looks
    different by now, the sentence goes by the caller's error.
    """
    now = look(path)
    found = diagnose(now)
    if found.usable and errno_ in PASSING:
        return f"{plain(path)} could not be opened ({_errno_name(errno_)}), but now it can.   try again"
    if errno_ in (now.stat_errno, now.open_errno) or found.situation in ("not-linux", "not-x86"):
        return found.text
    return diagnose(replace(now, stat_errno=None, open_errno=errno_)).text


def _no(situation: Situation, sentence: str, remedy: str | None) -> Diagnosis:
    return Diagnosis(False, situation, plain(sentence, 1000), None if remedy is None else plain(remedy, 1000))


def _module_for(flags: frozenset[str]) -> str | None:
    """The vendor module for a CPU with these flags."""
    return "kvm_amd" if "svm" in flags else "kvm_intel" if "vmx" in flags else None


def _loaded(c: Circumstances, fitting: str | None) -> str | None:
    """The vendor module that can be at work; kvm_intel and kvm_amd, where built in, are listed on any CPU."""
    vendors = [plain(name) for name in c.kvm_modules if name.startswith("kvm_")]
    if c.cpu_flags is not None:
        vendors = [name for name in vendors if name == fitting or name not in ("kvm_intel", "kvm_amd")]
    return fitting if fitting in vendors else vendors[0] if vendors else None


def _mknod(path: str) -> str:
    major, minor = KVM_NUMBERS
    return f"sudo mknod -m 660 {path} c {major} {minor}"


def _switch_on(flags: frozenset[str]) -> str:
    if "hypervisor" in flags:
        return "this is a VM: its host must give it nested virtualization (nested=1 there, and -cpu host)"
    return "switch it on in the firmware (Intel: VT-x, AMD: SVM)"


def _no_node(c: Circumstances, path: str) -> Diagnosis:
    module = _module_for(c.cpu_flags) if c.cpu_flags is not None else None
    loaded = _loaded(c, module)
    if loaded is not None:
        sentence = f"There is no {path}, but {loaded} is loaded: the node is missing here."
        if c.in_container:
            return _no("no-node-module-loaded", sentence, f"docker run --device {path} …")
        return _no("no-node-module-loaded", sentence, f"{_mknod(path)} && sudo chgrp kvm {path}")
    if c.cpu_flags is None:
        sentence = f"There is no {path}, and whether this CPU has svm or vmx is not known."
        return _no("other", sentence, "sudo modprobe kvm_intel   or   sudo modprobe kvm_amd")
    if module is None:
        sentence = f"There is no {path} and {NO_VIRTUALIZATION}"
        return _no("no-node-no-virtualization", sentence, _switch_on(c.cpu_flags))
    flag = "svm" if module == "kvm_amd" else "vmx"
    sentence = f"There is no {path}, but this CPU has {flag}: the module is not loaded."
    return _no("no-node-module-missing", sentence, f"sudo modprobe {module}")


def _not_a_device(node: Node, path: str) -> Diagnosis:
    kind = next((name for test, name in KINDS if test(node.mode)), "something else")
    remedy = f"move it away, then   {_mknod(path)}"
    if stat.S_ISDIR(node.mode):
        remedy += f"   (a container's -v of a missing path makes a directory: use --device {path})"
    return _no("not-a-device", f"{path} is {kind}, not a character device.", remedy)


def _misnumbered(node: Node | None, path: str) -> str | None:
    """What to do where the node stands for another device than KVM, else None."""
    if node is None or (node.major, node.minor) == KVM_NUMBERS:
        return None
    major, minor = KVM_NUMBERS
    numbers = f"it is device {node.major}:{node.minor}, KVM is {major}:{minor}"
    return f"{numbers}: move it away, then   {_mknod(path)}"


def _not_kvm(c: Circumstances, path: str) -> Diagnosis:
    remedy = _misnumbered(c.node, path)
    if c.ioctl_errno is not None:
        name = _errno_name(c.ioctl_errno)
        sentence = f"{path} opens, but KVM does not answer behind it: KVM_GET_API_VERSION gives {name}."
        remedy = remedy or "a sandbox or a filter stands in between: run msrtui outside of it"
    elif c.api_version is not None:
        sentence = f"{path} answers with KVM API version {c.api_version}, and only {API_VERSION} is known."
        remedy = remedy or "Linux has had 12 since 2.6.22: look at what provides the device"
    else:
        sentence = f"Nobody has asked {path} yet whether KVM is behind it."
    return _no("no-kvm-behind-node", sentence, remedy)


def _open_failed(c: Circumstances, path: str, number: int) -> Diagnosis:
    name = _errno_name(number)
    if number == errno.EACCES and c.node is not None:
        return _no_access(c, c.node, path)
    if number == errno.EPERM:
        remedy = f"docker run --device {path} …"
        if not c.in_container:
            remedy += f"   (in a systemd service: DeviceAllow={path} rw)"
        return _no("device-cgroup", f"{path} is refused by the container's device rules (EPERM).", remedy)
    if number in (errno.ENODEV, errno.ENXIO):
        return _no_driver(c, path, name)
    if number == errno.EBUSY:
        sentence = f"{path} is busy ({name}): another hypervisor holds the CPU's virtualization."
        return _no("busy-or-memory", sentence, "stop the other one (VirtualBox, VMware), then try again")
    if number == errno.ENOMEM:
        sentence = f"The kernel has no memory to open {path} ({name}): the machine or this memory cgroup is full."
        return _no("busy-or-memory", sentence, "free some, or raise the cgroup's memory.max")
    return _by_errno(path, number)


def _no_driver(c: Circumstances, path: str, name: str) -> Diagnosis:
    head = f"{path} is there, but no driver is behind it ({name})"
    misnumbered = _misnumbered(c.node, path)
    if misnumbered is not None:
        return _no("no-driver", f"{head}.", misnumbered)
    if c.cpu_flags is None:
        return _no("no-driver", f"{head}.", "sudo modprobe kvm_intel   or   sudo modprobe kvm_amd")
    module = _module_for(c.cpu_flags)
    if module is None:
        return _no("no-driver", f"{head}, and {NO_VIRTUALIZATION}", _switch_on(c.cpu_flags))
    if module in c.kvm_modules:
        return _no("no-driver", f"{head}: {module} did not start.", "sudo dmesg | grep -i kvm   says why")
    return _no("no-driver", f"{head}: the module is not loaded.", f"sudo modprobe {module}")


def _may_read(c: Circumstances, node: Node) -> bool:
    """Whether owner, group and mode alone let this process read, as the kernel decides it without ACLs."""
    mapped = node.gid != c.overflow_gid
    if c.uid == 0 and mapped:
        return True
    if c.uid == node.uid and mapped:
        return bool(node.mode & stat.S_IRUSR)
    if node.gid in c.groups and mapped:
        return bool(node.mode & stat.S_IRGRP)
    return bool(node.mode & stat.S_IROTH)


def _no_access(c: Circumstances, node: Node, path: str) -> Diagnosis:
    """EACCES: from the mount, from a security module, or from the mode."""
    if node.nodev:
        sentence = f"{path} is on a mount that forbids devices (nodev, EACCES)."
        remedy = (
            f"docker run --device {path} …"
            if c.in_container
            else "sudo mount -o remount,dev MOUNT   (findmnt -T finds it)"
        )
        return _no("nodev-mount", sentence, remedy)
    if _may_read(c, node):
        sentence = f"{path} lets you in by owner, group and mode, yet it is refused (EACCES)."
        if node.nodev is None:
            remedy = "a nodev mount (findmnt -T shows it), or SELinux or AppArmor (sudo dmesg names them)"
            return _no("nodev-mount", sentence, remedy)
        return _no("other", sentence, "SELinux or AppArmor:   sudo dmesg | grep -i denied   names which")
    mode = f"{node.permissions:04o}"
    unmapped = node.gid == c.overflow_gid
    if not node.mode & stat.S_IRGRP or node.gid == 0:
        return _owner_alone(c, node, path, mode)
    if unmapped:
        sentence = f"{path} has a group that this container does not map."
        remedy = f"podman run --group-add keep-groups --device {path} …"
        if c.overflow_gid in c.groups:
            remedy += "   (it keeps some groups already: be in that group outside, too)"
        return _no("unmapped-group", sentence, remedy)
    if node.gid in c.listed_groups:
        group = node.group or str(node.gid)
        sentence = f"You are in group {group}, but this login is older than that."
        remedy = f"newgrp {group}   or log in again (in tmux: tmux kill-server first)"
        if c.in_tmux:
            remedy += "; this is tmux"
        return _no("login-older-than-group", sentence, remedy)
    if node.group is None:
        return _nameless_group(c, node, path)
    sentence = f"{path} is {node.owner or node.uid}:{node.group} {mode} and you are not in {node.group}."
    remedy = f"sudo usermod -aG {_in_command(node)} $USER   then log in again"
    if c.in_container:
        remedy += f"   (a container: docker run --group-add {node.gid} --device {path} …)"
    return _no("not-in-group", sentence, remedy)


def _owner_alone(c: Circumstances, node: Node, path: str, mode: str) -> Diagnosis:
    """The group has no say, or is root's: joining one cannot help."""
    if c.uid == node.uid and node.gid != c.overflow_gid:
        sentence = f"{path} is yours, but its mode ({mode}) does not let you read it."
        return _no("other", sentence, f"chmod u+rw {path}")
    owner = "root" if node.uid in (0, c.overflow_gid) else node.owner or f"user {node.uid}"
    remedy = f"outside of this container:   {AS_ROOT}" if node.gid == c.overflow_gid else AS_ROOT
    return _no("root-only", f"{path} belongs to {owner} alone ({mode}).", remedy)


def _nameless_group(c: Circumstances, node: Node, path: str) -> Diagnosis:
    sentence = f"{path} belongs to group {node.gid}, which has no name here, and you are not in it."
    remedy = f"sudo groupadd -g {node.gid} kvm && sudo usermod -aG kvm $USER   then log in again"
    if c.in_container:
        remedy = f"docker run --group-add {node.gid} --device {path} …"
    return _no("unmapped-group", sentence, remedy)


def _in_command(node: Node) -> str:
    """The group as a word of a shell command: its name where that is harmless, else its number."""
    name = node.group or ""
    harmless = name.isascii() and name.replace("-", "").replace("_", "").replace(".", "").isalnum()
    return name if harmless and not name.startswith("-") else str(node.gid)


def _errno_name(number: int) -> str:
    return errno.errorcode.get(number, f"errno {number}")


def _by_errno(path: str, number: int) -> Diagnosis:
    meaning, remedy = MEANINGS.get(number, (os.strerror(number), None))
    return _no("other", f"{path} cannot be opened ({_errno_name(number)}): {plain(meaning)}.", remedy)
