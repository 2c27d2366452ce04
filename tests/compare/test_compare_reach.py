"""How far an answer reaches: to the guest, to QEMU alone, or nowhere beyond KVM."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from msrtui.compare.differences import Difference, differences, hidden, matters
from msrtui.compare.fingerprint import fingerprint_of, items_of
from msrtui.compare.side import Side, side_of
from msrtui.kvm.recorded import RecordedHost, RecordedList, RecordedMsr, RecordedTable, Recording
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source
from msrtui.values import replace

SKYLAKE = "intel-skylake-bochs-linux6.12"
EPYC = "amd-epyc-tcg-linux6.12"


def told(name: str) -> Recording:
    source = open_source(name)
    assert isinstance(source.answerer, RecordedHost)
    return source.answerer.recording


def side(name: str, recording: Recording | None = None, qemu: str = "10.2", cpu: str = "host", **more: str) -> Side:
    source = open_source(name)
    answerer = source.answerer if recording is None else RecordedHost(recording)
    return side_of(replace(source, answerer=answerer), QemuProfile(qemu, **more), cpu)  # type: ignore[arg-type]


def msr(name: str, index: int, value: int, **options: str) -> dict[tuple[str, str], Difference]:
    """What differs where one feature MSR has another value."""
    recording = told(name)
    other = replace(recording, msrs={**recording.msrs, index: RecordedMsr(1, value)})
    return by_subject([side(name, **options), side(name, other, **options)])  # type: ignore[arg-type]


def leaf(name: str, place: tuple[int, int], register: str, value: int, **options: str) -> list[Difference]:
    """What differs where one register of KVM's table has another value."""
    recording = told(name)
    assert recording.supported_cpuid is not None
    entries = tuple(
        entry._replace(**{register: value}) if (entry.function, entry.index) == place else entry
        for entry in recording.supported_cpuid.entries
    )
    other = replace(recording, supported_cpuid=RecordedTable(entries))
    return list(differences([side(name, **options), side(name, other, **options)]))  # type: ignore[arg-type]


def by_subject(sides: list[Side]) -> dict[tuple[str, str], Difference]:
    return {(each.kind, each.subject): each for each in differences(sides)}


def test_a_register_reaches_the_guest_where_the_guests_word_differs(captures: tuple[Path, ...]) -> None:
    sides = [side_of(open_source(str(path)), QemuProfile("10.2")) for path in captures]
    for one, other in combinations([each for each in sides if each.outcome is not None], 2):
        found = by_subject([one, other])
        for (kind, subject), each in found.items():
            if kind == "guest":
                assert each.reach == "guest"
            elif kind == "kvm":
                assert each.reach == ("guest" if ("guest", subject) in found else "qemu")


def test_what_no_guest_gets_of_an_msr_stays_with_qemu() -> None:
    assert msr("amd-pvm-linux6.18", 0x10A, 0x8)["msr", "0x10a"].reach == "qemu"  # 10.2 hides it from AMD's guests
    assert msr(SKYLAKE, 0x10A, 0x49)["msr", "0x10a"].reach == "guest"


def test_microcode_reaches_the_guests_that_are_told_it() -> None:
    assert msr(SKYLAKE, 0x8B, 1 << 32)["msr", "0x8b"].reach == "guest"
    assert msr(SKYLAKE, 0x8B, 1 << 32, cpu="Skylake-Server")["msr", "0x8b"].reach == "kernel"
    assert msr(SKYLAKE, 0x8B, 1 << 32, qemu="4.2")["msr", "0x8b"].reach == "kernel"


@pytest.mark.parametrize(
    ("index", "flip", "reach"),
    [
        (0x480, 1 << 32, "guest"),  # the size of a VMCS is passed on
        (0x48A, 0x2, "kernel"),
        (0x482, 1 << 36, "kernel"),  # KVM makes it from the TRUE controls that QEMU writes
        (0x486, 1 << 1, "qemu"),  # KVM holds QEMU's constant against it
        (0x489, 1 << 11, "kernel"),
        (0x345, 0x5, "qemu"),
        (0x48C, 1 << 23, "qemu"),  # without a name
        (0x48C, 1 << 14, "guest"),  # the memory type is passed on
    ],
)
def test_what_qemu_makes_of_the_vmx_msrs(index: int, flip: int, reach: str) -> None:
    value = told(SKYLAKE).msrs[index].value
    assert value is not None
    assert msr(SKYLAKE, index, value ^ flip)["msr", hex(index)].reach == reach


def test_before_4_2_a_guest_has_kvms_own_vmx_msrs() -> None:
    value = told(SKYLAKE).msrs[0x482].value
    assert value is not None
    assert msr(SKYLAKE, 0x482, value ^ 1 << 36, qemu="3.1")["msr", "0x482"].reach == "guest"


def test_an_index_entry_reaches_qemu_where_it_is_named() -> None:
    recording = told(SKYLAKE)
    assert recording.index_list is not None
    fewer = tuple(
        index for index in recording.index_list.indices if index not in (0x1A0, 0x174, 0x4B564D01, 0xC0010015)
    )
    for label, hwcr in (("7.2", "kernel"), ("10.2", "qemu")):
        sides = [side(EPYC, qemu=label), side(EPYC, _without(told(EPYC), 0xC0010015), qemu=label)]
        assert by_subject(sides)["index_list", "0xc0010015"].reach == hwcr
    found = by_subject([side(SKYLAKE), side(SKYLAKE, replace(recording, index_list=RecordedList(fewer)))])
    assert found["index_list", "0x1a0"].reach == "qemu"  # a flag
    assert found["index_list", "0x174"].reach == "qemu"  # transferred


def _without(recording: Recording, index: int) -> Recording:
    assert recording.index_list is not None
    return replace(recording, index_list=RecordedList(tuple(i for i in recording.index_list.indices if i != index)))


def test_a_capability_reaches_qemu_where_it_is_asked_for() -> None:
    recording = told(SKYLAKE)
    other = replace(recording, capabilities={**recording.capabilities, 157: 0, 201: 0, 236: 0})
    found = by_subject([side(SKYLAKE), side(SKYLAKE, other)])
    assert found["capability", "KVM_CAP_NESTED_STATE"].reach == "qemu"
    assert found["capability", "KVM_CAP_EXIT_HYPERCALL"].reach == "kernel"
    older = by_subject([side(SKYLAKE, qemu="7.2"), side(SKYLAKE, other, qemu="7.2")])
    assert found["capability", "KVM_CAP_PRE_FAULT_MEMORY"].reach == "qemu"
    assert older["capability", "KVM_CAP_PRE_FAULT_MEMORY"].reach == "kernel"
    assert all(matters(each) for each in found.values())


# --- CPUID -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "reach"),
    [({}, "guest"), ({"pmu": "off"}, "kernel"), ({"cpu": "Skylake-Server"}, "kernel")],
)
def test_the_pmus_leaf_reaches_guests_with_a_pmu(options: dict[str, str], reach: str) -> None:
    pmu = options.get("pmu") != "off"
    cpu = options.get("cpu", "host") + ("" if pmu else ",pmu=off")
    (found,) = leaf(SKYLAKE, (0xA, 0), "eax", 0x07300401, cpu=cpu)
    assert (found.kind, found.subject, found.reach) == ("cpuid", "0xa EAX", reach)


def test_address_bits_reach_guests_of_newer_machines() -> None:
    for options, reach in (
        ({"qemu": "10.2"}, "guest"),
        ({"qemu": "10.2", "machine": "pc-q35-9.0"}, "kernel"),
        ({"qemu": "7.2"}, "kernel"),
    ):
        (found,) = leaf(SKYLAKE, (0x80000008, 0), "eax", 0x3028, **options)
        assert found.reach == reach, options
    (found,) = leaf(SKYLAKE, (0x80000008, 0), "eax", 0x283027)
    assert found.reach == "kernel"  # QEMU takes the host's own from the CPU


def test_the_xsave_area_is_qemus_business() -> None:
    (found,) = leaf(SKYLAKE, (0xD, 0), "ecx", 0x800)
    assert (found.subject, found.reach) == ("0xd.0x0 ECX", "qemu")


def test_what_no_rule_reads_is_kvms_alone() -> None:
    (found,) = leaf(SKYLAKE, (0x80000006, 0), "ecx", 0x1)
    assert (found.subject, found.reach) == ("0x80000006 ECX", "kernel")
    assert matters(found)


def test_a_feature_words_register_is_not_said_twice() -> None:
    found = leaf(SKYLAKE, (0x7, 0), "ebx", 0)
    assert {each.kind for each in found} >= {"kvm", "guest"}
    assert "cpuid" not in {each.kind for each in found}


def test_noise_is_hidden_and_named() -> None:
    recording = told(EPYC)
    assert recording.supported_cpuid is not None
    entries = tuple(
        entry._replace(ebx=entry.ebx ^ 0x05000000)
        if entry.function == 1
        else entry._replace(edx=7)
        if entry.function == 0xB
        else entry
        for entry in recording.supported_cpuid.entries
    )
    sides = [side(EPYC), side(EPYC, replace(recording, supported_cpuid=RecordedTable(entries)))]
    assert differences(sides) == ()
    rules = {each.rule: each.leaves for each in hidden(sides)}
    assert rules["initial-apic-id"] == ((1, 0),)
    assert set(rules) <= {"initial-apic-id", "x2apic-id"}
    assert hidden([sides[0], sides[0]]) == ()


def test_the_cpu_that_host_names_is_the_instructions() -> None:
    recording = told(SKYLAKE)
    other = replace(recording, host_cpuid={**recording.host_cpuid, (1, 0): (0x50657, *recording.host_cpuid[1, 0][1:])})
    (found,) = differences([side(SKYLAKE), side(SKYLAKE, other)])
    assert (found.kind, found.subject, found.values, found.reach) == ("cpuid", "0x1 EAX", (0x50654, 0x50657), "guest")
    (found,) = differences([side(SKYLAKE, cpu="qemu64"), side(SKYLAKE, other, cpu="qemu64")])
    assert found.reach == "kernel"


def test_how_many_cpus_a_host_has_is_hidden_too() -> None:
    recording = told(SKYLAKE)
    sides = [side(SKYLAKE), side(SKYLAKE, replace(recording, capabilities={**recording.capabilities, 9: 96}))]
    assert differences(sides) == ()
    assert [each.rule for each in hidden(sides)] == ["vcpus-advised"]


def test_hosts_of_one_fingerprint_are_alike_and_others_are_not(captures: tuple[Path, ...]) -> None:
    sides = [side_of(open_source(str(path)), QemuProfile("10.2")) for path in captures]
    pairs = list(combinations([each for each in sides if each.outcome is not None], 2))
    same = 0
    for one, other in pairs:
        assert isinstance(one.answerer, RecordedHost)
        assert isinstance(other.answerer, RecordedHost)
        prints = {fingerprint_of(items_of(each)) for each in (one.answerer.recording, other.answerer.recording)}
        alike = not any(matters(each) for each in differences([one, other]))
        assert alike == (len(prints) == 1), (one.name, other.name)
        same += alike
    assert same


# --- lists -------------------------------------------------------------------------------------------------------
def test_order_is_shown_and_does_not_matter() -> None:
    recording = told(SKYLAKE)
    assert recording.index_list is not None
    first, second, *rest = recording.index_list.indices
    other = replace(recording, index_list=RecordedList((second, first, *rest)))
    (found,) = differences([side(SKYLAKE), side(SKYLAKE, other)])
    assert (found.kind, found.subject, found.values) == ("order", "index_list", (first, second))
    assert (found.reach, matters(found)) == ("kernel", False)


def test_another_member_is_no_other_order() -> None:
    found = by_subject([side(SKYLAKE), side(SKYLAKE, _without(told(SKYLAKE), told(SKYLAKE).index_list.indices[0]))])  # type: ignore[union-attr]
    assert [kind for kind, _subject in found] == ["index_list"]


def test_what_was_not_asked_is_no_difference() -> None:
    recording = told(SKYLAKE)
    silent = replace(recording, capabilities={}, supported_cpuid=None)
    kinds = {kind for kind, _subject in by_subject([side(SKYLAKE), side(SKYLAKE, silent)])}
    assert not kinds & {"capability", "cpuid"}
