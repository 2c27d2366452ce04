"""``msrtui probe`` on booted hosts: what it foretells is what the writes did, and it leaves nothing behind."""

from __future__ import annotations

import json
from typing import Any

import pytest
from machines import MACHINES
from told_twice import Host

pytestmark = pytest.mark.parametrize("host", MACHINES, indirect=True, ids=lambda machine: machine.name, scope="session")


def _probed(host: Host, *options: str) -> dict[str, Any]:
    ended = host.guest.msrtui("probe", "--json", *options)
    assert ended.status in (0, 1), ended
    assert ended.stderr.startswith("msrtui: This makes a VM with one vCPU, without memory and never run")
    (probe,) = json.loads(ended.stdout)["probes"]
    assert isinstance(probe, dict)
    assert (probe["probed"], ended.status) == (True, 0 if probe["prediction"]["outcome"] == "starts" else 1)
    return probe


def _cpu(host: Host) -> str:
    """The host's CPU, without AMX: for that QEMU asks the kernel's permission, and the probe does not."""
    return "host,-amx-tile" if "amx_tile" in host.dump["cpuinfo_cpu0"]["flags"].split() else "host"


def test_a_guest_with_amx_is_not_known_and_the_reason_says_how_it_can_be_probed(host: Host) -> None:
    if _cpu(host) == "host":
        pytest.skip("a CPU without AMX")
    ended = host.guest.msrtui("probe")
    assert ended.status == 2
    said = " ".join(ended.stdout.split())
    assert "refused (EPERM)" in said
    assert "which has AMX" in said
    assert "with -amx-tile in the -cpu it can be probed" in said


def test_what_it_foretells_is_what_the_writes_did(host: Host) -> None:
    cpu = _cpu(host)
    looked, wrote = _probed(host, "--cpu", cpu), _probed(host, "--cpu", cpu, "--try")
    assert (looked["tried"], wrote["tried"]) == (False, True)
    foretold = {each["index"]: each["taken"] for each in looked["writes"]}
    did = {each["index"]: each["taken"] for each in wrote["writes"]}
    assert foretold == did
    assert None not in did.values()
    assert wrote["batch"] == {"count": len(did), "taken": len(did)}
    assert looked["prediction"]["outcome"] == wrote["prediction"]["outcome"] == "starts"
    host.notes("probe and probe --try", len(did), 0, 0, 0)


def test_a_new_vcpus_feature_msrs_are_what_the_c_program_reads_on_one(host: Host) -> None:
    probe = _probed(host, "--cpu", _cpu(host), "--qemu", "7.2")  # later ones hide arch-capabilities on AMD
    theirs = {each["index"]: each.get("value") for each in host.dump["kvm"]["vcpu"]["msrs"]}
    both = [each for each in probe["msrs"] if each["index"] in theirs]
    assert {each["index"] for each in both} >= {"0x10a", "0x8b"} & theirs.keys()
    assert {each["index"]: each["vcpu"] for each in both} == {each["index"]: theirs[each["index"]] for each in both}
    host.notes("a vCPU's feature MSRs", len(both), 0, 0, 0)


def test_it_leaves_no_vm_and_no_word_in_the_kernels_log(host: Host) -> None:
    guest = host.guest
    before = guest.kernel_log()
    _probed(host, "--try", "--cpu", _cpu(host))
    assert guest.shell(f"cat /sys/module/{guest.machine.module}/refcnt").strip() == "0"
    assert (
        guest.shell("mount -t debugfs d /sys/kernel/debug 2>/dev/null; find /sys/kernel/debug/kvm -name '[0-9]*-*'")
        == ""
    )
    assert guest.logged_since(before) == []
