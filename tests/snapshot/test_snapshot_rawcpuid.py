"""Reading raw CPUID is strict and safe: the rows that were written, or one clean sentence that says what is wrong."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msrtui.errors import BadSource
from msrtui.snapshot.importers.rawcpuid import LINE_LIMIT, ROW_LIMIT, SIZE_LIMIT, CpuidRow, RawCpuid, read

REGISTERS = ("eax", "ebx", "ecx", "edx")
FIRST = CpuidRow(0x0, 0x0, 0xD, 0x68747541, 0x444D4163, 0x69746E65)
SECOND = CpuidRow(0x1, 0x0, 0x00B00F21, 0x02020800, 0xFFFA3203, 0x178BFBFF)
NO_MSRS: Mapping[int, int] = {}


def text_row(row: CpuidRow) -> str:
    registers = " ".join(f"{name}={value:#010x}" for name, value in zip(REGISTERS, row[2:], strict=True))
    return f"   {row.leaf:#010x} {row.subleaf:#04x}: {registers}\n"


def as_text(*cpus: Sequence[CpuidRow], head: str = "CPU {}:\n") -> str:
    """As ``cpuid -r`` prints it; ``cpuid -1 -r`` has the heading ``CPU:``."""
    return "".join(head.format(number) + "".join(map(text_row, rows)) for number, rows in enumerate(cpus))


def as_xml(rows: Sequence[CpuidRow], msrs: Mapping[int, int] = NO_MSRS, inside: str = "") -> str:
    """As libvirt's script writes it."""
    lines = ["<!-- AMD EPYC -->\n<cpudata arch='x86'>\n"]
    for row in rows:
        registers = " ".join(f"{name}='{value:#010x}'" for name, value in zip(REGISTERS, row[2:], strict=True))
        lines.append(f"  <cpuid eax_in='{row.leaf:#010x}' ecx_in='{row.subleaf:#04x}' {registers}/>\n")
    for index, value in msrs.items():
        lines.append(f"  <msr index='{index:#x}' edx='{value >> 32:#010x}' eax='{value & 0xFFFFFFFF:#010x}'/>\n")
    return "".join((*lines, inside, "</cpudata>\n"))


def parsed(text: str) -> RawCpuid:
    return read(text.encode(), "a.txt")


def sentence(data: bytes | str) -> str:
    """What is said of a file that cannot be read."""
    with pytest.raises(BadSource) as caught:
        read(data.encode() if isinstance(data, str) else data, "a.txt")
    said = str(caught.value)
    assert said.startswith("a.txt ")
    assert said.endswith(".")
    assert said.isprintable()
    assert len(said) < 300
    return said


# --- what was written is what is read ----------------------------------------------------------------------------
U32 = st.integers(0, 2**32 - 1)
ROWS = st.lists(
    st.builds(CpuidRow, U32, U32, U32, U32, U32, U32), min_size=1, max_size=30, unique_by=lambda row: row[:2]
)
MSRS = st.dictionaries(U32, st.integers(0, 2**64 - 1), max_size=5)


@given(ROWS, st.sampled_from(["CPU {}:\n", "CPU:\n", ""]), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_rows_come_back_from_text(rows: list[CpuidRow], head: str, end: str, bom: bool) -> None:
    data = as_text(rows, head=head).replace("\n", end).encode("utf-8-sig" if bom else "utf-8")
    assert read(data, "a.txt") == RawCpuid(tuple(rows), {}, "cpuid -r", 1, False)


@given(ROWS, MSRS, st.sampled_from("'\""), st.booleans())
def test_rows_and_msrs_come_back_from_xml(rows: list[CpuidRow], msrs: dict[int, int], quote: str, bom: bool) -> None:
    data = as_xml(rows, msrs).replace("'", quote).encode("utf-8-sig" if bom else "utf-8")
    assert read(data, "a.xml") == RawCpuid(tuple(rows), msrs, "libvirt", 1, False)


def test_the_cpu_of_every_capture_comes_back_from_both_formats(capture: Path) -> None:
    names = ("function", "index", *REGISTERS)
    written = json.loads(capture.read_text())["host_cpuid"]
    rows = [CpuidRow(*(int(row[name], 16) for name in names)) for row in written]
    assert len(rows) > 10
    assert parsed(as_text(rows)).rows == tuple(rows)
    assert parsed(as_xml(rows)).rows == tuple(rows)


def test_digits_may_be_capital_and_blanks_tabs() -> None:
    row = "\t0x80000001  0x0:\teax=0xABCDEF01\tebx=0x0  ecx=0xfF edx=0x00000000000002"
    assert parsed(f"\n\nCPU 7:\n\n{row}  \n\n").rows == (CpuidRow(0x80000001, 0, 0xABCDEF01, 0, 0xFF, 2),)


def test_a_row_of_xml_without_ecx_in_is_subleaf_0() -> None:
    assert parsed(as_xml([FIRST]).replace("ecx_in='0x00'", "")).rows == (FIRST,)


def test_an_xml_declaration_and_comments_are_read_over() -> None:
    whole = f'<?xml version="1.0" encoding="UTF-8"?>\n{as_xml([FIRST], inside="<!-- ü -->")}'
    assert parsed(whole).rows == (FIRST,)


# --- several CPUs ------------------------------------------------------------------------------------------------
def other(row: CpuidRow, **changes: int) -> CpuidRow:
    return row._replace(**changes)


IDS = (
    (SECOND, {"ebx": 0xFF020800}),
    (CpuidRow(0xB, 0, 1, 2, 0x100, 0), {"edx": 0xFFFFFFFF}),
    (CpuidRow(0xB, 1, 1, 2, 0x201, 0), {"edx": 5}),
    (CpuidRow(0x1F, 2, 1, 2, 0x201, 0), {"edx": 5}),
    (CpuidRow(0x8000001E, 0, 4, 0x104, 0x300, 0), {"eax": 9, "ebx": 0x107, "ecx": 0x303}),
    (CpuidRow(0x80000026, 0, 1, 2, 3, 0), {"edx": 5}),
)


@pytest.mark.parametrize(("row", "ids"), IDS)
def test_cpus_that_differ_by_their_ids_alone_are_alike(row: CpuidRow, ids: dict[str, int]) -> None:
    assert other(row, **ids) != row
    raw = parsed(as_text([FIRST, row], [FIRST, other(row, **ids)]))
    assert (raw.rows, raw.cpus, raw.differing) == ((FIRST, row), 2, False)


@pytest.mark.parametrize(
    ("row", "changed"),
    [
        (SECOND, {"eax": SECOND.eax ^ 1}),
        (SECOND, {"ebx": SECOND.ebx ^ 1 << 23}),
        (SECOND, {"edx": SECOND.edx ^ 1 << 31}),
        (CpuidRow(0xB, 0, 1, 2, 0x100, 0), {"eax": 2}),
        (CpuidRow(0xB, 0, 1, 2, 0x100, 0), {"ecx": 0x101}),
        (CpuidRow(0x8000001E, 0, 4, 0x104, 0x300, 0), {"ebx": 0x204}),
        (CpuidRow(0x8000001E, 0, 4, 0x104, 0x300, 0), {"ecx": 0x400}),
        (CpuidRow(0x8000001E, 0, 4, 0x104, 0x300, 0), {"edx": 1}),
        (CpuidRow(0x1A, 0, 0x40000001, 0, 0, 0), {"eax": 0x20000001}),
        (CpuidRow(0x7, 0, 0, 0, 0, 0), {"edx": 5}),
    ],
)
def test_cpus_that_differ_by_more_than_ids_are_said_to(row: CpuidRow, changed: dict[str, int]) -> None:
    alike, odd = [FIRST, row], [FIRST, other(row, **changed)]
    raw = parsed(as_text(alike, alike, odd, alike))
    assert (raw.rows, raw.cpus, raw.differing) == ((FIRST, row), 4, True)


def test_a_cpu_with_a_row_more_differs_and_one_in_another_order_does_not() -> None:
    assert parsed(as_text([FIRST], [FIRST, SECOND])).differing
    assert parsed(as_text([FIRST, SECOND], [FIRST])).differing
    assert not parsed(as_text([FIRST, SECOND], [SECOND, FIRST])).differing


def test_a_machine_of_256_cpus_still_fits() -> None:
    rows = [CpuidRow(leaf, 0, 1, 2, 3, 4) for leaf in range(90)]
    assert parsed(as_text(*[rows] * 256)).cpus == 256


# --- mistakes, each with its place and what to do ----------------------------------------------------------------
TEXT = as_text([FIRST, SECOND])


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (TEXT.replace("ebx=0x68747541", "ebx=68747541"), "line 2: ebx is not a number of 32 bits"),
        (TEXT.replace("ebx=0x68747541", "ebx=0x168747541"), "line 2: ebx"),
        (TEXT.replace("ebx=0x68747541", "ebx=0x6874_541"), "line 2: ebx"),
        (TEXT.replace("ebx=0x68747541", "ebx=0x٦"), "line 2: ebx"),
        (TEXT.replace("ebx=0x68747541", "ebx=0x"), "line 2: ebx"),
        (TEXT.replace("ebx=0x68747541", "ebx=0x-1"), "line 2: ebx"),
        (TEXT.replace("ebx=0x68747541", "ebx=0X68747541"), "line 2: ebx"),
        (TEXT.replace("   0x00000001", "   00000001"), "line 3: the leaf"),
        (TEXT.replace("0x00000001 0x00:", "0x00000001 0:"), "line 3: the subleaf"),
        (TEXT.replace(" edx=0x69746e65", ""), "line 2 is no row"),
        (TEXT.replace("\n   0x00000001", "\n   vendor_id = x\n   0x1"), "line 3 is no row"),
        ("\n\n" + TEXT.replace("ebx=0x68747541", "ebx=x"), "line 4: ebx"),
        (TEXT + text_row(SECOND), "line 4: leaf 0x1 with subleaf 0x0 is there twice"),
        (TEXT + TEXT, "line 4: CPU 0 is there twice"),
        ("CPU 0:\n" + TEXT.replace("CPU 0", "CPU 1"), "line 2: the CPU before it has no rows"),
        (TEXT + "CPU 1:\n", "line 5: the CPU before it has no rows"),
        (f"CPU 0:\n{' ' * 50}{'x' * 2_000_000}", "line 2 is no row"),
        ("CPU 0:\n   \x1b[31m0x0 0x0: eax=0x0 ebx=0x0 ecx=0x0 edx=0x0\x1b[0m\n", "line 2"),
        ("fpu vme de pse\n", "line 1 is no row"),
        ("\x00" * 100, "line 1 is no row"),
        ("\x85", "line 1 is no row"),
    ],
)
def test_a_mistake_in_text_is_said_with_its_line(text: str, part: str) -> None:
    said = sentence(text)
    assert part in said
    assert "cpuid -1 -r writes" in said


ROW = "<cpuid eax_in='0x1' ecx_in='0x0' eax='0x0' ebx='0x0' ecx='0x0' edx='0x0'/>"
MSR = "<msr index='0x10a' edx='0x0' eax='0x69'/>"


@pytest.mark.parametrize(
    ("inside", "part"),
    [
        (ROW.replace("ebx='0x0'", "ebx='\x7f'"), "line 4, <cpuid>: ebx is not a number"),
        (ROW.replace("ebx='0x0'", "ebx='&#155;31m'"), "line 4, <cpuid>: ebx is not a number"),
        (ROW.replace("ebx='0x0'", "ebx='0x100000000'"), "line 4, <cpuid>: ebx is not a number"),
        (ROW.replace("ebx='0x0'", "ebx='0'"), "line 4, <cpuid>: ebx is not a number"),
        (ROW.replace("ebx='0x0'", f"ebx='0x{'1' * 1_000_000}'"), "line 4, <cpuid>: ebx is not a number"),
        (ROW.replace("eax_in='0x1'", ""), "line 4, <cpuid> has no eax_in"),
        (ROW.replace("ebx='0x0'", ""), "line 4, <cpuid> has no ebx"),
        (ROW.replace("ebx=", "ebx='0x0' esi="), "line 4, <cpuid> has the unknown attribute esi"),
        (ROW + "\n" + ROW, "line 5, <cpuid>: leaf 0x1 with subleaf 0x0 is there twice"),
        (MSR.replace("edx='0x0'", ""), "line 4, <msr> has no edx"),
        (MSR.replace("0x69", "0x100000000"), "line 4, <msr>: eax is not a number"),
        (MSR + MSR, "line 4, <msr>: MSR 0x10a is there twice"),
        ("<cpu/>", "line 4, <cpu> is an element that does not belong"),
        (ROW.replace("/>", ">" + ROW.replace("0x1", "0x2") + "</cpuid>"), "does not belong"),
        ("<a>" * 100_000, "line 4, <a> is an element"),
        (f"<{'a' * 1_000_000}/>", f"line 4, <{'a' * 40}> is an element"),
        ("fpu vme", "text where only elements belong"),
        ("<![CDATA[x]]>", "text where only elements belong"),
        ("&x;", "no well-formed XML"),
        ("</cpuid>", "no well-formed XML"),
        ("\x1b", "no well-formed XML"),
    ],
)
def test_a_mistake_in_xml_is_said_with_its_line_and_element(inside: str, part: str) -> None:
    said = sentence(as_xml([FIRST], inside=inside))
    assert part in said
    assert "cpu-data.py gather" in said


@pytest.mark.parametrize(
    ("whole", "part"),
    [
        ("<cpudata arch='x86'></cpudata>", "no <cpuid> element"),
        (f"<cpudata arch='x86'>{MSR}</cpudata>", "no <cpuid> element"),
        (as_xml([FIRST]).replace("x86", "arm"), "its arch is not x86"),
        (as_xml([FIRST]).replace(" arch='x86'", ""), "its arch is not x86"),
        ("<domain type='kvm'/>", "<domain> is not <cpudata>"),
        (as_xml([FIRST])[:-5], "no well-formed XML"),
        ("<", "no well-formed XML"),
        (f"<?xml version='1.0' encoding='utf-7'?>{as_xml([FIRST])}\0", "no well-formed XML"),
    ],
)
def test_xml_that_is_no_cpudata_is_said_to_be_none(whole: str, part: str) -> None:
    assert part in sentence(whole)


# --- hostile -----------------------------------------------------------------------------------------------------
LAUGHS = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 10))
DOCTYPES = (
    f"<!DOCTYPE cpudata [<!ENTITY l0 'ha'>{LAUGHS}]><cpudata arch='&l9;'/>",
    "<!DOCTYPE cpudata [<!ENTITY e SYSTEM 'file:///etc/hostname'>]><cpudata arch='x86'>&e;</cpudata>",
    "<!DOCTYPE cpudata [<!ENTITY % e SYSTEM 'http://localhost/x'> %e;]><cpudata arch='x86'/>",
    "<!DOCTYPE cpudata SYSTEM 'http://localhost/x.dtd'><cpudata arch='x86'/>",
    "<!DOCTYPE cpudata [<!ATTLIST cpudata arch CDATA 'x86'>]>" + as_xml([FIRST]),
    "<!DOCTYPE cpudata>" + as_xml([FIRST]),
)


@pytest.mark.parametrize("whole", DOCTYPES)
def test_a_document_type_is_refused_before_anything_in_it_is_read(whole: str) -> None:
    assert "line 1: it declares a document type" in sentence(whole)


def test_too_many_rows_of_a_cpu_are_refused() -> None:
    rows = [CpuidRow(0, subleaf, 0, 0, 0, 0) for subleaf in range(ROW_LIMIT + 1)]
    for write in (as_text, as_xml):
        assert len(parsed(write(rows[:-1])).rows) == ROW_LIMIT
        assert f"over {ROW_LIMIT} rows" in sentence(write(rows))


def test_too_many_msrs_are_refused() -> None:
    msrs = dict.fromkeys(range(ROW_LIMIT), 0)
    assert len(parsed(as_xml([FIRST], msrs)).msrs) == ROW_LIMIT
    assert f"over {ROW_LIMIT} MSRs" in sentence(as_xml([FIRST], {**msrs, 0x10A00: 0}))


def test_too_many_lines_and_bytes_are_refused() -> None:
    assert parsed(TEXT + "\n" * (LINE_LIMIT - 3)).rows == (FIRST, SECOND)
    assert f"over {LINE_LIMIT} lines" in sentence(TEXT + "\n" * (LINE_LIMIT - 2))
    assert parsed(as_xml([FIRST]).ljust(SIZE_LIMIT)).rows == (FIRST,)
    assert "over 2 MiB" in sentence(as_xml([FIRST]).ljust(SIZE_LIMIT + 1))
    million = "".join(text_row(FIRST._replace(leaf=leaf)) for leaf in range(0, 1_000_000, 30))
    assert "over 2 MiB" in sentence(million)


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \r\n\t", "is empty"),
        (TEXT.encode("utf-16"), "is not text"),
        (b"\x7fELF\xff\xfe", "is not text"),
        (b"{}", "is JSON"),
        (b'[{"generator": "kvmdump"}]', "is JSON"),
        (b"{" * 100_000, "is JSON"),
        (b"[" * 100_000, "is JSON"),
        (b'{"format": ["msrtui-snapshot"]}', "is JSON"),
    ],
)
def test_what_is_of_no_known_format_is_told_what_decode_reads(data: bytes, part: str) -> None:
    said = sentence(data)
    assert part in said
    assert "decode reads cpuid -r and libvirt's XML" in said


def test_a_capture_is_said_to_be_a_source(capture: Path) -> None:
    said = sentence(capture.read_bytes())
    assert "is a SOURCE" in said
    assert "msrtui words FILE reads it" in said


@pytest.mark.parametrize(
    "data",
    [
        b' {"format": "msrtui-snapshot", "version": 1}',
        f"login: \n-----BEGIN MSRTUI SNAPSHOT 5 {'a' * 64}-----\nAAAA".encode(),
        f'{{"stdout": "-----BEGIN MSRTUI SNAPSHOT 5 {"a" * 64}-----"}}'.encode(),
    ],
)
def test_a_snapshot_is_said_to_be_a_source_bare_or_as_a_collector_prints_it(data: bytes) -> None:
    assert "msrtui words FILE reads it" in sentence(data)


@given(st.binary())
def test_arbitrary_bytes_are_read_or_refused_in_a_sentence(data: bytes) -> None:
    rows_or_sentence(data)


@given(st.text(), st.integers(0, 500), st.integers(0, 20), st.sampled_from([TEXT, as_xml([FIRST], {0x10A: 1})]))
def test_a_file_with_something_else_in_it_is_read_or_refused(put: str, at: int, cut: int, whole: str) -> None:
    rows_or_sentence((whole[:at] + put + whole[at + cut :]).encode("utf-8", "surrogatepass"))


def test_a_file_with_a_byte_changed_is_read_or_refused() -> None:
    draw = random.Random(1)
    for whole in (TEXT.encode(), as_xml([FIRST, SECOND], {0x10A: 1}).encode()):
        for at in range(len(whole)):
            rows_or_sentence(whole[:at] + bytes([draw.randrange(256)]) + whole[at + 1 :])


def rows_or_sentence(data: bytes) -> None:
    try:
        raw = read(data, "a.txt")
    except BadSource:
        sentence(data)
    else:
        assert raw.rows
        assert all(0 <= value < 2**32 for row in raw.rows for value in row)


def test_a_line_that_could_begin_anywhere_costs_no_more_than_its_length() -> None:
    data = b"x " + b":eax=" * 400_000  # each tried as the row's first: hours
    assert "line 1 is no row of cpuid -r" in sentence(data)
