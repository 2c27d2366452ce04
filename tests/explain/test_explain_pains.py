"""Every trouble that people reported is answered, as sure as it is known and no surer."""

from __future__ import annotations

import pytest
from pains import PAINS, PROBE, Pain

from msrtui.explain.answer import CHEAPEST_FIRST
from msrtui.explain.diagnosis import explain
from msrtui.qemu.profile import QemuProfile
from msrtui.report.explain import explain_document, explain_text

QEMU = QemuProfile()
ADDED = (
    "vmx-ept vmx-desc-exit vmx-rdtscp-exit vmx-vpid vmx-rdrand-exit vmx-invpcid-exit vmx-shadow-vmcs vmx-rdseed-exit"
)


def ids(pain: Pain) -> str:
    return f"{pain.row}-{pain.causes[0]}"


def test_no_row_is_left_out() -> None:
    rows = {pain.row for pain in PAINS}
    assert rows == {*(f"1{letter}" for letter in "abcdefghij"), *(str(number) for number in range(2, 29))}


@pytest.mark.parametrize("pain", PAINS, ids=ids)
def test_the_message_is_known_and_its_cause_is_named_as_surely_as_it_is_known(pain: Pain) -> None:
    found = explain(pain.text, QEMU).decisive
    assert found is not None
    assert type(found.message).__name__ == pain.kind
    every = {cause.id for cause in found.causes}
    assert every >= set(pain.causes)
    assert found.certainty == pain.certainty
    assert {way.id for way in found.remedies} >= set(pain.remedies)


@pytest.mark.parametrize("pain", PAINS, ids=ids)
def test_the_answer_says_what_to_do_cheapest_first_with_each_cost(pain: Pain) -> None:
    found = explain(pain.text, QEMU).decisive
    assert found is not None
    costs = [CHEAPEST_FIRST.index(way.cost) for way in found.remedies]
    assert costs
    assert costs == sorted(costs)


@pytest.mark.parametrize("pain", PAINS, ids=ids)
def test_the_text_is_narrow_and_plain_and_says_how_sure_it_is(pain: Pain) -> None:
    found = explain(pain.text, QEMU)
    text = explain_text(pain.text, found, QEMU)
    assert max(map(len, text.splitlines())) <= 100
    assert all(line.isprintable() for line in text.splitlines())
    for heading in ("Why", "What to do, cheapest first", "How sure"):
        assert heading in text.splitlines()
    assert "{" not in text.replace('{"', "")
    document = explain_document(pain.text, found, QEMU)
    assert document["known"] is True
    assert document["certainty"] == pain.certainty
    assert (PROBE in text.lower().replace("\n  ", " ")) == (pain.certainty == PROBE)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("0x1582e00000000", ADDED),
        ("0x11582e00000000", f"{ADDED} vmx-xsaves"),
    ],
)
def test_the_bits_of_a_control_are_named_by_qemu_and_counted_from_32(value: str, names: str) -> None:
    found = explain(f"failed to set MSR 0x48b to {value}", QEMU).decisive
    assert found is not None
    assert " ".join(bit.name for bit in found.bits if bit.set) == names
    assert all((found.value or 0) >> bit.bit & 1 == bit.set for bit in found.bits)
    assert min(bit.bit for bit in found.bits) >= 32


def test_only_the_controls_that_qemu_may_have_added_are_suspected() -> None:
    found = explain("failed to set MSR 0x48b to 0x1582e00000000", QEMU).decisive
    assert found is not None
    (cause,) = [cause for cause in found.causes if cause.id == "controls-qemu-adds"]
    assert cause.params["names"] == ["vmx-rdtscp-exit", "vmx-rdrand-exit", "vmx-invpcid-exit", "vmx-rdseed-exit"]
    without = explain("failed to set MSR 0x48b to 0x602600000000", QEMU).decisive
    assert without is not None
    assert "controls-qemu-adds" not in {cause.id for cause in without.causes}


def test_an_unwritten_story_is_not_told_as_a_reason() -> None:
    """The values of 0x48d that no thread explains are not given the reading of 0x5600000016."""
    for value in ("0x7f00000016", "0xff00000016", "0x5600000012"):
        found = explain(f"failed to set MSR 0x48d to {value}", QEMU).decisive
        assert found is not None
        assert "must-be-1-inferred" not in {cause.id for cause in found.causes}


def test_warnings_beside_an_end_are_told_as_warnings_behind_it() -> None:
    (text,) = [pain.text for pain in PAINS if pain.causes == ("must-be-1-inferred",)]
    log = "warning: host doesn't support requested feature: MSR(48DH).vmx-posted-intr [bit 7]\n" + text
    found = explain(log, QEMU)
    assert found.decisive is not None
    assert found.decisive.msr == 0x48D
    kinds = [type(each.message).__name__ for each in found.all]
    assert kinds == ["HostLacksFeature", "FailedToSetMsr", "QemuFollowed"]
    shown = explain_text(log, found, QEMU)
    assert "warning: KVM cannot give the guest vmx-posted-intr" in shown.partition("Also in this text")[2]


def test_what_enforce_ended_names_the_features_of_the_warnings_before_it() -> None:
    log = (
        "warning: host doesn't support requested feature: CPUID.07H:EBX.hle [bit 4]\n"
        "warning: host doesn't support requested feature: CPUID.07H:EBX.rtm [bit 11]\n"
        "qemu-system-x86_64: Host doesn't support requested features\n"
    )
    found = explain(log, QEMU).decisive
    assert found is not None
    assert (found.causes[0].id, found.names) == ("enforced", ("hle", "rtm"))
