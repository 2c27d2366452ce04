"""Completion by Tab: the scripts, run by the shells themselves."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from terminals import Terminal

from msrtui.cli.__main__ import main
from msrtui.cli.commands import COMMANDS
from msrtui.cli.completing import commands, kinds
from msrtui.cli.shells import SHELLS
from msrtui.qemu import tables
from msrtui.resources import bundled_hosts
from msrtui.stage.talk import bundled_talks

SKYLAKE = "intel-skylake-bochs-linux5.10"

ONE = {
    "msrtui basel": "baseline",
    "msrtui intel-skylake-bochs-linux5": SKYLAKE,
    "msrtui amd-pvm-linux6.18 intel-skylake-bochs-linux5": SKYLAKE,
    "msrtui --irqchip sp": "split",
    "msrtui --qemu 3": "3.1",
    "msrtui get arch_cap": "ARCH_CAPABILITIES",
    "msrtui get --qemu 7.2 --json arch_cap": "ARCH_CAPABILITIES",
    "msrtui get 0x10a amd-pvm": "amd-pvm-linux6.18",
    "msrtui get 0x10a amd-pvm-linux6.18 --irq": "--irqchip",
    "msrtui get --machine q": "q35",
    "msrtui features --cpu Skylake-Server-noTSX": "Skylake-Server-noTSX-IBRS",
    "msrtui features --why arch-cap": "arch-capabilities",
    "msrtui baseline --model Skylake-Server-noTSX": "Skylake-Server-noTSX-IBRS",
    "msrtui diff amd-pvm-linux6.18 intel-skylake-bochs-linux5": SKYLAKE,
    "msrtui decode misc_features": "MISC_FEATURES_ENABLES",
    "msrtui play fiv": "five-values",
    "msrtui play --lang zh --scene 2 fiv": "five-values",
    "msrtui play five-values amd-pvm": "amd-pvm-linux6.18",
    "msrtui play --theme msrtui-proj": "msrtui-projector",
    "msrtui serve --play kern": "kernels",
    "msrtui verify --qemu a-fi": "a-file",
    "msrtui get 0x10a a-fi": "a-file",
    "msrtui a-fi": "a-file",
    "msrtui hosts a-fi": "a-file",
    "msrtui completion zs": "zsh",
}
"""What is typed, and the one word that can follow."""
NONE = ("msrtui doctor a", "msrtui get a-fi", "msrtui play --scene a", "msrtui get 0x10a --json-", "msrtui get --pmu a")


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the scripts, and of a file that can be completed."""
    folder = tmp_path_factory.mktemp("completion")
    for shell, made in SHELLS.items():
        (folder / shell).write_text(made(list(commands()), kinds()), encoding="utf-8")
    (folder / "a-file").touch()
    return folder


_BASH = """
source ./bash
while read -r line; do
  COMP_WORDS=(${line//=/ = }); [[ $line == *' ' ]] && COMP_WORDS+=('')
  COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
  _msrtui 2>>errors
  echo "${COMPREPLY[@]}"
done
"""
_FISH = "source ./fish; while read -l line; echo (complete -C $line | cut -f1); end"


def completed(shell: str, program: str, lines: list[str], folder: Path) -> list[list[str]]:
    """What that shell makes of each line."""
    command = [program, "--norc", "-c", _BASH] if shell == "bash" else [program, "--no-config", "-c", _FISH]
    text = "".join(f"{line}\n" for line in lines)
    home = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, cwd=folder, env=home, timeout=60, check=True
    )
    assert done.stderr == ""
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_the_one_word_that_can_follow_is_found(shell: str, scripts: Path, need_tool: Callable[[str], str]) -> None:
    found = completed(shell, need_tool(shell), list(ONE), scripts)
    assert dict(zip(ONE, found, strict=True)) == {line: [word] for line, word in ONE.items()}


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_where_nothing_can_follow_nothing_does(shell: str, scripts: Path, need_tool: Callable[[str], str]) -> None:
    assert completed(shell, need_tool(shell), list(NONE), scripts) == [[]] * len(NONE)


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_each_command_has_its_own_options_and_all_of_them(
    shell: str, scripts: Path, need_tool: Callable[[str], str]
) -> None:
    all_commands = list(commands())
    lines = [f"msrtui {command.name} --".replace("  ", " ") for command in all_commands]
    found = completed(shell, need_tool(shell), lines, scripts)
    for command, words in zip(all_commands, found, strict=True):
        expected = {name for slot in command.options for name in slot.names if name.startswith("--")}
        assert {word for word in words if word.startswith("--")} == expected, command.name


def test_a_value_behind_an_equals_sign(scripts: Path, need_tool: Callable[[str], str]) -> None:
    line = "msrtui get --qemu=7"
    assert completed("bash", need_tool("bash"), [line], scripts) == [["7.2"]], "bash replaces what is behind the sign"
    assert completed("fish", need_tool("fish"), [line], scripts) == [["--qemu=7.2"]]


def test_zsh_completes_what_is_typed(scripts: Path, need_tool: Callable[[str], str]) -> None:
    need_tool("tmux")
    window = Terminal(120, 40, f"cd {shlex.quote(str(scripts))} && HOME=$PWD PS1='ready ' {need_tool('zsh')} -f")
    try:
        window.wait_for(lambda text: "ready" in text)
        window.types("autoload -U compinit; compinit -D; source ./zsh; PS1='at '$((6*7))' '")
        window.keys("Enter")
        window.wait_for(lambda text: "at 42" in text)
        for line, word in ONE.items():
            window.keys("C-u", "C-l")
            window.types(line)
            window.keys("Tab")
            whole = f"at 42 {line.rpartition(' ')[0]} {word}"
            window.wait_for(lambda text, whole=whole: whole in text.splitlines()[0].rstrip())  # type: ignore[misc]
    finally:
        window.kill()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_can_read_its_script(shell: str, scripts: Path, need_tool: Callable[[str], str]) -> None:
    done = subprocess.run([need_tool(shell), "-n", scripts / shell], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_command_prints_the_script(shell: str, scripts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert capsys.readouterr().out == (scripts / shell).read_text(encoding="utf-8")


def test_another_shell_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "csh"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_what_completes_is_what_there_is() -> None:
    known = kinds()
    assert set(known["source"].words) == {"live", *bundled_hosts()}
    assert set(known["qemu"].words) == {"auto", *tables.labels()}
    assert known["talk"].words == bundled_talks()
    assert {command.name for command in commands()} == {"", *COMMANDS}
    for command in commands():
        for slot in (*command.options, *command.arguments):
            assert slot.kind is None or slot.kind in known, (command.name, slot)


def test_no_word_has_a_letter_that_a_shell_reads_as_more() -> None:
    for name, kind in kinds().items():
        for word in kind.words:
            assert word.replace("-", "").replace("_", "").replace(".", "").isalnum(), (name, word)
