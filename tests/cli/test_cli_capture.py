"""``msrtui capture`` on this machine: worth as much as the live host, quiet, and whole or not there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import environment, msrtui, one_sentence

from msrtui.cli.__main__ import main
from msrtui.kvm.live import LiveHost
from msrtui.kvm.requests import GetMsrFeatureIndexList, GetMsrIndexList
from msrtui.qemu.tables import labels, load


@pytest.fixture(scope="module")
def taken(live_kvm: LiveHost, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snapshot of this machine."""
    assert live_kvm.path == "/dev/kvm"
    path = tmp_path_factory.mktemp("capture") / "x.json"
    done = msrtui(["capture", "-o", str(path)])
    assert (done.returncode, done.stderr) == (0, b"")
    assert re.fullmatch(
        r".*x\.json: Linux .*: \d+ MSRs and \d+ feature MSRs listed, \d+ CPUID entries\n", done.stdout.decode()
    )
    return path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    status = main([*arguments, "--json"])
    document = json.loads(capsys.readouterr().out)
    document.pop("source")
    return status, document


def same(capsys: pytest.CaptureFixture[str], taken: Path, command: str, *arguments: str) -> Any:
    live = said(capsys, command, *arguments, "live")
    assert said(capsys, command, *arguments, str(taken)) == live, (command, arguments)
    return live[1]


# --- worth as much as the live host --------------------------------------------------------------------------------
@pytest.mark.live
@pytest.mark.parametrize("qemu", labels())
def test_trace_words_lists_models_and_features_are_the_live_hosts(
    taken: Path, qemu: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("trace", "words", "lists", "models"):
        same(capsys, taken, command, "--qemu", qemu)
    for cpu in ("host", "max", "EPYC", "Skylake-Server", "qemu64,+x2apic,-sse3"):
        same(capsys, taken, "features", "--qemu", qemu, "--cpu", cpu)
        same(capsys, taken, "features", "--qemu", qemu, "--cpu", cpu, "--expanded")
    for options in (
        ["--no-migratable"],
        ["--machine", "q35"],
        ["--machine", "q35", "--irqchip", "split"],
        ["--machine", "pc", "--irqchip", "off"],
        ["--cpu-pm"],
        ["--pmu", "on"],
    ):
        for command in ("trace", "words", "features"):
            same(capsys, taken, command, "--qemu", qemu, *options)


@pytest.mark.live
@pytest.mark.parametrize("qemu", ["3.1", "7.2", "11.1"])
def test_get_of_every_msr_is_the_live_hosts(
    taken: Path, qemu: str, live_kvm: LiveHost, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted: set[int] = set(load(qemu).word_by_msr)
    for question in (GetMsrIndexList, GetMsrFeatureIndexList):
        count = live_kvm.ask(question(0)).nmsrs or 0
        wanted |= set(live_kvm.ask(question(count)).indices)
    assert len(wanted) > 30
    statuses = {same(capsys, taken, "get", hex(index), "--qemu", qemu)["status"] for index in sorted(wanted)}
    assert "ok" in statuses


@pytest.mark.live
def test_what_is_written_is_what_was_asked(taken: Path, live_kvm: LiveHost) -> None:
    document = json.loads(taken.read_text(encoding="ascii"))
    count = live_kvm.ask(GetMsrIndexList(0)).nmsrs or 0
    listed = [int(index, 16) for index in document["kvm"]["msr_index_list"]["indices"]]
    assert tuple(listed) == live_kvm.ask(GetMsrIndexList(count)).indices
    asked = document["kvm"]["capabilities"]
    assert (asked["first"], asked["last"]) == (0, 255)
    assert document["host"]["kernel"]["release"] == os.uname().release


@pytest.mark.live
def test_asking_msrs_of_a_snapshot_that_were_not_asked_says_so(taken: Path) -> None:
    done = msrtui(["get", "0x1b", str(taken), "--ask"])
    assert done.returncode == 0
    assert b"This source does not hold an answer for it" in done.stdout


# --- quiet ---------------------------------------------------------------------------------------------------------
@pytest.mark.live
def test_it_opens_kvm_once_for_reading_makes_no_vm_and_leaves_cpuinfo_alone(
    live_kvm: LiveHost, need_tool: Callable[..., str], tmp_path: Path
) -> None:
    assert live_kvm.path == "/dev/kvm"
    log = tmp_path / "log"
    command = [need_tool("strace"), "-f", "-qq", "-e", "trace=open,openat,ioctl,close", "-o", str(log)]
    command += [sys.executable, "-m", "msrtui", "capture", "-o", str(tmp_path / "x.json")]
    subprocess.run(command, env=environment(), check=True, capture_output=True)
    lines = log.read_text(errors="replace").splitlines()
    (opened,) = [place for place, line in enumerate(lines) if '"/dev/kvm"' in line]
    assert "O_RDONLY" in lines[opened]
    fd = lines[opened].rsplit("= ", 1)[1]
    (closed,) = [place for place, line in enumerate(lines[opened:], opened) if f" close({fd})" in line][:1]
    kvm = [line for line in lines if "ioctl" in line and "KVM_" in line]
    assert len(kvm) > 256
    assert all(opened < lines.index(line) < closed for line in kvm)
    names = {found[0] for line in kvm if (found := re.findall(r"KVM_[A-Z0-9_]+", line))}
    assert names == {
        "KVM_CHECK_EXTENSION",
        "KVM_GET_API_VERSION",
        "KVM_GET_DEVICE_ATTR",
        "KVM_GET_EMULATED_CPUID",
        "KVM_GET_MSRS",
        "KVM_GET_MSR_FEATURE_INDEX_LIST",
        "KVM_GET_MSR_INDEX_LIST",
        "KVM_GET_SUPPORTED_CPUID",
        "KVM_GET_SUPPORTED_HV_CPUID",
        "KVM_X86_GET_MCE_CAP_SUPPORTED",
    } or all("KVM_CREATE" not in name and "KVM_SET" not in name for name in names)
    assert not [line for line in lines if "cpuinfo" in line]


@pytest.mark.live
def test_it_asks_on_the_first_cpu_that_is_allowed_and_says_which(live_kvm: LiveHost) -> None:
    assert live_kvm.path == "/dev/kvm"
    allowed = os.sched_getaffinity(0)
    last = max(allowed)
    code = (
        f"import os, runpy, sys; os.sched_setaffinity(0, {{{last}}}); sys.argv[1:] = ['capture', '-o', '-']\n"
        "runpy.run_module('msrtui', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, check=True)
    assert json.loads(done.stdout)["made"]["cpu"] == last
    done = msrtui(["capture", "-o", "-"])
    assert json.loads(done.stdout)["made"]["cpu"] == min(allowed)


@pytest.mark.live
def test_the_process_may_run_where_it_could_before(live_kvm: LiveHost) -> None:
    from msrtui.kvm import collector

    assert live_kvm.path == "/dev/kvm"
    allowed = os.sched_getaffinity(0)
    collector.collect()
    assert os.sched_getaffinity(0) == allowed


# --- where to ------------------------------------------------------------------------------------------------------
@pytest.mark.live
def test_without_a_path_it_stands_here_under_the_hosts_hash_and_the_time(live_kvm: LiveHost, tmp_path: Path) -> None:
    assert live_kvm.path == "/dev/kvm"
    done = subprocess.run(
        [sys.executable, "-m", "msrtui", "capture", "--json"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        check=True,
    )
    (path,) = tmp_path.iterdir()
    assert re.fullmatch(r"host-[0-9a-f]{12}-\d{8}T\d{6}Z\.json", path.name)
    assert json.loads(done.stdout) == {"captured": [{"host": "live", "path": path.name, "error": None}]}
    assert f'"{os.uname().nodename}"' not in path.read_text()


@pytest.mark.live
def test_a_folder_is_made_and_a_name_is_kept_where_that_is_wanted(live_kvm: LiveHost, tmp_path: Path) -> None:
    assert live_kvm.path == "/dev/kvm"
    done = msrtui(["capture", "--name", "-o", f"{tmp_path}/new/"])
    assert done.returncode == 0
    (path,) = (tmp_path / "new").iterdir()
    assert json.loads(path.read_text())["host"]["name"] == os.uname().nodename


@pytest.mark.live
@pytest.mark.parametrize("path", ["/no/such/folder/x.json", "/dev/full"])
def test_what_cannot_be_written_is_one_sentence(live_kvm: LiveHost, path: str) -> None:
    assert live_kvm.path == "/dev/kvm"
    done = msrtui(["capture", "-o", path])
    assert (done.returncode, done.stdout) == (2, b"")
    assert "cannot be written" in one_sentence(done.stderr.decode())


def test_sudo_is_for_other_hosts() -> None:
    done = msrtui(["capture", "--sudo"])
    assert done.returncode == 2
    assert "sudo msrtui capture" in one_sentence(done.stderr.decode())


@pytest.mark.parametrize(
    "arguments",
    [
        ["ssh://-oProxyCommand=x"],
        ["--", "-x"],
        ["root@"],
        ["a b"],
        [""],
        ["a", "b", "-o", "-"],
        ["a", "--jobs", "0"],
        ["a", "--timeout", "-1"],
    ],
)
def test_what_is_no_host_is_refused_before_anything_runs(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "msrtui", "capture", *arguments],
        cwd=tmp_path,
        env={**environment(), "PATH": str(tmp_path)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    one_sentence(done.stderr.decode())
    assert not list(tmp_path.iterdir())


def test_where_kvm_cannot_be_opened_nothing_is_written_unless_it_is_wanted(tmp_path: Path) -> None:
    """The device is a real one that is no KVM's: a path that does not exist."""
    code = (
        "import sys; from msrtui.snapshot.capture import capture_here; from msrtui.errors import KvmUnusable\n"
        "try:\n    capture_here(device=sys.argv[1])\nexcept KvmUnusable as error:\n    print(error.errno, error)\n"
        "print(capture_here(device=sys.argv[1], without_kvm=True)['kvm'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "kvm")],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    sentence, kept = done.stdout.splitlines()
    assert sentence.startswith("2 ")
    assert kept == "{'open': {'result': -1, 'errno': 2, 'error': 'ENOENT'}}"
