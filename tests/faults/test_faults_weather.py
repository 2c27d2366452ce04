"""Bad weather around a capture: a device that does not open, a disk that is full, signals in the middle, a lost ssh."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from fault_table import Row, alike, hold
from injecting import CAPTURE, Ended, changed, disturbed, environment, sentence

from msrtui.kvm.live import LiveHost

Undisturbed = Callable[[str], Ended]
OPEN_ERRNOS = ("EACCES", "EPERM", "ENOENT", "ENODEV", "ENXIO", "EBUSY", "ENOMEM", "EIO", "EMFILE")
MSRTUI = (sys.executable, "-m", "msrtui")


def traced(
    strace: str, options: list[str], arguments: list[str], folder: Path
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """A finished run under strace with these options, and the lines of its log that were injected."""
    log = folder / "log"
    done = subprocess.run(
        [strace, "-f", "-qq", *options, "-o", str(log), *MSRTUI, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=120,
        check=False,
    )
    # strace itself ends by the signal that ended what it traced
    return done, log.read_text(errors="replace").splitlines()


def told(done: subprocess.CompletedProcess[str], folder: Path) -> str:
    """The sentence, without the path that differs from run to run."""
    return sentence(Ended(done.returncode, done.stdout, done.stderr.replace(str(folder), "FOLDER"), ()))


# --- the device ----------------------------------------------------------------------------------------------------
def test_a_device_that_does_not_open_is_one_sentence_and_nothing_is_written(strace: str, tmp_path: Path) -> None:
    rows = []
    for errno in OPEN_ERRNOS:
        path = tmp_path / "host.json"
        options = [
            "--seccomp-bpf",
            "-P",
            "/dev/kvm",
            "-e",
            "trace=openat",
            "-e",
            f"inject=openat:error={errno}:when=1+",
        ]
        done, log = traced(strace, options, ["capture", "-o", str(path)], tmp_path)
        assert any("(INJECTED)" in line for line in log)
        assert (done.returncode, done.stdout) == (2, "")
        assert len(done.stderr.splitlines()) == 1
        assert not path.exists()
        rows.append(Row("open of /dev/kvm", errno, 1, "2", "nothing is written", told(done, tmp_path)))
    # who owns /dev/kvm decides what is advised: the first words are what every host says
    hold("6. capture: /dev/kvm does not open", alike(row._replace(sentence=row.sentence[:12]) for row in rows))


# --- the file ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_file_that_cannot_be_written_leaves_the_old_one_and_nothing_else(
    strace: str, tmp_path: Path, call: str
) -> None:
    rows = []
    folder = tmp_path / "out"
    folder.mkdir()
    path = folder / "host.json"
    for errno in ("ENOSPC", "EIO", "EROFS", "EDQUOT"):
        path.write_text("old")
        # the first write of the file is the only long one: what strace cannot tell apart, it is told by its number
        number = 1 if call != "write" else _first_long_write(strace, path, tmp_path)
        path.write_text("old")
        options = ["--seccomp-bpf", "-e", f"trace={call}", "-e", f"inject={call}:error={errno}:when={number}"]
        done, log = traced(strace, options, ["capture", "-o", str(path)], tmp_path)
        assert sum("(INJECTED)" in line for line in log) == 1
        assert (done.returncode, done.stdout) == (2, "")
        assert "cannot be written" in done.stderr
        assert path.read_text() == "old"
        assert list(folder.iterdir()) == [path]
        rows.append(Row(f"{call} of the snapshot", errno, 1, "2", "the old file stays, whole", told(done, folder)))
    hold(f"7. capture -o FILE: {call} fails", alike(_plain(row) for row in rows))


def _plain(row: Row) -> Row:
    return row._replace(sentence=re.sub(r"written: .*;", "written: …;", row.sentence))


def _first_long_write(strace: str, path: Path, folder: Path) -> int:
    _, log = traced(strace, ["--seccomp-bpf", "-e", "trace=write"], ["capture", "-o", str(path)], folder)
    lengths = [int(line.rsplit("= ", 1)[1].split()[0]) for line in log if " write(" in line]
    return next(place for place, length in enumerate(lengths, 1) if length > 4000)


@pytest.mark.parametrize(("options", "reason"), [("size=8k", "No space left"), ("size=1m,ro", "Read-only")])
def test_a_real_file_system_that_is_full_or_read_only_is_one_sentence(
    live_kvm: LiveHost,
    need_tool: Callable[..., str],
    missing: Callable[[str], NoReturn],
    tmp_path: Path,
    options: str,
    reason: str,
) -> None:
    assert live_kvm.path == "/dev/kvm"
    script = 'mount -t tmpfs -o "$0" none "$1" || exit 99; cd "$1"; shift; "$@" -o x.json; s=$?; ls -A; exit $s'
    command = [need_tool("unshare"), "-m", "sh", "-c", script, options, str(tmp_path), *MSRTUI, "capture"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=60, check=False)
    # unshare's own failure is 1, as msrtui's traceback would be: only what it says tells them apart
    if done.returncode == 99 or done.stderr.startswith("unshare: "):
        missing(f"needs to mount a tmpfs: {done.stderr.strip()}")
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr
    row = Row(f"tmpfs, {options}", "capture -o x.json", 1, "2", "nothing is left", told(done, tmp_path))
    hold(f"8. capture into a real tmpfs: {reason}", [row])


# --- signals ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_in_the_middle_ends_it_and_leaves_nothing_half_done(strace: str, tmp_path: Path, name: str) -> None:
    number = int(getattr(signal, name))
    expected = 130 if name == "SIGINT" else -number
    rows = []
    folder = tmp_path / "out"
    folder.mkdir()
    path = folder / "host.json"
    for where, call, place in (
        ("the first ioctl", "ioctl", 1),
        ("the 200th ioctl", "ioctl", 200),
        ("fsync", "fsync", 1),
    ):
        path.write_text("old")
        kvm = ["-P", "/dev/kvm"] if call == "ioctl" else []
        options = [*kvm, "-e", f"trace={call}", "-e", f"inject={call}:signal={name}:when={place}"]
        done, log = traced(strace, options, ["capture", "-o", str(path)], tmp_path)
        assert sum(f"--- {name} " in line for line in log) >= 1
        assert (done.returncode, done.stdout, done.stderr) == (expected, "", "")
        assert path.read_text() == "old"
        assert list(folder.iterdir()) == [path]
        ends = "130" if name == "SIGINT" else f"by {name}"
        rows.append(Row(where, name, 1, ends, "the old file stays, and nothing beside it"))
    hold(f"9. capture -o FILE: {name} in the middle", rows)


def test_stopped_in_the_middle_and_continued_it_gives_the_same_snapshot(
    strace: str, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    fifo = tmp_path / "log"
    os.mkfifo(fifo)
    options = ["-P", "/dev/kvm", "-e", "trace=ioctl", "-e", "inject=ioctl:signal=SIGTSTP:when=100", "-o", str(fifo)]
    # a group of its own, whose parent is not in it: else it is an orphan, which SIGTSTP does not stop
    with tempfile.TemporaryFile("w+") as out:
        child = subprocess.Popen(
            [strace, "-f", *options, *MSRTUI, *CAPTURE.split()],
            stdin=subprocess.DEVNULL,
            stdout=out,
            env=environment(),
            preexec_fn=os.setpgrp,
        )
        stopped = 0
        with fifo.open() as log:
            for line in log:
                if "--- stopped by SIGTSTP ---" in line:
                    stopped += 1
                    os.kill(int(line.split()[0]), signal.SIGCONT)
        assert (child.wait(), stopped) == (0, 1)
        out.seek(0)
        assert not changed(undisturbed(CAPTURE).out, out.read())
    hold(
        "9. capture -o -: SIGTSTP in the middle", [Row("the 100th ioctl", "SIGTSTP, SIGCONT", 1, "0", "the same JSON")]
    )


# --- ssh -------------------------------------------------------------------------------------------------------------
def _ssh(folder: Path, script: str) -> dict[str, str]:
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / "ssh").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "bin" / "ssh").chmod(0o755)
    return {**environment(), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}


def test_an_ssh_that_dies_floods_or_hangs_is_one_sentence(tmp_path: Path) -> None:
    frame = '"-----BEGIN MSRTUI SNAPSHOT 100 00-----"'
    cases = (
        ("dies by SIGKILL", "cat >/dev/null; kill -9 $$", "2"),
        ("dies in the middle of the snapshot", f"cat >/dev/null; echo {frame}; echo AAAA; kill -9 $$", "2"),
        ("floods standard output", "exec yes", "2"),
        ("floods standard error", "exec yes >&2", "2"),
        ("hangs beyond --timeout", f"exec cat {tmp_path}/hold", "2"),
        ("closes its lines and ends", "exec <&- >&- 2>&-; exit 1", "2"),
    )
    os.mkfifo(tmp_path / "hold")
    rows = []
    for what, script, status in cases:
        done = subprocess.run(
            [*MSRTUI, "capture", "h", "-o", str(tmp_path / "x.json"), "--timeout", "0.5" if "hang" in what else "60"],
            capture_output=True,
            text=True,
            env=_ssh(tmp_path, script),
            timeout=120,
            check=False,
        )
        assert (str(done.returncode), done.stdout) == (status, ""), what
        assert not (tmp_path / "x.json").exists()
        rows.append(Row("a far host's ssh", what, 1, status, "nothing is written", told(done, tmp_path)))
    hold("10. capture HOST: what ssh can do", rows)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"])
def test_a_signal_while_ssh_hangs_ends_ssh_too(tmp_path: Path, name: str) -> None:
    for fifo in ("hold", "begun"):
        os.mkfifo(tmp_path / fifo)
    # whoever has the line open for writing is not at its end: what is read ends when the last of that ssh is gone
    # what it is given comes when all is known that has to be ended
    script = f"exec 7>{tmp_path}/begun; cat >/dev/null; echo $$ >&7; exec cat {tmp_path}/hold"
    child = subprocess.Popen(
        [*MSRTUI, "capture", "h", "-o", str(tmp_path / "x.json")], env=_ssh(tmp_path, script), stderr=subprocess.PIPE
    )
    with (tmp_path / "begun").open() as begun:
        assert int(begun.readline()) > 0
        child.send_signal(getattr(signal, name))
        assert begun.read() == ""
    _, err = child.communicate()
    expected = 130 if name == "SIGINT" else -int(getattr(signal, name))
    assert (child.returncode, err) == (expected, b"")
    ends = "130" if name == "SIGINT" else f"by {name}"
    hold(f"10. capture HOST: {name} while ssh hangs", [Row("a far host's ssh hangs", name, 1, ends, "ssh is gone too")])


# --- clocks ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("seconds", ["1000000000"])
def test_another_monotonic_clock_changes_no_answer_and_no_time_limit(
    undisturbed: Undisturbed,
    need_tool: Callable[..., str],
    missing: Callable[[str], NoReturn],
    tmp_path: Path,
    seconds: str,
) -> None:
    clock = [need_tool("unshare"), "-T", "--monotonic", seconds, "--boottime", seconds]
    tried = subprocess.run([*clock, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        missing(f"needs a time namespace: {tried.stderr.strip()}")
    done = subprocess.run(
        [*clock, *MSRTUI, *CAPTURE.split()], capture_output=True, text=True, env=environment(), check=True
    )
    assert not changed(undisturbed(CAPTURE).out, done.stdout)
    os.mkfifo(tmp_path / "hold")
    limited = subprocess.run(
        [*clock, *MSRTUI, "capture", "h", "-o", str(tmp_path / "x.json"), "--timeout", "0.5"],
        capture_output=True,
        text=True,
        env=_ssh(tmp_path, f"exec cat {tmp_path}/hold"),
        timeout=60,
        check=False,
    )
    assert limited.returncode == 2
    rows = [
        Row("a time namespace 31 years on", CAPTURE, 1, "0", "the same JSON"),
        Row("a time namespace 31 years on", "ssh hangs", 1, "2", "its time limit holds", told(limited, tmp_path)),
    ]
    hold("11. clocks: the monotonic one is another", rows)


def test_no_wait_and_no_answer_depends_on_the_clock_on_the_wall(root: Path) -> None:
    found = set()
    for path in (root / "msrtui").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for name in re.findall(
            r"\btime\.(?:time|time_ns|localtime|gmtime|strftime)\b|\bdatetime\.(?:now|utcnow)\b", text
        ):
            found.add((path.relative_to(root).as_posix(), name))
    # when a snapshot was made is written into it, when a live KVM was asked is shown, and nothing else is done with it
    collector, explorer = "msrtui/kvm/collector.py", "msrtui/tui/screens/explorer.py"
    assert found == {(collector, "time.gmtime"), (collector, "time.strftime"), (explorer, "time.strftime")}
    said = "two places: when a snapshot was made, and when the app asked"
    hold("11. clocks: who reads the one on the wall", [Row("the source", "read", 0, "-", said)])


def test_nobody_changes_what_is_compared(undisturbed: Undisturbed, strace: str) -> None:
    """The run that all others are held against is itself the same twice."""
    assert not changed(undisturbed(CAPTURE).out, disturbed(strace, CAPTURE.split()).out)
    assert json.loads(undisturbed(CAPTURE).out)["kvm"]["open"] == {"result": 0}
