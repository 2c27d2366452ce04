"""Every command that the README, CONTRIBUTING and the commands' own help show is run here, as it stands there.

A reader's shell is made: ``msrtui`` and ``python`` are of this checkout, and the hosts of the README's examples lead to
an sshd on the loopback. What opens the app runs in a terminal, what serves is asked for its page and ended. What is
not run stands in ``NOT_RUN`` with the reason. Whatever else looks like a command is found by its blank.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest
from far_hosts import running
from terminals import Terminal

from msrtui.cli.commands import COMMANDS
from msrtui.qemu.rules import RULES

ROOT = Path(__file__).resolve().parents[2]
EPYC = "amd-pvm-linux6.18"
SKYLAKE = "intel-skylake-bochs-linux6.12"
MESSAGE = "failed to set MSR 0x10a to 0x69"
INSTALLS = (
    "installs from the network: .ci/run runs the line of the tests, tests/test_packaging.py the installed package"
)
SUITE = "the test suite, of which this is a part"

NOT_RUN = {
    "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/msrtui": INSTALLS,
    "python3 -m venv .venv && .venv/bin/pip install -q '.[web]'": INSTALLS,
    "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/python -m pytest": INSTALLS,
    "pip install 'msrtui[verify]'": INSTALLS,
    "pip install 'msrtui[web]'": INSTALLS,
    "sudo usermod -aG kvm $USER": "changes this machine's users",
    "sudo -n": "how msrtui asks, no command of the reader's",
    "ansible all -m script -a 'collector.py executable=python3' > replies.txt": "needs an inventory of hosts",
    'kubectl exec POD -- python3 -c "$(msrtui collector)" > node.txt;  msrtui node.txt': "needs a cluster",
    "msrtui pyz && scp msrtui.pyz HOST: && ssh -t HOST python3 msrtui.pyz": "the README's three lines as one",
    "msrtui pyz -o - | ssh HOST 'cat > msrtui.pyz && python3 msrtui.pyz doctor'": "the README's line",
    "asciinema play tests/pictures/article.cast": "a player from elsewhere; tests/stage makes the recording anew",
    "journalctl -b > log": "reads this machine's journal; a log with a message is laid there instead",
    "journalctl -b | msrtui explain - live": "reads this machine's journal",
    "ssh -L 8000:127.0.0.1:8000 HOST": "a forward that stays open; ssh's business",
    "cpuid -r": "another program, whose output is read",
    "python -m pytest tests/qemu": SUITE,
    "MSRTUI_QEMUS=PATH python -m pytest tests/end_to_end/test_same_as_qemu.py": SUITE,
    "MSRTUI_WRITE_FAULTS=1 pytest tests/faults": SUITE,
    "pytest -m kernels": "half an hour in emulated machines; .ci/run boots one of them",
    "pytest --hypothesis-profile long --timeout 0 tests/ROOM": f"{SUITE}, fifty times as long",
    "python tests/doubles/fuzzing.py 100000": "an idle hour's; test_cli_fuzz_faces.py runs the same for a while",
    "python -m msrtui.qemu.tables.generate SRC --label 12.0 -o msrtui/qemu/tables/12.0.json": (
        "needs a source of QEMU: tests/qemu/test_tables_generate.py runs it on a small one of its own"
    ),
    "python -c \"import polib; polib.pofile('msrtui/locale/zh.po').save_as_mofile('msrtui/locale/zh.mo')\"": (
        "tests/test_contributing.py runs it, and compares"
    ),
    "apt-get source qemu": "fetches 40 MB",
    "dpkg-source -x": "needs what apt-get fetched",
    "diff -u": "of two source trees",
    "python tests/benchmarks": "ten minutes of an idle machine; tests/test_benchmarks.py runs three of them, quickly",
}
"""Commands that the documents show and no test runs, each with its reason."""

NO_COMMAND = {
    "error: failed to set MSR 0x10a to 0x69": "QEMU's words",
    "NOPASSWD: /usr/bin/python3 -I -, /usr/bin/python3 -I - --name": "a rule of sudoers",
    "get --ask": "a command's name and its option",
    "msrtui redact": "a command's name",
    "msrtui decode": "a command's name",
}
"""Other code with a blank in it."""

STANDS_FOR = {
    "A B [C…]": f"{EPYC} {SKYLAKE}",
    "FOLDER": "snapshots/",
    "HOST…": f"{EPYC} {SKYLAKE}",
    "[TALK] [SOURCE]": "",
    "FILE": "here.json",
    "'MESSAGE'": f"'{MESSAGE}'",
    "SHELL": "bash",
    "[TOPIC]": "",
    "HOST": "host",
    '"ID"': f'"{next(iter(RULES), "ht-always")}"',
    "NAME": "article",
    "PATH": "qemu-system-x86_64",
}
"""What a reader puts in place of a word."""

SSH = """#!/bin/sh
# the names in the examples, as a reader's ~/.ssh/config would lead them somewhere
for word; do
  shift
  case $word in *@host*|host|host[0-9]) word=home ;; host:) word=home: ;; esac
  set -- "$@" "$word"
done
exec {program} -F {config} "$@"
"""


class Shown(NamedTuple):
    """A command as a document shows it, and where."""

    place: str
    command: str


def _spans(text: str) -> list[str]:
    """The code of some prose that has a blank in it: an option with its value is no command."""
    spans = (" ".join(found.replace("\\|", "|").split()) for found in re.findall(r"`([^`]+)`", text))
    return [span for span in spans if " " in span and not span.startswith("-")]


def of_readme() -> Iterator[Shown]:
    """A table's row is a place of its own, a section is one: its commands come one after another."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for section in re.split(r"^## ", text, flags=re.MULTILINE):
        title = section.partition("\n")[0]
        for part in re.split(r"^(```sh\n[^`]*```$|\|[^\n]*$)", section, flags=re.MULTILINE):
            if part.startswith("```sh"):
                yield from (Shown(title, command) for command in part.splitlines()[1:-1])
            elif part.startswith("|"):
                for row in part.splitlines():
                    yield from (Shown(f"row {_spans(row)[0]}", span) for span in _spans(row))
            else:
                yield from (Shown(title, span) for span in _spans(part))


def of_contributing() -> Iterator[Shown]:
    """CONTRIBUTING has commands in its prose alone, among other code."""
    programs = r"(\w+=\S+ )?(python3?|pytest|grep|diff|apt-get|dpkg-source|msrtui|sudo|pip|git|ruff|mypy) "
    for span in _spans((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")):
        if re.match(programs, span):
            yield Shown(f"contributing {span[:40]}", span)


def of_help() -> Iterator[Shown]:
    """The indented lines below a command's options; the manual page is made of the same."""
    for name in COMMANDS:
        parser = import_module(f"msrtui.cli.{name}").parser()
        for line in f"{parser.description}\n{parser.epilog}".splitlines():
            if re.match(r" {2,}(\w+ .*\| |ssh |kubectl |ansible )?\S* ?.*\bmsrtui ", line):
                for command in line.strip().split(";  ") if not line.strip().startswith("kubectl") else [line.strip()]:
                    yield Shown(f"help {name}", command)


EVERY = [*of_readme(), *of_contributing(), *of_help()]
ASKED_ONCE = ("msrtui doctor", "msrtui probe", "msrtui verify")
"""What stands in many places is run for the first of them."""


def by_place() -> dict[str, list[str]]:
    """What is run, each place's commands in their order."""
    found: dict[str, list[str]] = {}
    before: set[str] = set()
    for place, command in EVERY:
        again = command in ASKED_ONCE and command in before
        before.add(command)
        if not again and command not in NOT_RUN and command not in NO_COMMAND:
            found.setdefault(place, []).append(command)
    return found


PLACES = by_place()


def runnable(command: str) -> str:
    """A command with a reader's words in place of what stands for them."""
    for word, meant in STANDS_FOR.items():
        command = meant.join(re.split(rf"(?<![\w\[-]){re.escape(word)}(?!\w)", command))
    return command.strip()


def first_words(command: str) -> tuple[str, list[str]]:
    """The program of a command, and its words."""
    words = shlex.split(command.partition("|")[0])
    return words[0], words[1:]


def opens_the_app(command: str) -> bool:
    """Whether it draws on the terminal until someone quits."""
    if "ssh -t " in command:
        return True
    if "|" in command or ">" in command:
        return False
    program, words = first_words(command)
    if program != "msrtui" or not words:
        return program == "msrtui"
    ends = {"--list", "--new", "--export", "--check", "--notes", "--json", "--version", "--help"}
    return words[0] not in COMMANDS or (words[0] == "play" and not ends & {*words})


@pytest.fixture(scope="module")
def shell(need_tool: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a reader's shell; the hosts that it reaches are gone afterwards."""
    sshd = need_tool("sshd", "/usr/sbin/sshd")
    folder, programs = tmp_path_factory.mktemp("far"), tmp_path_factory.mktemp("bin")
    made = f"{shlex.quote(sys.executable)} -m msrtui"
    (programs / "msrtui").write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {made} "$@"\n')
    (programs / "python").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    collector = ROOT / "msrtui" / "kvm" / "collector.py"
    with running(sshd, need_tool("ssh-keygen"), sys.executable, collector, folder) as far:
        home = folder / "home"
        (home / "bin").mkdir(parents=True)
        (home / "bin" / "python3").symlink_to(os.path.realpath(sys.executable))
        there = f'cd {home} && PATH={home}/bin:$PATH exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"\n'
        (folder / "home.sh").write_text(there)
        config = folder / "reader_config"
        config.write_text("Host home\n  SetEnv KIND=home\n" + Path(far.config).read_text())
        (programs / "ssh").write_text(SSH.format(program=need_tool("ssh"), config=config))
        # a forced command runs what it is asked to run, which sftp does not ask
        (programs / "scp").write_text(SSH.format(program=f"{need_tool('scp')} -O", config=config))
        for each in programs.iterdir():
            each.chmod(0o755)
        yield {
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "THERE": str(home),
            "MANPAGER": "cat",
            "LANG": "C.UTF-8",
        }


@pytest.fixture(scope="module")
def one_file(shell: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``msrtui pyz`` makes."""
    folder = tmp_path_factory.mktemp("pyz")
    done_with_something("msrtui pyz", shell, folder)
    return folder / "msrtui.pyz"


def laid_out(folder: Path, commands: list[str]) -> None:
    """What the commands of a place read and none of them makes."""
    host = (ROOT / "tests" / "data" / "hosts" / f"{EPYC}.json").read_bytes()
    if "here.json" in (text := "\n".join(commands)) and "-o here.json" not in text:
        (folder / "here.json").write_bytes(host)
    (folder / "log").write_text(f"qemu-system-x86_64: error: {MESSAGE}\n")
    (folder / "snapshots").symlink_to(ROOT / "snapshots")
    for place in (".local/share/bash-completion/completions", ".config/fish/completions"):
        (folder / place).mkdir(parents=True)
    collector = ROOT / "msrtui" / "kvm" / "collector.py"
    said = subprocess.run([sys.executable, "-I", collector], capture_output=True, check=False, timeout=60)
    (folder / "replies.txt").write_bytes(said.stdout)


@pytest.mark.parametrize("place", PLACES)
def test_every_command_of_a_place_does_something(
    place: str, shell: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest, need_tool: Callable[..., str]
) -> None:
    """One after another in one folder: a later one may read what an earlier one wrote."""
    commands = list(dict.fromkeys(map(runnable, PLACES[place])))
    laid_out(tmp_path, commands)
    reader = {**shell, "HOME": str(tmp_path)}
    for command in commands:
        if re.search(r"msrtui (capture|probe|verify)|host.*python3", command):
            request.getfixturevalue("live_kvm")
        if "| man " in command:
            need_tool("man")
        if "verify" in command or "--with-qemu" in command:
            need_tool("qemu-system-x86_64")
        if command.endswith("msrtui pyz"):  # run once, it takes some seconds: its file is what there is then
            shutil.copy(request.getfixturevalue("one_file"), tmp_path)
        elif opens_the_app(command):
            need_tool("tmux")
            opened_and_quit(command, reader, tmp_path)
        elif command.startswith("msrtui serve"):
            served_and_ended(command, reader, tmp_path)
        else:
            done_with_something(command, reader, tmp_path)


def written(*folders: Path) -> dict[Path, int]:
    """When each file was last written."""
    return {path: path.lstat().st_mtime_ns for folder in folders for path in folder.rglob("*")}


def done_with_something(command: str, reader: dict[str, str], folder: Path) -> None:
    """It ends with 0 or 1, without a traceback, and printed or wrote something, here or at the host."""
    inside = command.startswith("grep ")
    places = (folder, Path(reader["THERE"]))
    before = written(*places)
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=ROOT if inside else folder,
        env={**reader, "PYTHONPATH": str(ROOT)} if command.startswith("python ") else reader,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in ((0,) if inside else (0, 1)), (command, done.stderr)
    assert b"Traceback" not in done.stderr, command
    assert done.stdout or written(*places) != before, command


def opened_and_quit(command: str, reader: dict[str, str], folder: Path) -> None:
    """It draws its screen, and q ends it with 0."""
    given = shlex.join(f"{name}={reader[name]}" for name in ("PATH", "HOME"))
    window = Terminal(
        80, 24, f"cd {shlex.quote(str(folder))} && env -u PYTHONPATH {given} sh -c {shlex.quote(command)}"
    )
    try:
        window.wait_for(lambda text: re.search(r" q (quit|end|结束)", text) is not None)
        window.keys("q")
        window.wait_for(lambda text: "status=0" in text)
    finally:
        window.kill()


def served_and_ended(command: str, reader: dict[str, str], folder: Path) -> None:
    """It prints an address, has a page there, and Ctrl+C ends it."""
    port = re.sub(r"--port \d+", "--port 0", command)  # any that is free: others may listen at that one
    process = subprocess.Popen(
        ["bash", "-c", f"exec {port}"], cwd=folder, env=reader, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
        assert found, command
        with urllib.request.urlopen(found[0], timeout=60) as page:
            assert b"<html" in page.read().lower()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def test_a_command_that_is_not_run_is_one_that_is_shown_and_has_a_reason() -> None:
    shown = {each.command for each in EVERY}
    prose = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "msrtui" / "cli").glob("*.py"))
    assert {each for each in NOT_RUN if each not in shown and each not in prose} == set()
    assert set(NO_COMMAND) <= shown


def test_whatever_has_a_blank_in_the_readmes_code_is_known() -> None:
    programs = {"msrtui", "ssh", "scp", "python", "python3"}
    for each in of_readme():
        if each.command not in {**NOT_RUN, **NO_COMMAND}:
            assert first_words(runnable(each.command))[0] in programs, each


def test_every_option_in_a_row_of_the_readme_is_one_of_that_command() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `msrtui (\w+)[^|]*\|(.*)\|$", text, re.MULTILINE)
    assert len(rows) > len(COMMANDS) - 2
    for name, said in rows:
        parser = import_module(f"msrtui.cli.{name}").parser()
        known = {option for action in parser._actions for option in action.option_strings}
        assert set(re.findall(r"`(--[a-z-]+)", said)) <= known, name
