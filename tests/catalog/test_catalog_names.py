"""Names of MSRs, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msrtui.catalog.makers import Maker
from msrtui.catalog.names import UnknownMsr, find_msr, names_of, other_names_on, short_name

# runs of registers with computed symbols, and where single symbols are dense
NAMED = [
    index
    for first, last in [(0x0, 0x2000), (0x40000000, 0x40002000), (0x4B564D00, 0x4B564E00)]
    for index in range(first, last)
    if names_of(index)
] + [index for index in range(0xC0000000, 0xC0012000) if names_of(index)]

property_test = settings(database=None, deadline=None)


@pytest.mark.parametrize(
    ("index", "name"),
    [
        (0x174, "SYSENTER_CS"),
        (0x175, "SYSENTER_ESP"),
        (0x176, "SYSENTER_EIP"),
        (0xC0000081, "STAR"),
        (0xC0000082, "LSTAR"),
        (0xC0000083, "CSTAR"),
        (0xC0000084, "SYSCALL_MASK"),
        (0xC0000102, "KERNEL_GS_BASE"),
        (0x10, "TSC"),
        (0x277, "CR_PAT"),
        (0xC0010117, "VM_HSAVE_PA"),
        (0x1D9, "DEBUGCTLMSR"),
        (0x1DB, "LASTBRANCHFROMIP"),
        (0x1DC, "LASTBRANCHTOIP"),
        (0x1DD, "LASTINTFROMIP"),
        (0x1DE, "LASTINTTOIP"),
        (0x12, "KVM_SYSTEM_TIME"),
        (0x11, "KVM_WALL_CLOCK"),
        (0x4B564D01, "KVM_SYSTEM_TIME_NEW"),
        (0x4B564D00, "KVM_WALL_CLOCK_NEW"),
        (0x4B564D02, "KVM_ASYNC_PF_EN"),
        (0x4B564D03, "KVM_STEAL_TIME"),
        (0x4B564D04, "KVM_PV_EOI_EN"),
        (0x4B564D06, "KVM_ASYNC_PF_INT"),
        (0x8B, "UCODE_REV"),
        (0x10A, "ARCH_CAPABILITIES"),
        (0x345, "PERF_CAPABILITIES"),
        (0xCE, "PLATFORM_INFO"),
        (0x48F, "VMX_TRUE_EXIT_CTLS"),
        (0x40000000, "HV_GUEST_OS_ID"),
    ],
)
def test_the_panes_show_the_kernels_name_without_its_prefixes(index: int, name: str) -> None:
    assert short_name(index) == name


def test_an_index_without_a_name_is_shown_as_hex() -> None:
    assert names_of(0xDEADBEEF) == ()
    assert short_name(0xDEADBEEF) == "0xdeadbeef"


def test_the_preferred_name_comes_first_and_the_others_follow() -> None:
    assert names_of(0x10A) == ("MSR_IA32_ARCH_CAPABILITIES", "MSR_IDT_FCR4")
    assert names_of(0x8B) == ("MSR_IA32_UCODE_REV", "MSR_AMD64_PATCH_LEVEL")


@pytest.mark.parametrize(
    ("index", "symbol"),
    [
        (0x400, "MSR_IA32_MC0_CTL"),
        (0x40D, "MSR_IA32_MC3_STATUS"),
        (0x40E, "MSR_IA32_MC3_ADDR"),
        (0x47F, "MSR_IA32_MC31_MISC"),
        (0x29F, "MSR_IA32_MC31_CTL2"),
        (0x200, "MSR_MTRRphysBase0"),
        (0x20F, "MSR_MTRRphysMask7"),
        (0x4C8, "MSR_IA32_PMC7"),
        (0x808, "IA32_X2APIC_TPR"),
        (0x8FF, "APIC_BASE_MSR+0xff"),
    ],
)
def test_a_register_of_a_run_has_a_computed_symbol(index: int, symbol: str) -> None:
    assert names_of(index)[0] == symbol
    assert find_msr(symbol) == index


@pytest.mark.parametrize("index", [0x1FF, 0x210, 0x27F, 0x2A0, 0x3FF, 0x4C9, 0x900])
def test_the_index_beside_a_run_is_not_of_the_run(index: int) -> None:
    assert not any("PHYS" in name.upper() or "MC" in name or "PMC" in name for name in names_of(index))


@given(st.sampled_from(NAMED))
@property_test
def test_every_preferred_name_is_found_again(index: int) -> None:
    assert find_msr(names_of(index)[0]) == index


@given(st.sampled_from(NAMED))
@property_test
def test_every_shown_name_is_found_again(index: int) -> None:
    assert find_msr(short_name(index)) == index


@given(
    st.sampled_from(NAMED).flatmap(lambda index: st.tuples(st.just(index), st.sampled_from(names_of(index)))),
    st.sampled_from([str.lower, str.upper, str.title]),
    st.sampled_from("_- "),
)
@property_test
def test_case_and_the_separator_of_words_do_not_matter(named: tuple[int, str], in_case: object, separator: str) -> None:
    index, symbol = named
    assert callable(in_case)
    assert find_msr(in_case(symbol).replace("_", separator)) == index


def test_no_two_indices_are_shown_by_one_name() -> None:
    assert len({short_name(index) for index in NAMED}) == len(NAMED) > 600


@given(st.integers(0, 2**32 - 1))
@property_test
def test_every_index_is_found_by_its_number(index: int) -> None:
    assert find_msr(hex(index)) == find_msr(hex(index).upper()) == find_msr(str(index)) == index


def test_a_bare_decimal_is_read_as_decimal() -> None:
    assert find_msr("266") == 0x10A
    assert find_msr("174") == 0xAE


@pytest.mark.parametrize(
    ("text", "index"), [("48b", 0x48B), ("10a", 0x10A), ("C0000081", 0xC0000081), ("4b564d01", 0x4B564D01)]
)
def test_bare_hex_digits_that_are_no_name_are_read_as_hex(text: str, index: int) -> None:
    assert find_msr(text) == index


def test_a_number_grouped_as_the_panes_show_it_is_read() -> None:
    assert find_msr("0x4b56_4d01") == find_msr("4b56_4d01") == 0x4B564D01


def test_blanks_around_do_not_matter() -> None:
    assert find_msr("  0x10a\n") == find_msr(" ARCH_CAPABILITIES ") == 0x10A


@pytest.mark.parametrize(
    "text", ["ARCH_CAPABILITIES", "IA32_ARCH_CAPABILITIES", "MSR_IA32_ARCH_CAPABILITIES", "MSR_ARCH_CAPABILITIES"]
)
def test_a_name_is_found_with_and_without_its_prefixes(text: str) -> None:
    assert find_msr(text) == 0x10A


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("IA32_FEATURE_CONTROL", 0x3A),
        ("IA32_CORE_CAPABILITIES", 0xCF),
        ("MSR_IA32_CORE_CAPABILITY", 0xCF),
        ("MSR_IA32_TSCDEADLINE", 0x6E0),
        ("MSR_PAT", 0x277),
        ("MSR_FMASK", 0xC0000084),
        ("MSR_KERNELGSBASE", 0xC0000102),
        ("MSR_VIRT_SSBD", 0xC001011F),
        ("HV_X64_MSR_APIC_ASSIST_PAGE", 0x40000073),
        ("HV_X64_MSR_VP_INDEX", 0x40000002),
        ("HV_MSR_VP_INDEX", 0x40000002),
        ("PERF_CAPABILITIES", 0x345),
        ("VMX_MISC", 0x485),
    ],
)
def test_the_spellings_of_the_manuals_and_of_qemu_are_found(text: str, index: int) -> None:
    assert find_msr(text) == index


@pytest.mark.parametrize(
    "text", ["0x100000000", "4294967296", "fffffffff", "-1", "-0x10a", "9" * 9000, "0x" + "f" * 9000]
)
def test_a_number_that_cannot_be_an_index_is_refused_with_the_range(text: str) -> None:
    with pytest.raises(UnknownMsr, match="0x0 to 0xffffffff") as caught:
        find_msr(text)
    assert caught.value.text == text
    assert caught.value.nearest == ()
    assert len(str(caught.value)) < 160


@pytest.mark.parametrize("text", ["0x", "0xg", "0x_", "1.5", "٣", "0o17", "-", "_", "0x 10"])
def test_what_only_looks_like_a_number_is_no_msr(text: str) -> None:
    with pytest.raises(UnknownMsr):
        find_msr(text)


@pytest.mark.parametrize("text", ["", "  ", "\t"])
def test_nothing_is_no_msr_and_the_message_says_what_to_write(text: str) -> None:
    with pytest.raises(UnknownMsr, match="no MSR was given"):
        find_msr(text)


def test_a_misspelt_name_gets_the_nearest_ones_in_the_sentence() -> None:
    with pytest.raises(UnknownMsr) as caught:
        find_msr("IA32_ARCH_CAPABILITES")
    assert caught.value.nearest[0] == "ARCH_CAPABILITIES"
    assert len(caught.value.nearest) <= 3
    for name in caught.value.nearest:
        assert name in str(caught.value)


def test_a_part_of_a_name_gets_the_names_that_hold_it() -> None:
    with pytest.raises(UnknownMsr) as caught:
        find_msr("sysenter")
    assert set(caught.value.nearest) == {"SYSENTER_CS", "SYSENTER_ESP", "SYSENTER_EIP"}


def test_a_short_part_of_long_names_is_enough() -> None:
    with pytest.raises(UnknownMsr) as caught:
        find_msr("syndbg")
    assert len(caught.value.nearest) == 3
    assert all("SYNDBG" in name for name in caught.value.nearest)


def test_a_part_that_nearly_every_name_has_is_near_to_none() -> None:
    with pytest.raises(UnknownMsr) as caught:
        find_msr("_")
    assert caught.value.nearest == ()


def test_a_name_like_no_other_gets_none_and_an_example() -> None:
    with pytest.raises(UnknownMsr, match="ARCH_CAPABILITIES") as caught:
        find_msr("qqzzxxyyww")
    assert caught.value.nearest == ()


def test_a_message_holds_no_terminal_escape_and_stays_short() -> None:
    with pytest.raises(UnknownMsr) as caught:
        find_msr("\x1b[31m" + "x" * 5000)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 240
    assert "\n" not in str(caught.value)


@given(st.text(max_size=40))
@property_test
def test_any_text_gives_an_index_or_that_one_error(text: str) -> None:
    error = None
    try:
        index = find_msr(text)
    except UnknownMsr as raised:
        error = raised
    if error is None:
        assert 0 <= index < 2**32
    else:
        assert str(error).isprintable()
        assert all(short_name(find_msr(name)) == name for name in error.nearest)


@pytest.mark.parametrize(
    ("index", "maker", "others"),
    [
        (0x10A, "amd", ()),
        (0x10A, None, ()),
        (0x8B, "amd", ("MSR_AMD64_PATCH_LEVEL",)),
        (0x8B, None, ("MSR_AMD64_PATCH_LEVEL",)),
        (0x8B, "intel", ()),
        (0x3E0, "intel", ("MSR_P4_CRU_ESCR4",)),
        (0x3E0, "amd", ()),
        (0x186, "amd", ("MSR_IA32_MCG_EBP",)),
        (0xC0000082, "amd", ()),
        (0x174, "amd", ()),
    ],
)
def test_a_host_is_told_no_name_of_a_cpu_that_it_cannot_be(
    index: int, maker: Maker | None, others: tuple[str, ...]
) -> None:
    assert other_names_on(index, maker) == others
