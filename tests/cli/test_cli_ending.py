"""A signal that comes where no exception can leave ends the command all the same, without a word."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from command_line import environment

# the signal comes in the middle of it: Python runs its handler before the loop has ended
TOLD_TO_END = """
import os, signal, subprocess, sys, weakref
from msrtui.cli import ending
number = signal.Signals[sys.argv[1]]
signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
ending.unwind_when_told()
def between(*_):
    signal.raise_signal(number)
    for _ in range(1000):
        pass
class Thing:
    def __del__(self):
        between()
def of_a_reference():
    watched = {1}
    reference = weakref.ref(watched, between)
    del watched
    signal.pause()
def of_an_end():
    Thing()
    signal.pause()
def of_a_fork():
    os.register_at_fork(after_in_parent=between)
    subprocess.run(["true"], preexec_fn=lambda: None)
    signal.pause()
try:
    globals()[sys.argv[2]]()
except ending.Told as told:
    print("undone", flush=True)
    ending.end_by(told.number)
except KeyboardInterrupt:
    print("undone", flush=True)
"""


@pytest.mark.parametrize("where", ["of_a_reference", "of_an_end", "of_a_fork"])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_where_no_exception_can_leave_is_not_lost(name: str, where: str) -> None:
    command = [sys.executable, "-c", TOLD_TO_END, name, where]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("undone\n", "")
    assert done.returncode == (0 if name == "SIGINT" else -int(signal.Signals[name]))


def test_any_other_exception_that_cannot_leave_is_printed_as_ever() -> None:
    code = """
from msrtui.cli.ending import unwind_when_told
unwind_when_told()
class Thing:
    def __del__(self):
        raise ValueError("this one")
Thing()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True)
    assert "Exception ignored in" in done.stderr
    assert "ValueError: this one" in done.stderr
