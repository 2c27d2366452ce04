"""Lines of text: broken where each script may be broken, cut to cells and not to characters."""

from __future__ import annotations

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from msrtui.lines import bad, cut, dim, ends, grouped, line, printable, short_value, wrap
from msrtui.stage.talk import bundled_talks, open_talk

NOT_FIRST = "，。、；：！？）】》」』”’…—～,.;:!?)]"
NOT_LAST = "（【《「『“‘(["
TEXTS = tuple(
    text
    for name in bundled_talks()
    for scene in open_talk(name).scenes
    for text in (scene.said["zh"].words, scene.said["zh"].notes, scene.said["zh"].title)
)


def texts(text: str, width: int) -> list[str]:
    return [entry.text for entry in wrap(text, width)]


def blankless(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("width", [30, 38, 60, 74, 110])
def test_chinese_is_broken_at_any_character_but_not_before_a_full_stop(width: int) -> None:
    for text in TEXTS:
        broken = texts(text, width)
        for each in broken:
            assert cell_len(each) <= width or texts(each, 1) == [each], "it could have been parted"
            assert each[0] not in NOT_FIRST, broken
            assert each[-1] not in NOT_LAST, broken
        assert blankless("".join(broken)) == blankless(text)


def test_lines_of_chinese_are_filled() -> None:
    (first, second) = texts("客户机能得到什么、能迁移到哪里，都在这几行里决定", 30)
    assert cell_len(first) in (28, 29, 30)
    assert first + second == "客户机能得到什么、能迁移到哪里，都在这几行里决定"


@pytest.mark.parametrize("width", range(6, 40))
def test_a_number_and_what_it_counts_stay_together(width: int) -> None:
    text = "其余 30 个里，QEMU 7.2 不看列表也会保存恢复 18 个，12 个从不提到，共 40 个。"
    broken = texts(text, width)
    for number in ("30", "18", "12", "40"):
        assert any(f"{number} 个" in each for each in broken), broken
    assert blankless("".join(broken)) == blankless(text)


def test_a_word_of_another_script_is_not_parted() -> None:
    for width in range(34, 60):
        for each in texts(
            "调用 kvm_get_supported_feature_msrs() 两次，再调用 kvm_arch_get_supported_cpuid() 一次", width
        ):
            assert each.count("_") in (0, 4, 8)


def test_an_opening_bracket_goes_with_what_it_opens() -> None:
    for width in range(8, 30):
        broken = texts("特性（由其他特性决定）的位“已打开”了", width)
        assert all(each[-1] not in NOT_LAST and each[0] not in NOT_FIRST for each in broken)


def test_an_accent_stays_on_its_character() -> None:
    assert texts("か\u3099か\u3099か\u3099", 2) == ["か\u3099"] * 3


@given(st.text(st.sampled_from("ab-_(). \n"), max_size=120), st.integers(1, 40))
def test_english_is_broken_at_blanks_alone(text: str, width: int) -> None:
    expected = textwrap.wrap(" ".join(text.split()), width, break_long_words=False, break_on_hyphens=False)
    assert texts(text, width) == expected


@given(st.text(st.sampled_from("ab9 ，。（）“”个位的…—kvm_0e\u0301か\u3099"), max_size=80), st.integers(2, 40))
def test_nothing_is_lost_and_no_line_is_wider_than_it_must_be(text: str, width: int) -> None:
    broken = texts(text, width)
    assert blankless("".join(broken)) == blankless(text)
    assert all(each == each.strip() and each for each in broken)
    for each in broken:
        if cell_len(each) > width:
            # only what may not be parted: not even where the stage is one cell wide
            assert texts(each, 1) == [each]


def test_later_lines_begin_with_the_indent() -> None:
    assert texts("", 10) == []
    assert [entry.text for entry in wrap("one two three", 8, "bad", "  ")] == ["one two", "  three"]
    assert {role for entry in wrap("one two three", 8, "bad") for _, role in entry.spans} == {"bad"}


@given(st.lists(st.text(st.sampled_from("ab 个位，"), max_size=8), max_size=4), st.integers(0, 30))
def test_what_is_cut_fits_and_says_so(pieces: list[str], width: int) -> None:
    kept = cut([(text, "") for text in pieces], width)
    shown, whole = "".join(text for text, _ in kept), "".join(pieces)
    assert cell_len(shown) <= width
    if cell_len(whole) <= width:
        assert shown == whole
    elif width:
        assert shown.endswith("…")
        assert whole.startswith(shown[:-1].rstrip()) or shown[:-1].rstrip() == ""


@given(
    st.text(st.sampled_from("ab 个"), max_size=20), st.text(st.sampled_from("xy 位"), max_size=8), st.integers(20, 60)
)
def test_two_ends_fill_the_width_and_the_left_gives_way(left: str, right: str, width: int) -> None:
    made = ends([dim(left)], [bad(right)], width)
    assert cell_len(made.text) <= width
    if right:
        assert made.text.endswith(right)
        assert cell_len(made.text) == width


def test_a_control_character_leaves_no_line() -> None:
    assert printable("a\x1b[31m\u202eb个") == "a?[31m?b个"
    assert line("a", "", dim("b"), key=7).text == "ab"


def test_values_are_read_in_groups_of_four() -> None:
    assert [grouped(0x69), grouped(0x69, 8), grouped(None)] == ["0000_0000_0000_0069", "0000_0069", "?"]
    assert [short_value(0), short_value(0x1000065), short_value(None)] == ["0", "100_0065", "?"]
