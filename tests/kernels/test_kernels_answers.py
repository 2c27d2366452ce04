"""What msrtui says of a booted host, against what a C program heard of the same KVM in the same boot."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from comparing import compared, snapshots
from machines import MACHINES
from told_twice import Host

pytestmark = pytest.mark.parametrize("host", MACHINES, indirect=True, ids=lambda machine: machine.name, scope="session")

COMMANDS = (
    ("trace", "SOURCE", "--json"),
    ("lists", "SOURCE", "--json"),
    ("words", "SOURCE", "--json"),
    ("get", "0x10a", "SOURCE", "--json"),
    ("get", "0x48b", "SOURCE", "--json"),
)
MORE_COMMANDS = (
    ("trace", "SOURCE", "--json", "--qemu", "7.2"),
    ("words", "SOURCE", "--json", "--qemu", "11.1"),
    ("features", "SOURCE", "--cpu", "host", "--json"),
    ("models", "SOURCE", "--json"),
    ("get", "0x3a", "SOURCE", "--json"),
    ("get", "0x345", "SOURCE", "--json"),
    ("get", "0x10b", "SOURCE", "--json"),
    ("get", "0xc0011029", "SOURCE", "--json"),
)
"""Not on Bochs, where a command takes ten seconds."""


def test_the_capture_says_what_the_c_program_heard(host: Host) -> None:
    begun = time.monotonic()
    ours = host.guest.json("capture", "-o", "-")
    host.tells("capture and the C program's", snapshots(ours, host.snapshot), time.monotonic() - begun)
    assert ours["kvm"]["msr_index_list"]["indices"] == host.dump["kvm"]["msr_index_list"]["indices"]
    assert ours["kvm"]["msr_feature_index_list"]["indices"] == host.dump["kvm"]["msr_feature_index_list"]["indices"]


def test_the_live_commands_say_what_they_say_of_the_c_programs_capture(host: Host) -> None:
    for command in COMMANDS + (() if host.guest.machine.bochs else MORE_COMMANDS):
        begun = time.monotonic()
        live = host.guest.json(*("live" if word == "SOURCE" else word for word in command))
        seconds = time.monotonic() - begun
        saved = json.loads(host.here(*command))
        assert (live.pop("source"), saved.pop("source")) == ("live", str(host.path))
        host.tells(
            " ".join(word for word in command if word not in ("SOURCE", "--json")), compared(live, saved), seconds
        )


def test_doctor_says_that_it_can_be_used_and_names_kernel_module_and_parameters(host: Host) -> None:
    said = host.guest.json("doctor", "--json")
    heard = host.dump
    assert (said["usable"], said["situation"], said["remedy"]) == (True, "usable", None)
    assert said["kernel"] == heard["uname"]["release"]
    assert said["vendor_module"] == host.guest.machine.module
    assert said["modules"] == sorted(heard["modules"])
    assert said["api_version"] == heard["kvm"]["api_version"] == 12
    assert said["parameters"] == {name: _texts(module) for name, module in heard["modules"].items()}


def _texts(module: dict[str, Any]) -> dict[str, Any]:
    return {name: text if isinstance(text, str) else None for name, text in module["parameters"].items()}


def test_nothing_that_was_asked_left_a_word_in_the_kernels_log(host: Host) -> None:
    guest = host.guest
    before = guest.kernel_log()
    guest.json("trace", "--json")
    guest.json("get", "0x48b", "--json")
    assert guest.logged_since(before) == []
    assert guest.shell(f"cat /sys/module/{guest.machine.module}/refcnt").strip() == "0"
