"""Clocks that jump in the middle: the one on the wall there and back, the steady one by ten days, as after a sleep."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyte
import pytest
from fault_table import Row, hold
from in_a_pty import FENCED, Pty
from injecting import CAPTURE, changed, environment

from msrtui.kvm.live import LiveHost

MSRTUI = (sys.executable, "-m", "msrtui")
DAYS = 864000
"""Ten of them, in seconds."""
JUMPS = {
    "the wall clock is ten days back at every other look": [f"wall {-DAYS} 1", f"wall {-DAYS} 2"],
    "the wall clock is ten days ahead at every other look": [f"wall {DAYS} 1", f"wall {DAYS} 2"],
    "the steady clock leaps ten days": [f"steady {DAYS} {call}" for call in (1, 4, 16)],
}
Jumping = Callable[[str], dict[str, str]]


@pytest.fixture(scope="module")
def clock(root: Path, need_tool: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Jumping:
    """The environment in which a clock jumps; LOG there has a byte for each process in which it did."""
    folder = tmp_path_factory.mktemp("clock")
    source, library = root / "tests" / "doubles" / "jumping_clock.c", folder / "clock.so"
    compiler = need_tool("cc", "gcc", "clang")
    subprocess.run([compiler, "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)

    def jumping(jumps: str) -> dict[str, str]:
        log = folder / "log"
        log.write_text("")
        return {"LD_PRELOAD": str(library), "CLOCK_JUMPS": jumps, "CLOCK_LOG": str(log)}

    return jumping


def fired(names: dict[str, str]) -> int:
    """Whether the clock of the command itself, the first process, has jumped."""
    return min(1, len(Path(names["CLOCK_LOG"]).read_text()))


def run(names: dict[str, str], *arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
    known = environment() | names
    if path:
        known["PATH"] = f"{path}:{os.environ['PATH']}"
    return subprocess.run(
        [*MSRTUI, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=known,
        timeout=120,
        check=False,
    )


# --- commands ------------------------------------------------------------------------------------------------------
def test_a_capture_says_when_by_the_clock_of_that_moment_and_all_else_is_the_same(
    live_kvm: LiveHost, clock: Jumping
) -> None:
    assert live_kvm.path == "/dev/kvm"
    quiet = run({}, *CAPTURE.split())
    rows = []
    for what, jumps in JUMPS.items():
        for each in jumps:
            names = clock(each)
            began = datetime.now(timezone.utc) - timedelta(seconds=1)
            done = run(names, *CAPTURE.split())
            ended = datetime.now(timezone.utc) + timedelta(seconds=1)
            assert (done.returncode, done.stderr) == (0, "")
            assert not changed(quiet.stdout, done.stdout)
            when = datetime.strptime(json.loads(done.stdout)["made"]["when"], "%Y-%m-%dT%H:%M:%S%z")
            shown = [timedelta(0), timedelta(seconds=int(each.split()[1]))] if "wall" in each else [timedelta(0)]
            assert any(began <= when - jump <= ended for jump in shown)
            rows.append(Row(what, CAPTURE, fired(names), "0", "the same JSON; when it was made is that clock's"))
    assert {row.fired for row in rows} == {1}
    hold("11. clocks: a capture while they jump", _added(rows))


def test_a_trace_is_the_same(live_kvm: LiveHost, clock: Jumping) -> None:
    assert live_kvm.path == "/dev/kvm"
    quiet = run({}, "trace", "live", "--json")
    rows = []
    for what, jumps in JUMPS.items():
        names = clock(jumps[0])
        done = run(names, "trace", "live", "--json")
        assert (done.returncode, done.stdout, done.stderr) == (quiet.returncode, quiet.stdout, "")
        rows.append(Row(what, "trace live --json", fired(names), str(done.returncode), "the same JSON"))
    hold("11. clocks: a trace while they jump", rows)


def _ssh(folder: Path, script: str) -> str:
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / "ssh").write_text(f"#!/bin/sh\nunset LD_PRELOAD\n{script}\n")
    (folder / "bin" / "ssh").chmod(0o755)
    return str(folder / "bin")


def test_a_capture_over_ssh_is_whole_or_says_that_its_time_is_up(
    live_kvm: LiveHost, clock: Jumping, tmp_path: Path
) -> None:
    """By the steady clock the time may really be up; the wall clock ends nothing."""
    assert live_kvm.path == "/dev/kvm"
    path = _ssh(tmp_path, 'for line; do :; done; exec sh -c "$line"')
    rows = []
    for what, jumps in JUMPS.items():
        for each in jumps:
            names = clock(each)
            done = run(names, "capture", "h", "-o", "-", path=path)
            assert "Traceback" not in done.stderr
            whole = done.returncode == 0
            if whole:
                assert json.loads(done.stdout)["kvm"]["open"] == {"result": 0}
            else:
                assert "wall" not in each
                assert done.stderr == "msrtui: h: It did not answer within 60 s; --timeout gives it longer.\n"
            outcome = "a whole snapshot" if "wall" in each else "a whole snapshot, or that its time is up"
            rows.append(Row(what, "capture HOST -o -", fired(names), "0" if "wall" in each else "0, 2", outcome))
    os.mkfifo(tmp_path / "hold")
    path = _ssh(tmp_path, f"exec cat {tmp_path}/hold")
    for what, jumps in JUMPS.items():
        names = clock(jumps[0])
        done = run(names, "capture", "h", "-o", "-", "--timeout", "0.5", path=path)
        assert (done.returncode, done.stdout) == (2, "")
        said = "h: It did not answer within 0.5 s; --timeout gives it longer."
        assert done.stderr == f"msrtui: {said}\n"
        rows.append(Row(what, "ssh hangs beyond --timeout", fired(names), "2", "its time limit holds", said))
    hold("11. clocks: ssh while they jump", _added(rows))


def _added(rows: list[Row]) -> list[Row]:
    """The rows of the same jump and command as one, with what fired."""
    found: dict[tuple[str, ...], Row] = {}
    for row in rows:
        key = (row.where, row.done, row.outcome)
        found[key] = found[key]._replace(fired=found[key].fired + row.fired) if key in found else row
    return list(found.values())


# --- the app -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("what", "jumps"), [(what, each[-1]) for what, each in JUMPS.items()], ids=["-", "+", "leap"])
def test_the_app_answers_its_keys_and_gives_the_terminal_back(
    live_kvm: LiveHost, clock: Jumping, what: str, jumps: str
) -> None:
    assert live_kvm.path == "/dev/kvm"
    # the leap comes in the middle: by then the app is there
    names = clock(jumps.replace(" 16", " 400"))
    screen = pyte.Screen(100, 30)
    stream = pyte.ByteStream(screen)
    running = Pty(["env", *(f"{name}={value}" for name, value in names.items()), *FENCED, "live", "off"], 100, 30)

    def shown() -> str:
        stream.feed(running.drawn().replace(b"\x1b[<u", b""))
        return " ".join(" ".join(screen.display).split())

    try:
        assert re.search(r"FeatureWords \d+ of", shown())
        running.press("<")
        assert "Nothing is asked yet" in shown()
        for _ in range(3):
            running.press("n")
        assert "KVM_GET_API_VERSION" in shown()
        running.press("r")
        running.press(">")
        running.press("colon")
        for letter in "0x10a":
            running.press(letter)
        running.press("enter")
        said = shown()
        assert re.search(r"\b\d+ µs", said)
        assert not re.search(r"-\d+ µs", said)
        assert "Since" not in said, "no module was reloaded"
        assert fired(names)
        running.press("q")
        assert b"\x1b[?1049l" in running.until(b"\x1b[?1049l") + b"\x1b[?1049l"
    finally:
        running.close()
    hold(f"11. clocks: the app while {what.partition(' is ')[0].partition(' leaps')[0]} jumps{_by(jumps)}", [
        Row(what, "< n n n r > : 0x10a Enter q", 1, "-", "each key is answered, no time is negative"),
    ])  # fmt: skip


def _by(jumps: str) -> str:
    return ", back" if jumps.startswith("wall -") else ", ahead"


def test_a_talk_goes_on_by_itself_where_the_steady_clock_leaps(clock: Jumping) -> None:
    names = clock(f"steady {DAYS} 300")
    screen = pyte.Screen(80, 24)
    stream = pyte.ByteStream(screen)
    command = [*MSRTUI, "play", "article", "--auto", "--pace", "1"]
    running = Pty(["env", *(f"{name}={value}" for name, value in names.items()), *command])
    try:
        limit = time.monotonic() + 60
        while " 4 / " not in "\n".join(screen.display):
            stream.feed(running.more(1).replace(b"\x1b[<u", b""))
            assert time.monotonic() < limit
        assert fired(names)
    finally:
        running.close()
    hold("11. clocks: a talk that goes on by itself", [
        Row("the steady clock leaps ten days", "play article --auto --pace 1", 1, "-", "scene after scene comes"),
    ])  # fmt: skip
