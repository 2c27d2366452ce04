"""The scratch vCPU on a real KVM: what it answers, and that nothing of it is left, whatever ends it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from msrtui.kvm.live import LiveHost
from msrtui.kvm.requests import CpuidEntry, GetApiVersion, GetMsrs, GetSupportedCpuid
from msrtui.kvm.scratch import ScratchVcpu
from msrtui.kvm.vcpu_requests import CreateVcpu, CreateVm, GetCpuid2, GetVcpuMsrs, NotAllowed, SetCpuid2, SetMsrs

HOLDING = """
import signal, sys
from msrtui.kvm.scratch import ScratchVcpu
from msrtui.kvm.vcpu_requests import CreateVcpu, CreateVm
vcpu = ScratchVcpu()
with vcpu.held():
    assert vcpu.ask(CreateVm()).result == 0
    assert vcpu.ask(CreateVcpu()).result == 0
    print("there", flush=True)
    {what}
"""


def _kvm_files(pid: int | str = "self") -> list[str]:
    """What a process has open of KVM; empty too where it has ended."""
    found = []
    try:
        links = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return []
    for link in links:
        try:
            found.append(str(link.readlink()))
        except OSError:
            continue  # the listing's own descriptor
    return sorted(name for name in found if "kvm" in name)


def _all_kvm_vms() -> int | None:
    """How many VMs there are on this machine, by the kernel; None where debugfs is not there."""
    folder = Path("/sys/kernel/debug/kvm")
    try:
        return sum(each.is_dir() for each in folder.iterdir())
    except OSError:
        return None


@pytest.fixture
def vcpu(live_kvm: LiveHost) -> ScratchVcpu:
    return ScratchVcpu(live_kvm)


def _made(vcpu: ScratchVcpu) -> tuple[CpuidEntry, ...]:
    assert vcpu.ask(CreateVm()).result == 0
    assert vcpu.ask(CreateVcpu()).result == 0
    return vcpu.ask(GetSupportedCpuid(256)).entries


def test_a_vcpu_takes_a_cpuid_and_gives_one_back(vcpu: ScratchVcpu) -> None:
    with vcpu.held():
        entries = _made(vcpu)
        assert vcpu.ask(SetCpuid2(entries)).result == 0
        got = vcpu.ask(GetCpuid2(256))
        assert got.result == 0
        assert {(e.function, e.index) for e in got.entries} == {(e.function, e.index) for e in entries}
        assert vcpu.ask(GetCpuid2(1)).result == -1


def test_the_microcode_revision_takes_any_value_and_reads_back(vcpu: ScratchVcpu) -> None:
    with vcpu.held():
        assert vcpu.ask(SetCpuid2(_made(vcpu))).result == 0
        assert vcpu.ask(SetMsrs(((0x8B, 0x1234_0000_0000),))).result == 1
        assert vcpu.ask(GetVcpuMsrs((0x8B,))).values == (0x1234_0000_0000,)


def test_what_was_written_to_one_vcpu_another_does_not_have(vcpu: ScratchVcpu) -> None:
    with vcpu.held():
        entries = _made(vcpu)
        before = vcpu.ask(GetVcpuMsrs((0x8B,))).values
        assert vcpu.ask(SetCpuid2(entries)).result == 0
        assert vcpu.ask(SetMsrs(((0x8B, 0x55_0000_0000),))).result == 1
        assert vcpu.ask(CreateVcpu(1)).result == 0
        assert vcpu.ask(GetVcpuMsrs((0x8B,))).values == before


def test_what_needs_no_vcpu_is_the_hosts_to_answer(vcpu: ScratchVcpu, live_kvm: LiveHost) -> None:
    with vcpu.held():
        assert vcpu.ask(GetApiVersion()) == live_kvm.ask(GetApiVersion())
        assert vcpu.ask(GetMsrs((0x10A,))) == live_kvm.ask(GetMsrs((0x10A,)))


def test_a_question_that_kvm_refuses_is_a_reply(vcpu: ScratchVcpu) -> None:
    with vcpu.held():
        assert vcpu.ask(CreateVm(12345)).errno is not None
        assert vcpu.ask(CreateVm()).result == 0
        assert vcpu.ask(CreateVcpu(1 << 30)).errno is not None


def test_an_msr_outside_of_the_list_is_refused_before_the_kernel_sees_it(vcpu: ScratchVcpu) -> None:
    with vcpu.held():
        _made(vcpu)
        request = SetMsrs(((0x8B, 1),))
        object.__setattr__(request, "writes", ((0x8B, 0x77_0000_0000), (0x49, 1)))
        with pytest.raises(NotAllowed):
            vcpu.ask(request)
        assert vcpu.ask(GetVcpuMsrs((0x8B,))).values != (0x77_0000_0000,)


def test_no_vm_is_made_that_nobody_would_close(vcpu: ScratchVcpu) -> None:
    before = _kvm_files()
    with pytest.raises(RuntimeError):
        vcpu.ask(CreateVm())
    with vcpu.held(), pytest.raises(RuntimeError):
        vcpu.ask(CreateVcpu())
    assert _kvm_files() == before


def test_the_vm_is_gone_behind_the_with_and_only_one_is_there_inside(vcpu: ScratchVcpu) -> None:
    before, vms = _kvm_files(), _all_kvm_vms()
    with vcpu.held():
        _made(vcpu)
        _made(vcpu)
        assert vcpu.ask(CreateVcpu(1)).result == 0
        inside = _kvm_files()
        assert inside.count("anon_inode:kvm-vm") == before.count("anon_inode:kvm-vm") + 1
        assert sum("kvm-vcpu" in name for name in inside) == 2
    assert _kvm_files() == before
    assert vms is None or _all_kvm_vms() == vms


def test_an_error_in_the_middle_leaves_nothing_either(vcpu: ScratchVcpu) -> None:
    before = _kvm_files()

    def interrupted() -> None:
        with vcpu.held():
            _made(vcpu)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert _kvm_files() == before


def test_a_device_that_cannot_be_opened_is_a_reply(tmp_path: Path) -> None:
    vcpu = ScratchVcpu(path=str(tmp_path / "kvm"))
    with vcpu.held():
        assert vcpu.ask(CreateVm()).errno == 2


LISTING = """
import os
for name in os.listdir("/proc/self/fd"):
    try:
        print(os.readlink("/proc/self/fd/" + name))
    except OSError:
        pass  # the listing's own descriptor
"""


def test_no_child_inherits_the_vm(vcpu: ScratchVcpu) -> None:
    with vcpu.held():
        _made(vcpu)
        done = subprocess.run(
            [sys.executable, "-c", LISTING], close_fds=False, capture_output=True, text=True, check=True
        )
    assert "pipe:" in done.stdout
    assert "kvm" not in done.stdout


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_in_the_middle_it_leaves_no_vm(number: signal.Signals, live_kvm: LiveHost, root: Path) -> None:
    vms = _all_kvm_vms()
    code = HOLDING.format(what="signal.pause()")
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    try:
        assert child.stdout is not None
        assert select.select([child.stdout], [], [], 60)[0]
        assert child.stdout.readline() == b"there\n"
        assert "anon_inode:kvm-vm" in _kvm_files(child.pid)
        child.send_signal(number)
        assert child.wait(60) != 0
        assert _kvm_files(child.pid) == []  # with its last descriptor the kernel takes the VM away
        assert vms is None or _all_kvm_vms() == vms
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()
