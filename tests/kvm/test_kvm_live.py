"""The live device: what it answers, and that nothing of it is left open."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from msrtui.kvm import collector
from msrtui.kvm.abi import API_VERSION, E2BIG, KVM_X86_GRP_SYSTEM, KVM_X86_XCOMP_GUEST_SUPP, Cap, errno_name
from msrtui.kvm.live import LiveHost
from msrtui.kvm.requests import (
    AnyRequest,
    CheckExtension,
    CpuidReply,
    GetApiVersion,
    GetDeviceAttr,
    GetEmulatedCpuid,
    GetMsrFeatureIndexList,
    GetMsrIndexList,
    GetMsrs,
    GetSupportedCpuid,
    HostCpuid,
    IndexListReply,
    MsrsReply,
    OpenDevice,
    Reply,
    Request,
    ValueReply,
    msr_batches,
)

ListRequest = Callable[[int], Request[IndexListReply]]
LISTS = pytest.mark.parametrize("ask_list", [GetMsrIndexList, GetMsrFeatureIndexList])
QUESTIONS: tuple[tuple[AnyRequest, type[Reply]], ...] = (
    (GetApiVersion(), Reply),
    (CheckExtension(int(Cap.GET_MSR_FEATURES)), Reply),
    (GetMsrIndexList(0), IndexListReply),
    (GetMsrFeatureIndexList(0), IndexListReply),
    (GetMsrs((0x10A,)), MsrsReply),
    (GetSupportedCpuid(256), CpuidReply),
    (GetEmulatedCpuid(256), CpuidReply),
    (GetDeviceAttr(KVM_X86_GRP_SYSTEM, KVM_X86_XCOMP_GUEST_SUPP), ValueReply),
)
EVERY_QUESTION = pytest.mark.parametrize(("question", "reply_type"), QUESTIONS, ids=lambda q: type(q).__name__)
# no kernel's feature list has these; which of them KVM refuses to read is for the kernel to say
REFUSABLE = (0xCF, 0xC0000080, 0x33, 0xDEAD0000)


def _open_files() -> dict[int, str]:
    """What this process has open, by descriptor."""
    found = {}
    for link in list(Path("/proc/self/fd").iterdir()):
        try:
            found[int(link.name)] = str(link.readlink())
        except FileNotFoundError:
            continue  # the listing's own descriptor
    return found


def _kvm_fds(host: LiveHost) -> list[int]:
    return [fd for fd, path in _open_files().items() if path == host.path]


def _feature_msrs(host: LiveHost) -> tuple[int, ...]:
    count = host.ask(GetMsrFeatureIndexList(0)).nmsrs
    assert count
    return host.ask(GetMsrFeatureIndexList(count)).indices


@pytest.fixture
def refused(live_kvm: LiveHost, missing: Callable[[str], NoReturn]) -> int:
    """An MSR that this KVM does not read on its system descriptor."""
    for index in REFUSABLE:
        if live_kvm.ask(GetMsrs((index,))).result == 0:
            break
    else:
        missing("this KVM reads every MSR (ignore_msrs=1?)")
    return index


def test_the_device_opens_and_speaks_version_12(live_kvm: LiveHost) -> None:
    assert live_kvm.ask(OpenDevice()) == Reply(0)
    assert live_kvm.ask(GetApiVersion()) == Reply(API_VERSION)


@LISTS
def test_a_count_too_small_gets_e2big_and_the_true_count(live_kvm: LiveHost, ask_list: ListRequest) -> None:
    probe = live_kvm.ask(ask_list(0))
    assert (probe.result, probe.errno, probe.indices) == (-1, E2BIG, ())
    assert probe.nmsrs
    short = live_kvm.ask(ask_list(probe.nmsrs - 1))
    assert (short.result, short.errno, short.nmsrs, short.indices) == (-1, E2BIG, probe.nmsrs, ())


@LISTS
def test_the_exact_room_and_more_room_get_the_same_list(live_kvm: LiveHost, ask_list: ListRequest) -> None:
    count = live_kvm.ask(ask_list(0)).nmsrs
    assert count
    exact, ample = live_kvm.ask(ask_list(count)), live_kvm.ask(ask_list(count + 50))
    assert exact == ample
    assert (exact.result, exact.errno, exact.nmsrs) == (0, None, count)
    assert len(set(exact.indices)) == len(exact.indices) == count


@pytest.mark.parametrize("ioctl", ["KVM_GET_MSR_INDEX_LIST", "KVM_GET_MSR_FEATURE_INDEX_LIST"])
def test_the_kernel_leaves_the_tail_of_a_larger_room_as_it_was(live_kvm: LiveHost, ioctl: str) -> None:
    with Path(live_kvm.path).open("rb", buffering=0) as device:
        buffer = bytearray(4)
        with pytest.raises(OSError, match="too long") as refusal:
            fcntl.ioctl(device, collector.IOCTLS[ioctl], buffer)
        assert refusal.value.errno == E2BIG
        (count,) = struct.unpack("<I", buffer)
        spare = 20
        buffer = bytearray(struct.pack("<I", count + spare) + b"\xa5" * (4 * (count + spare)))
        assert fcntl.ioctl(device, collector.IOCTLS[ioctl], buffer) == 0
    assert struct.unpack_from("<I", buffer) == (count,)
    assert buffer[4 + 4 * count :] == b"\xa5" * (4 * spare)
    listed = struct.unpack_from(f"<{count}I", buffer, 4)
    ask_list = GetMsrIndexList if ioctl == "KVM_GET_MSR_INDEX_LIST" else GetMsrFeatureIndexList
    assert live_kvm.ask(ask_list(count + spare)).indices == listed


def test_each_listed_feature_msr_can_be_read(live_kvm: LiveHost) -> None:
    listed = _feature_msrs(live_kvm)
    for index in listed:
        reply = live_kvm.ask(GetMsrs((index,)))
        assert (reply.result, reply.errno, len(reply.values)) == (1, None, 1), hex(index)
    together = live_kvm.ask(GetMsrs(listed))
    assert (together.result, len(together.values)) == (len(listed), len(listed))


def test_no_more_than_255_msrs_go_in_one_batch(live_kvm: LiveHost) -> None:
    index = _feature_msrs(live_kvm)[0]
    full = live_kvm.ask(GetMsrs((index,) * collector.MAX_MSRS))
    assert (full.result, len(full.values)) == (255, 255)
    assert live_kvm.ask(GetMsrs((index,) * 256)) == MsrsReply(-1, E2BIG)


def test_msr_batches_are_all_within_what_kvm_takes(live_kvm: LiveHost) -> None:
    indices = (_feature_msrs(live_kvm)[0],) * 600
    batches = list(msr_batches(indices, collector.MAX_MSRS))
    assert sum(batches, ()) == indices
    assert [live_kvm.ask(GetMsrs(batch)).result for batch in batches] == [255, 255, 90]


def test_what_stands_past_the_returned_count_is_no_answer(live_kvm: LiveHost, refused: int) -> None:
    first, *_, last = _feature_msrs(live_kvm)
    assert live_kvm.ask(GetMsrs((last,))).result == 1
    reply = live_kvm.ask(GetMsrs((first, refused, last)))
    assert (reply.result, reply.errno, len(reply.values)) == (1, None, 1)
    assert live_kvm.ask(GetMsrs((refused, first))) == MsrsReply(0, None, ())


def test_an_unknown_capability_is_0_and_no_error(live_kvm: LiveHost) -> None:
    assert live_kvm.ask(CheckExtension(0x7FFFFFFF)) == Reply(0)


def test_an_attribute_that_kvm_does_not_have_has_no_value(live_kvm: LiveHost) -> None:
    reply = live_kvm.ask(GetDeviceAttr(KVM_X86_GRP_SYSTEM, 0x7FFF))
    assert (reply.result, reply.value) == (-1, None)
    assert reply.errno is not None
    assert errno_name(reply.errno) in ("ENXIO", "EINVAL")


def test_a_cpuid_table_too_large_for_its_room_gets_e2big_and_leaves_nent(live_kvm: LiveHost) -> None:
    whole = live_kvm.ask(GetSupportedCpuid(256))
    assert whole.result == 0
    assert whole.nent == len(whole.entries) > 1
    assert live_kvm.ask(GetSupportedCpuid(len(whole.entries) - 1)) == CpuidReply(-1, E2BIG, len(whole.entries) - 1)
    assert live_kvm.ask(GetSupportedCpuid(0)) == CpuidReply(-1, E2BIG, 0)


@EVERY_QUESTION
def test_nothing_is_left_open_after_a_question(
    live_kvm: LiveHost, question: AnyRequest, reply_type: type[Reply]
) -> None:
    before = _open_files()
    assert type(live_kvm.ask(question)) is reply_type
    assert _open_files() == before


def test_a_held_device_is_opened_once_and_closed_at_the_end(live_kvm: LiveHost) -> None:
    with live_kvm.held():
        assert _kvm_fds(live_kvm) == [], "holding opens nothing before the first question"
        seen = []
        for question, _ in QUESTIONS:
            live_kvm.ask(question)
            seen.append(_kvm_fds(live_kvm))
        assert len(seen[0]) == 1
        assert seen == [seen[0]] * len(QUESTIONS)
        with live_kvm.held():
            live_kvm.ask(GetApiVersion())
        assert _kvm_fds(live_kvm) == seen[0], "an inner hold does not close what the outer one holds"
    assert _kvm_fds(live_kvm) == []


def test_a_held_device_is_closed_when_its_holder_fails(live_kvm: LiveHost) -> None:
    def fail() -> None:
        with live_kvm.held():
            live_kvm.ask(GetApiVersion())
            raise RuntimeError("the holder")

    with pytest.raises(RuntimeError, match="the holder"):
        fail()
    assert _kvm_fds(live_kvm) == []
    assert live_kvm.ask(GetApiVersion()) == Reply(API_VERSION), "and can be asked again"


def test_the_device_is_opened_for_reading_only_and_not_inherited(live_kvm: LiveHost) -> None:
    with live_kvm.held():
        live_kvm.ask(GetApiVersion())
        (fd,) = _kvm_fds(live_kvm)
        assert fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
        assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
        child = subprocess.run(
            [sys.executable, "-c", "import os; print([os.readlink(f'/proc/self/fd/{n}') for n in range(3, 64)"
             " if os.path.islink(f'/proc/self/fd/{n}')])"],
            capture_output=True, text=True, check=True, close_fds=False,
        )  # fmt: skip
    assert live_kvm.path not in child.stdout


# --- as strace sees it ------------------------------------------------------------------------------------------
_ASK_ONCE = "from msrtui.kvm.live import LiveHost as L; from msrtui.kvm.requests import *; print(L().ask({question}))"


def _strace(strace: str, root: Path, log: Path, question: str, *options: str) -> str:
    command = [strace, "-f", "-o", str(log), "-P", collector.DEVICE, *options, sys.executable, "-c"]
    code = _ASK_ONCE.format(question=question)
    child = subprocess.run([*command, code], cwd=root, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    return child.stdout


@pytest.fixture
def strace(
    live_kvm: LiveHost, need_tool: Callable[..., str], missing: Callable[[str], NoReturn], tmp_path: Path
) -> str:
    """strace, where it may trace."""
    path = need_tool("strace")
    tried = subprocess.run([path, "-o", str(tmp_path / "try"), "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        missing(f"strace may not trace here: {tried.stderr.strip()}")
    return path


def test_the_open_itself_says_read_only_and_close_on_exec(strace: str, root: Path, tmp_path: Path) -> None:
    _strace(strace, root, tmp_path / "log", "GetApiVersion()", "-e", "trace=openat,ioctl,close")
    calls = [line.split(maxsplit=1)[1] for line in (tmp_path / "log").read_text().splitlines() if "+++" not in line]
    assert len(calls) == 3, calls
    assert calls[0].startswith(f'openat(AT_FDCWD, "{collector.DEVICE}", O_RDONLY|O_CLOEXEC)')
    assert calls[1].startswith("ioctl(")
    assert calls[2].startswith("close(")


@pytest.mark.parametrize(
    ("question", "ioctl"),
    [
        ("GetApiVersion()", "KVM_GET_API_VERSION"),
        ("GetMsrIndexList(0)", "KVM_GET_MSR_INDEX_LIST"),
        ("GetSupportedCpuid(256)", "KVM_GET_SUPPORTED_CPUID"),
    ],
)
def test_an_interrupted_question_is_put_again(
    strace: str, root: Path, tmp_path: Path, question: str, ioctl: str
) -> None:
    plain = _strace(strace, root, tmp_path / "plain", question, "-e", "trace=ioctl")
    inject = ("-e", "trace=ioctl", "-e", "inject=ioctl:error=EINTR:when=1..3")
    interrupted = _strace(strace, root, tmp_path / "log", question, *inject)
    calls = [line for line in (tmp_path / "log").read_text().splitlines() if ioctl in line]
    assert ["INJECTED" in call for call in calls] == [True, True, True, False], calls
    assert "EINTR" in calls[0]
    assert interrupted.split("entries=")[0] == plain.split("entries=")[0]


def test_a_question_that_never_gets_through_ends_with_eintr(strace: str, root: Path, tmp_path: Path) -> None:
    inject = ("-e", "trace=ioctl", "-e", "inject=ioctl:error=EINTR:when=1+")
    assert _strace(strace, root, tmp_path / "log", "GetApiVersion()", *inject) == "Reply(result=-1, errno=4)\n"
    lines = (tmp_path / "log").read_text().splitlines()
    assert sum("INJECTED" in line for line in lines) == collector.INTERRUPTED_TRIES


# --- what is no KVM -----------------------------------------------------------------------------------------------
def _no_kvm(folder: Path) -> Iterator[tuple[str, Path, str, str]]:
    """(what it is, its path, the errno of open(2) or "", the errno of an ioctl)."""
    (folder / "file").write_bytes(b"not a device")
    (folder / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
    yield "no node", folder / "nothing", "ENOENT", "ENOENT"
    yield "a path below a file", folder / "file" / "kvm", "ENOTDIR", "ENOTDIR"
    yield "a loop of links", folder / "loop", "ELOOP", "ELOOP"
    yield "a socket", folder / "socket", "ENXIO", "ENXIO"
    yield "a regular file", folder / "file", "", "ENOTTY"
    yield "a directory", folder, "", "ENOTTY"
    yield "another device", Path("/dev/null"), "", "ENOTTY"


def test_every_question_that_there_is_is_put_here() -> None:
    every = {each for each in Request.__subclasses__() if each.__module__ == Request.__module__}
    assert {type(question) for question, _ in QUESTIONS} == every - {OpenDevice, HostCpuid}


@EVERY_QUESTION
def test_what_cannot_be_asked_comes_back_as_a_reply(
    tmp_path: Path, question: AnyRequest, reply_type: type[Reply]
) -> None:
    before = _open_files()
    for what, path, at_open, at_ioctl in _no_kvm(tmp_path):
        host = LiveHost(str(path))
        opened, reply = host.ask(OpenDevice()), host.ask(question)
        assert opened == (Reply(-1, getattr(errno, at_open)) if at_open else Reply(0)), what
        assert type(reply) is reply_type, what
        assert (reply.result, reply.errno) == (-1, getattr(errno, at_ioctl)), what
        assert getattr(reply, "values", ()) == getattr(reply, "indices", ()) == getattr(reply, "entries", ()) == ()
    assert _open_files() == before


def test_a_node_that_this_user_may_not_open_is_eacces(tmp_path: Path) -> None:
    node = tmp_path / "kvm"
    node.write_bytes(b"")
    node.chmod(0)
    tmp_path.chmod(0o755)
    code = (
        "import os, sys; os.getuid() or os.setuid(65534);"
        "from msrtui.kvm.live import LiveHost; from msrtui.kvm.requests import GetMsrIndexList;"
        "print(LiveHost(sys.argv[1]).ask(GetMsrIndexList(0)))"
    )
    # imported before the user is given up: the checkout may be for its owner alone
    code = f"from msrtui.kvm import live, requests; {code}"
    child = subprocess.run(
        [sys.executable, "-c", code, str(node)], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert child.returncode == 0, child.stderr
    assert child.stdout == f"{IndexListReply(-1, 13)}\n"
    assert errno_name(13) == "EACCES"


def test_the_instruction_is_asked_without_the_device(tmp_path: Path) -> None:
    reply = LiveHost(str(tmp_path / "nothing")).ask(HostCpuid(0, 0))
    assert reply.errno is None
    assert (reply.registers is None) == (reply.result == -1)
    assert reply.how
