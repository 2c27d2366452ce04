"""Hosts where something is missing, forbidden or switched off: one sentence that is true, or the right answer."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from guests import Guest
from machines import MACHINES, NO_MODULE, NO_SVM, Machine
from told_twice import Host, dumped

Boot = Callable[[Machine], contextlib.AbstractContextManager[Guest]]
NOBODY = 65534
BY_NAME = {machine.name: machine for machine in MACHINES}
amd = pytest.mark.parametrize("host", [BY_NAME["amd-epyc-6.12"]], indirect=True, ids=["amd-epyc-6.12"], scope="session")
intel = pytest.mark.parametrize(
    "host", [BY_NAME["intel-sapphirerapids-6.12"]], indirect=True, ids=["intel-sapphirerapids-6.12"], scope="session"
)

COMMANDS = (("capture", "-o", "-"), ("get", "0x10a", "live"), ("words", "live"), ("lint", "live"), ("probe",))


def refused(guest: Guest, sentence: str, *, uid: int | None = None) -> None:
    """Every command that needs KVM ends with 2 and with this one sentence; doctor says it too, and ends with 1."""
    for command in COMMANDS:
        ended = guest.msrtui(*command, uid=uid)
        assert (ended.status, ended.stdout, ended.stderr) == (2, "", f"msrtui: {sentence}\n"), command
    said = json.loads(guest.msrtui("doctor", "--json", uid=uid).stdout)
    assert said["usable"] is False
    assert "   ".join((said["sentence"], said["remedy"])) == sentence
    traced = guest.msrtui("trace", "live", uid=uid)  # QEMU's own end is an answer: the conversation is told up to it
    assert traced.status == 1
    assert "Could not access KVM kernel module" in traced.stdout


def test_without_svm_the_cpu_is_named_as_what_lacks_it_and_the_host_of_the_vm_as_who_can_change_it(boot: Boot) -> None:
    with boot(NO_SVM) as guest:
        assert "svm" not in guest.shell("grep -m1 ^flags /proc/cpuinfo").split()
        refused(
            guest,
            "There is no /dev/kvm and this CPU shows neither vmx nor svm: a VM without nested virtualization, or "
            "switched off in the firmware.   this is a VM: its host must give it nested virtualization (nested=1 "
            "there, and -cpu host)",
        )


def test_without_the_module_what_loads_it_is_said_and_does_it(boot: Boot) -> None:
    sentence = "There is no /dev/kvm, but this CPU has svm: the module is not loaded.   sudo modprobe kvm_amd"
    with boot(NO_MODULE) as guest:
        refused(guest, sentence)
        guest.load("irqbypass")
        guest.load("kvm")
        refused(guest, sentence)  # kvm.ko alone makes no device
        shown = guest.msrtui("get", "0x10a")  # with no source named, a saved host stands in, and that is said
        assert shown.status == 0
        assert shown.stderr.splitlines() == [
            f"msrtui: {sentence}",
            "msrtui: Showing the saved host amd-pvm-linux6.18; msrtui HOSTFILE opens yours.",
        ]
        guest.load("ccp")
        guest.load("kvm_amd")
        assert guest.json("doctor", "--json")["usable"] is True


@amd
def test_for_another_user_who_owns_the_device_decides_what_is_advised(host: Host) -> None:
    guest = host.guest
    refused(
        guest,
        "/dev/kvm belongs to root alone (0600).   sudo msrtui capture -o - | msrtui -   looks without changing "
        "anything; for good: the udev rule of your distribution is not active here "
        '(KERNEL=="kvm", GROUP="kvm", MODE="0660")',
        uid=NOBODY,
    )
    guest.shell("chgrp 103 /dev/kvm; chmod 660 /dev/kvm")
    try:
        refused(
            guest,
            "/dev/kvm is root:kvm 0660 and you are not in kvm.   sudo usermod -aG kvm $USER   then log in again",
            uid=NOBODY,
        )
        guest.shell("chmod 664 /dev/kvm")  # to read is enough to ask
        mine, roots = (json.loads(guest.msrtui("capture", "-o", "-", uid=uid).stdout) for uid in (NOBODY, None))
        assert mine["kvm"] == roots["kvm"]
        assert (mine["made"]["root"], roots["made"]["root"]) == (False, True)
        assert mine["cpuid"]["rows"] == roots["cpuid"]["rows"]
        assert (mine["cpuid"]["from"], roots["cpuid"]["from"]) == ("the instruction", "/dev/cpu/0/cpuid")
    finally:
        guest.shell("chown 0:0 /dev/kvm; chmod 600 /dev/kvm")


@contextlib.contextmanager
def reloaded(guest: Guest, kvm: str, vendor: str) -> Iterator[None]:
    """KVM's modules with these parameters, and afterwards with none."""
    _reload(guest, kvm, vendor)
    try:
        yield
    finally:
        _reload(guest, "", "")


def _reload(guest: Guest, kvm: str, vendor: str) -> None:
    module = guest.machine.module
    guest.shell(f"rmmod {module}; rmmod kvm")
    guest.load("kvm", kvm)
    guest.load(module, vendor)


@amd
def test_with_ignore_msrs_only_who_insists_is_answered_and_what_the_answer_is_worth_is_said(host: Host) -> None:
    guest, switch = host.guest, "/sys/module/kvm/parameters/ignore_msrs"
    guest.shell(f"echo 1 > {switch}")
    try:
        before = guest.kernel_log()
        for command in (
            ("get", "0x33", "live"),
            ("trace", "live", "--json"),
            ("capture", "-o", "-"),
            ("probe", "--try"),
        ):
            guest.msrtui(*command)
        assert guest.logged_since(before) == []  # nothing was asked that KVM does not know
        asked = guest.msrtui("get", "0x33", "live", "--ask")
        assert asked.status == 0
        assert asked.stderr == (
            "msrtui: kvm.ignore_msrs is on here: KVM answers 0 for any MSR, and may write a line to the kernel log.\n"
        )
        assert "1 read: 0x0000_0000_0000_0000" in asked.stdout
        assert "Nothing: KVM does not list it as a feature MSR." in " ".join(asked.stdout.split())
        (line,) = guest.logged_since(before)  # and so it does
        assert line.endswith("ignored rdmsr: 0x33 data 0x0")
        assert "ignore-msrs-on" in guest.msrtui("lint", "live").stdout
    finally:
        guest.shell(f"echo 0 > {switch}")
    before = guest.kernel_log()
    refusal = guest.json("get", "0x33", "live", "--ask", "--json")
    assert refusal["asked"]["status"] == "refused"
    assert guest.logged_since(before) == []


@amd
def test_on_amd_nested_0_takes_svm_away_and_no_msr(host: Host, tmp_path: Path) -> None:
    guest = host.guest
    with reloaded(guest, "", "nested=0"):
        now = dumped(guest, tmp_path / "nested0.json")
        for key in ("msr_index_list", "msr_feature_index_list", "feature_msrs"):
            assert now.dump["kvm"][key] == host.dump["kvm"][key]
        why = guest.msrtui("features", "live", "--why", "svm").stdout
        assert "svm is off" in why
        assert "KVM does not offer it: kvm_amd.nested is 0." in why
        assert "nested-off" in guest.msrtui("lint", "live").stdout
    assert guest.json("features", "live", "--json")["features"]["svm"] is True


@intel
def test_on_intel_nested_0_takes_the_vmx_msrs_and_each_says_that_it_did(host: Host, tmp_path: Path) -> None:
    guest = host.guest
    with reloaded(guest, "", "nested=0"):
        now = dumped(guest, tmp_path / "nested0.json")
        lost = set(_listed(host, "msr_feature_index_list")) - set(_listed(now, "msr_feature_index_list"))
        assert lost == {hex(index) for index in range(0x480, 0x492)}
        assert len(set(_listed(host, "msr_index_list")) - set(_listed(now, "msr_index_list"))) == 12
        said = guest.json("get", "0x48b", "live", "--json")
        assert (said["in_index_list"], said["in_feature_list"], said["kvm"]) == (False, False, None)
        assert {each["list"]: each["certainty"] for each in said["absent"]} == {"index": "sure", "feature": "sure"}
        assert all("nested" in each["rule"] + str(each["decided"]) for each in said["absent"])


@intel
def test_without_enable_pmu_the_counters_are_gone_and_each_says_why(host: Host, tmp_path: Path) -> None:
    guest = host.guest
    assert "0xc1" in _listed(host, "msr_index_list")
    with reloaded(guest, "enable_pmu=0", ""):
        now = dumped(guest, tmp_path / "nopmu.json")
        lost = set(_listed(host, "msr_index_list")) - set(_listed(now, "msr_index_list"))
        assert "0xc1" in lost
        assert len(lost) == 25
        said = guest.json("get", "0xc1", "live", "--json")
        (absent,) = (each for each in said["absent"] if each["list"] == "index")
        assert (absent["array"], absent["certainty"]) == ("msrs_to_save_pmu", "sure")
        assert "kvm.enable_pmu" in json.dumps(absent)
        assert "kvm.enable_pmu is off" in guest.msrtui("lint", "live").stdout


def _listed(host: Host, key: str) -> list[str]:
    indices = host.dump["kvm"][key]["indices"]
    assert isinstance(indices, list)
    return indices
