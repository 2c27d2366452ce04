"""What goes wrong around a terminal app: suspended and back, drawn over, resized without end, left alone."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from terminals import Terminal
from test_in_a_terminal import EPYC, ROOT, at_rest


@pytest.fixture
def terminal(need_tool: Callable[[str], str]) -> Iterator[Callable[..., Terminal]]:
    """Opens terminals whose shell has job control; they are gone afterwards."""
    need_tool("tmux")
    opened: list[Terminal] = []

    def open_terminal(columns: int, rows: int, command: str) -> Terminal:
        opened.append(Terminal(columns, rows, command))
        return opened[-1]

    yield open_terminal
    for each in opened:
        each.kill()


def in_shell(window: Terminal) -> None:
    """Start msrtui from an interactive shell, so that Ctrl+Z has somewhere to go."""
    window.wait_for(lambda text: "ready$" in text)
    window.types(f"{sys.executable} -m msrtui --qemu 7.2 {EPYC}")
    window.keys("Enter")


def test_suspended_and_back_it_is_drawn_whole(terminal: Callable[..., Terminal]) -> None:
    window = terminal(80, 24, "PS1='ready$ ' sh -i")
    in_shell(window)
    whole = window.wait_for(at_rest)
    window.keys("C-z")
    window.wait_for(lambda text: "Stopped" in text or "suspended" in text.lower())
    window.types("echo still here; fg")
    window.keys("Enter")
    window.wait_for(lambda text: text == whole)
    window.keys("<")
    window.wait_for(lambda text: "Nothing is asked yet" in text)
    window.keys("q")
    window.wait_for(lambda text: "ready$" in text.splitlines()[-1] or "ready$" in text)


def test_ctrl_l_heals_what_was_drawn_over(terminal: Callable[..., Terminal]) -> None:
    window = terminal(80, 24, f"{sys.executable} -m msrtui --qemu 7.2 {EPYC}")
    whole = window.wait_for(at_rest)
    tty = window._tmux("display-message", "-p", "#{pane_tty}").strip()
    Path(tty).write_text("\x1b[5;1H" + "WALL MESSAGE " * 12)
    window.wait_for(lambda text: "WALL MESSAGE" in text)
    window.keys("C-l")
    window.wait_for(lambda text: text == whole)


def test_a_storm_of_resizes_ends_in_the_last_size(terminal: Callable[..., Terminal]) -> None:
    window = terminal(80, 24, f"{sys.executable} -m msrtui --qemu 7.2 {EPYC}")
    whole = window.wait_for(at_rest)
    for columns, rows in ((200, 60), (20, 5), (80, 24), (81, 25), (40, 12), (160, 50), (1, 1), (79, 23), (80, 24)):
        window.resize(columns, rows)
    window.wait_for(lambda text: text == whole)
    window.keys("q")
    window.wait_for(lambda text: "status=0" in text)


@pytest.mark.parametrize("how", ["hangup", "closed", "ignored"])
def test_a_terminal_that_goes_away_takes_the_app_with_it(how: str) -> None:
    child, end = pty.fork()
    if child == 0:
        signal.signal(signal.SIGHUP, signal.SIG_IGN if how == "ignored" else signal.SIG_DFL)  # nohup ignores it
        os.environ.update(TERM="xterm-256color", LANG="C.UTF-8", LC_ALL="C.UTF-8", PYTHONPATH=str(ROOT))
        os.execv(sys.executable, [sys.executable, "-m", "msrtui", "--qemu", "7.2", EPYC])
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    heard = b""
    limit = time.monotonic() + 60
    while b"KVM index list" not in heard and time.monotonic() < limit:
        if select.select([end], [], [], 1)[0]:
            heard += os.read(end, 65536)
    assert b"KVM index list" in heard
    if how == "hangup":
        os.kill(child, signal.SIGHUP)
    os.close(end)
    ended, _ = os.waitpid(child, 0)  # the suite's own limit ends a wait without end
    assert ended == child


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it_and_the_terminal_is_given_back(
    terminal: Callable[..., Terminal], number: signal.Signals
) -> None:
    window = terminal(80, 24, "PS1='ready$ ' sh -i")
    in_shell(window)
    window.wait_for(at_rest)
    shell = int(window._tmux("display-message", "-p", "#{pane_pid}"))
    # tmux's own shell, the one with job control, the app
    app = psutil.Process(shell).children(recursive=True)[-1]
    os.kill(app.pid, number)
    window.wait_for(lambda text: "ready$" in text)
    window.types("echo status $? $(stty -a | grep -cw -- -icanon)")
    window.keys("Enter")
    window.wait_for(lambda text: f"status {128 + number} 0" in text)
    assert window._tmux("display-message", "-p", "#{alternate_on} #{mouse_any_flag} #{cursor_flag}").split() == [
        "0",
        "0",
        "1",
    ]


def test_a_mouse_click_selects_and_a_wheel_scrolls(terminal: Callable[..., Terminal]) -> None:
    window = terminal(80, 24, f"{sys.executable} -m msrtui --qemu 7.2 {EPYC}")
    window.wait_for(at_rest)
    tty_in = window._tmux("display-message", "-p", "#{pane_id}").strip()
    for code in ("\x1b[<0;8;10M", "\x1b[<0;8;10m"):  # a press and a release on the row of 0x8b
        window._tmux("send-keys", "-t", tty_in, "-l", code)
    window.wait_for(lambda text: "UCODE_REV" in text)
    for _ in range(3):
        window._tmux("send-keys", "-t", tty_in, "-l", "\x1b[<65;8;6M")
    window.wait_for(lambda text: "SYSENTER_CS" not in text)
