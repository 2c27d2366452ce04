"""Raw CPUID by name: whose CPU it is, the feature words by QEMU's names, the MSRs by field."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msrtui.catalog import names_of
from msrtui.qemu.profile import QemuProfile
from msrtui.report.rawcpuid import Cpu, cpu_of, decode_document, decode_text
from msrtui.snapshot.importers.rawcpuid import CpuidRow, RawCpuid

QEMU = QemuProfile()
HEADS = 0x40000000


def captured(path: Path) -> RawCpuid:
    names = ("function", "index", "eax", "ebx", "ecx", "edx")
    rows = json.loads(path.read_text())["host_cpuid"]
    return RawCpuid(tuple(CpuidRow(*(int(row[name], 16) for name in names)) for row in rows), {}, "cpuid -r")


def of(*rows: CpuidRow, msrs: dict[int, int] | None = None, **more: Any) -> RawCpuid:
    return RawCpuid(rows, msrs or {}, "libvirt", **more)


def signed(leaf: int, text: bytes, order: str = "bcd") -> CpuidRow:
    """A row whose registers spell ``text``."""
    values = dict(zip(order, struct.unpack("<3I", text.ljust(12, b"\0")), strict=True))
    return CpuidRow(leaf, 0, 0, values["b"], values["c"], values["d"])


def bits(document: dict[str, Any]) -> dict[str, dict[int, str | None]]:
    """Every word of a document with its set bits."""
    return {
        word["word"]: {bit["bit"]: bit["name"] for bit in word["bits"]}
        for row in document["cpuid"]
        for word in row["words"]
    }


# --- whose CPU it is ---------------------------------------------------------------------------------------------
def test_a_cpu_is_what_its_kernel_called_it(capture: Path) -> None:
    said = json.loads(capture.read_text())["cpuinfo_cpu0"]
    cpu = cpu_of(captured(capture))
    assert cpu.vendor == said["vendor_id"]
    assert (cpu.family, cpu.model, cpu.stepping) == tuple(int(said[n]) for n in ("cpu family", "model", "stepping"))
    assert cpu.name == " ".join(said["model name"].split())


@pytest.mark.parametrize(
    ("eax", "expected"),
    [
        (0x000806F8, (0x6, 0x8F, 8)),  # Sapphire Rapids
        (0x00B00F21, (0x1A, 0x2, 1)),  # Turin
        (0x00100F23, (0x10, 0x2, 3)),  # the third Opteron
        (0x00000F29, (0xF, 0x2, 9)),  # Pentium 4
        (0x00000663, (0x6, 0x6, 3)),  # QEMU's first
        (0x000F0543, (0x5, 0x4, 3)),  # before family 6 there is no extended model
        (0x0FF00663, (0x6, 0x6, 3)),  # nor an extended family before 0xf
    ],
)
def test_family_and_model_have_their_extended_part(eax: int, expected: tuple[int, int, int]) -> None:
    cpu = cpu_of(of(CpuidRow(1, 0, eax, 0, 0, 0)))
    assert (cpu.family, cpu.model, cpu.stepping) == expected


def test_what_the_file_does_not_say_is_not_known() -> None:
    raw = of(CpuidRow(0xD, 0, 0, 0, 0, 0))
    assert cpu_of(raw) == Cpu(None, None, None, None, None, None)
    assert "vendor  not known" in decode_text("a.xml", QEMU, raw)
    assert "family" not in decode_text("a.xml", QEMU, raw)
    # a brand of two thirds is none
    assert cpu_of(of(CpuidRow(0x80000002, 0, *[0x41414141] * 4), CpuidRow(0x80000003, 0, 0, 0, 0, 0))).name is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"KVMKVMKVM", "KVMKVMKVM"),
        (b"Microsoft Hv", "Microsoft Hv"),
        (b" lrpepyh  vr", "lrpepyh vr"),
        (b"KVM\0rest", "KVM"),
        (b"", None),
        (b"\x1b[2J", None),
        (b"\xff\xff\xff", None),
        # a CPU without a hypervisor answers with its last leaf
        (struct.pack("<3I", 0xD8, 0x12C0, 0x64), None),
    ],
)
def test_a_hypervisor_is_one_only_where_it_has_a_name(text: bytes, expected: str | None) -> None:
    assert cpu_of(of(signed(HEADS, text))).hypervisor == expected


# --- feature words -----------------------------------------------------------------------------------------------
def test_set_bits_have_the_names_of_qemu_and_others_none() -> None:
    row = CpuidRow(7, 0, 1, 1 << 31 | 1 << 3 | 1 << 12 | 1, 0, 1 << 29)
    document = decode_document("a.xml", QEMU, of(row))
    (found,) = document["cpuid"]
    assert (found["leaf"], found["subleaf"]) == ("0x7", "0x0")
    registers = [found[name] for name in ("eax", "ebx", "ecx", "edx")]
    assert registers == ["0x1", "0x80001009", "0x0", "0x20000000"]
    assert [(word["word"], word["register"]) for word in found["words"]] == [
        ("FEAT_7_0_EBX", "ebx"),
        ("FEAT_7_0_ECX", "ecx"),
        ("FEAT_7_0_EDX", "edx"),
    ]
    assert bits(document) == {
        "FEAT_7_0_EBX": {0: "fsgsbase", 3: "bmi1", 12: None, 31: "avx512vl"},
        "FEAT_7_0_ECX": {},
        "FEAT_7_0_EDX": {29: "arch-capabilities"},
    }


def test_a_word_is_of_its_own_subleaf() -> None:
    ones = [0xFFFFFFFF] * 4
    assert "FEAT_7_1_EAX" in bits(decode_document("a", QEMU, of(CpuidRow(7, 1, *ones))))
    assert not bits(decode_document("a", QEMU, of(CpuidRow(7, 9, *ones), CpuidRow(1, 1, *ones))))


def test_every_word_and_bit_of_a_whole_cpuid_is_there_once() -> None:
    places = {(word.leaf, word.subleaf or 0) for word in QEMU.tables.words if word.kind == "cpuid"}
    ones = 0xFFFFFFFF
    rows = [CpuidRow(leaf, sub, ones, ones, ones, ones) for leaf, sub in sorted(places)]
    found = bits(decode_document("a", QEMU, of(signed(HEADS, b"KVMKVMKVM"), *rows)))
    for word in QEMU.tables.words:
        if word.kind == "cpuid":
            assert found.pop(word.name) == {bit: word.bits.get(bit) for bit in range(32)}
    assert not found


@pytest.mark.parametrize(("hypervisor", "named"), [(b"KVMKVMKVM", True), (b"XenVMMXenVMM", False), (b"", False)])
def test_a_hypervisors_leaf_has_kvms_names_only_where_it_is_kvm(hypervisor: bytes, named: bool) -> None:
    raw = of(signed(HEADS, hypervisor), CpuidRow(HEADS + 1, 0, 0x0004000B, 0, 0, 0))
    assert ("FEAT_KVM" in bits(decode_document("a", QEMU, raw))) is named
    assert ("kvmclock" in decode_text("a", QEMU, raw)) is named


def test_an_older_qemu_has_its_own_words_and_names() -> None:
    raw = of(CpuidRow(0x80000021, 0, 0, 0, 1 << 1, 0))
    assert bits(decode_document("a", QEMU, raw))["FEAT_8000_0021_ECX"] == {1: "tsa-sq-no"}
    document = decode_document("a", QemuProfile("7.2"), raw)
    assert document["qemu"] == "7.2"
    assert "FEAT_8000_0021_ECX" not in bits(document)


# --- MSRs --------------------------------------------------------------------------------------------------------
def test_an_msr_has_its_names_and_fields() -> None:
    raw = of(CpuidRow(0, 0, 0, 0, 0, 0), msrs={0x10A: 0x4000000000000069, 0xFFFFFFFF: 5})
    known, unknown = decode_document("a", QEMU, raw)["msrs"]
    assert (known["index"], known["names"], known["value"]) == ("0x10a", list(names_of(0x10A)), "0x4000000000000069")
    fields = {field["bits"]: field for field in known["fields"]}
    assert (fields["0"]["name"], fields["0"]["value"]) == ("RDCL_NO", "0x1")
    assert (fields["2"]["name"], fields["2"]["value"]) == ("RSBA", "0x0")
    assert unknown == {"index": "0xffffffff", "names": [], "value": "0x5", "fields": []}
    text = decode_text("a", QEMU, raw)
    assert "0x10a  ARCH_CAPABILITIES  0x4000_0000_0000_0069" in text
    assert "RDCL_NO" in text
    assert "RSBA" not in text
    assert "  0xffffffff  0x0000_0000_0000_0005" in text.splitlines()


def test_a_control_that_must_be_1_is_said_to() -> None:
    raw = of(CpuidRow(0, 0, 0, 0, 0, 0), msrs={0x48D: 0x0000_007F_0000_0016})
    (found,) = decode_document("a", QEMU, raw)["msrs"]
    assert {field["bits"] for field in found["fields"] if field["text"].endswith("must be 1")} == {"1", "2", "4"}


# --- for people --------------------------------------------------------------------------------------------------
def test_the_text_says_what_it_is_and_fits_in_80_columns(capture: Path) -> None:
    raw = captured(capture)
    text = decode_text(f"dumps/{capture.name}", QEMU, raw)
    lines = text.splitlines()
    assert "This is what the CPU says, not what KVM offers: no SOURCE of other commands." in lines
    assert f"by the names of QEMU {QEMU.label}" in " ".join(" ".join(lines[:2]).split())
    assert max(map(len, lines)) <= 80
    assert lines == [line.rstrip() for line in lines]
    for row in raw.rows:
        assert any(f"{row.leaf:#010x}  {row.subleaf:#04x}  {row.eax:#010x}" in line for line in lines)


def test_every_set_bit_of_the_document_is_in_the_text(capture: Path) -> None:
    raw = captured(capture)
    words = " ".join(decode_text("a", QEMU, raw).split()).replace(",", " ").split()
    for name, found in bits(decode_document("a", QEMU, raw)).items():
        assert name in words
        assert set(filter(None, found.values())) <= set(words)


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (0b1, "fsgsbase"),
        (1 << 12, "bit 12 without a name"),
        (1 << 12 | 1, "fsgsbase, and bit 12 without a name"),
        (1 << 12 | 1 << 15 | 1, "fsgsbase, and bits 12 15 without a name"),
    ],
)
def test_bits_without_a_name_are_said_by_number(mask: int, said: str) -> None:
    assert f"    {said}" in decode_text("a", QEMU, of(CpuidRow(7, 0, 0, mask, 0, 0))).splitlines()


def test_bits_that_follow_each_other_are_said_as_one() -> None:
    text = decode_text("a", QEMU, of(CpuidRow(0xD, 0, 0b1110_0000_0000_1001_0110, 0, 0, 0)))
    assert "    bits 1-2 4 7 17-19 without a name" in text.splitlines()


@pytest.mark.parametrize(
    ("cpus", "differing", "said"),
    [(1, False, None), (8, False, "8, alike but for their ids"), (8, True, "8, which differ by more than their ids")],
)
def test_how_many_cpus_there_are_is_said(cpus: int, differing: bool, said: str | None) -> None:
    raw = of(CpuidRow(0, 0, 0, 0, 0, 0), cpus=cpus, differing=differing)
    text = decode_text("a", QEMU, raw)
    assert (said in text) if said else ("CPUs" not in text)
    document = decode_document("a", QEMU, raw)
    assert (document["cpus"], document["differing"]) == (cpus, differing)


@given(
    st.lists(
        st.builds(
            CpuidRow,
            st.sampled_from([0, 1, 7, HEADS, HEADS + 1, 0x80000002, 0x80000003, 0x80000004]),
            st.sampled_from([0, 1]),
            *[st.integers(0, 2**32 - 1)] * 4,
        ),
        unique_by=lambda row: row[:2],
    ),
    st.dictionaries(st.sampled_from([0x10A, 0xCF, 0x48B, 0x480, 7]), st.integers(0, 2**64 - 1)),
)
def test_whatever_the_registers_hold_nothing_drives_a_terminal(rows: list[CpuidRow], msrs: dict[int, int]) -> None:
    raw = of(*rows, msrs=msrs)
    assert all(line.isprintable() for line in decode_text("a\x1b[2J", QEMU, raw).split("\n"))
    document = decode_document("a", QEMU, raw)
    assert json.loads(json.dumps(document)) == document
    for value in (document["cpu"][name] for name in ("vendor", "name", "hypervisor")):
        assert value is None or value.isprintable()
