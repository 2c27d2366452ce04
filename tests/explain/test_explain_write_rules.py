"""The kernel's rules for a write to a vCPU's feature MSR, each with a value that it takes and one that it minds."""

from __future__ import annotations

import pytest

from msrtui.explain.write_rules import (
    ARCH_CAPABILITIES_BIT,
    ARCH_GATE,
    CONTROLS,
    DS_BIT,
    DTES64_BIT,
    FIXED0,
    LBR_FORMAT,
    NEVER,
    NO_RULE,
    NO_SYSTEM_VALUE,
    PDCM_BIT,
    PDCM_GATE,
    PEBS_FORMAT,
    PEBS_NEEDS,
    SUBSET,
    VMX_BASIC,
    VMX_MISC,
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
        (0x48C, 0xFF, 0x0F, SUBSET, 0),
        (0x48C, 0x0F, 0xFF, SUBSET, 0xF0),
        (0x491, 0, 1, SUBSET, 1),
        (0xC0011029, 2, 3, SUBSET, 1),
        (0x48D, PIN, PIN, CONTROLS, 0),
        (0x48D, PIN, PIN | 1 << 3, CONTROLS, 0),
        (0x48D, PIN, PIN & ~(1 << 35), CONTROLS, 0),
        (0x48D, PIN, PIN & ~2, CONTROLS, 2),
        (0x48D, PIN, PIN | 1 << 39, CONTROLS, 1 << 39),
        (0x486, 0x80000021, 0x80000021, FIXED0, 0),
        (0x486, 0x80000021, 0x80000001, FIXED0, 0x20),
        (0x488, 0x2000, 0xFFFF, FIXED0, 0),
        (0x480, BASIC, BASIC, VMX_BASIC, 0),
        (0x480, BASIC, BASIC & ~(1 << 55), VMX_BASIC, 0),
        (0x480, BASIC, BASIC | 1 << 54, VMX_BASIC, 1 << 54),
        (0x480, BASIC, BASIC | 1 << 48, VMX_BASIC, 1 << 48),
        (0x480, BASIC, BASIC ^ 1, VMX_BASIC, 1),
        (0x480, BASIC, BASIC - (0x1000 << 32), VMX_BASIC, 0x1000 << 32),
        (0x480, BASIC, BASIC + (0x100 << 32), VMX_BASIC, 0),
        (0x485, MISC, MISC, VMX_MISC, 0),
        (0x485, MISC, MISC & ~(1 << 6), VMX_MISC, 0),
        (0x485, MISC, MISC | 1 << 7, VMX_MISC, 1 << 7),
        (0x485, MISC, MISC ^ 7 << 16, VMX_MISC, 0),
        (0x485, MISC, MISC | 8 << 16, VMX_MISC, 8 << 16),
        (0x485, MISC, MISC | 1 << 25, VMX_MISC, 1 << 25),
        (0x485, MISC, MISC | 1 << 40, VMX_MISC, 1 << 40),
    ],
)
def test_a_value_against_kvms_own(index: int, system: int, value: int, rule: str, minded: int) -> None:
    assert ruled(index, system, value, NOBODY) == Ruled(rule, not minded, minded)


@pytest.mark.parametrize("index", [0x481, 0x482, 0x483, 0x484, 0x487, 0x489])
def test_what_kvm_derives_is_never_taken(index: int) -> None:
    assert ruled(index, 5, 5, NOBODY) == Ruled(NEVER, False, 5)


@pytest.mark.parametrize("index", [0x8B, 0x48A])
def test_some_take_any_value(index: int) -> None:
    assert ruled(index, 0, (1 << 64) - 1, NOBODY).taken is True


def test_another_rate_of_the_timer_is_not_decided() -> None:
    assert ruled(0x485, MISC, MISC ^ 1, NOBODY) == Ruled(VMX_MISC, None)


def test_what_no_rule_knows_and_what_has_no_system_value_is_left_open() -> None:
    assert ruled(0xCF, 0, 0, NOBODY) == Ruled(NO_RULE, None)
    assert ruled(0x48C, None, 0, NOBODY) == Ruled(NO_SYSTEM_VALUE, None)


def test_arch_capabilities_takes_anything_with_the_cpuid_bit_and_0_without() -> None:
    has = _guest(ARCH_CAPABILITIES_BIT)
    assert ruled(0x10A, 0x69, 1 << 63, has) == Ruled(ARCH_GATE, True, 1 << 63)
    assert ruled(0x10A, 0x69, 0, NOBODY) == Ruled(ZERO, True)
    assert ruled(0x10A, 0x69, 0x69, NOBODY) == Ruled(ARCH_GATE, None, 0x69)


def test_perf_capabilities_rule_by_rule() -> None:
    system = 0x2000 | 0x33C5
    with_pdcm = _guest(PDCM_BIT, DS_BIT, DTES64_BIT)
    assert ruled(0x345, system, 0, NOBODY) == Ruled(ZERO, True)
    assert ruled(0x345, system, 0x2005, _guest(PDCM_BIT)) == Ruled(PDCM_GATE, True, 0x2005)
    assert ruled(0x345, system, 0x2005, NOBODY).taken is None
    assert ruled(0x345, system, 0x8000, with_pdcm) == Ruled(SUBSET, False, 0x8000)
    assert ruled(0x345, system, 0x2004, with_pdcm) == Ruled(LBR_FORMAT, False, 1)
    assert ruled(0x345, system, 0x2000 | 0x140, with_pdcm)[:2] == (PEBS_FORMAT, False)
    assert ruled(0x345, system, system, with_pdcm)[:2] == (PDCM_GATE, True)
    assert ruled(0x345, system, system, _guest(PDCM_BIT, DS_BIT))[:2] == (PEBS_NEEDS, False)
    assert ruled(0x345, system, system, _guest(PDCM_BIT, unknown=True))[:2] == (PEBS_NEEDS, None)
