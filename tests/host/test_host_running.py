"""Which QEMUs run here and how they were started: real ones, and of their command lines nothing but four options."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from msrtui.host import processes, qemus, running
from msrtui.host.running import Arguments, arguments_of, running_qemus

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc of Linux")

QUIET = ("-S", "-display", "none", "-monitor", "none", "-nodefaults")
SECRET = "hunter2"
WITH_SECRETS = ("-object", f"secret,id=s0,data={SECRET}", "-name", f"guest={SECRET}")


@pytest.fixture
def qemu(need_tool: Callable[..., str]) -> str:
    return need_tool("qemu-system-x86_64")


@pytest.fixture
def start() -> Iterator[Callable[..., int]]:
    """Starts a program, and ends it when the test is over."""
    children: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str) -> int:
        child = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        children.append(child)
        # exec lets Popen go on before the kernel has the new command line
        while not Path(f"/proc/{child.pid}/cmdline").read_bytes() and child.poll() is None:
            pass
        return child.pid

    yield run
    for child in children:
        child.kill()
        child.wait(timeout=30)


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """A machine that has these processes only, and nothing installed but what is in tmp_path."""

    def see(*pids: int) -> None:
        monkeypatch.setattr(psutil, "pids", lambda: list(pids))
        monkeypatch.setattr(qemus, "PLACES", ())
        monkeypatch.setenv("PATH", str(tmp_path))

    return see


def test_a_running_one_is_told_with_its_four_options_and_nothing_else(
    qemu: str, start: Callable[..., int], only: Callable[..., None]
) -> None:
    options = ("-cpu", "EPYC,-svm", "-machine", "q35,accel=tcg,usb=off", "-smp", "2,sockets=1")
    pid = start(qemu, *QUIET, *WITH_SECRETS, *options)
    only(pid)
    (found,) = running_qemus()
    assert (found.pid, found.version, found.own_version, found.deleted) == (pid, qemus.version_of(qemu), True, False)
    assert found.arguments == Arguments("EPYC,-svm", "q35", "tcg", "2,sockets=1")
    assert SECRET not in repr(found)


def test_one_whose_file_is_deleted_is_asked_itself(
    qemu: str, start: Callable[..., int], only: Callable[..., None], tmp_path: Path
) -> None:
    copy = tmp_path / "qemu-kvm"
    shutil.copy(qemu, copy)
    pid = start(str(copy), *QUIET, "-machine", "none,accel=tcg")
    copy.unlink()
    only(pid)
    (found,) = running_qemus()
    assert (found.path, found.version, found.deleted) == (str(copy), qemus.version_of(qemu), True)


def test_many_of_one_file_cost_one_question(
    qemu: str, start: Callable[..., int], only: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = [start(qemu, *QUIET, "-machine", "none", "-accel", "tcg") for _ in range(2)]
    asked: list[int] = []
    ask = qemus.ask_process

    def counted(pid: int) -> qemus.Qemu | None:
        asked.append(pid)
        return ask(pid)

    monkeypatch.setattr(qemus, "ask_process", counted)
    only(*pids)
    assert [found.pid for found in running_qemus()] == pids
    assert asked == pids[:1]


def test_when_patience_is_over_nothing_is_asked_any_more_and_they_are_told_all_the_same(
    qemu: str, start: Callable[..., int], only: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = start(qemu, *QUIET, "-machine", "none", "-accel", "tcg", "-cpu", "max")
    monkeypatch.setattr(running, "PATIENCE", 0.0)
    monkeypatch.setattr(qemus, "version_of", lambda *_: pytest.fail("asked"))
    only(pid)
    (found,) = running_qemus()
    assert (found.version, found.arguments) == (None, Arguments("max", "none", "tcg"))


def test_a_file_that_others_can_write_is_not_run_but_its_process_is_told(
    qemu: str, start: Callable[..., int], only: Callable[..., None], tmp_path: Path
) -> None:
    copy = tmp_path / "qemu-kvm"
    shutil.copy(qemu, copy)
    copy.chmod(0o777)
    pid = start(str(copy), *QUIET, "-machine", "none", "-accel", "tcg")
    copy.unlink()
    only(pid)
    (found,) = running_qemus()
    assert (found.pid, found.version, found.own_version) == (pid, None, False)
    assert found.arguments == Arguments(None, "none", "tcg")


def test_one_that_may_not_be_asked_has_the_version_of_the_installed_file_it_was_started_from(
    qemu: str, start: Callable[..., int], only: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "qemu-system-x86_64"
    installed.symlink_to(qemu)
    pid = start(str(installed), *QUIET, "-machine", "none", "-accel", "tcg")

    def refused(_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(qemus, "ask_process", refused)
    only(pid)
    (found,) = running_qemus()
    assert (found.version, found.own_version) == (qemus.version_of(qemu), False)
    installed.unlink()  # what is not installed is never run, whatever a process calls itself
    (found,) = running_qemus()
    assert found.version is None


def test_a_command_line_that_may_not_be_read_is_not_known(
    qemu: str, start: Callable[..., int], only: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = start(qemu, *QUIET, "-machine", "none", "-accel", "tcg")

    def refused(_: psutil.Process) -> list[str]:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil.Process, "cmdline", refused)
    only(pid)
    (found,) = running_qemus()
    assert found.arguments is None


def test_what_only_has_the_name_and_what_has_ended_is_not_told(
    start: Callable[..., int], only: Callable[..., None], tmp_path: Path
) -> None:
    copy = tmp_path / "qemu-kvm"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", copy)
    ended = subprocess.Popen(["true"])
    ended.wait()
    only(start(str(copy), "1000"), ended.pid)
    assert running_qemus() == ()


def test_without_psutil_they_are_found_and_read_all_the_same(
    qemu: str, start: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = start(qemu, *QUIET, *WITH_SECRETS, "-cpu", "EPYC,-svm", "-machine", "none", "-accel", "tcg")
    asked_of_psutil = processes.command_line(pid)
    assert pid in processes.pids()
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert asked_of_psutil is not None
    assert processes.command_line(pid) == asked_of_psutil
    (found,) = [each for each in running_qemus() if each.pid == pid]
    assert found.arguments == Arguments("EPYC,-svm", "none", "tcg", None)


def test_without_psutil_what_has_ended_has_no_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    for package in (psutil, None):
        monkeypatch.setitem(sys.modules, "psutil", package)
        with pytest.raises(OSError, match=str(ended.pid)):
            processes.command_line(ended.pid)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("qemu", Arguments()),
        ("qemu -cpu host", Arguments(cpu="host")),
        ("qemu --cpu host", Arguments(cpu="host")),
        ("qemu -cpu=host", Arguments(cpu="host")),
        ("qemu -cpu host -cpu EPYC,-svm", Arguments(cpu="EPYC,-svm")),
        ("qemu -cpu EPYC -cpu=max", Arguments(cpu="max")),
        ("qemu -M q35 -machine accel=kvm:tcg", Arguments(machine="q35", accel="kvm:tcg")),
        ("qemu -machine type=pc-q35-7.2,kernel_irqchip=split", Arguments(machine="pc-q35-7.2,kernel-irqchip=split")),
        (
            "qemu -machine pc,kernel-irqchip=on -machine q35,kernel_irqchip=off",
            Arguments(machine="q35,kernel-irqchip=off"),
        ),
        ("qemu -accel kvm -accel tcg", Arguments(accel="kvm:tcg")),
        ("qemu -accel kvm,kernel-irqchip=split,dirty-ring-size=4096", Arguments(accel="kvm,kernel-irqchip=split")),
        ("qemu -machine accel=tcg -enable-kvm", Arguments(accel="kvm")),
        ("/usr/libexec/qemu-kvm", Arguments(accel="kvm:tcg")),
        ("qemu -smp 2 -smp cpus=4", Arguments(smp="cpus=4")),
        # what follows an option that takes an argument is that argument
        ("qemu -name -cpu -display none", Arguments()),
        ("qemu -append -cpu -kernel x -smp 3", Arguments(smp="3")),
        # what follows one that takes none is an option
        ("qemu -S -nodefaults -no-reboot -cpu max", Arguments(cpu="max")),
        ("qemu disk.img -cpu max - -smp 1", Arguments(cpu="max", smp="1")),
        ("qemu -cpu", Arguments(cpu="")),
    ],
)
def test_a_command_line_is_read_as_qemu_reads_it(line: str, expected: Arguments) -> None:
    assert arguments_of(line.split()) == expected


@pytest.mark.parametrize(
    "words",
    [
        ["-machine", f"q35,append={SECRET},kernel={SECRET},memory-backend={SECRET}"],
        ["-machine", f"q35,append=x,,kernel-irqchip={SECRET}"],
        ["-accel", f"kvm,device={SECRET}"],
        ["-vnc", f":0,password={SECRET}", "-append", f"-cpu {SECRET}"],
        ["-object", f"-cpu={SECRET}"],
        [f"-drive=password={SECRET}"],
        [SECRET],
    ],
)
def test_nothing_else_of_it_is_kept(words: list[str]) -> None:
    assert SECRET not in repr(arguments_of(["qemu", *words]))


def test_what_could_drive_a_terminal_is_not_in_it() -> None:
    found = arguments_of(["qemu", "-cpu", "EPYC\x1b[2J\n,+x", "-machine", "q35\x07", "-smp", "9" * 9000])
    assert (found.cpu or "").isprintable()
    assert found.machine == "q35"
    assert len(found.smp or "") <= 2000


def test_every_option_of_this_qemu_that_takes_no_argument_is_known_as_such(qemu: str) -> None:
    """QEMU complains of a missing argument where one is needed and the line ends."""
    said = subprocess.run([qemu, "-help"], capture_output=True, text=True, timeout=30, check=True).stdout
    lines = [line.split()[0] for line in said.splitlines() if line.startswith("-") and line[1:2] != " "]
    names = {name.lstrip("-") for first in lines for name in first.split("/")}
    assert {"S", "cpu", "machine", "nographic"} <= names
    needs = set()
    for name in names:
        # -machine ? makes it leave before it starts anything, where the option is taken
        done = subprocess.run(
            [qemu, "-machine", "help", f"-{name}"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30
        )
        if "requires an argument" in done.stderr:
            needs.add(name)
    assert names - needs == {name for name in names if name in running._ALONE}
