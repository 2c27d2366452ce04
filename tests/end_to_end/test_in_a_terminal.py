"""msrtui in a real terminal: tmux runs it, keys go in, the screen is read back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from terminals import Terminal

from msrtui.kvm.live import LiveHost

ROOT = Path(__file__).resolve().parents[2]
EPYC = "amd-pvm-linux6.18"


def at_rest(text: str) -> bool:
    """Whether EPYC's first screen at 80x24 has all that comes after the first paint.

    Other QEMUs' readings of the word and lint's findings are worked out behind it, and each makes the detail longer.
    """
    return "drops 26 27 62" in text and "32 more lines below" in text


@pytest.fixture
def terminal(need_tool: Callable[[str], str]) -> Iterator[Callable[..., Terminal]]:
    """Opens terminals; they are gone afterwards."""
    need_tool("tmux")
    opened: list[Terminal] = []

    def open_terminal(columns: int, rows: int, arguments: str = "", before: str = "") -> Terminal:
        command = f"{before}{sys.executable} -m msrtui --qemu 7.2 {arguments}"
        opened.append(Terminal(columns, rows, command))
        return opened[-1]

    yield open_terminal
    for each in opened:
        each.kill()


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 40)])
def test_a_saved_host_opens_steps_and_quits_cleanly(terminal: Callable[..., Terminal], columns: int, rows: int) -> None:
    window = terminal(columns, rows, EPYC)
    screen = window.wait_for(lambda text: "drops 26 27 62" in text)
    assert "10 of 40" in screen
    assert "62 of 319" in screen
    window.keys("<")
    window.wait_for(lambda text: "Nothing is asked yet" in text and "not asked yet" in text)
    window.keys(">")
    window.wait_for(lambda text: "10 of 40" in text and "not asked yet" not in text)
    window.keys("q")
    window.wait_for(lambda text: "status=0" in text)


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 40)])
def test_this_machines_kvm_step_by_step(
    terminal: Callable[..., Terminal], columns: int, rows: int, live_kvm: LiveHost
) -> None:
    window = terminal(columns, rows, "live --step")
    window.wait_for(lambda text: "Nothing is asked yet" in text)
    window.keys("n")
    window.wait_for(lambda text: "open(/dev/kvm)" in text and "opened" in text)
    window.keys("n")
    window.wait_for(lambda text: "KVM_GET_API_VERSION" in text and "KVM   12" in text)
    window.keys("p")
    window.wait_for(lambda text: "KVM_GET_API_VERSION" not in text)
    window.keys(">")
    window.wait_for(lambda text: "of 319" in text and "not asked yet" not in text)
    window.keys(":")
    window.wait_for(lambda text: "ask for MSR" in text)
    window.types("0x10a")
    window.keys("Enter")
    window.wait_for(lambda text: "you   KVM_GET_MSRS 0x10a" in text and "QEMU  7.2 reads it as" in text)
    window.keys("q")
    window.wait_for(lambda text: "status=0" in text)


def test_a_resize_is_followed(terminal: Callable[..., Terminal]) -> None:
    window = terminal(80, 24, EPYC)
    window.wait_for(lambda text: "10 of 40" in text)
    window.resize(120, 40)
    window.wait_for(lambda text: "emulated_msrs" in text)
    window.resize(60, 20)
    window.wait_for(lambda text: "phase 6 of 8" in text)


def test_a_capture_through_a_pipe_leaves_the_keyboard_to_the_app(terminal: Callable[..., Terminal], root: Path) -> None:
    capture = root / "tests" / "data" / "hosts" / f"{EPYC}.json"
    window = terminal(80, 24, "-", before=f"cat {capture} | ")
    window.wait_for(lambda text: "10 of 40" in text)
    window.keys("<")
    window.wait_for(lambda text: "Nothing is asked yet" in text)
    window.keys("q")
    window.wait_for(lambda text: "status=0" in text)


def test_standard_error_in_a_file_does_not_blank_the_terminal(
    terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    window = terminal(80, 24, f"{EPYC} 2>{log}")
    window.wait_for(lambda text: "10 of 40" in text)
    window.keys("q")
    window.wait_for(lambda text: "status=0" in text)
    assert "\x1b" not in log.read_text()


def test_ctrl_c_gives_the_terminal_back(terminal: Callable[..., Terminal]) -> None:
    window = terminal(80, 24, EPYC)
    window.wait_for(lambda text: "10 of 40" in text)
    window.keys("C-c")
    window.keys("q")
    window.wait_for(lambda text: "status=" in text and "kvm_feature_msrs" not in text)


def test_without_a_terminal_there_is_a_sentence_and_status_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "msrtui", EPYC],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "not a terminal" in done.stderr
