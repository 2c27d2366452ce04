"""An explorer that is left open does not keep KVM's module from being reloaded, and notices that it was."""

from __future__ import annotations

import pytest
from guests import at_rest
from machines import MACHINES
from told_twice import Host

HOSTS = tuple(machine for machine in MACHINES if machine.name in ("amd-epyc-6.12", "intel-skylake-6.12"))
WHAT = {"kvm_amd": b"svm", "kvm_intel": b"vmx"}
"""What nested=0 takes away."""

pytestmark = pytest.mark.parametrize("host", HOSTS, indirect=True, ids=lambda machine: machine.name, scope="session")


def test_the_module_goes_and_comes_back_under_an_open_explorer_and_r_shows_the_other_one(host: Host) -> None:
    guest, module = host.guest, host.guest.machine.module
    with guest.terminal(["live"], "linux", 120, 40) as console:
        console.wait_for(at_rest, "the explorer")
        # what it reads beside the screen may take a while on a slow CPU; then nothing is open
        guest.until(lambda: "/dev/kvm" not in guest.shell(f"ls -l /proc/{console.pid}/fd"), "a closed device")
        assert guest.shell(f"cat /sys/module/{module}/refcnt").strip() == "0"
        try:
            guest.shell(f"rmmod {module}")
            guest.load(module, "nested=0")
            console.keys(b"p")
            console.wait_for(
                lambda text: f" {module} was reloaded: r asks everything again" in text, "that it was reloaded"
            )
            console.keys(b"r")
            console.wait_for(lambda text: "Nothing is asked yet" in text, "the start")
            console.keys(b">")
            console.wait_for(lambda text: "kvm_feature_msrs " in text, "the other answers")
            features = 4 if module == "kvm_amd" else 3
            console.wait_for(lambda text: f"kvm_feature_msrs {features} " in " ".join(text.split()), "its feature MSRs")
            console.keys(b"/")
            console.wait_for(lambda text: "by number or by name" in text, "the search")
            console.keys(WHAT[module])
            console.wait_for(lambda text: " found" in text, "what it finds")
            console.keys(b"\r")
            console.wait_for(lambda text: f"{module}.nested is " in " ".join(text.split()), "the reason")
            console.keys(b"q")
            assert console.ended() == 0
        finally:
            guest.shell(f"rmmod {module}")
            guest.load(module)
