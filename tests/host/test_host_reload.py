"""A KVM that was reloaded under a running explorer is noticed; one that was only used is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from msrtui.host import facts
from msrtui.host.reload import host_mark, reloaded
from msrtui.kvm.live import LiveHost
from msrtui.kvm.requests import GetApiVersion


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "module"
    for name in ("kvm", "kvm_amd"):
        (folder / name).mkdir(parents=True)
    monkeypatch.setattr(facts, "SYS_MODULE", str(folder))
    return folder


def test_a_module_that_was_reloaded_gone_or_new_is_named(modules: Path, tmp_path: Path) -> None:
    device = tmp_path / "kvm"
    device.write_text("")
    before = host_mark(str(device))
    assert reloaded(before, host_mark(str(device))) is None
    (modules / "kvm_amd").rename(tmp_path / "old")
    assert reloaded(before, host_mark(str(device))) == "kvm_amd is gone"
    (modules / "kvm_amd").mkdir()
    assert reloaded(before, host_mark(str(device))) == "kvm_amd was reloaded"
    (modules / "kvm_intel").mkdir()
    device.rename(tmp_path / "other")
    assert reloaded(before, host_mark(str(device))) == "/dev/kvm is gone, kvm_amd was reloaded, kvm_intel is new"


def test_the_node_that_comes_back_with_its_module_is_not_told_of_beside_it(modules: Path, tmp_path: Path) -> None:
    device = tmp_path / "kvm"
    device.write_text("")
    before = host_mark(str(device))
    (tmp_path / "taken").write_text("")  # so that the next one has another inode
    device.rename(tmp_path / "other")
    device.write_text("")
    assert reloaded(before, host_mark(str(device))) == "/dev/kvm was made anew"
    for name in ("kvm", "kvm_amd"):
        (modules / name).rename(tmp_path / f"old-{name}")
    assert reloaded(before, host_mark(str(device))) == "kvm and kvm_amd are gone"
    for name in ("kvm", "kvm_amd"):
        (modules / name).mkdir()
    assert reloaded(before, host_mark(str(device))) == "kvm and kvm_amd were reloaded"


@pytest.mark.live
def test_asking_kvm_is_no_reload(live_kvm: LiveHost) -> None:
    before = host_mark()
    assert "/dev/kvm" in before
    live_kvm.ask(GetApiVersion())
    with Path("/dev/kvm").open("rb"):
        pass
    assert reloaded(before, host_mark()) is None
