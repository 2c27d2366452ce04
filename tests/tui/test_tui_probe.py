"""D in the explorer: a vCPU is made only when asked for, and what it shows stands in the ladder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from probed import probed_snapshot
from settling import settled
from vcpus import without_arch_capabilities

from msrtui.kvm.live import LiveHost
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.codec import load
from msrtui.snapshot.sources import live_source, open_source
from msrtui.tui.app import MsrtuiApp
from msrtui.tui.export import text_of
from msrtui.tui.screens.explorer import ExplorerScreen
from msrtui.tui.session import Session

EPYC = "amd-pvm-linux6.18"


def app(source: str, cpu: str = "host") -> MsrtuiApp:
    opened = live_source() if source == "live" else open_source(source)
    return MsrtuiApp(opened, QemuProfile("7.2"), cpu=cpu, theme="msrtui-dark", tier="full")


def session_of(running: MsrtuiApp) -> Session:
    screen = running.screen
    assert isinstance(screen, ExplorerScreen)
    assert screen.session is not None
    return screen.session


async def test_a_probe_in_the_snapshot_fills_the_vcpu_and_marks_what_is_refused(tmp_path: Path) -> None:
    running = app(str(probed_snapshot(EPYC, tmp_path, without_arch_capabilities)))
    async with running.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        lines = text_of(running).splitlines()
        assert "vCPU ✗" in lines[1]
        (row,) = [line for line in lines if "  rdctl-no" in line]
        assert row.split("│")[-1].split() == ["0", "rdctl-no", "1", "1", "1", "1", "x"]
        assert [line for line in lines if " vCPU   refused" in line]
        await pilot.press("D")
        await settled(pilot)
        text = " ".join(text_of(running).split())
        assert "Would it start?" in text
        assert "aborts (as the vCPU showed): error: failed to set MSR 0x10a to 0x69" in text


async def test_what_one_vcpu_showed_carries_over_to_another_guest(tmp_path: Path) -> None:
    path = probed_snapshot(EPYC, tmp_path, without_arch_capabilities)
    running = app(str(path), "host,-arch-capabilities")
    async with running.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        start = session_of(running).start
        assert start is not None
        assert (start.prediction.outcome, start.carried) == ("starts", True)


async def test_a_saved_host_without_a_probe_says_what_rules_say() -> None:
    running = app(EPYC)
    async with running.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        assert "vCPU ·" in text_of(running).splitlines()[1]
        assert "not tried: no vCPU is in the snapshot" in text_of(running)
        await pilot.press("D")
        await settled(pilot)
        assert "only a vCPU shows which" in " ".join(text_of(running).split())


async def test_nothing_is_made_before_it_was_agreed_to_and_all_is_gone_after(
    live_kvm: LiveHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def machines() -> int:
        links = (path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink())
        return sum("kvm-v" in str(link) for link in links)

    monkeypatch.chdir(tmp_path)
    running = app("live")
    async with running.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("D")
        await settled(pilot)
        assert "makes a VM with one vCPU" in " ".join(text_of(running).split())
        await pilot.press("escape")
        await settled(pilot)
        assert session_of(running).taken == ()
        await pilot.press("D", "enter")
        await settled(pilot)
        assert "KVM_GET_CPUID2" in text_of(running)
        await pilot.press("escape")
        await settled(pilot)
        session = session_of(running)
        assert len(session.taken) == 1
        assert session.start is not None
        assert session.start.result is not None
        assert session.start.result.batch is None
        assert machines() == 0
        await pilot.press("s", "enter")
        await settled(pilot)
    (saved,) = tmp_path.iterdir()
    assert len(json.loads(saved.read_text(encoding="utf-8"))["probe"]) == 1
    assert len(load(saved.read_bytes(), "it").probes) == 1


async def test_t_tries_the_writes_too(live_kvm: LiveHost) -> None:
    running = app("live")
    async with running.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("D", "t")
        await settled(pilot)
        await pilot.press("escape")
        await settled(pilot)
        start = session_of(running).start
        assert start is not None
        assert start.result is not None
        assert start.result.batch is not None
