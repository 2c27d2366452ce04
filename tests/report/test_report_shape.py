"""Numbers and lines as they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msrtui.qemu.words import bits_of
from msrtui.report.shape import LINE, aligned, counted, grouped, hexed, marks, wrapped


def test_programs_get_pythons_own_hex() -> None:
    assert (hexed(0x10A), hexed(0), hexed(None)) == ("0x10a", "0x0", None)


@pytest.mark.parametrize(
    ("value", "bits", "shown"),
    [
        (0x69, 64, "0x0000_0000_0000_0069"),
        (0x400000000C000069, 64, "0x4000_0000_0c00_0069"),
        (0xF8BFBFF, 32, "0x0f8b_fbff"),
        (None, 64, "?"),
    ],
)
def test_people_get_groups_of_four(value: int | None, bits: int, shown: str) -> None:
    assert grouped(value, bits) == shown


@given(st.integers(0, 2**64 - 1))
def test_a_grouped_number_reads_back(value: int) -> None:
    assert int(grouped(value), 16) == value


@given(st.integers(0, 2**64 - 1))
def test_the_bits_of_a_mask_make_the_mask(mask: int) -> None:
    bits = bits_of(mask)
    assert sum(1 << bit for bit in bits) == mask
    assert bits == sorted(set(bits))


@pytest.mark.parametrize(
    ("layers", "row"),
    [
        ((1, 1, 1), ["1", "1", "1"]),
        ((1, 1, 0), ["1", "1", "-"]),
        ((1, 0, 0), ["1", "-", " "]),
        ((0, 1, 1), ["·", "1", "1"]),
        ((0, 0, 0), ["·", "·", "·"]),
        ((None, 0, 0), ["?", "·", "·"]),
        ((1, 0, 1), ["1", "-", "1"]),
    ],
)
def test_a_row_is_read_until_the_one_stops(layers: tuple[int | None, ...], row: list[str]) -> None:
    assert marks(layers, 0) == row


@given(st.lists(st.text(st.characters(whitelist_categories=["L", "N"]), min_size=1, max_size=30), min_size=1))
def test_wrapping_keeps_every_word_and_the_width(words: list[str]) -> None:
    lines = list(wrapped(" ".join(words), "  ", "    "))
    assert " ".join(line.strip() for line in lines).split(" ") == words
    assert all(len(line) <= LINE for line in lines)


def test_a_word_that_is_longer_than_a_line_is_kept_whole() -> None:
    assert list(wrapped("short " + "x" * 200)) == ["short", "x" * 200]


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    rows = [("0x10a", "ARCH_CAPABILITIES", "a"), ("0x8b", "UCODE_REV", "")]
    assert list(aligned(rows, right=frozenset({0}))) == ["  0x10a  ARCH_CAPABILITIES  a", "   0x8b  UCODE_REV"]


def test_one_is_not_many() -> None:
    assert (counted(1, "bit", "bits"), counted(0, "bit", "bits")) == ("1 bit", "0 bits")
