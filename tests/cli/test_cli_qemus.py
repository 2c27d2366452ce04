"""``msrtui qemus``: real processes, real KVM, and QEMU's own word for what it lacks."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from command_line import EPYC, NO_KVM, one_sentence

from msrtui.cli.__main__ import main
from msrtui.kvm.live import LiveHost
from msrtui.resources import bundled_hosts

SECRET = "hunter2"
QUIET = ("-S", "-display", "none", "-monitor", "none", "-nodefaults", "-object", f"secret,id=s0,data={SECRET}")


def rows(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[Any]:
    assert main(["qemus", *arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert sorted(document) == ["qemus", "source"]
    found = document["qemus"]
    assert isinstance(found, list)
    return found


def test_a_deleted_qemu_on_this_kvm_lacks_what_it_says_itself(
    live_kvm: LiveHost,
    need_tool: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its own warnings at the start name every feature that the filter took."""
    binary = need_tool("qemu-system-x86_64")
    copy = tmp_path / "qemu-system-x86_64"
    shutil.copy(binary, copy)
    cpu = "Opteron_G5,+vmx,-svm"
    # the copy would look for its firmware beside itself
    firmware = ["-L", "/usr/share/qemu", "-L", "/usr/share/seabios"]
    child = subprocess.Popen(
        [str(copy), *QUIET, *firmware, "-qmp", "stdio", "-machine", "pc,accel=kvm", "-cpu", cpu],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        if not child.stdout.readline().startswith('{"QMP"'):  # it has made its CPU when it greets
            pytest.fail(child.communicate(timeout=30)[1])
        copy.unlink()
        monkeypatch.setattr(psutil, "pids", lambda: [child.pid])
        (row,) = rows(capsys)
        assert main(["qemus"]) == 0
        text = capsys.readouterr().out
    finally:
        child.kill()
        said = child.communicate(timeout=30)[1]
    assert (row["pid"], row["deleted"], row["version_of"], row["cpu"]) == (child.pid, True, "process", cpu)
    lacks = re.findall(r"(?:doesn't|does not) support requested feature: \S+?\.?([a-z0-9._-]+) \[bit", said)
    named = [re.sub(r".*\.(E[ABCD]X)\.", "", each) for each in lacks]
    assert row["filtered"], said
    assert sorted(row["filtered"]) == sorted(name.rpartition("EX.")[2] or name for name in named)
    assert row["qemu"] == ".".join(row["version"].split(".")[:2])
    assert SECRET not in json.dumps(row) + text
    assert "deleted" in text
    assert f"-cpu {cpu}" in text


def test_a_named_source_says_what_it_would_get_over_there(
    need_tool: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from msrtui.report import running as report

    binary = need_tool("qemu-system-x86_64")
    child = subprocess.Popen([binary, *QUIET, "-machine", "none,accel=tcg"], stdin=subprocess.DEVNULL)
    try:
        monkeypatch.setattr(psutil, "pids", lambda: [child.pid])
        (row,) = rows(capsys, EPYC)
        assert row["features"] is None
        assert "does not run on KVM" in row["text"]
        monkeypatch.setattr(report, "_not_asked", lambda _: None)  # as if it ran on KVM: this host may have none
        counts = [sum(map(bool, rows(capsys, host)[0]["features"].values())) for host in (EPYC, bundled_hosts()[-1])]
        assert counts[0] != counts[1]
    finally:
        child.kill()
        child.wait(timeout=30)


def test_nothing_that_runs_is_no_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(psutil, "pids", list)
    assert main(["qemus", EPYC]) == 0
    assert capsys.readouterr().out == "No QEMU that you may see runs on this host.\n"


def test_without_kvm_here_the_processes_are_told_and_why_nothing_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from msrtui.errors import KvmUnusable
    from msrtui.snapshot import sources

    def unusable(_: object) -> None:
        raise KvmUnusable("There is no /dev/kvm.")

    monkeypatch.setattr(sources, "require_kvm", unusable)
    monkeypatch.setattr(psutil, "pids", list)
    assert main(["qemus"]) == 0
    out, err = capsys.readouterr()
    assert one_sentence(err) == "There is no /dev/kvm."
    assert out.startswith("No QEMU")


def test_a_named_source_without_kvm_cannot_be_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["qemus", NO_KVM]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "KVM could not be opened" in one_sentence(err)
