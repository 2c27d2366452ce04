"""What the use of KVM on this machine depends on: the device node, its rights, its driver, who asks.

``look`` gathers it and decides nothing. The device is opened, asked for its API version and closed at once:
an open /dev/kvm pins the vendor module. The user database, which may be a network service, and the CPU's
flags are looked at only where they can matter. Nothing here raises for what the system answers.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from msrtui.host.facts import cpu_flags, kvm_modules, system_names
from msrtui.kvm.collector import plain, read_text
from msrtui.values import dataclass

DEVICE = "/dev/kvm"
KVM_GET_API_VERSION = 0xAE00
X86 = frozenset({"x86_64", "amd64", "AMD64", "i386", "i486", "i586", "i686", "x86"})
"""How systems spell the architecture that msrtui is about."""

CONTAINER_MARKS = (Path("/run/.containerenv"), Path("/.dockerenv"), Path("/run/systemd/container"))
"""Files that podman, docker and systemd (nspawn, LXC) leave in a container."""

OVERFLOW_GID = Path("/proc/sys/kernel/overflowgid")


@dataclass(frozen=True)
class Node:
    """What stat says of the device node, links followed."""

    mode: int
    """st_mode, the file type included."""
    uid: int
    gid: int
    major: int
    minor: int
    """Major and minor of the device that the node stands for; 0 and 0 where it is no device."""
    owner: str | None = None
    """Name of ``uid``; None where it has none here."""
    group: str | None = None
    """Name of ``gid``; None where it has none here or is the number that stands for every unmapped group."""
    nodev: bool | None = None
    """Whether the mount it is on says nodev; None where that cannot be asked. False does not rule it out:
    a mount of another user namespace forbids devices without saying so."""

    @property
    def is_char_device(self) -> bool:
        """Whether it is a character device."""
        return stat.S_ISCHR(self.mode)

    @property
    def permissions(self) -> int:
        """The twelve permission bits."""
        return stat.S_IMODE(self.mode)


@dataclass(frozen=True)
class Circumstances:
    """Everything that decides whether KVM can be used here; made by ``look``, or by hand in a test."""

    system: str
    """``sys.platform``: ``linux``, ``darwin``, ``win32``."""
    machine: str
    """The architecture as the system spells it: ``x86_64``, ``arm64``."""
    path: str = DEVICE
    node: Node | None = None
    """None where stat failed or nothing was looked at (another system or architecture)."""
    stat_errno: int | None = None
    """The error of stat, None where it succeeded."""
    open_errno: int | None = None
    """The error of opening it for reading, None where that succeeded or was not tried."""
    ioctl_errno: int | None = None
    """The error of KVM_GET_API_VERSION, None where it was answered or not asked."""
    api_version: int | None = None
    """What KVM_GET_API_VERSION answered; KVM says 12. None where it was not answered."""
    uid: int = 0
    """The effective user."""
    groups: frozenset[int] = frozenset()
    """The groups this process has: its effective one and the supplementary ones."""
    user: str | None = None
    """Name of ``uid``; looked up only when opening failed with EACCES."""
    listed_groups: frozenset[int] = frozenset()
    """What the user database (/etc/group, and what else is configured) gives ``user``: the groups that a new
    login would have. Looked up only when opening failed with EACCES."""
    overflow_gid: int = 65534
    """The number that the kernel shows for a group which this user namespace does not map."""
    cpu_flags: frozenset[str] | None = None
    """Which of svm, vmx, hypervisor the CPU has; None where unknown or not needed: read only when the node is
    missing or has no driver."""
    kvm_modules: tuple[str, ...] = ()
    """The /sys/module/kvm* directories, sorted."""
    in_container: bool = False
    """A hint: something says that this is a container. False proves nothing."""
    in_tmux: bool = False
    """Whether this runs in tmux, whose server keeps the groups it was started with."""

    @property
    def is_x86(self) -> bool:
        """Whether this is an x86 machine, of 32 or 64 bits."""
        return self.machine in X86


def look(path: str = DEVICE) -> Circumstances:
    """Gather the circumstances of ``path`` for this process, as they are now.

    On another system or architecture the device is not looked at. A node that is no character device is not
    opened: a named pipe would wait for a writer for ever.
    """
    system, _, machine = system_names()
    bare = Circumstances(system=system, machine=machine, path=path)
    if system != "linux" or not bare.is_x86:
        return bare
    overflow_gid = _overflow_gid()
    node, stat_errno = _stat(path, overflow_gid)
    open_errno = ioctl_errno = api_version = None
    if node is not None and node.is_char_device:
        open_errno, ioctl_errno, api_version = _ask_version(path)
    uid = os.geteuid()
    user, listed_groups = _listed(uid) if open_errno == errno.EACCES else (None, frozenset())
    driverless = errno.ENOENT in (stat_errno, open_errno) or open_errno in (errno.ENODEV, errno.ENXIO)
    return Circumstances(
        system=system,
        machine=machine,
        path=path,
        node=node,
        stat_errno=stat_errno,
        open_errno=open_errno,
        ioctl_errno=ioctl_errno,
        api_version=api_version,
        uid=uid,
        groups=frozenset({*os.getgroups(), os.getegid()}),
        user=user,
        listed_groups=listed_groups,
        overflow_gid=overflow_gid,
        cpu_flags=cpu_flags() if driverless else None,
        kvm_modules=kvm_modules(),
        in_container=_in_container(),
        in_tmux=bool(os.environ.get("TMUX")),
    )


def _stat(path: str, overflow_gid: int) -> tuple[Node | None, int | None]:
    """The node, or None and the errno of stat."""
    try:
        found = Path(path).stat()
    except OSError as error:
        return None, error.errno
    except ValueError:  # a NUL in the path
        return None, errno.EINVAL
    try:
        nodev = bool(os.statvfs(path).f_flag & getattr(os, "ST_NODEV", 4))
    except OSError:
        nodev = None
    device = found.st_rdev if stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode) else 0
    node = Node(
        mode=found.st_mode,
        uid=found.st_uid,
        gid=found.st_gid,
        major=os.major(device),
        minor=os.minor(device),
        owner=_user_name(found.st_uid),
        group=None if found.st_gid == overflow_gid else _group_name(found.st_gid),
        nodev=nodev,
    )
    return node, None


def _ask_version(path: str) -> tuple[int | None, int | None, int | None]:
    """Errno of open, errno of KVM_GET_API_VERSION, its answer; the descriptor is closed before it returns."""
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        return error.errno, None, None
    try:
        return None, None, fcntl.ioctl(descriptor, KVM_GET_API_VERSION, 0)
    except OSError as error:
        return None, error.errno, None
    finally:
        os.close(descriptor)


def _overflow_gid() -> int:
    try:
        return int(read_text(OVERFLOW_GID) or "")
    except ValueError:
        return 65534


def _user_name(uid: int) -> str | None:
    try:
        import pwd

        return plain(pwd.getpwuid(uid).pw_name) or None
    except (ImportError, KeyError, OSError):
        return None


def _group_name(gid: int) -> str | None:
    try:
        import grp

        return plain(grp.getgrgid(gid).gr_name) or None
    except (ImportError, KeyError, OSError):
        return None


def _listed(uid: int) -> tuple[str | None, frozenset[int]]:
    """The user's name and the groups that a new login of theirs would have."""
    try:
        import pwd

        entry = pwd.getpwuid(uid)
        return plain(entry.pw_name) or None, frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid))
    except (ImportError, KeyError, OSError):
        return None, frozenset()


def _in_container() -> bool:
    def there(path: Path) -> bool:
        try:
            return path.exists()
        except OSError:
            return False

    return any(there(path) for path in CONTAINER_MARKS) or "KUBERNETES_SERVICE_HOST" in os.environ
