"""msrtui as a process: what it imports, where its output goes, and how it ends when that goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import NoReturn

import pytest
from command_line import EPYC, SKYLAKE, environment, msrtui, one_sentence

QUICK = (
    ["get", "0x10a", EPYC],
    ["get", "0x10a", EPYC, "--json"],
    ["trace", EPYC],
    ["trace", EPYC, "--json"],
    ["words", EPYC],
    ["lists", EPYC],
    ["features", EPYC],
    ["features", EPYC, "--cpu", "EPYC", "--json"],
    ["features", EPYC, "--why", "erms"],
    ["models", EPYC],
    ["models", EPYC, "--json"],
    ["doctor"],
    ["--version"],
)
DEAR = ("textual", "rich", "psutil", "asyncio", "subprocess", "typing_extensions")

_LOOK = """
import sys
from msrtui.cli.__main__ import main
status = main(sys.argv[1:])
names = {name.partition(".")[0] for name in sys.modules}
print("IMPORTED", *sorted(names), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", QUICK, ids=" ".join)
def test_a_quick_command_imports_nothing_dear(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOOK, *arguments], capture_output=True, env=environment(), timeout=60, check=True
    )
    imported = done.stderr.decode().rpartition("IMPORTED ")[2].split()
    assert "msrtui" in imported
    assert sorted(set(DEAR) & set(imported)) == []


def test_a_command_imports_no_other_command() -> None:
    look = _LOOK.replace('.partition(".")[0]', "")
    done = subprocess.run(
        [sys.executable, "-c", look, "get", "0x10a", EPYC],
        capture_output=True,
        env=environment(),
        timeout=60,
        check=True,
    )
    imported = done.stderr.decode().rpartition("IMPORTED ")[2].split()
    assert "msrtui.cli.get" in imported
    assert not {"msrtui.cli.trace", "msrtui.cli.words", "msrtui.cli.explore", "msrtui.report.words"} & set(imported)


@pytest.mark.parametrize("arguments", QUICK, ids=" ".join)
def test_a_reader_that_has_gone_is_no_error(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "msrtui", *arguments],
        stdout=writer,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env=environment(),
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_first_line_can_be_taken_of_a_long_answer() -> None:
    command = f'"{sys.executable}" -m msrtui trace "{EPYC}" --json | head -1'
    done = subprocess.run(["sh", "-c", command], capture_output=True, env=environment(), timeout=60, check=True)
    assert (done.stdout, done.stderr) == (b"{\n", b"")


@pytest.mark.parametrize("arguments", QUICK, ids=" ".join)
def test_a_full_disk_is_one_sentence(arguments: list[str], missing: Callable[[str], NoReturn]) -> None:
    if not os.path.exists("/dev/full"):  # noqa: PTH110
        missing("needs /dev/full")
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "msrtui", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=environment(),
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert "No space left" in one_sentence(done.stderr.decode())


@pytest.mark.parametrize("arguments", [["get", "0x10a", EPYC], ["trace", EPYC, "--json"], ["doctor"]], ids=" ".join)
def test_a_closed_standard_output_is_one_sentence(arguments: list[str]) -> None:
    script = 'exec "$@" >&-'
    done = subprocess.run(
        ["sh", "-c", script, "sh", sys.executable, "-m", "msrtui", *arguments],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(),
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "closed" in one_sentence(done.stderr.decode())


def test_without_utf_8_the_text_is_ascii() -> None:
    extra = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = msrtui(["get", "0x48b", SKYLAKE], extra=extra)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()
    for command in ("trace", "features", "models"):
        done = msrtui([command, SKYLAKE], extra=extra)
        assert done.returncode == 0
        assert done.stdout.isascii()


def test_glyphs_can_be_asked_for_in_ascii() -> None:
    done = msrtui(["lists", SKYLAKE], extra={"MSRTUI_GLYPHS": "ascii"})
    assert done.returncode == 0
    assert done.stdout.isascii()


def test_ctrl_c_ends_it_with_130() -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "msrtui", "trace", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment({"PYTHONVERBOSE": "1"}),
    )
    assert child.stdin is not None
    assert child.stderr is not None
    with child:
        # it says what it imports, so that the moment can be told when it waits for its input
        for line in child.stderr:
            if b"msrtui.snapshot.sources" in line and line.startswith(b"import"):
                break
        child.send_signal(signal.SIGINT)
        child.stdin.close()
        child.stderr.read()
        assert child.wait(timeout=60) == 130


def test_without_a_terminal_the_app_is_one_sentence() -> None:
    done = msrtui([EPYC])
    assert (done.returncode, done.stdout) == (2, b"")
    assert "terminal" in one_sentence(done.stderr.decode())
