"""The kernel's rules for a write to a vCPU's feature MSR, each with a value that it takes and one that it minds."""

from __future__ import annotations

import pytest

from msrtui.explain.acceptance import (
    ARCH_GATE,
    DERIVED,
    KNOWN,
    MODEL_DIFFERS,
    NO_RULE,
    PDCM_GATE,
    PEBS_NEEDS,
    AcceptanceRule,
    Refusal,
)
from msrtui.explain.write_rules import (
    ANY,
    ARCH_CAPABILITIES_BIT,
    DS_BIT,
    DTES64_BIT,
    NO_SYSTEM_VALUE,
    PDCM_BIT,
    WITHIN,
    ZERO,
    GuestBit,
    Ruled,
    ruled,
)
from msrtui.qemu.guest_cpuid import Place

PIN = 0x0000_007F_0000_0016
"""A plausible 0x48d: low half must be 1, high half may be 1."""
BASIC = 1 << 55 | 6 << 50 | 0x1000 << 32 | 0x11E57ED0
MISC = 1 << 29 | 4 << 16 | 1 << 8 | 1 << 6 | 1 << 5 | 5


def _guest(*there: tuple[Place, int], unknown: bool = False) -> GuestBit:
    return lambda place, bit: True if (place, bit) in there else None if unknown else False


NOBODY = _guest()


@pytest.mark.parametrize(
    ("index", "system", "value", "rule", "minded"),
    [
        (0x48C, 0xFF, 0x0F, WITHIN, 0),
        (0x48C, 0x0F, 0xFF, "not-a-subset", 0xF0),
        (0x491, 0, 1, "not-a-subset", 1),
        (0xC0011029, 2, 3, "not-a-subset", 1),
        (0x48D, PIN, PIN, WITHIN, 0),
        (0x48D, PIN, PIN | 1 << 3, WITHIN, 0),
        (0x48D, PIN, PIN & ~(1 << 35), WITHIN, 0),
        (0x48D, PIN, PIN & ~2, "must-be-1-lost", 2),
        (0x48D, PIN, PIN | 1 << 39, "may-be-1-not-offered", 1 << 39),
        (0x486, 0x80000021, 0x80000021, WITHIN, 0),
        (0x486, 0x80000021, 0x80000001, "fixed-bit-missing", 0x20),
        (0x488, 0x2000, 0xFFFF, WITHIN, 0),
        (0x480, BASIC, BASIC, WITHIN, 0),
        (0x480, BASIC, BASIC & ~(1 << 55), WITHIN, 0),
        (0x480, BASIC, BASIC | 1 << 54, "not-a-subset", 1 << 54),
        (0x480, BASIC, BASIC | 1 << 48, "address-width-limit", 1 << 48),
        (0x480, BASIC, BASIC ^ 1, "revision-differs", 1),
        (0x480, BASIC, BASIC - (0x1000 << 32), "size-smaller", 0x1FFF << 32),
        (0x480, BASIC, BASIC + (0x100 << 32), WITHIN, 0),
        (0x485, MISC, MISC, WITHIN, 0),
        (0x485, MISC, MISC & ~(1 << 6), WITHIN, 0),
        (0x485, MISC, MISC | 1 << 7, "not-a-subset", 1 << 7),
        (0x485, MISC, MISC ^ 7 << 16, WITHIN, 0),
        (0x485, MISC, MISC | 8 << 16, "count-larger", 0x1FF << 16),
        (0x485, MISC, MISC | 1 << 25, "count-larger", 0b111 << 25),
        (0x485, MISC, MISC | 1 << 40, "revision-differs", 1 << 40),
    ],
)
def test_a_value_against_kvms_own(index: int, system: int, value: int, rule: str, minded: int) -> None:
    found = ruled(index, system, value, NOBODY)
    assert (found.rule, found.taken) == (rule, not minded)
    assert [(each.rule, each.mask) for each in found.refused] == ([(rule, minded)] if minded else [])


def test_every_rule_that_is_broken_is_named_the_first_one_for_all() -> None:
    found = ruled(0x48D, PIN, PIN & ~2 | 1 << 39, NOBODY)
    assert found == Ruled(
        "must-be-1-lost", False, (Refusal("must-be-1-lost", 2), Refusal("may-be-1-not-offered", 1 << 39))
    )


@pytest.mark.parametrize("index", [0x481, 0x482, 0x483, 0x484, 0x487, 0x489])
@pytest.mark.parametrize("system", [5, None])
def test_what_kvm_derives_is_never_taken(index: int, system: int | None) -> None:
    assert ruled(index, system, 5, NOBODY) == Ruled("never-writable", False, (Refusal("never-writable", 5),))


@pytest.mark.parametrize("index", [0x8B, 0x48A, 0xCE])
@pytest.mark.parametrize("system", [0, None])
def test_some_take_any_value(index: int, system: int | None) -> None:
    assert ruled(index, system, (1 << 64) - 1, NOBODY) == Ruled(ANY, True)


def test_a_vmx_msr_that_kvm_is_known_not_to_list_is_not_taken() -> None:
    for index in (0x48A, 0x48C, 0x48D):
        assert ruled(index, None, 5, NOBODY, listed=False) == Ruled("not-in-kvm", False, (Refusal("not-in-kvm", 5),))
    assert ruled(0x8B, None, 5, NOBODY, listed=False).taken is True, "which is no VMX MSR"


def test_another_rate_of_the_timer_is_not_decided() -> None:
    unsure = Refusal("timer-rate-differs", 0x1F)
    assert ruled(0x485, MISC, MISC ^ 1, NOBODY) == Ruled("timer-rate-differs", None, (unsure,))
    assert ruled(0x485, MISC, MISC ^ 1 | 1 << 7, NOBODY).taken is False, "where another rule decides"


def test_what_no_rule_knows_and_what_has_no_system_value_is_left_open() -> None:
    assert ruled(0x38D, 0, 0, NOBODY) == Ruled(NO_RULE, None)
    assert ruled(0xCF, 0, 0, NOBODY) == Ruled(NO_RULE, None)
    for index in (0x48C, 0xCF, 0xC0011029):
        assert ruled(index, None, 0, NOBODY) == Ruled(NO_SYSTEM_VALUE, None)


def test_core_capabilities_is_taken_by_no_kvm_that_lacks_it() -> None:
    assert ruled(0xCF, None, 1, NOBODY, listed=False) == Ruled("never-writable", False, (Refusal("never-writable", 1),))


def test_arch_capabilities_takes_anything_with_the_cpuid_bit_and_0_without() -> None:
    has = _guest(ARCH_CAPABILITIES_BIT)
    assert ruled(0x10A, 0x69, 1 << 63, has) == Ruled(ARCH_GATE, True)
    assert ruled(0x10A, 0x69, 0, NOBODY) == Ruled(ZERO, True)
    assert ruled(0x10A, 0x69, 0x69, NOBODY) == Ruled(ARCH_GATE, None, (Refusal(ARCH_GATE, 0x69),))


def _may_break(rule: AcceptanceRule, mask: int) -> Ruled:
    return Ruled(rule, None, (Refusal(rule, mask),))


def test_perf_capabilities_rule_by_rule() -> None:
    system = 0x2000 | 0x33C5
    with_pdcm = _guest(PDCM_BIT, DS_BIT, DTES64_BIT)
    assert ruled(0x345, system, 0, NOBODY) == Ruled(ZERO, True)
    assert ruled(0x345, system, 0x2005, _guest(PDCM_BIT)) == Ruled(PDCM_GATE, True)
    assert ruled(0x345, system, 0x2005, NOBODY) == _may_break(PDCM_GATE, 0x2005)
    assert ruled(0x345, system, 0x8000, with_pdcm).refused == (Refusal("not-a-subset", 0x8000),)
    assert ruled(0x345, system, 0x2004, with_pdcm).refused == (Refusal("format-differs", 0x3F),)
    assert ruled(0x345, system, 0x2000 | 0x140, with_pdcm).refused == (Refusal("format-differs", 0x4FC0),)
    assert ruled(0x345, system, system, with_pdcm) == Ruled(PDCM_GATE, True)
    needs = Refusal(PEBS_NEEDS, 0x3C0)
    assert ruled(0x345, system, system, _guest(PDCM_BIT, DS_BIT)) == Ruled(PEBS_NEEDS, False, (needs,))
    assert ruled(0x345, system, system, _guest(PDCM_BIT, unknown=True)) == Ruled(PEBS_NEEDS, None, (needs,))


@pytest.mark.parametrize("own_model", [False, None])
def test_an_lbr_or_a_pebs_format_is_not_decided_for_another_model_than_the_hosts(own_model: bool | None) -> None:
    system, guest = 0x2000 | 0x33C5, _guest(PDCM_BIT, DS_BIT, DTES64_BIT)

    def of(value: int, guest: GuestBit = guest) -> Ruled:
        return ruled(0x345, system, value, guest, own_model=own_model)

    assert of(0x2000) == Ruled(PDCM_GATE, True), "no format in it"
    assert of(0x2005) == _may_break(MODEL_DIFFERS, 5)
    assert of(system) == _may_break(MODEL_DIFFERS, 0x305)
    assert of(0x23C0) == _may_break(MODEL_DIFFERS, 0x300)
    assert of(system, _guest(PDCM_BIT)).rule == PEBS_NEEDS, "which refuses it for sure"
    assert of(0x2004).taken is False
    assert of(0) == Ruled(ZERO, True)


def test_what_belongs_to_pebs_is_a_subset_like_any_bit_where_the_value_has_no_pebs_format() -> None:
    assert ruled(0x345, 0x33C5, 0x20C0, _guest(PDCM_BIT)) == Ruled(PDCM_GATE, True)
    assert ruled(0x345, 0x3385, 0x20C0, _guest(PDCM_BIT)).refused == (Refusal("not-a-subset", 0x40),)


def test_the_guests_cpuid_decides_about_two_msrs_alone_and_not_of_0() -> None:
    """Of everything else a value that KVM's own allows is taken, whatever the guest."""
    for index in KNOWN - {*DERIVED, 0xCF}:
        for value in (0, 0x2000):
            open_question = ruled(index, value, value, NOBODY).taken is None
            assert open_question == (index in (0x10A, 0x345) and value != 0), hex(index)
