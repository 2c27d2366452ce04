"""Bit fields of MSRs and values taken apart."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msrtui.catalog.fields import DecodedField, Field, bit_name, decode, layout_of
from msrtui.values import FrozenInstanceError

LAID_OUT = [index for index in (*range(0x2000), *range(0xC0000000, 0xC0012000)) if layout_of(index)]
CONTROL_WORDS = [0x481, 0x482, 0x483, 0x484, 0x48B, 0x48D, 0x48E, 0x48F, 0x490]

property_test = settings(database=None, deadline=None)


def by_name(index: int, value: int) -> dict[str, DecodedField]:
    return {decoded.field.name: decoded for decoded in decode(index, value)}


def test_the_layout_of_arch_capabilities() -> None:
    layout = layout_of(0x10A)
    assert layout is not None
    assert (layout.index, layout.name, layout.layout) == (0x10A, "IA32_ARCH_CAPABILITIES", "flat64")
    assert len(layout.fields) == 28
    assert layout.fields[0] == Field(
        lo=0,
        hi=0,
        name="RDCL_NO",
        text=layout.fields[0].text,
        qemu="rdctl-no",
        kvm=layout.fields[0].kvm,
        default1=False,
        origin="linux",
    )
    assert layout.fields[0].text.startswith("Not affected by rogue data cache load")
    assert "Meltdown" in (layout.fields[0].kvm or "")
    assert "KVM_RUN" in (layout.vcpu_write or "")
    assert layout.default1_mask is None


def test_thirty_four_msrs_have_a_layout_with_fields_in_ascending_order() -> None:
    assert len(LAID_OUT) == 34
    for index in LAID_OUT:
        layout = layout_of(index)
        assert layout is not None
        ends = [(field.lo, field.hi) for field in layout.fields]
        assert ends == sorted(ends)
        assert all(lo <= hi < 64 for lo, hi in ends)
        assert all(high < low for (_, high), (low, _) in pairwise(ends)), hex(index)
        assert layout.layout in {"flat64", "bitmap64", "control32", "allowed1_64"}
        assert {field.origin for field in layout.fields} <= {"linux", "sdm", "apm"}


def test_an_msr_without_a_layout_has_no_fields() -> None:
    assert layout_of(0x174) is None
    assert decode(0x174, 0xFF) == ()
    assert bit_name(0x174, 0) is None


def test_a_layout_cannot_be_changed() -> None:
    layout = layout_of(0x10A)
    with pytest.raises(FrozenInstanceError):
        layout.fields[0].name = "other"  # type: ignore[misc,union-attr]


def test_positions_are_written_as_manuals_write_them() -> None:
    assert by_name(0x345, 0)["LBR_FMT"].field.bits == "5:0"
    assert by_name(0x10A, 0)["GDS_NO"].field.bits == "26"


def test_a_field_of_several_bits_is_extracted_whole() -> None:
    decoded = by_name(0x345, 0x2000 | 0x4 << 8 | 0x25)
    assert decoded["LBR_FMT"].value == 0x25
    assert decoded["PEBS_FORMAT"].value == 4
    assert decoded["FW_WRITES"].value == 1
    assert decoded["PEBS_BASELINE"].value == 0
    assert decoded["LBR_FMT"].may_be_1 is decoded["LBR_FMT"].must_be_1 is None


def test_the_high_half_of_a_register_is_a_field_like_any_other() -> None:
    decoded = by_name(0x8B, 0x1234_5678_0100_0065)
    assert decoded["INTEL_REVISION"].value == 0x12345678
    assert decoded["AMD_PATCH_LEVEL"].value == 0x01000065


def test_arch_capabilities_of_a_real_host_has_its_seven_bits() -> None:
    names = [decoded.field.name for decoded in decode(0x10A, 0x400000000C000069) if decoded.value]
    assert names == [
        "RDCL_NO",
        "SKIP_L1DFL_VMENTRY",
        "MDS_NO",
        "PSCHANGE_MC_NO",
        "GDS_NO",
        "RFDS_NO",
        "ITS_NO",
    ]


def test_a_bit_without_a_field_is_shown_in_its_place_only_when_set() -> None:
    assert "bit_9" not in by_name(0x10A, 0)
    fields = [decoded.field.name for decoded in decode(0x10A, 1 << 9 | 1 << 63)]
    assert fields.index("TAA_NO") + 1 == fields.index("bit_9") == fields.index("MISC_PACKAGE_CTLS") - 1
    assert fields[-1] == "bit_63"
    unnamed = by_name(0x10A, 1 << 9)["bit_9"]
    assert (unnamed.value, unnamed.field.bits, unnamed.field.origin) == (1, "9", "none")
    assert unnamed.field.text == "set, but no field is known here"


def test_a_control_word_says_of_each_control_what_it_may_and_must_be() -> None:
    # a nested KVM's TRUE_EXIT_CTLS: what must be 1 in the low half, what may be in the high half
    decoded = by_name(0x48F, 0x007F_FFFF_0003_6DFB)
    ack_intr, save_debug, perf_global = (decoded[name] for name in ("ACK_INTR", "SAVE_DEBUG", "SAVE_PERF_GLOBAL_CTRL"))
    assert (ack_intr.value, ack_intr.may_be_1, ack_intr.must_be_1) == (1, True, False)
    assert (save_debug.value, save_debug.may_be_1, save_debug.must_be_1) == (1, True, False)
    assert (perf_global.value, perf_global.may_be_1, perf_global.must_be_1) == (0, False, False)
    assert (decoded["DEFAULT1_0"].may_be_1, decoded["DEFAULT1_0"].must_be_1) == (True, True)
    assert decoded["SAVE_DEBUG"].field.default1
    assert not decoded["ACK_INTR"].field.default1


@pytest.mark.parametrize("half", [0, 32])
def test_an_unknown_control_is_shown_when_either_half_has_it(half: int) -> None:
    layout = layout_of(0x481)
    assert layout is not None
    number = next(n for n in range(32) if n not in {field.lo for field in layout.fields})
    decoded = by_name(0x481, 1 << (number + half))[f"bit_{number}"]
    assert (decoded.may_be_1, decoded.must_be_1) == (half == 32, half == 0)
    assert decoded.value == (half == 32)


@pytest.mark.parametrize("index", CONTROL_WORDS)
def test_the_default1_mask_is_the_set_of_default1_controls(index: int) -> None:
    layout = layout_of(index)
    assert layout is not None
    assert layout.layout == "control32"
    assert layout.default1_mask == sum(1 << field.lo for field in layout.fields if field.default1)


def test_the_default1_masks_are_the_manuals() -> None:
    masks = {index: layout.default1_mask for index in CONTROL_WORDS if (layout := layout_of(index))}
    assert masks[0x481] == masks[0x48D] == 0x00000016
    assert masks[0x482] == masks[0x48E] == 0x0401E172
    assert masks[0x483] == masks[0x48F] == 0x00036DFF
    assert masks[0x484] == masks[0x490] == 0x000011FF
    assert masks[0x48B] == 0


@given(st.sampled_from(LAID_OUT), st.integers(0, 2**64 - 1))
@property_test
def test_the_fields_put_together_again_are_the_value(index: int, value: int) -> None:
    decoded = decode(index, value)
    if index in CONTROL_WORDS:
        may = sum(1 << part.field.lo for part in decoded if part.may_be_1)
        must = sum(1 << part.field.lo for part in decoded if part.must_be_1)
        assert may << 32 | must == value
    else:
        assert sum(part.value << part.field.lo for part in decoded) == value
    assert [part.field.lo for part in decoded] == sorted(part.field.lo for part in decoded)


@pytest.mark.parametrize("value", [-1, 2**64])
def test_what_does_not_fit_a_register_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        decode(0x10A, value)


@pytest.mark.parametrize(
    ("index", "bit", "name"),
    [
        (0x10A, 26, "GDS_NO"),
        (0x10A, 62, "ITS_NO"),
        (0x10A, 9, None),
        (0x345, 13, "FW_WRITES"),
        (0x345, 0, None),  # inside LBR_FMT, which is no single bit
        (0x48F, 30, "SAVE_PERF_GLOBAL_CTRL"),
        (0x48F, 62, None),  # controls are numbered 0 to 31, whichever half
        (0x486, 31, "CR0.PG"),
    ],
)
def test_a_bit_is_named_only_where_a_field_of_one_bit_is(index: int, bit: int, name: str | None) -> None:
    assert bit_name(index, bit) == name
