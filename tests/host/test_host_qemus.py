"""Which QEMU is here: real ones, copied, deleted while they run, and things that only have the name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from msrtui.errors import BadRequest
from msrtui.host import qemus
from msrtui.host.qemus import find_qemu, installed, running, version_of

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc of Linux")

IDLE = ("-S", "-machine", "none", "-accel", "tcg", "-display", "none", "-monitor", "none", "-nodefaults")


@pytest.fixture
def qemu(need_tool: Callable[..., str]) -> str:
    return need_tool("qemu-system-x86_64")


@pytest.fixture
def version(qemu: str) -> str:
    said = subprocess.run([qemu, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    return said.split()[3]


@pytest.fixture
def start() -> Iterator[Callable[..., int]]:
    """Starts a program, and ends it when the test is over."""
    children: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str) -> int:
        children.append(subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return children[-1].pid

    yield run
    for child in children:
        child.kill()
        child.wait(timeout=30)


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """A machine that has these processes only, and nothing installed but what is in tmp_path."""

    def see(*pids: int) -> None:
        monkeypatch.setattr(psutil, "pids", lambda: list(pids))
        monkeypatch.setattr(qemus, "PLACES", (str(tmp_path / "libexec" / "qemu-kvm"),))
        monkeypatch.setenv("PATH", str(tmp_path))

    return see


def script(path: Path, text: str) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_version_is_what_the_program_says_itself(qemu: str, version: str) -> None:
    assert version_of(qemu) == version
    assert version.count(".") == 2


@pytest.mark.parametrize(
    "text",
    ["echo 'QEMU emulator version'", "echo 7.2.22", "exit 1", "", "echo 'emulator version 7.2'", "kill -9 $$"],
)
def test_what_says_no_version_is_no_qemu(text: str, tmp_path: Path) -> None:
    assert version_of(script(tmp_path / "kvm", text)) is None


def test_what_cannot_be_run_is_no_qemu(tmp_path: Path) -> None:
    assert version_of(str(tmp_path / "nothing")) is None
    assert version_of(str(tmp_path)) is None
    assert version_of("a\x00b") is None
    (tmp_path / "text").write_text("no program")
    assert version_of(str(tmp_path / "text")) is None


def test_what_hangs_is_no_qemu_and_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemus, "TIMEOUT", 0.5)
    noted = tmp_path / "pid"
    assert version_of(script(tmp_path / "kvm", f"echo $$ > '{noted}'; exec sleep 1000")) is None
    if noted.exists():  # it may have been ended before it came so far
        assert not psutil.pid_exists(int(noted.read_text() or 0) or 2**22)


@pytest.mark.parametrize("name", ["qemu-system-x86_64", "qemu-kvm", "kvm", "libexec/qemu-kvm"])
def test_it_is_found_under_the_names_of_the_distributions(
    name: str, qemu: str, version: str, tmp_path: Path, only: Callable[..., None]
) -> None:
    only()
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).symlink_to(qemu)
    (found,) = installed()
    assert (found.version, found.path, found.pid) == (version, str(tmp_path / name), None)
    assert find_qemu() == found
    assert version in found.sentence


def test_one_file_under_two_names_is_one(qemu: str, tmp_path: Path, only: Callable[..., None]) -> None:
    only()
    for name in ("qemu-system-x86_64", "kvm"):
        (tmp_path / name).symlink_to(qemu)
    assert [found.path for found in installed()] == [str(tmp_path / "qemu-system-x86_64")]


def test_something_else_of_that_name_is_passed_over(
    qemu: str, version: str, tmp_path: Path, only: Callable[..., None]
) -> None:
    only()
    script(tmp_path / "qemu-system-x86_64", "echo something else")
    (tmp_path / "qemu-kvm").symlink_to(qemu)
    assert find_qemu().version == version


def test_without_one_it_is_a_sentence(only: Callable[..., None]) -> None:
    only()
    with pytest.raises(BadRequest, match="--qemu"):
        find_qemu()


def test_a_running_qemu_is_asked_itself(
    qemu: str, version: str, start: Callable[..., int], only: Callable[..., None], tmp_path: Path
) -> None:
    pid = start(qemu, *IDLE)
    only(pid)
    script(tmp_path / "qemu-system-x86_64", "echo QEMU emulator version 1.2.3")
    found = find_qemu()
    assert (found.version, found.pid, found.deleted) == (version, pid, False)
    assert found.path == os.path.realpath(qemu)
    assert "deleted" not in found.sentence


@pytest.mark.parametrize("name", ["qemu-system-x86_64", "qemu-kvm"])
def test_a_running_qemu_whose_file_is_deleted_is_asked_all_the_same_and_it_is_said(
    name: str, qemu: str, version: str, start: Callable[..., int], only: Callable[..., None], tmp_path: Path
) -> None:
    copy = tmp_path / name
    shutil.copy(qemu, copy)
    pid = start(str(copy), *IDLE)
    copy.unlink()
    only(pid)
    script(copy, "echo QEMU emulator version 99.9.9")
    copy.rename(tmp_path / "kvm")
    found = find_qemu()
    assert (found.version, found.path, found.pid, found.deleted) == (version, str(copy), pid, True)
    assert "deleted" in found.sentence


def test_a_process_that_only_has_the_name_is_passed_over(
    start: Callable[..., int], only: Callable[..., None], tmp_path: Path
) -> None:
    copy = tmp_path / "qemu-kvm"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", copy)
    only(start(str(copy), "1000"))
    assert list(running()) == []
    copy.unlink()
    assert list(running()) == []


def test_a_file_that_others_can_write_is_never_run(
    qemu: str, start: Callable[..., int], only: Callable[..., None], tmp_path: Path
) -> None:
    copy = tmp_path / "qemu-kvm"
    shutil.copy(qemu, copy)
    copy.chmod(0o777)
    pid = start(str(copy), *IDLE)
    copy.unlink()
    only(pid)
    refused: list[int] = []
    assert list(running(refused)) == []
    assert refused == [pid]
    with pytest.raises(BadRequest, match=str(pid)):
        find_qemu()


def test_a_process_that_has_ended_is_passed_over(only: Callable[..., None]) -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    only(child.pid)
    assert list(running()) == []


def test_of_all_that_runs_here_each_is_told_once() -> None:
    pids = [found.pid for found in running()]
    assert pids == sorted(set(pids), key=lambda pid: pid or 0)
