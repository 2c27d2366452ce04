"""What ``look`` sees of real nodes, users, mounts and namespaces; ``diagnose`` then has to find the case.

Each test forks, gives the child a world of its own (a /dev, /etc/group, /sys/module in a private mount
namespace, another user, a user namespace, a system-call filter) and gets the child's findings over a pipe.
That needs root. The child may be unable to read the interpreter's files: all it needs is imported here.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl  # noqa: F401
import grp  # noqa: F401
import os
import pickle
import platform
import pwd  # noqa: F401
import stat
import struct
import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest

from msrtui.host import access, circumstances
from msrtui.host.access import Circumstances, diagnose, look, open_error_sentence

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="namespaces of Linux")

KVM = (10, 232)
ALICE, KVM_GROUP = 1000, 108
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 4, 4096, 16384, 1 << 18
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 38, 22


class ForbiddenError(Exception):
    """The machine does not let the child make its world."""


@dataclass(frozen=True)
class World:
    """What the child finds around it."""

    kind: int | None = stat.S_IFCHR
    device: tuple[int, int] = KVM
    mode: int = 0o660
    gid: int = KVM_GROUP
    nodev: bool = False
    uid: int = ALICE
    groups: tuple[int, ...] = ()
    members: str = ""
    """Who is in group kvm by /etc/group."""
    modules: tuple[str, ...] = ("kvm", "kvm_amd")
    features: str = "0000,00C2"
    """Feature numbers of the modalias."""
    user_namespace: bool = False
    open_gives: int | None = None
    """errno that a filter gives for every openat."""
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """What the child did."""

    circumstances: Circumstances
    opened: tuple[str, ...]
    descriptors: tuple[int, int]
    """How many were open before and after."""


def missing(reason: str) -> NoReturn:
    """Skip and say why, or fail where every test has to run."""
    if os.environ.get("MSRTUI_TESTS_NO_SKIP"):
        pytest.fail(reason)
    pytest.skip(reason)


libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: Any) -> None:
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise ForbiddenError(f"{name} is not permitted here: {os.strerror(number)}")


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind, data)]
    call("mount", encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3])


def replace_file(path: str, text: str) -> None:
    stand_in = Path("/dev") / path.replace("/", "_")
    stand_in.write_text(text)
    mount(str(stand_in), path, None, MS_BIND)


def enter(world: World) -> None:
    """Make the world around this (child) process."""
    call("unshare", CLONE_NEWNS)
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("none", "/dev", "tmpfs", MS_NODEV if world.nodev else 0, "mode=755")
    mount("none", "/sys/module", "tmpfs", 0, "mode=755")
    for module in world.modules:
        (Path("/sys/module") / module).mkdir()
    replace_file("/etc/passwd", f"root:x:0:0::/:/bin/sh\nalice:x:{ALICE}:{ALICE}::/:/bin/sh\n")
    replace_file("/etc/group", f"root:x:0:\nkvm:x:{KVM_GROUP}:{world.members}\nalice:x:{ALICE}:\nnogroup:x:65534:\n")
    replace_file("/sys/devices/system/cpu/modalias", f"cpu:type:x86,ven0002:feature:,{world.features}\n")
    if world.kind is not None:
        try:
            os.mknod("/dev/kvm", world.kind | world.mode, os.makedev(*world.device))
        except PermissionError as error:
            raise ForbiddenError(f"mknod is not permitted here: {error}") from None
        os.chown("/dev/kvm", 0, world.gid)
        os.chmod("/dev/kvm", world.mode)  # noqa: PTH101
    if world.uid:
        os.setgroups(world.groups)
        os.setresgid(world.uid, world.uid, world.uid)
        os.setresuid(world.uid, world.uid, world.uid)
    if world.user_namespace:
        call("unshare", CLONE_NEWUSER)
    os.environ.pop("TMUX", None)
    os.environ.update(world.environment)
    vars(circumstances)["CONTAINER_MARKS"] = ()
    if world.open_gives is not None:
        forbid_openat(world.open_gives)


def forbid_openat(number: int) -> None:
    """From now on openat gives that errno (struct sock_filter, sock_fprog: include/uapi/linux/filter.h)."""
    if platform.machine() != "x86_64":
        raise ForbiddenError("the filter is written for x86_64's system-call numbers")
    program = b"".join(
        struct.pack("<HBBI", *instruction)
        for instruction in (
            (0x20, 0, 0, 0),  # load the system call's number
            (0x15, 0, 1, 257),  # openat?
            (0x06, 0, 0, 0x50000 | number),  # give errno
            (0x06, 0, 0, 0x7FFF0000),  # allow
        )
    )
    code = ctypes.create_string_buffer(program, len(program))
    filter_ = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 4, ctypes.addressof(code)))
    zero = ctypes.c_ulong(0)
    call("prctl", PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero)
    call("prctl", PR_SET_SECCOMP, ctypes.c_ulong(2), filter_, zero, zero)


def open_descriptors() -> int:
    return sum(1 for number in range(256) if _is_open(number))


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def observe() -> Seen:
    opened: list[str] = []
    sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
    before = open_descriptors()
    found = look()
    return Seen(found, tuple(opened), (before, open_descriptors()))


def in_world(world: World, act: Callable[[], Any] = observe) -> Any:
    """What ``act`` returns in a child process that lives in ``world``."""
    if os.geteuid() != 0:
        missing("needs root: to make device nodes and mounts for the child")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        answer: tuple[str, Any]
        try:
            enter(world)
            answer = ("done", act())
        except ForbiddenError as reason:
            answer = ("missing", str(reason))
        except BaseException:
            answer = ("failed", traceback.format_exc())
        os.write(writer, pickle.dumps(answer))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        received = pipe.read()
    os.waitpid(child, 0)
    how, result = pickle.loads(received)
    if how == "missing":
        missing(result)
    assert how == "done", result
    return result


def situation(world: World) -> str:
    return diagnose(in_world(world).circumstances).situation


def test_a_user_outside_of_the_group_is_told_to_join_it() -> None:
    seen: Seen = in_world(World())
    c = seen.circumstances
    assert (c.uid, c.user, c.open_errno) == (ALICE, "alice", errno.EACCES)
    assert c.groups == {ALICE}
    assert diagnose(c).sentence == "/dev/kvm is root:kvm 0660 and you are not in kvm."


def test_a_login_older_than_the_membership_is_told_so() -> None:
    c: Circumstances = in_world(World(members="bob,alice", environment={"TMUX": "/tmp/t,1,0"})).circumstances
    assert c.listed_groups == {ALICE, KVM_GROUP}
    assert c.in_tmux
    assert diagnose(c).situation == "login-older-than-group"


def test_a_member_opens_it_and_is_asked_nothing_else() -> None:
    if not Path("/dev/kvm").exists():
        missing("needs a KVM: there is no /dev/kvm here")
    seen: Seen = in_world(World(groups=(KVM_GROUP,)))
    c = seen.circumstances
    assert (c.api_version, c.open_errno, c.ioctl_errno) == (12, None, None)
    assert (c.user, c.cpu_flags) == (None, None)
    assert diagnose(c).usable


def test_root_alone_is_seen_as_such() -> None:
    assert situation(World(mode=0o600, gid=0)) == "root-only"
    assert situation(World(mode=0o660, gid=0)) == "root-only"


def test_a_user_namespace_shows_a_group_that_it_does_not_map() -> None:
    c: Circumstances = in_world(World(user_namespace=True)).circumstances
    assert c.node is not None
    assert (c.node.gid, c.node.group) == (c.overflow_gid, None)
    assert diagnose(c).situation == "unmapped-group"


def test_a_group_that_nobody_named_goes_by_its_number() -> None:
    c: Circumstances = in_world(World(gid=4711)).circumstances
    assert "group 4711, which has no name here" in diagnose(c).sentence


@pytest.mark.parametrize("world", [World(nodev=True, uid=0), World(nodev=True, groups=(KVM_GROUP,))])
def test_a_nodev_mount_is_recognised(world: World) -> None:
    c: Circumstances = in_world(world).circumstances
    assert c.open_errno == errno.EACCES
    assert diagnose(c).situation == "nodev-mount"


@pytest.mark.parametrize(
    ("features", "modules", "expected"),
    [
        ("0000,00C2", (), "no-node-module-missing"),
        ("0000,0085", ("kvm",), "no-node-module-missing"),
        ("0000,009F", (), "no-node-no-virtualization"),
        ("0000,00C2", ("kvm", "kvm_amd"), "no-node-module-loaded"),
    ],
)
def test_without_a_node_the_cpu_and_the_modules_decide(features: str, modules: tuple[str, ...], expected: str) -> None:
    seen: Seen = in_world(World(kind=None, features=features, modules=modules))
    assert seen.circumstances.stat_errno == errno.ENOENT
    assert diagnose(seen.circumstances).situation == expected
    assert not [path for path in seen.opened if "cpuinfo" in path]


@pytest.mark.parametrize(
    ("device", "number"), [((10, 251), errno.ENODEV), ((499, 0), errno.ENXIO)], ids=["ENODEV", "ENXIO"]
)
def test_a_node_without_a_driver_is_recognised(device: tuple[int, int], number: int) -> None:
    c: Circumstances = in_world(World(device=device, uid=0)).circumstances
    if c.open_errno is None:
        missing(f"device {device[0]}:{device[1]} has a driver here")
    assert c.open_errno == number
    assert c.cpu_flags == frozenset({"svm"})
    assert diagnose(c).situation == "no-driver"


def test_a_device_that_is_not_kvm_opens_and_refuses_the_question() -> None:
    seen: Seen = in_world(World(device=(1, 3), uid=0))
    assert seen.circumstances.ioctl_errno == errno.ENOTTY
    assert diagnose(seen.circumstances).situation == "no-kvm-behind-node"
    assert seen.descriptors[0] == seen.descriptors[1]


@pytest.mark.parametrize("kind", [stat.S_IFREG, stat.S_IFIFO, stat.S_IFBLK])
def test_what_is_no_character_device_is_not_opened(kind: int) -> None:
    seen: Seen = in_world(World(kind=kind, uid=0))
    assert "/dev/kvm" not in seen.opened
    assert diagnose(seen.circumstances).situation == "not-a-device"


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.EPERM, "device-cgroup"),
        (errno.EBUSY, "busy-or-memory"),
        (errno.ENOMEM, "busy-or-memory"),
        (errno.ENOSYS, "other"),
        (errno.EMFILE, "other"),
        (errno.ENODEV, "no-driver"),
        (errno.EACCES, "other"),
    ],
    ids=lambda value: errno.errorcode.get(value) if isinstance(value, int) else None,
)
def test_what_a_kernel_may_answer_to_every_open_never_raises(number: int, expected: str) -> None:
    c: Circumstances = in_world(World(uid=0, open_gives=number)).circumstances
    assert (c.open_errno, c.cpu_flags) == (number, None)
    assert diagnose(c).situation == expected


def test_the_sentence_for_an_error_comes_from_the_machine() -> None:
    sentence = in_world(World(), lambda: open_error_sentence(errno.EACCES))
    assert sentence == (
        "/dev/kvm is root:kvm 0660 and you are not in kvm.   sudo usermod -aG kvm $USER   then log in again"
    )


def test_the_device_is_closed_again_and_cpuinfo_not_opened() -> None:
    if not Path("/dev/kvm").exists():
        missing("needs a KVM: there is no /dev/kvm here")
    seen: Seen = in_world(World(uid=0))
    assert "/dev/kvm" in seen.opened
    assert not [path for path in seen.opened if "cpuinfo" in path]
    assert seen.descriptors[0] == seen.descriptors[1]


@pytest.mark.parametrize("path", ["/dev/kvm/kvm", "/dev/\0kvm", "/nowhere/kvm", "k" * 5000])
def test_a_path_that_leads_nowhere_is_a_diagnosis_and_no_exception(path: str) -> None:
    found = diagnose(look(path))
    assert not found.usable
    assert found.text.isprintable()


ELSEWHERE = """
import os, sys
for name in ("fcntl", "grp", "pwd", "termios", "resource"):
    sys.modules[name] = None
from msrtui.host import access, facts
import platform
names = os.uname()
if {system!r} == "win32":
    del os.uname, os.getgroups, os.O_CLOEXEC
    platform.release, platform.machine = lambda: "11", lambda: "AMD64"
else:
    os.uname = lambda: type(names)(("Darwin", "m", "24.0", "v", "arm64"))
sys.platform = {system!r}
found = access.diagnose(access.look())
assert found.situation == "not-linux", found
assert facts.host_facts(with_cpu=True).machine == {machine!r}
print(found.sentence)
print(access.open_error_sentence(2))
"""


@pytest.mark.parametrize(("system", "machine", "name"), [("darwin", "arm64", "macOS"), ("win32", "AMD64", "Windows")])
def test_a_viewer_on_another_system_is_told_so(system: str, machine: str, name: str) -> None:
    program = ELSEWHERE.format(system=system, machine=machine)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(access.__file__).parents[2],
    )
    lines = done.stdout.splitlines()
    assert lines[0] == f"KVM is part of Linux and this is {name}: nothing to ask here."
    assert lines[1].startswith(lines[0])


def test_an_arm_machine_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circumstances, "system_names", lambda: ("linux", "6.12", "aarch64"))
    found = look()
    assert found.node is None
    assert diagnose(found).situation == "not-x86"


@pytest.mark.live
def test_this_machine_s_own_kvm_is_usable() -> None:
    try:
        os.close(os.open("/dev/kvm", os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        missing(f"needs a /dev/kvm that this user may open: {error}")
    assert diagnose(look()).usable
