"""What a difference is made of, and what its bits say: held against the values themselves, for all captured pairs."""

from __future__ import annotations

from itertools import combinations, pairwise
from pathlib import Path

import pytest

from msrtui.catalog import layout_of
from msrtui.compare.capability_worth import MASKS, worth_of
from msrtui.compare.differences import Difference, differences
from msrtui.compare.meaning import Control, lost, meaning
from msrtui.compare.polarity import POLARITY, WORD_OF_MSR, polarity_of
from msrtui.compare.side import Side, side_of
from msrtui.kvm.abi import cap_symbol
from msrtui.kvm.recorded import RecordedHost, RecordedMsr
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import labels, load
from msrtui.snapshot.sources import open_source
from msrtui.values import replace

SKYLAKE = "intel-skylake-bochs-linux6.12"
QEMU = QemuProfile("10.2")


def side(name: str, cpu: str = "host", qemu: QemuProfile = QEMU, **msrs: int) -> Side:
    """A bundled host, with other values in feature MSRs (``m0x10a=…``)."""
    source = open_source(name)
    assert isinstance(source.answerer, RecordedHost)
    told = source.answerer.recording
    changed = {int(name.removeprefix("m"), 16): RecordedMsr(1, value) for name, value in msrs.items()}
    other = replace(told, msrs={**told.msrs, **changed})
    return side_of(replace(source, answerer=RecordedHost(other)), qemu, cpu)


def test_what_a_number_is_made_of_is_exactly_what_differs_in_it(captures: tuple[Path, ...]) -> None:
    sides = [side_of(open_source(str(path)), QEMU) for path in captures]
    seen = 0
    for one, other in combinations([each for each in sides if each.outcome is not None], 2):
        for found in differences([one, other]):
            if found.kind not in ("kvm", "guest", "msr") or not all(type(value) is int for value in found.values):
                continue
            seen += 1
            means = meaning(found)
            a, b = (int(str(value)) for value in found.values)
            assert _named(means.bits) | _of_controls(found, means.controls) == (a ^ b) & ~_of_fields(means.fields)
            for field in means.fields:
                low = (field.mask & -field.mask).bit_length() - 1
                assert field.values == ((a & field.mask) >> low, (b & field.mask) >> low)
                assert (a ^ b) & field.mask
            for bit in means.bits:
                assert bit.values == (bool(a >> bit.bit & 1), bool(b >> bit.bit & 1))
    assert seen > 3000


def _named(bits: object) -> int:
    return sum(1 << bit.bit for bit in bits)  # type: ignore[attr-defined]


def _of_fields(fields: object) -> int:
    return sum(field.mask for field in fields)  # type: ignore[attr-defined]


def _of_controls(found: Difference, controls: object) -> int:
    """The bits of the MSR in which the controls differ, put together again from what each side allows."""
    if not controls:
        return 0
    layout = layout_of(int(found.subject, 16))
    assert layout is not None
    differs = 0
    for control in controls:  # type: ignore[attr-defined]
        one, other = control.values
        high = 32 if layout.layout == "control32" else 0
        if one.must != other.must:
            differs |= 1 << control.bit
        if one.may != other.may:
            differs |= 1 << (control.bit + high)
    return differs


@pytest.mark.parametrize(
    ("must", "may", "freedom"),
    [
        (False, True, "free"),
        (True, True, "fixed 1"),
        (False, False, "fixed 0"),
        (True, None, "fixed 1"),
        (False, None, "may be 0"),
        (None, False, "fixed 0"),
        (None, True, "may be 1"),
    ],
)
def test_what_a_control_allows(must: bool | None, may: bool | None, freedom: str) -> None:
    assert Control(must, may).freedom == freedom


def test_a_control_that_may_not_be_0_is_no_choice() -> None:
    # 0x48d: preemption timer (6) free here, and must be 1 there
    found = Difference("msr", "0x48d", (0x7F_0000_0016, 0x7F_0000_0056))
    (control,) = meaning(found).controls
    assert (control.bit, [value and value.freedom for value in control.values]) == (6, ["free", "fixed 1"])


def test_a_cr_bit_is_known_by_halves() -> None:
    (umip,) = meaning(Difference("msr", "0x489", (0x3727FF, 0x372FFF))).controls
    assert (umip.name, umip.values) == ("CR4.UMIP", (Control(None, False), Control(None, True)))
    (pae,) = meaning(Difference("msr", "0x488", (0x2000, 0x2020))).controls
    assert [value and value.freedom for value in pae.values] == ["may be 0", "fixed 1"]


def test_numbers_inside_a_register_are_numbers() -> None:
    means = meaning(Difference("msr", "0x485", (0x20000065, 0x20040165)))
    assert [(field.name, field.values) for field in means.fields] == [("CR3_TARGETS", (0, 4))]
    assert [bit.name for bit in means.bits] == ["vmx-activity-wait-sipi"]


def test_what_is_no_number_is_taken_as_it_is() -> None:
    assert meaning(Difference("msr", "0x10a", ("refused", 0x8))) == meaning(Difference("index_list", "0x10a", (True,)))
    means = meaning(Difference("msr", "0x10a", (None, 0x8, 0xC)))
    assert [(bit.name, bit.values) for bit in means.bits] == [("rsba", (None, False, True))]


# --- polarity ----------------------------------------------------------------------------------------------------
def test_every_known_bit_of_arch_capabilities_has_a_polarity() -> None:
    layout = layout_of(0x10A)
    assert layout is not None
    named = {bit for label in labels() for bit in load(label).word_by_name["FEAT_ARCH_CAPABILITIES"].bits}
    table = POLARITY[WORD_OF_MSR[0x10A]]
    assert table.keys() == named | {field.lo for field in layout.fields}
    for field in layout.fields:
        if field.name.endswith("_NO"):
            assert table[field.lo] == ("good", "immune"), field.name
    assert {field.name for field in layout.fields if table[field.lo].sign == "bad"} == {"RSBA", "RRSBA"}


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("md-clear", "good"),
        ("spec-ctrl", "good"),
        ("amd-no-ssb", "good"),
        ("virt-ssbd", "good"),
        ("stibp-always-on", "neutral"),
        ("srso-no", "good"),
        ("tsa-sq-no", "good"),
        ("sbpb", "good"),
        ("mcdt-no", "good"),
        ("bhi-ctrl", "good"),
        ("arch-capabilities", "neutral"),
        ("tsx-ctrl", "neutral"),
        ("avx2", None),
        ("clzero", None),
    ],
)
def test_the_polarity_of_what_qemu_names(name: str, sign: str | None) -> None:
    places = [(word.name, bit) for word in load("10.2").words for bit, each in word.bits.items() if each == name]
    assert places
    for word, bit in places:
        found = polarity_of(word, bit)
        assert (found.sign if found else None) == sign


def test_the_tables_words_are_qemus() -> None:
    assert POLARITY.keys() <= load("10.2").word_by_name.keys()


def test_a_guest_that_left_out_a_defence_would_trust_in_vain() -> None:
    safe, bare = side(SKYLAKE, m0x10a=0x4000000008000049), side(SKYLAKE)
    assert [(each.word.bits[each.bit], each.polarity.because) for each in lost(safe, bare)] == [("rdctl-no", "immune")]
    assert lost(bare, safe) == ()


def test_bad_news_that_a_guest_was_not_told() -> None:
    calm, exposed = side(SKYLAKE), side(SKYLAKE, m0x10a=0x400000000800004C)
    assert [(each.word.bits[each.bit], each.polarity.because) for each in lost(calm, exposed)] == [("rsba", "exposed")]
    assert lost(exposed, calm) == ()


def test_what_a_guest_was_never_told_it_does_not_trust() -> None:
    safe, bare = (side(SKYLAKE, "host,-rdctl-no", m0x10a=value) for value in (0x4000000008000049, 0x4000000008000048))
    assert lost(safe, bare) == ()
    # QEMU 7.2 has no name for its-no, so no guest of its own was told
    old = QemuProfile("7.2")
    assert lost(side(SKYLAKE, qemu=old), side(SKYLAKE, qemu=old, m0x10a=0x8000048)) == ()
    assert [each.bit for each in lost(side(SKYLAKE), side(SKYLAKE, m0x10a=0x8000048))] == [62]


# --- capabilities ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("number", "worth"),
    [(9, "count"), (66, "count"), (143, "mask"), (157, "bytes"), (208, "bytes"), (237, "number"), (153, "yes")],
)
def test_what_an_answer_is_worth(number: int, worth: str) -> None:
    assert worth_of(number) == worth


def test_a_masks_bits_have_names() -> None:
    means = meaning(Difference("capability", "KVM_CAP_X86_DISABLE_EXITS", (0b1110, 0b101111)))
    assert means.worth == "mask"
    assert [(bit.name, bit.values) for bit in means.bits] == [("mwait", (False, True)), (None, (False, True))]
    assert meaning(Difference("capability", "KVM_CAP_250", (0, 1))).worth == "yes"


def test_no_kernel_answers_a_yes_with_more_than_1_and_every_masks_bit_is_named(captures: tuple[Path, ...]) -> None:
    for path in captures:
        source = open_source(str(path))
        assert isinstance(source.answerer, RecordedHost)
        for number, answer in source.answerer.recording.capabilities.items():
            if worth_of(number) == "yes":
                assert answer in (0, 1), cap_symbol(number)
            elif number in MASKS:
                assert not answer & ~sum(1 << bit for bit in MASKS[number]), cap_symbol(number)


def test_pairs_in_order_and_back_say_the_same(captures: tuple[Path, ...]) -> None:
    sides = [side_of(open_source(str(path)), QEMU) for path in captures]
    for one, other in pairwise(sides):
        there, back = differences([one, other]), differences([other, one])
        assert [(each.kind, each.subject, each.reach) for each in there] == [
            (each.kind, each.subject, each.reach) for each in back
        ]
