"""What KVM_SET_MSRS takes of a feature MSR: each rule broken and kept."""

from __future__ import annotations

import pytest

from msrtui.explain.acceptance import DERIVED, KNOWN, VMX_MSRS, Refusal, refusals, undecided

PIN, BASIC, MISC = 0xFF_0000_0016, 0xD8_1000_11E5_7ED0, 0x2000_01E5


@pytest.mark.parametrize(
    ("index", "system", "written", "broken"),
    [
        # controls: the low half keeps every system bit, the high half has no other
        (0x48D, PIN, PIN, {}),
        (0x48D, PIN, 0x56_0000_0016, {}),
        (0x48D, 0x7F_0000_003F, 0x56_0000_0016, {"must-be-1-lost": 0x29}),
        (0x48D, 0x7F_0000_0016, PIN, {"may-be-1-not-offered": 1 << 39}),
        (0x48D, PIN, PIN | 1, {}),  # must-be-1 bits may be added
        (0x48B, 0x1_0000_0000, 0x1_1000_0000_0000, {"may-be-1-not-offered": 0x1_1000_0000_0000}),
        (0x48F, 0xFFFF_FF00_0003_6DFB, 0x1FF_FFFF_0003_6DFA, {"must-be-1-lost": 1, "may-be-1-not-offered": 0xFF << 32}),
        # what is made of others
        (0x481, PIN, PIN, {"never-writable": PIN}),
        (0x487, 1, 1, {"never-writable": 1}),
        (0xCF, None, 1, {"never-writable": 1}),
        (0xCF, None, 0, {"never-writable": (1 << 64) - 1}),
        (0xCF, 1, 1, {}),  # of a KVM that had it no rule is known
        # BASIC
        (0x480, BASIC, BASIC, {}),
        (0x480, BASIC, BASIC & ~(1 << 55), {}),
        (0x480, BASIC, BASIC | 1 << 49, {"not-a-subset": 1 << 49}),
        (0x480, BASIC, BASIC | 1 << 48, {"address-width-limit": 1 << 48}),
        (0x480, BASIC, BASIC ^ 1, {"revision-differs": 1}),
        (0x480, BASIC, BASIC & ~(0x1FFF << 32), {"size-smaller": 0x1FFF << 32}),
        (0x480, BASIC, BASIC | 0x800 << 32, {}),  # a larger VMCS may be promised
        # MISC
        (0x485, MISC, MISC, {}),
        (0x485, MISC, MISC & ~(1 << 29), {}),
        (0x485, MISC, MISC | 1 << 15, {"not-a-subset": 1 << 15}),
        (0x485, MISC, MISC | 1 << 16, {"count-larger": 0x1FF << 16}),
        (0x485, MISC, MISC | 1 << 40, {"revision-differs": 1 << 40}),
        (0x485, MISC, MISC ^ 1, {}),  # which these two values do not decide
        # FIXED0, and masks
        (0x486, 0x80000021, 0x80000031, {}),
        (0x486, 0x80000021, 0x80000001, {"fixed-bit-missing": 0x20}),
        (0x48C, 0x41, 0x40, {}),
        (0x48C, 0x41, 0x43, {"not-a-subset": 2}),
        (0x491, 0, 1, {"not-a-subset": 1}),
        (0xC0011029, 0, 2, {"not-a-subset": 2}),
        # what takes anything
        (0x48A, 0x2E, 0xFFFF, {}),
        (0x8B, 1, 2, {}),
        (0x10A, 0x69, 0xFFFF, {}),
        # PERF_CAPABILITIES
        (0x345, 0x2005, 0x2000, {}),
        (0x345, 0x2005, 0x2004, {"format-differs": 0x3F}),
        (0x345, 0x2005, 0, {}),
        (0x345, 0x2005, 0x1000, {"not-a-subset": 0x1000}),
        (0x345, 0x2345, 0x0345, {}),
        (0x345, 0x2345, 0x0205, {"format-differs": 0x4FC0}),
        (0x345, 0x2005, 0x2007, {"format-differs": 0x3F}),  # of a format no bit for itself
    ],
)
def test_a_value_breaks_the_rules_that_it_breaks_with_these_bits(
    index: int, system: int | None, written: int, broken: dict[str, int]
) -> None:
    assert {each.rule: each.mask for each in refusals(index, system, written)} == broken


def test_kvm_takes_its_own_value_of_everything_but_what_it_makes_of_others() -> None:
    for index in KNOWN - {*DERIVED, 0xCF}:
        for value in (0, 0x69, PIN, BASIC, (1 << 64) - 1 & ~(1 << 48)):
            assert refusals(index, value, value) == ()


@pytest.mark.parametrize("index", sorted({*VMX_MSRS} - {*DERIVED}))
def test_where_kvm_has_no_vmx_no_vmx_msr_is_taken(index: int) -> None:
    assert [each.rule for each in refusals(index, None, 0)] == ["not-in-kvm"]
    assert refusals(index, None, 5) == (Refusal("not-in-kvm", 5),)


def test_of_other_msrs_nothing_is_said() -> None:
    assert refusals(0x38D, 0, 1) == ()
    assert refusals(0x345, None, 0x2000) == ()


def test_another_rate_of_the_preemption_timer_hangs_on_what_was_written_before() -> None:
    assert undecided(0x485, MISC, MISC ^ 1) == (Refusal("timer-rate-differs", 0x1F),)
    assert undecided(0x485, MISC, MISC & ~(1 << 29)) == ()
    assert undecided(0x48D, PIN, PIN ^ 1) == ()
