"""The one file: made here, run by a Python that has nothing else, in an empty home, over ssh, in a terminal."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import pytest
from far_hosts import Far, running
from pythons import interpreters
from terminals import Terminal

ROOT = Path(__file__).resolve().parents[2]
EPYC = "amd-pvm-linux6.18"
SKYLAKE = "intel-skylake-bochs-linux6.12"
PYTHONS = interpreters()
BARE = ["-I", "-S"]
"""Options without which a Python would find packages that are installed."""

COMMANDS = (
    ["--version"],
    ["get", "0x10a", EPYC],
    ["get", "0x10a", EPYC, "--json", "--qemu", "7.2"],
    ["trace", EPYC, "--json"],
    ["lists", EPYC],
    ["features", EPYC, "--cpu", "EPYC-v4"],
    ["diff", EPYC, SKYLAKE],
    ["lint", SKYLAKE],
    ["baseline", EPYC, SKYLAKE],
    ["explain", "failed to set MSR 0x10a to 0x69", EPYC],
    ["decode", "0x48b", "0x1582e00000000"],
    ["hosts"],
    ["report", EPYC],
    ["redact", "HOST.json", "-o", "-"],
    ["play", "--list"],
    ["play", "five-values", "--lang", "zh", "--export", "-"],
    ["play", "article", "--export", "-"],
    ["collector"],
    ["help", "ladder"],
    ["completion", "bash"],
    ["man"],
    ["get", "0x10b", "no-such-host"],
    ["verify", "--no-such-option"],
)


def _make(path: Path, seed: str) -> None:
    command = [sys.executable, "-m", "msrtui", "pyz", "-o", str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert str(path) in done.stdout


@pytest.fixture(scope="session")
def one_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file, as one command makes it."""
    path = tmp_path_factory.mktemp("one_file") / "msrtui.pyz"
    _make(path, "0")
    return path


@pytest.fixture
def nowhere(tmp_path: Path) -> Iterator[Path]:
    """An empty folder that is still empty when the test is over."""
    folder = tmp_path / "home"
    folder.mkdir()
    yield folder
    assert list(folder.rglob("*")) == []


def _run(
    command: Sequence[str | Path], home: Path, extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """A process that knows nothing of us but what it is given."""
    environment = {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "TMPDIR": str(home),
        **(extra or {}),
    }
    return subprocess.run(
        command, capture_output=True, stdin=subprocess.DEVNULL, env=environment, cwd=home, timeout=120, check=False
    )


def _bare(one_file: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return _run([sys.executable, *BARE, one_file, *arguments], home)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_without_any_package_it_says_what_the_installed_one_says(
    arguments: list[str], one_file: Path, nowhere: Path, tmp_path: Path
) -> None:
    shutil.copy(ROOT / "snapshots" / f"{EPYC}.json", tmp_path / "HOST.json")
    words = [str(tmp_path / word) if word == "HOST.json" else word for word in arguments]
    bare = _bare(one_file, nowhere, *words)
    installed = _run([sys.executable, "-m", "msrtui", *words], nowhere, {"PYTHONPATH": str(ROOT)})
    assert bare.stdout == installed.stdout
    assert bare.stderr == installed.stderr
    assert bare.returncode == installed.returncode
    assert bare.stdout or bare.stderr


def test_it_does_without_a_home_that_could_be_written_to(one_file: Path) -> None:
    done = _bare(one_file, Path("/proc"), "features", EPYC)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_path_that_is_relative_a_link_or_has_odd_letters_leads_to_it(one_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "odd % {name} é"
    folder.mkdir()
    (folder / "link").symlink_to(one_file)
    for path in ("link", "./link", f"../{folder.name}/./link", folder / "link"):
        done = _run([sys.executable, *BARE, path, "get", "0x10a", EPYC], folder)
        assert (done.returncode, done.stderr) == (0, b"")
    whole = _run([one_file, "--version"], tmp_path)  # it is a program, of the first python3 in PATH
    assert whole.returncode in (0, 2)
    assert b"msrtui" in whole.stdout + whole.stderr


def test_this_machine_is_captured(one_file: Path, nowhere: Path) -> None:
    done = _bare(one_file, nowhere, "capture", "--without-kvm", "-o", "-")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["format"] == "msrtui-snapshot"


def test_running_qemus_are_told_of_without_psutil(one_file: Path, nowhere: Path) -> None:
    done = _bare(one_file, nowhere, "qemus", "--json")
    assert done.stderr == b""
    assert "qemus" in json.loads(done.stdout)


def test_a_fleet_of_the_bundled_hosts_is_read_out_of_it(one_file: Path, nowhere: Path) -> None:
    hosts = sorted(path.stem for path in (ROOT / "snapshots").glob("*.json"))
    assert len(hosts) > 16, "fewer are no fleet"
    done = _bare(one_file, nowhere, "diff", *hosts, "--json")
    assert (done.returncode, done.stderr) == (1, b"")
    assert all(host in done.stdout.decode() for host in hosts)


def test_what_one_file_cannot_do_is_one_sentence(one_file: Path, nowhere: Path) -> None:
    for arguments in (["serve"], ["verify"]):
        done = _bare(one_file, nowhere, *arguments)
        assert done.returncode == 2
        assert done.stderr.decode().count("\n") == 1
        assert "install" in done.stderr.decode()


@pytest.mark.parametrize("name", PYTHONS)
def test_every_python_runs_it_or_says_which_it_needs(name: str, one_file: Path, nowhere: Path) -> None:
    python = PYTHONS[name]
    done = _run([python, *BARE, one_file, "get", "0x10a", EPYC, "--json"], nowhere)
    version = tuple(map(int, name.rpartition("-")[2].split(".")))
    if version < (3, 10):
        assert (done.returncode, done.stdout) == (2, b"")
        (sentence,) = done.stderr.decode().splitlines()
        assert sentence.startswith(f"msrtui: This is Python {version[0]}.{version[1]}, and msrtui needs 3.10 or later")
        return
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["index"] == "0x10a"
    talk = _run([python, *BARE, one_file, "play", "article", "--export", "-"], nowhere)
    assert (talk.returncode, talk.stderr) == (0, b"")


def test_the_same_installation_makes_the_same_bytes(one_file: Path, tmp_path: Path) -> None:
    _make(tmp_path / "again.pyz", "7")
    assert (tmp_path / "again.pyz").read_bytes() == one_file.read_bytes()


def test_the_python_that_made_it_compiles_nothing_and_another_everything(one_file: Path, nowhere: Path) -> None:
    look = "import sys; sys.path[0:0] = [sys.argv[1]]; import msrtui.cli.get as it; print(it.__file__)"
    for name, python in PYTHONS.items():
        version = tuple(map(int, name.rpartition("-")[2].split(".")))
        if version >= (3, 10):
            said = _run([python, *BARE, "-c", look, str(one_file)], nowhere).stdout.decode().strip()
            assert said == f"{one_file}/msrtui/cli/get.py{'c' if version == sys.version_info[:2] else ''}"


def test_it_gives_itself_away(one_file: Path, nowhere: Path) -> None:
    done = _bare(one_file, nowhere, "pyz", "-o", "-")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == one_file.read_bytes()


def test_it_has_the_licence_of_every_package_in_it_and_nothing_of_this_machine(one_file: Path) -> None:
    with zipfile.ZipFile(one_file) as archive:
        names = archive.namelist()
        tops = {
            name.split("/")[0].removesuffix(".py").removesuffix(".pyc") for name in names if ".dist-info" not in name
        }
        assert tops == {
            "__main__",
            "msrtui",
            "textual",
            "rich",
            "pygments",
            "platformdirs",
            "typing_extensions",
            "tomli",
        }
        licences = {name.split("-")[0] for name in names if "/METADATA" not in name and ".dist-info/" in name}
        assert licences >= tops - {"__main__", "msrtui"}
        assert not [name for name in names if name.endswith(".so") or name.startswith("/") or ".." in name]
        places = (os.fsencode(ROOT), os.fsencode(sys.prefix) + b"/")
        assert not [name for name in names if any(place in archive.read(name) for place in places)]
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


IMPORT_ALL = """
import importlib, sys, zipfile
sys.path[0:0] = [sys.argv[1]]
names = sorted(
    name[:-3].replace("/", ".").replace(".__init__", "")
    for name in zipfile.ZipFile(sys.argv[1]).namelist()
    if name.startswith("msrtui/") and name.endswith(".py") and "__main__" not in name
)
lacking = {}
for name in names:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as missing:
        lacking.setdefault(missing.name, []).append(name)
print(len(names), *sorted(lacking))
from rich.console import Console
try:
    1 / 0
except ZeroDivisionError:
    Console(stderr=True).print_exception()
"""


def test_every_module_finds_what_it_imports_in_it(one_file: Path, nowhere: Path) -> None:
    done = _run([sys.executable, *BARE, "-c", IMPORT_ALL, str(one_file)], nowhere)
    count, *lacking = done.stdout.decode().split()
    assert int(count) > 250
    assert set(lacking) <= {"aiohttp", "textual_serve", "psutil", "qemu"}
    assert "ZeroDivisionError: division by zero" in done.stderr.decode(), "what Textual prints where the app fails"


@pytest.fixture
def terminal(need_tool: Callable[[str], str], one_file: Path, nowhere: Path) -> Iterator[Callable[[str], Terminal]]:
    """Opens the one file in terminals of 80x24, in an empty home; they are gone afterwards."""
    need_tool("tmux")
    opened: list[Terminal] = []

    def open_terminal(arguments: str) -> Terminal:
        program = shlex.join([f"HOME={nowhere}", f"TMPDIR={nowhere}", sys.executable, *BARE, str(one_file)])
        opened.append(Terminal(80, 24, f"cd {shlex.quote(str(nowhere))} && env -u PYTHONPATH {program} {arguments}"))
        return opened[-1]

    yield open_terminal
    for each in opened:
        each.kill()


def test_the_app_opens_asks_and_helps(terminal: Callable[[str], Terminal]) -> None:
    window = terminal(f"{EPYC} --qemu 7.2")
    screen = window.wait_for(lambda text: "drops 26 27 62" in text)
    assert "10 of 40" in screen
    window.keys("?")
    window.wait_for(lambda text: "Esc goes back" in text)
    window.keys("Escape")
    window.wait_for(lambda text: "10 of 40" in text)
    window.keys("o")
    window.wait_for(lambda text: "virtual AMD EPYC" in text)
    window.keys("Escape")
    window.wait_for(lambda text: "10 of 40" in text)
    window.keys("C-p")
    window.wait_for(lambda text: "Next phase" in text)
    window.keys("Escape")
    window.wait_for(lambda text: "10 of 40" in text)
    window.keys("q")
    window.wait_for(lambda text: "status=0" in text)


def test_a_talk_and_two_hosts_open(terminal: Callable[[str], Terminal]) -> None:
    talk = terminal("play article --lang en")
    talk.wait_for(lambda text: "Before the first instruction of a guest" in text)
    talk.keys("q")
    talk.wait_for(lambda text: "status=0" in text)
    both = terminal(f"{EPYC} {SKYLAKE}")
    both.wait_for(lambda text: "cannot" in text)
    both.keys("q")
    both.wait_for(lambda text: "status=0" in text)


@pytest.fixture
def far(tmp_path: Path, need_tool: Callable[..., str], missing: Callable[[str], NoReturn]) -> Iterator[Far]:
    """A host behind ssh, which is this one."""
    need_tool("ssh")
    sshd = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if sshd is None:
        missing("needs sshd")
    folder = tmp_path / "far"
    folder.mkdir()
    collector = ROOT / "msrtui" / "kvm" / "collector.py"
    with running(sshd, need_tool("ssh-keygen"), sys.executable, collector, folder) as hosts:
        yield hosts


def test_over_ssh_one_line_puts_it_there_and_runs_it(far: Far, one_file: Path) -> None:
    there = far.folder / "put.pyz"
    line = f"cat > {there} && HOME=/proc {sys.executable} -I -S {there} get 0x10a {EPYC} --json"
    with one_file.open("rb") as file:
        done = subprocess.run(
            ["ssh", "-F", far.config, "good", line], stdin=file, capture_output=True, timeout=120, check=False
        )
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["index"] == "0x10a"


def test_it_captures_others_over_ssh_with_the_collector_that_is_in_it(far: Far, one_file: Path, nowhere: Path) -> None:
    done = _bare(one_file, nowhere, "capture", "good", "--ssh-config", far.config, "--without-kvm", "-o", "-")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["format"] == "msrtui-snapshot"
