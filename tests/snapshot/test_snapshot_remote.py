"""Captures over ssh: a real sshd on the loopback, and hosts that fail in every way of their own."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest
from far_hosts import ASKED, REASONS, ROOT, SHELLS, Far, running

from msrtui.kvm import collector
from msrtui.snapshot import codec, remote, ssh
from msrtui.snapshot.remote import Captured, RemoteOptions, capture_hosts, remote_command


@pytest.fixture(scope="module")
def far(
    tmp_path_factory: pytest.TempPathFactory,
    root: Path,
    need_tool: Callable[..., str],
    missing: Callable[[str], NoReturn],
) -> Iterator[Far]:
    """A running sshd, and the hosts behind it."""
    need_tool("ssh")
    python = shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin")
    if python is None:
        missing("needs a python3 in /usr/bin")
    # where many users have it out of PATH
    sshd = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if sshd is None:
        missing("needs sshd")
    folder = tmp_path_factory.mktemp("far")
    with running(sshd, need_tool("ssh-keygen"), python, root / "msrtui" / "kvm" / "collector.py", folder) as hosts:
        yield hosts


# --- hosts that have a snapshot ------------------------------------------------------------------------------------
def _local(far: Far) -> dict[str, Any]:
    program = [far.python, "-I", str(far.folder / "collector.py"), "--plain"]
    said: dict[str, Any] = json.loads(subprocess.run(program, capture_output=True, check=True).stdout)
    return said


def test_what_comes_over_ssh_is_what_the_collector_says_there(far: Far) -> None:
    taken, local = far.take("good"), _local(far)
    made = taken.pop("made")
    assert made["root"] is ROOT
    assert set(made) == set(local.pop("made"))
    assert taken == local
    assert codec.decode({**taken, "made": made}, "taken").about.name == local["host"]["name"]


def test_the_name_is_kept_where_that_is_wanted(far: Far) -> None:
    assert far.take("good", keep_name=True)["host"]["name"] == collector.plain(os.uname().nodename)


def test_a_login_that_talks_before_and_after_does_not_matter(far: Far) -> None:
    assert far.take("noisy")["kvm"] == far.take("good")["kvm"]


def test_a_line_that_stays_open_behind_the_snapshot_is_not_waited_for(far: Far) -> None:
    assert far.take("stays")["format"] == collector.FORMAT


def test_a_python_that_is_a_stub_is_passed_over(far: Far) -> None:
    assert far.take("stub")["format"] == collector.FORMAT


@pytest.mark.parametrize("shell", SHELLS)
def test_every_login_shell_reads_the_line_alike(far: Far, shell: str, need_tool: Callable[..., str]) -> None:
    need_tool(shell)
    assert far.take(f"shell-{shell}")["kvm"] == far.take("good")["kvm"]


def test_the_line_is_constant_and_plain_for_every_shell() -> None:
    lines = {
        remote_command(RemoteOptions(sudo=sudo, keep_name=name)) for sudo in (False, True) for name in (False, True)
    }
    assert len(lines) == 4
    for line in lines:
        assert line.isprintable()
        assert line.isascii()
        assert line.count("'") == 2
        assert not {"\\", "!", "%"} & set(line)


def test_a_master_connection_of_the_user_s_is_used_and_left_running(far: Far, need_tool: Callable[..., str]) -> None:
    master = [need_tool("ssh"), "-F", far.config, "-O"]
    try:
        assert far.take("kept")["kvm"] == far.take("kept")["kvm"] == far.take("good")["kvm"]
        assert subprocess.run([*master, "check", "kept"], capture_output=True, check=False).returncode == 0
    finally:
        subprocess.run([*master, "exit", "kept"], capture_output=True, check=False)


def test_kvm_that_cannot_be_opened_is_no_failure_where_that_is_wanted(far: Far) -> None:
    assert far.take("refused")["kvm"] == {"open": {"errno": 13, "error": "EACCES", "result": -1}}
    assert far.take("absent")["kvm"] == {"open": {"errno": 2, "error": "ENOENT", "result": -1}}


def test_many_hosts_come_in_the_order_given_and_no_more_at_once_than_jobs(far: Far) -> None:
    hosts = ["counted", "bare", "counted", "cut", "counted", "no host", "counted", "counted"]
    ended: list[Captured] = []
    taken = capture_hosts(hosts, far.options(jobs=2, without_kvm=True), ended.append)
    assert [each.host for each in taken] == hosts
    assert [each.document is not None for each in taken] == [host == "counted" for host in hosts]
    assert all((each.document is None) == (each.reason is not None) for each in taken)
    assert sorted(map(id, ended)) == sorted(map(id, taken))
    log = (far.folder / "log").read_text().split()
    running = [log[: place + 1].count("+") - log[: place + 1].count("-") for place in range(len(log))]
    assert len(log) == 10
    assert 1 <= max(running) <= 2


def test_no_host_is_no_work() -> None:
    assert capture_hosts([], RemoteOptions()) == []


# --- hosts that have none ------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def failures(far: Far) -> dict[str, Captured]:
    """All of them, asked at once."""
    hosts = list(REASONS)
    # two ends of the pipe keep the relays of those that are ended from waiting for a reader
    pipe = os.open(far.folder / "pipe", os.O_RDWR)
    try:
        return dict(zip(hosts, capture_hosts(hosts, far.options(jobs=4)), strict=True))
    finally:
        os.close(pipe)


@pytest.mark.parametrize("host", REASONS)
def test_each_failure_has_its_own_sentence(far: Far, failures: dict[str, Captured], host: str) -> None:
    captured = failures[host]
    assert captured.document is None
    assert captured.reason is not None
    assert captured.reason.startswith(far.fill(REASONS[host]))
    assert captured.reason.endswith((".", ")."))
    assert captured.reason.isprintable()
    assert len(captured.reason) < 400


def test_another_ssh_failure_shows_what_ssh_says(far: Far) -> None:
    said = far.reason("good", ssh_config="/no/such\x1b[31m")
    assert said.startswith("ssh failed (Can't open user config file /no/such")
    assert said.isprintable()


def test_nobody_is_asked_anything(far: Far, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ask").write_text(f"#!/bin/sh\ntouch {tmp_path}/asked; echo yes\n")
    (tmp_path / "ask").chmod(0o755)
    monkeypatch.setenv("SSH_ASKPASS", str(tmp_path / "ask"))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    assert far.reason("unknown-key").startswith("Its host key is not known here")
    assert not (tmp_path / "asked").exists()


def test_without_an_ssh_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (captured,) = capture_hosts(["good"], RemoteOptions())
    assert captured.reason == "There is no ssh on this machine: install OpenSSH's client."


def test_an_ssh_that_cannot_be_started_costs_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ssh").write_text("#!/no/such/shell\n")
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (captured,) = capture_hosts(["good"], RemoteOptions())
    assert captured.reason == "ssh cannot be started here (No such file or directory): with fewer --jobs it may."


# --- sudo ----------------------------------------------------------------------------------------------------------
def test_with_sudo_root_asks(far: Far, need_tool: Callable[..., str], missing: Callable[[str], NoReturn]) -> None:
    if subprocess.run([need_tool("sudo"), "-n", "true"], capture_output=True, check=False).returncode:
        missing("needs a sudo that wants no password")
    assert far.take("good", sudo=True)["made"]["root"] is True


def test_a_sudo_that_wants_a_password_has_its_sentence(far: Far, need_tool: Callable[..., str]) -> None:
    sudo = need_tool("sudo")
    free = not subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode
    nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups" if ROOT or free else ""
    (far.folder / "good.sh").rename(far.folder / "kept.sh")
    try:
        script = f"exec {'sudo -n' if free and not ROOT else ''} {nobody} /bin/sh -c {ASKED}\n"
        (far.folder / "good.sh").write_text(script)
        said = far.reason("good", sudo=True, keep_name=True)
    finally:
        (far.folder / "kept.sh").rename(far.folder / "good.sh")
    assert said.startswith("sudo wants a password there: allow  python3 -I - --name  in sudoers with NOPASSWD")


def test_where_there_is_no_sudo_it_says_so(far: Far) -> None:
    assert far.reason("stub", sudo=True) == "There is no sudo there: log in as root, without --sudo."


# --- nothing stays behind -------------------------------------------------------------------------------------------
def _wait_for_end_of(group: int) -> None:
    """Come back when no process of the group is left but zombies; what SIGKILL hit may take a moment to go."""
    while any(_is_in(process, group) for process in psutil.process_iter()):
        os.sched_yield()


def _is_in(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


@pytest.fixture
def groups(far: Far) -> Callable[[], list[int]]:
    """The process groups of the relays that were begun; read when the last of them is gone."""
    reader = os.open(far.folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)

    def read() -> list[int]:
        with os.fdopen(reader, "rb") as file:
            return [int(line) for line in file]

    return read


@pytest.mark.parametrize(("host", "reason"), [("hangs", "It did not answer within 2 s; --timeout gives it longer.")])
def test_a_host_that_hangs_is_ended_with_all_its_group(
    far: Far, groups: Callable[[], list[int]], host: str, reason: str
) -> None:
    assert far.reason(host, timeout=2.0) == reason
    (group,) = groups()
    _wait_for_end_of(group)


@pytest.mark.parametrize("host", ["floods", "floods-errors"])
def test_a_host_that_talks_without_end_is_ended_with_all_its_group(
    far: Far, groups: Callable[[], list[int]], host: str
) -> None:
    assert far.reason(host).startswith("It says more and more")
    (group,) = groups()
    _wait_for_end_of(group)


_INTERRUPTED = """
import sys
from msrtui.snapshot.remote import RemoteOptions, capture_hosts
try:
    capture_hosts(["hangs", "hangs", "hangs"], RemoteOptions(ssh_config=sys.argv[1], timeout=600, jobs=2))
except KeyboardInterrupt:
    print("passed on")
"""


@pytest.mark.parametrize(
    ("number", "said", "status"), [(signal.SIGINT, "passed on\n", 0), (signal.SIGKILL, "", -signal.SIGKILL)]
)
def test_ctrl_c_ends_every_ssh_and_is_passed_on_and_so_does_who_kills_us(
    far: Far, root: Path, number: signal.Signals, said: str, status: int
) -> None:
    reader = os.open(far.folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    # a pipe that nobody writes yet would be at its end
    ours = os.open(far.folder / "pipe", os.O_WRONLY)
    child = subprocess.Popen(
        [sys.executable, "-c", _INTERRUPTED, far.config],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with os.fdopen(reader, "rb", buffering=0) as file:
        begun = [int(file.readline()), int(file.readline())]
        os.close(ours)
        child.send_signal(number)
        assert child.communicate() == (said, "")
        assert child.returncode == status
        assert file.read() == b""
    for group in begun:
        _wait_for_end_of(group)


async def test_what_outlives_ssh_is_neither_waited_for_nor_ended(tmp_path: Path) -> None:
    for name in ("call", "answer"):
        os.mkfifo(tmp_path / name)
    script = f"(read go <{tmp_path}/call; echo alive >{tmp_path}/answer) & echo so good >&2; exit 3"
    heard = await ssh.run(["sh", "-c", script], b"x" * 300000, 600)
    assert (heard.status, heard.errors) == (3, b"so good\n")
    assert [heard.late, heard.too_much, heard.cut] == [False, False, False]
    call = os.open(tmp_path / "call", os.O_RDWR)
    os.write(call, b"go\n")
    assert (tmp_path / "answer").read_text() == "alive\n"
    os.close(call)


async def test_what_is_still_on_its_way_when_ssh_has_ended_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "GRACE", 60.0)
    heard = await ssh.run(["sh", "-c", "(while kill -0 $$; do :; done; echo behind) 2>/dev/null & exit 3"], b"", 600)
    assert (heard.status, heard.output) == (3, b"behind\n")


async def test_a_snapshot_that_comes_byte_by_byte_is_found_at_its_last_one() -> None:
    ear = ssh._Ear(asyncio.get_running_loop())
    for byte in b"Hello\n" + collector.framed(b"{}").encode().rstrip():
        assert ear.snapshot is None
        ear.pipe_data_received(1, bytes([byte]))
    assert ear.snapshot == b"{}"
    assert ear.enough.done()


async def test_of_the_errors_no_more_than_the_end_is_held() -> None:
    ear = ssh._Ear(asyncio.get_running_loop())
    for _ in range(3):
        ear.pipe_data_received(2, b"x" * 200000)
    assert len(ear.errors) == ssh.TAIL
    assert not ear.enough.done()


async def test_of_much_that_is_said_the_end_is_kept() -> None:
    script = "head -c 3000000 /dev/zero >&2; echo last >&2; head -c 3000000 /dev/zero; echo end"
    heard = await ssh.run(["sh", "-c", script], b"", 600)
    assert heard.status == 0
    assert len(heard.errors) == len(heard.output) == ssh.TAIL
    assert heard.errors.endswith(b"last\n")
    assert heard.output.endswith(b"end\n")


def test_a_host_is_reached_by_its_ipv6_address(far: Far, missing: Callable[[str], NoReturn]) -> None:
    try:
        socket.create_connection(("::1", far.port)).close()
    except OSError as error:
        missing(f"needs IPv6 on the loopback: {error}")
    local = _local(far)
    user = pwd.getpwuid(os.geteuid()).pw_name
    for host in (f"ssh://[::1]:{far.port}", f"ssh://{user}@[::1]:{far.port}/", "[::1]", f"{user}@[::1]"):
        assert far.take(host)["kvm"] == local["kvm"]
    assert "(ssh: connect to host ::1 port 1: " in far.reason("ssh://[::1]:1")


def test_a_key_of_the_sentences_is_never_a_host_s_own_word() -> None:
    heard = ssh.Heard(None, False, 255, False, False, b"", b"ssh: Could not resolve hostname {0}{hand.x}: {line}\n")
    said = remote._why_not(heard, "h", RemoteOptions())
    assert "{0}{hand.x}: {line}" in said
