"""The generator's reading of C, on small C of our own: text, constants, initializers, functions and switches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msrtui.qemu.tables.generate.constants import Constants, Number
from msrtui.qemu.tables.generate.ctext import UnknownShape, read_c, tokenize
from msrtui.qemu.tables.generate.initializer import Braces, array, functions, switches


def numbers(defines: str = "") -> Constants:
    return Constants(read_c(defines, "toy.h"))


def value(expression: str, defines: str = "") -> Number:
    return numbers(defines).number(tokenize(expression))


# --- C text ----------------------------------------------------------------------------------------------------------
def texts(source: str) -> list[str]:
    return [token.text for token in read_c(source, "toy.c").tokens]


def test_comments_go_and_strings_with_comment_signs_stay() -> None:
    assert texts('a /* b */ "c // d" // e\n/* f\n g */ h') == ["a", "c // d", "h"]


def test_a_backslash_joins_lines_of_a_define() -> None:
    assert value("A", "#define A (1 | \\\n  2)\n").value == 3


def test_conditions_are_decided_for_x86_64_with_kvm() -> None:
    source = "#ifdef TARGET_X86_64\nlong\n#else\nshort\n#endif\n#if !defined(CONFIG_USER_ONLY) && 1\nsystem\n#endif"
    assert texts(source) == ["long", "system"]
    assert texts("#if defined(CONFIG_USER_ONLY)\na\n#elif defined(CONFIG_KVM)\nb\n#else\nc\n#endif") == ["b"]


def test_a_condition_that_cannot_be_decided_leaves_both_branches_and_marks() -> None:
    read = read_c("#ifdef CONFIG_WHO_KNOWS\na\n#else\nb\n#endif", "toy.c")
    assert [token.text for token in read.tokens if token.kind == "name"] == ["a", "b"]
    assert [token.kind for token in read.tokens if token.kind != "name"] == ["undecided"] * 4


def test_an_include_guard_and_a_default_are_taken() -> None:
    assert value("A", "#ifndef TOY_H\n#define TOY_H\n#ifndef A\n#define A 5\n#endif\n#endif").value == 5


def test_undef_takes_a_name_away() -> None:
    with pytest.raises(UnknownShape, match="A is not defined"):
        value("A", "#define A 1\n#undef A\n")


@pytest.mark.parametrize("source", ["#if 1\n", "#endif\n", "\x01"])
def test_broken_text_is_refused(source: str) -> None:
    with pytest.raises(UnknownShape):
        read_c(source, "toy.c")


# --- constants -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1U << 31", 1 << 31),
        ("1 << 31", -(1 << 31)),
        ("1ULL << 63", 1 << 63),
        ("~0U", 0xFFFF_FFFF),
        ("~0ull", (1 << 64) - 1),
        ("~0ULL & ~(1u << 3)", 0xFFFF_FFF7),
        ("0x10 | 1 << 2 & 6", 0x14),
        ("(uint32_t)~0ull", 0xFFFF_FFFF),
        ("(int)0xffffffffu", -1),
        ("(uint8_t) 0x1ff + 1", 0x100),
        ("010 + 1", 9),
        ("0xffffffff", 0xFFFF_FFFF),
        ("4294967295 + 1", 1 << 32),
        ("-7 / 2", -3),
        ("-7 % 2", -1),
        ("2 > 1 ? 10 : 20", 10),
        ("!3 || 2 == 2", 1),
        ("true", 1),
    ],
)
def test_an_expression_has_the_value_that_c_gives_it(expression: str, expected: int) -> None:
    assert value(expression).value == expected


def test_macros_nest_take_arguments_and_are_text() -> None:
    defines = (
        "#define BIT(n) (1ULL << (n))\n#define LOW BIT(2)\n#define LOOSE LOW | BIT(4)\n#define PAIR(a, b) (a * b)\n"
    )
    assert value("LOOSE", defines).value == 0x14
    assert value("LOOSE & BIT(4)", defines).value == 0x14  # LOW | (BIT(4) & BIT(4))
    assert value("PAIR((1 + 2), BIT(1))", defines).value == 6


def test_enums_count_on() -> None:
    defines = "enum toys { A, B, C = 0x10, D, E = C + (1 << 2), F, };\nenum { G = F }"
    assert [value(name, defines).value for name in "ABCDEFG"] == [0, 1, 0x10, 0x11, 0x14, 0x15, 0x15]


def test_two_definitions_are_refused_only_where_they_differ() -> None:
    defines = "#ifdef WHO\n#define A 1\n#define B (1)\n#else\n#define A 2\n#define B 1\n#endif\n"
    assert value("B", defines).value == 1
    with pytest.raises(UnknownShape, match="two ways"):
        value("A", defines)


@pytest.mark.parametrize(
    "expression", ["sizeof(x)", "A", "1 +", "(1", "1.5", "f(1)", "1 << 64", "1 / 0", "0x1ffffffffffffffff", "1 2"]
)
def test_what_is_no_constant_is_refused(expression: str) -> None:
    with pytest.raises(UnknownShape):
        value(expression)


def test_a_macro_that_names_itself_ends() -> None:
    with pytest.raises(UnknownShape, match="A is not defined"):
        value("A", "#define A A\n")


@given(st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 64) - 1), st.sampled_from(["|", "&", "^", "+", "-", "*"]))
def test_arithmetic_of_64_bits_wraps_as_in_c(left: int, right: int, mark: str) -> None:
    expected = {"|": left | right, "&": left & right, "^": left ^ right}
    expected |= {"+": left + right, "-": left - right, "*": left * right}
    assert value(f"{left}ULL {mark} {right:#x}ull").value == expected[mark] % (1 << 64)


def test_strings_side_by_side_are_one() -> None:
    assert numbers('#define NAME "b"\n').string(tokenize('"a" NAME "c"')) == "abc"
    with pytest.raises(UnknownShape):
        numbers().string(tokenize('"a" 1'))


# --- initializers, functions, switches -------------------------------------------------------------------------------
def test_an_initializer_keeps_every_entry() -> None:
    braces = array(tokenize("T t[3] = { 1, [2] = {}, .a[B] = (T[]) { f(x, y) }, };"), "t")
    assert [(item.field, None if item.index is None else item.index[0].text) for item in braces.items] == [
        (None, None),
        (None, "2"),
        ("a", "B"),
    ]
    inner = braces.items[2].value
    assert isinstance(inner, Braces)
    assert len(inner.items) == 1


@pytest.mark.parametrize(
    "source",
    [
        "T u[] = { 1 };",
        "T t[] = { 1 }; T t[] = { 2 };",
        "T t[] = { 1 } more",
        "T t[] = { 1,, 2 };",
        "T t[] = { 1 { 2 } };",
        "T t[] = { .a.b = 2 };",
        "T t[] = { 1; };",
        "T t[] = { 1",
    ],
)
def test_an_array_of_another_shape_is_refused(source: str) -> None:
    with pytest.raises(UnknownShape):
        array(tokenize(source), "t")


def test_a_condition_inside_a_table_is_refused() -> None:
    with pytest.raises(UnknownShape, match="middle of a table"):
        array(read_c("T t[] = {\n1,\n#ifdef WHO\n2,\n#endif\n};", "toy.c").tokens, "t")


def test_functions_are_found_and_prototypes_are_not() -> None:
    found = functions(tokenize("int f(int a); int g(int b) { if (b) { f(b); } } struct s { int x; } h = { 0 };"))
    assert list(found) == ["g"]


def test_a_switch_keeps_which_labels_share_a_body() -> None:
    (switch,) = switches(tokenize("a(); switch (x) { case 1: case 2 ... 3: b(); break; default: c(); }"))
    assert [len(cases) for cases, _ in switch.groups] == [2, 1]
    assert [len(body) for _, body in switch.groups] == [6, 4]
