"""Fingerprints: the same for the same answers, another for any bit that is no noise, and what differs has a name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fleets import EPYC, SKYLAKE, bundled, written

from msrtui.compare.fingerprint import HOST_BITS, Item, different, fingerprint_of, items_of
from msrtui.kvm.recorded import RecordedHost
from msrtui.kvm.requests import HostCpuid, R, Request
from msrtui.qemu.conversation import negotiate
from msrtui.qemu.cpu_request import parse
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import labels, load
from msrtui.snapshot.codec import load as load_snapshot
from msrtui.transcript.stepper import run

Change = Callable[[dict[str, Any]], object]


def items(document: dict[str, Any]) -> tuple[Item, ...]:
    return items_of(load_snapshot(written(document), "it").recording)


def changed(change: Change, name: str = EPYC) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    one, other = bundled(name), bundled(name)
    change(other)
    return items(one), items(other)


def said(change: Change, name: str = EPYC) -> list[tuple[object, ...]]:
    one, other = changed(change, name)
    assert fingerprint_of(one) != fingerprint_of(other)
    return [tuple(each) for each in different(dict(one), dict(other), load("10.2"))]


def entry(document: dict[str, Any], leaf: str, subleaf: str = "0x0") -> list[str]:
    found = next(row for row in document["kvm"]["supported_cpuid"]["entries"] if row[:2] == [leaf, subleaf])
    assert isinstance(found, list)
    return found


def turn(row: list[str], place: int, bit: int) -> None:
    row[place] = hex(int(row[place], 16) ^ 1 << bit)


def test_a_fingerprint_stays_what_it_is() -> None:
    # written down: who stored fingerprints wants to find them again; new rules count RULES up and change these
    assert fingerprint_of(items(bundled(EPYC))) == "b787c0d32f49"
    assert fingerprint_of(items(bundled(SKYLAKE))) == "4b3a9ea3d099"


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it["kvm"]["msr_index_list"]["indices"].reverse(),
        lambda it: it["kvm"]["msr_feature_index_list"]["indices"].reverse(),
        lambda it: it["kvm"]["supported_cpuid"]["entries"].reverse(),
        lambda it: it["host"]["kernel"].update(release="7.0"),
        lambda it: it["host"]["cpu"].update(microcode="0x1", name="another"),
        lambda it: it["host"].update(name="another", origin="elsewhere"),
        lambda it: it["made"].update(when="2026-01-01T00:00:00Z"),
        lambda it: it["kvm"]["emulated_cpuid"].update(entries=[], nent=0),
        lambda it: turn(entry(it, "0x1"), 4, 25),  # an APIC id
        lambda it: turn(entry(it, "0xd"), 4, 7),  # what XSAVE takes just now
        lambda it: it["kvm"]["capabilities"]["answers"].update({"9": 77}),  # how many CPUs
        lambda it: it["cpuid"]["rows"].append(["0x80000028", "0x0", "0x1", "0x0", "0x0", "0x0"]),  # QEMU never reads it
    ],
)
def test_order_noise_and_facts_are_no_difference(change: Change) -> None:
    one, other = changed(change)
    assert fingerprint_of(one) == fingerprint_of(other)


def test_one_bit_of_an_msr_has_a_name() -> None:
    def change(it: dict[str, Any]) -> None:
        row = next(row for row in it["kvm"]["feature_msrs"] if row["index"] == "0x10a")
        row["value"] = hex(int(row["value"], 16) ^ 1 << 26)

    assert said(change) == [("msr", "0x10a", 26, "GDS_NO", (True, False))]


def test_one_bit_of_cpuid_has_qemus_name() -> None:
    where = "CPUID[eax=07h,ecx=00h].EBX"
    assert said(lambda it: turn(entry(it, "0x7"), 4, 9)) == [("cpuid", where, 9, "erms", (False, True))]


def test_a_capability_of_many_bits_is_a_number() -> None:
    def few(it: dict[str, Any]) -> None:
        it["kvm"]["capabilities"]["answers"]["10"] = 32764 ^ 3

    def many(it: dict[str, Any]) -> None:
        it["kvm"]["capabilities"]["answers"]["10"] = 509

    assert said(few) == [
        ("capability", "KVM_CAP_NR_MEMSLOTS", 0, None, (False, True)),
        ("capability", "KVM_CAP_NR_MEMSLOTS", 1, None, (False, True)),
    ]
    assert said(many) == [("capability", "KVM_CAP_NR_MEMSLOTS", None, None, (32764, 509))]


def test_a_member_of_a_list() -> None:
    def change(it: dict[str, Any]) -> None:
        it["kvm"]["msr_index_list"]["indices"].remove("0x10a")
        it["kvm"]["msr_index_list"]["nmsrs"] -= 1

    assert said(change) == [("index_list", "0x10a", None, None, (True, False))]


def test_a_refusal_is_no_value() -> None:
    def change(it: dict[str, Any]) -> None:
        row = next(row for row in it["kvm"]["feature_msrs"] if row["index"] == "0x10a")
        row.update(result=0)
        del row["value"]

    (found,) = said(change)
    assert (found[:2], found[4]) == (("msr", "0x10a"), (0x400000000C000069, "refused"))


def test_what_is_not_said_is_not_0() -> None:
    def silent(it: dict[str, Any]) -> None:
        it["kvm"]["feature_msrs"] = [row for row in it["kvm"]["feature_msrs"] if row["index"] != "0x10a"]

    def zero(it: dict[str, Any]) -> None:
        next(row for row in it["kvm"]["feature_msrs"] if row["index"] == "0x10a").update(value="0x0")

    one, other = bundled(), bundled()
    silent(one)
    zero(other)
    assert fingerprint_of(items(one)) != fingerprint_of(items(other))
    assert said(silent) == [("msr", "0x10a", None, None, (0x400000000C000069, None))]


def test_a_capability_that_was_not_asked_for_is_not_0() -> None:
    found = said(lambda it: it["kvm"]["capabilities"].update(last=252))
    assert found == [
        ("capability", "KVM_CAP_251", None, None, (None, 0)),
        ("capability", "KVM_CAP_252", None, None, (None, 0)),
    ]


def test_of_a_table_that_only_one_has_the_entries_say_nothing_more() -> None:
    found = said(lambda it: it["kvm"].update(supported_cpuid=None))
    assert found == [("cpuid", "KVM_GET_SUPPORTED_CPUID", None, None, (0, None))]


class Listening(RecordedHost):
    """Notes which leaves of the host's own CPUID are asked for."""

    asked: frozenset[tuple[int, int]] = frozenset()

    def ask(self, request: Request[R]) -> R:
        if isinstance(request, HostCpuid):
            self.asked |= {(request.function, request.index)}
        return super().ask(request)


def test_what_qemu_reads_of_the_hosts_own_cpuid_is_in_it(captures: tuple[Path, ...]) -> None:
    asked: set[tuple[int, int]] = set()
    for path in captures:
        host = Listening(load_snapshot(path.read_bytes(), path.stem).recording)
        for label in labels():
            qemu = QemuProfile(label)
            run(negotiate(qemu, cpu=parse("host", qemu)), host)
        asked |= host.asked
    assert {(0x1, 0), (0xD, 2), (0x80000008, 0)} < asked
    assert asked <= set(HOST_BITS)
