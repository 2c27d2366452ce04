"""What a query means: numbers, names, parts of names, slips."""

from __future__ import annotations

import pytest

from msrtui.catalog import known_msrs, names_of
from msrtui.kvm.abi import Cap
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source
from msrtui.transcript.events import Event
from msrtui.transcript.state import State
from msrtui.tui.reader import Reader
from msrtui.tui.view.finding import Entry, entries, entry_lines, fold, nearest, rank, readings

QEMU = QemuProfile("7.2")


def reader() -> Reader:
    made = Reader(open_source("amd-pvm-linux6.18"), QEMU)
    made.ends(1)
    return made


@pytest.fixture(scope="module")
def known() -> tuple[Entry, ...]:
    read = reader()
    return entries(QEMU.tables, read.state, read.events)


def first(query: str, known: tuple[Entry, ...]) -> tuple[object, ...]:
    return rank(query, known, 5)[0].subject


def test_every_thing_of_every_kind_is_there(known: tuple[Entry, ...]) -> None:
    subjects = {entry.subject for entry in known}
    assert len(subjects) == len(known), "each once"
    tables, state = QEMU.tables, reader().state
    assert {("word", word.name) for word in tables.words} <= subjects
    assert {("bit", word.name, bit) for word in tables.words for bit in word.bits} <= subjects
    assert {("flag", row.flag) for row in tables.msr_flags} <= subjects
    assert {("cap", int(cap)) for cap in Cap} <= subjects
    assert {("cap", number) for number in state.capabilities} <= subjects
    assert state.cpuid is not None
    assert {("leaf", leaf.function, leaf.index) for leaf in state.cpuid} <= subjects
    indices = {*known_msrs(), *(state.index_list or ()), *(state.feature_list or ()), *tables.transferred}
    assert {("msr", index) for index in indices} <= subjects
    asked = {("event", event.n) for event in reader().events if event.ioctl is not None}
    assert asked <= subjects


def test_every_alias_of_a_feature_finds_it(known: tuple[Entry, ...]) -> None:
    tables = QEMU.tables
    for alias, name in tables.canonical_names.items():
        found = [entry.subject for entry in rank(alias, known, 8)]
        assert all(("bit", word, bit) in found for word, bit in tables.bits_of_property[name]), alias


def test_every_symbol_of_an_msr_finds_it(known: tuple[Entry, ...]) -> None:
    for index in reader().state.index_list or ():
        for symbol in names_of(index):
            assert ("msr", index) in [entry.subject for entry in rank(symbol, known, 6)], symbol


@pytest.mark.parametrize("query", ["0x10a", "0x10A", "10a", "266", " 0x0000_010a "])
def test_a_number_finds_its_msr_first_in_every_spelling(query: str, known: tuple[Entry, ...]) -> None:
    found = rank(query, known, 10)
    assert [entry.subject for entry in found[:3]] == [
        ("word", "FEAT_ARCH_CAPABILITIES"),
        ("msr", 0x10A),
        ("flag", "has_msr_arch_capabs"),
    ]


def test_a_number_written_as_one_finds_nothing_but_that_number(known: tuple[Entry, ...]) -> None:
    assert all(0x10A in entry.numbers for entry in rank("0x10a", known, 50))


def test_a_number_without_a_name_can_be_gone_to_all_the_same(known: tuple[Entry, ...]) -> None:
    assert first("0xabcd", known) == ("msr", 0xABCD)
    assert [entry.subject for entry in rank("98765", known, 5)] == [("msr", 98765), ("msr", 0x98765)]
    assert rank("0x100000000", known, 5) == []
    assert rank("9" * 5000, known, 5) == []


def test_what_this_host_lists_comes_before_what_it_does_not(known: tuple[Entry, ...]) -> None:
    state = reader().state
    listed = {*(state.index_list or ()), *(state.feature_list or ())}
    orders = {entry.subject[1] in listed: entry.order for entry in known if entry.kind == "MSR"}
    assert orders[True] < orders[False]
    made = tuple(Entry(f"tsc_{o}", "MSR", "", (o,), o, names=(fold(f"tsc_{o}"),)) for o in (5, 1, 3))
    assert [entry.order for entry in rank("tsc", made, 9)] == [1, 3, 5]


def test_what_has_a_digit_is_a_number_first_and_letters_are_a_name_first() -> None:
    def pair(text: str, number: int) -> list[str]:
        named = Entry("named", "word", "", ("n",), names=(fold(text),))
        numbered = Entry("numbered", "MSR", "", ("m",), names=(fold("x"),), numbers=(number,))
        return [entry.label for entry in rank(text, (named, numbered), 9)]

    assert pair("10a", 0x10A) == ["numbered", "named"]
    assert pair("dca", 0xDCA) == ["named", "numbered"]


@pytest.mark.parametrize(
    ("query", "subject"),
    [
        ("star", ("msr", 0xC0000081)),
        ("tsc dead", ("msr", 0x6E0)),
        ("hsave", ("msr", 0xC0010117)),
        ("mdsno", ("bit", "FEAT_ARCH_CAPABILITIES", 5)),
        ("pschnge", ("bit", "FEAT_ARCH_CAPABILITIES", 6)),
        ("rdclno", ("bit", "FEAT_ARCH_CAPABILITIES", 0)),
        ("sse4_1", ("bit", "FEAT_1_ECX", 19)),
        ("7_0_edx", ("word", "FEAT_7_0_EDX")),
        ("arch cap", ("word", "FEAT_ARCH_CAPABILITIES")),
        ("has_msr_star", ("flag", "has_msr_star")),
        ("leaf 7", ("leaf", 7, 0)),
        ("capabilities", ("list", "capabilities")),
        ("leaf d 1", ("leaf", 0xD, 1)),
        ("0x40000001", ("leaf", 0x40000001, 0)),
        ("kvm_cap_irqchip", ("cap", 0)),
        ("153", ("cap", 153)),
        ("dca", ("bit", "FEAT_1_ECX", 18)),
    ],
)
def test_a_query_means(query: str, subject: tuple[object, ...], known: tuple[Entry, ...]) -> None:
    assert first(query, known) == subject


def test_a_question_is_found_by_its_ioctl(known: tuple[Entry, ...]) -> None:
    events = reader().events
    found = rank("KVM_GET_MSR_FEATURE_INDEX_LIST", known, 5)
    asked = [event.n for event in events if event.ioctl == "KVM_GET_MSR_FEATURE_INDEX_LIST"]
    assert [entry.subject for entry in found[: len(asked)]] == [("event", n) for n in asked]


def test_questions_that_the_reader_has_not_come_to_are_not_there() -> None:
    read = reader()
    read.ends(-1)
    found = entries(QEMU.tables, read.state, read.events)
    assert not [entry for entry in found if entry.kind == "question"]
    assert not [entry for entry in found if "not listed" in entry.detail], "nothing was asked yet"


def test_a_better_match_comes_first(known: tuple[Entry, ...]) -> None:
    """Whole name, beginning, a word within, somewhere within, scattered."""
    order = ["avx", "avx-vnni", "my-avx", "xavx", "ab-vx"]
    made = tuple(Entry(name, "feature", "", (name,), names=(fold(name),)) for name in reversed(order))
    assert [entry.label for entry in rank("avx", made, 9)] == order
    two = tuple(Entry(name, "feature", "", (name,), names=(fold(name),)) for name in ["get_bars", "get_arsb", "a_rs_b"])
    assert [entry.label for entry in rank("ars", two, 9)] == ["a_rs_b", "get_arsb", "get_bars"]


def test_letters_that_are_spread_all_over_are_no_match(known: tuple[Entry, ...]) -> None:
    made = (Entry("abcdefghijklmnop", "feature", "", ("x",), names=(fold("abcdefghijklmnop"),)),)
    assert rank("bdf", made, 5) == [], "it begins no word"
    assert rank("adgjm", made, 5) == [], "five pieces"
    assert rank("abcop", made, 5) == list(made)


def test_the_same_query_gives_the_same_answer_and_no_more_than_asked_for(known: tuple[Entry, ...]) -> None:
    again = entries(QEMU.tables, reader().state, reader().events)
    for query in ("a", "msr", "10", "vmx", "e"):
        assert rank(query, known, 40) == rank(query, again, 40)
        assert rank(query, known, 200)[:7] == rank(query, known, 7)
    assert len(rank("a", known, 3)) == 3


@pytest.mark.parametrize("query", ["", "   ", "---", "\x1b[31m", "日本", "[red]", ".*", "\\"])
def test_odd_queries_find_nothing_or_something_but_never_break(query: str, known: tuple[Entry, ...]) -> None:
    assert isinstance(rank(query, known, 5), list)
    assert isinstance(nearest(query, known), list)
    assert rank("日本", known, 5) == []


def test_a_name_that_has_each_letter_many_times_is_tried_once_and_not_in_every_way() -> None:
    name = "x" + "".join(letter * 8 for letter in "abcdefghi")  # a hostile snapshot's; the ways are 8 to the 9th
    odd = Entry(name, "parameter", "", ("parameter", "kvm", name), 1, (fold(name),))
    assert rank("abcdefghix", [odd], 5) == []


@pytest.mark.parametrize(("slip", "meant"), [("rdctl-on", "rdctl-no"), ("LSTRA", "LSTAR"), ("mds-on", "mds-no")])
def test_a_slip_has_a_nearest(slip: str, meant: str, known: tuple[Entry, ...]) -> None:
    assert rank(slip, known, 5) == []
    assert meant in [entry.label for entry in nearest(slip, known)]
    assert nearest("qqqqqqqq", known) == []


def test_a_decimal_number_is_read_as_decimal_first() -> None:
    assert readings("266") == ((266, 10), (0x266, 16))
    assert readings("0x266") == ((0x266, 16),)
    assert readings("10a") == ((0x10A, 16),)
    assert readings("٢٦٦") == readings("xyz") == readings("0x") == ()


def test_rows_fit_any_width_and_stand_for_their_subject(known: tuple[Entry, ...]) -> None:
    for width in (20, 60, 80, 200):
        rows = entry_lines(known, width)
        assert [row.key for row in rows] == [entry.subject for entry in known]
        assert max(row.width for row in rows) <= width
    shown = entry_lines(rank("mds-no", known, 1), 80)[0].text
    assert "mds-no" in shown
    assert "bit 5 of ARCH_CAPABILITIES, on" in shown


def test_nothing_is_known_of_a_host_that_was_not_asked() -> None:
    events: list[Event] = []
    found = entries(QEMU.tables, State(), events)
    assert rank("0x10a", found, 1)[0].detail == "MSR 0x10a"
    assert rank("mds-no", found, 1)[0].detail == "bit 5 of ARCH_CAPABILITIES"
