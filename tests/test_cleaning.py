"""Text from elsewhere: nothing that drives a terminal is left in it, and its columns stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msrtui.cleaning import LIMIT, printable, typed


@given(st.text(max_size=200))
def test_what_leaves_can_be_printed_and_has_as_many_characters(text: str) -> None:
    left = printable(text)
    assert left.isprintable()
    assert len(left) == len(text)
    assert [one for one, other in zip(text, left, strict=True) if one != other and one.isprintable()] == []


@pytest.mark.parametrize(
    ("text", "left"), [("a\x1b[2Jb", "a [2Jb"), ("a\nb", "a b"), ("\u202etxt", " txt"), ("a b", "a b"), ("é…", "é…")]
)
def test_a_blank_can_stand_for_what_has_no_picture(text: str, left: str) -> None:
    assert printable(text, " ") == left


def test_a_sentence_repeats_only_the_beginning_of_what_was_typed() -> None:
    assert typed("x\x1b" * LIMIT) == "x?" * (LIMIT // 2)
    assert typed("EPYC") == "EPYC"
