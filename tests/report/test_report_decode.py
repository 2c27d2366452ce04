"""A register taken apart, and of two values what changed."""

from __future__ import annotations

import pytest

from msrtui.catalog import known_msrs, layout_of
from msrtui.explain.rdmsr import Reading
from msrtui.qemu.profile import QemuProfile
from msrtui.report.decode import (
    changed,
    decode_change_document,
    decode_change_text,
    decode_values_text,
    msr_document,
    parts_of,
)

QEMU = QemuProfile()


def test_a_control_says_whether_it_may_or_must_be_1_and_what_qemu_calls_it() -> None:
    fields = {each["name"]: each for each in msr_document(0x48D, 0x56_0000_0016, QEMU)["fields"]}
    timer = fields["PREEMPTION_TIMER"]
    assert (timer["bits"], timer["qemu"], timer["may_be_1"], timer["must_be_1"]) == (
        "6",
        "vmx-preemption-timer",
        True,
        False,
    )
    assert fields["DEFAULT1_1"]["must_be_1"] is True
    text = decode_values_text([Reading(0x48D, 0x56_0000_0016)], QEMU)
    assert "vmx-preemption-timer  may be 1" in text
    assert "0: vmx-intr-exit vmx-nmi-exit vmx-vnmi vmx-posted-intr" in text


def test_a_control_that_no_cpu_can_have_is_told_as_such() -> None:
    (part,) = [part for part in parts_of(0x48D, 1) if part.field.lo == 0]
    assert part.shown == "must be 1, may not"


def test_of_two_values_only_what_changed_is_told() -> None:
    document = decode_change_document(0x10A, 0x69, 0x400000000C000069, QEMU)
    assert [(each["bits"], each["qemu"], each["before"], each["after"]) for each in document["changed"]] == [
        ("26", "gds-no", "0x0", "0x1"),
        ("27", "rfds-no", "0x0", "0x1"),
        ("62", "its-no", "0x0", "0x1"),
    ]
    back = decode_change_document(0x10A, 0x400000000C000069, 0x69, QEMU)
    assert [(each["before"], each["after"]) for each in back["changed"]] == [("0x1", "0x0")] * 3
    assert "Nothing changed." in decode_change_text(0x10A, 5, 5, QEMU)


def test_a_field_of_several_bits_changes_as_one() -> None:
    ((before, after),) = changed(0x345, 0x2005, 0x2004)
    assert (before.field.bits, before.value, after.value) == ("5:0", 5, 4)


def test_a_register_that_the_catalogue_does_not_know_is_told_by_its_bits() -> None:
    assert layout_of(0x9999) is None
    assert [(before.field.lo, before.value, after.value) for before, after in changed(0x9999, 0b101, 0b011)] == [
        (1, 0, 1),
        (2, 1, 0),
    ]
    assert "not in the catalogue" in decode_values_text([Reading(0x9999, 0)], QEMU)


@pytest.mark.parametrize("label", ["3.1", "7.2", "11.1"])
def test_every_register_of_the_catalogue_can_be_decoded_and_no_bit_is_lost(label: str) -> None:
    profile = QemuProfile(label)
    every = [index for index in known_msrs() if layout_of(index) is not None]
    assert len(every) > 30
    for index in every:
        for value in (0, (1 << 64) - 1):
            text = decode_values_text([Reading(index, value)], profile)
            assert all(line.isprintable() for line in text.splitlines())
        pairs = changed(index, 0, (1 << 64) - 1)
        width = sum(one.field.width for one, _other in pairs)
        assert width == (32 if pairs[0][0].may is not None else 64), hex(index)
