"""What could say whose host it is: never captured, or taken out; what KVM said stays."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msrtui import resources
from msrtui.kvm import collector
from msrtui.kvm.collector import kept_switches
from msrtui.snapshot.codec import decode
from msrtui.snapshot.privacy import redact


def bundled(name: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(
        Path(resources.data_path("snapshots", f"{name}.json")).read_text(encoding="ascii")
    )
    return made


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("mitigations=auto,nosmt quiet", ["mitigations=auto,nosmt"]),
        (
            "kvm_intel.nested=1 kvm-amd.sev=0 kvm.ignore_msrs=1",
            ["kvm_intel.nested=1", "kvm-amd.sev=0", "kvm.ignore_msrs=1"],
        ),
        ("nopti spectre_v2=off tsx=on l1tf=full,force", ["nopti", "spectre_v2=off", "tsx=on", "l1tf=full,force"]),
        ("root=UUID=5f2c ip=10.0.0.3::10.0.0.1 rd.luks.key=/secret", []),
        ("kvm.x=$(id) mds=\x1b[31m kvm_intel.y=a/b", []),
        ("mitigationsx=1 xkvm.y=1 kvmx.y=1", []),
        ("", []),
    ],
)
def test_of_the_kernels_command_line_only_mitigations_and_kvms_switches_are_kept(line: str, kept: list[str]) -> None:
    assert kept_switches(line) == kept


@given(st.text())
def test_whatever_stands_there_what_is_kept_is_harmless(line: str) -> None:
    for word in kept_switches(line):
        assert word.isascii()
        assert word.isprintable()
        assert word in line.split()


def test_the_hosts_name_is_a_hash_unless_it_is_to_be_kept() -> None:
    name = os.uname().nodename
    told = json.dumps(collector.collect())
    assert f'"{name}"' not in told
    assert collector.collect()["host"]["name"].startswith("host-")
    assert collector.collect()["host"]["name"] == collector.collect()["host"]["name"]
    assert collector.collect(keep_name=True)["host"]["name"] == name


def test_no_serial_number_and_no_address_of_this_machine_is_captured() -> None:
    told = json.dumps(collector.collect())
    places = [*Path("/sys/class/dmi/id").glob("*serial*"), *Path("/sys/class/dmi/id").glob("*uuid*")]
    places += [
        *Path("/sys/class/net").glob("*/address"),
        Path("/etc/machine-id"),
        Path("/proc/sys/kernel/random/boot_id"),
    ]
    for place in places:
        try:
            secret = place.read_text().strip()
        except OSError:
            continue
        if len(secret) > 7 and secret != "00:00:00:00:00:00":
            assert secret not in told, place
    for leaf, *_ in collector.collect()["cpuid"]["rows"]:
        assert leaf != "0x3", "a processor's serial number once stood there"


def test_redacting_takes_out_the_name_and_what_is_not_known_and_keeps_what_kvm_said() -> None:
    document = bundled("intel-skylake-bochs-linux6.12")
    clean, nothing = redact(document)
    assert set(nothing) == {"$.host.name", "$.host.origin"}
    document["host"]["serial"] = "ABC123"
    document["ticket"] = {"who": "me"}
    document["kvm"]["msr_index_list"]["note"] = "from rack 7"
    document["host"]["command_line"] = ["mitigations=off", "ip=10.0.0.3"]
    document["host"]["modules"]["kvm"]["parameters"]["path"] = (
        "nfs 192.168.1.7:/x by admin@example.org via 52:54:00:12:34:56"
    )
    document["host"]["modules"]["kvm"]["parameters"]["odd name\x1b"] = "1"
    told, taken = redact(document)
    assert set(taken) == {
        "$.host.name",
        "$.host.origin",
        "$.host.serial",
        "$.ticket",
        "$.kvm.msr_index_list.note",
        "$.host.command_line",
        "$.host.modules.kvm.parameters.path",
        r"$.host.modules.kvm.parameters.odd name\x1b",
    }
    text = json.dumps(told)
    for secret in ("ABC123", "me", "rack", "10.0.0.3", "192.168.1.7", "admin@example.org", "52:54:00"):
        assert f"{secret}" not in text or secret == "me", secret
    assert told["kvm"] == clean["kvm"] == bundled("intel-skylake-bochs-linux6.12")["kvm"]
    assert decode(told, "it").recording == decode(document, "it").recording


@pytest.mark.parametrize("name", resources.bundled_hosts())
def test_a_redacted_host_answers_as_before(name: str) -> None:
    document = bundled(name)
    told, _ = redact(document)
    assert decode(told, "it").recording == decode(document, "it").recording
    assert told["cpuid"] == document["cpuid"]
    assert redact(told) == (told, [])


ADDRESSES = ("02:42:ac:11:00:02", "10.0.0.3", "fe80::1:2:3", "someone@example.org")


@pytest.mark.parametrize("text", [*ADDRESSES, " ".join(ADDRESSES), "02:42:ac:11:00:02someone@example.org"])
def test_an_address_goes_wherever_it_stands(text: str) -> None:
    document = bundled("intel-skylake-bochs-linux6.12")
    document["host"]["bios"]["version"] = f"F2 {text}"
    document["host"]["vulnerabilities"][text] = "Not affected"
    kept, taken = redact(document)
    assert not any(address in json.dumps(kept) for address in ADDRESSES)
    assert "$.host.bios.version" in taken
    assert any(path.startswith("$.host.vulnerabilities.") for path in taken)


def test_one_long_word_costs_no_more_than_its_length() -> None:
    document = bundled("intel-skylake-bochs-linux6.12")
    document["made"]["by"] = "a" * 1_900_000  # each letter tried as the first of an address: hours
    assert redact(document)[0]["made"] == document["made"]
