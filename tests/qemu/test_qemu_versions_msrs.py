"""What each version makes of MSRs and of KVM's two lists of them.

The numbers here are from reading QEMU's sources of these versions, not from the tables that are tested.
"""

from __future__ import annotations

import pytest
from scripted import play
from worlds import (
    ALL32,
    FIRECRACKER,
    PROFILES,
    RELEASES,
    between,
    bits,
    leaf,
    mask,
    msr,
    rules,
)

from msrtui.kvm.abi import E2BIG, EINVAL
from msrtui.kvm.requests import (
    CpuidEntry,
    GetMsrFeatureIndexList,
    IndexListReply,
    Reply,
)
from msrtui.qemu.msrs import kvm_get_supported_feature_msrs, kvm_get_supported_msrs
from msrtui.qemu.profile import QemuProfile

every_release = pytest.mark.parametrize("label", RELEASES)
every_profile = pytest.mark.parametrize("label", PROFILES)


# --- MSRs -----------------------------------------------------------------------------------------------------
@every_release
@pytest.mark.parametrize("index", [0x10A, 0xCF, 0x345, 0x8B, 0x480, 0x485, 0x48C, 0x491])
def test_an_msr_has_32_bits_up_to_4_1(label: str, index: int) -> None:
    feature = msr(label, index, FIRECRACKER)
    narrow = between(label, "3.1", "4.1")
    assert feature.kvm == FIRECRACKER
    assert feature.value == (0x0C000069 if narrow else FIRECRACKER)
    assert rules(feature.lineage) == (["msr-asked", "msr-truncated"] if narrow else ["msr-asked"])
    assert rules(msr(label, index, 0x69).lineage) == ["msr-asked"], "nothing is lost of 32 bits"


TRUE_CONTROLS = [  # raw, and the word of it
    (0x48D, 0x000000FF_00000016, 0xE9),
    (0x48E, 0xFFF9FFFE_04006172, 0xFBF99E8C),
    (0x48F, 0x00FFFFFF_00036DFB, 0xFC9204),
    (0x490, 0x0000FFFF_000011FB, 0xEE04),
]


@every_release
@pytest.mark.parametrize(("index", "raw", "controls"), TRUE_CONTROLS)
def test_true_controls_are_split_from_4_2_on(label: str, index: int, raw: int, controls: int) -> None:
    feature = msr(label, index, raw)
    split = between(label, "4.2")
    assert feature.value == (controls if split else raw & ALL32)
    assert ("vmx-controls-split" in rules(feature.lineage)) == split


@every_release
@pytest.mark.parametrize("index", [0x481, 0x482, 0x483, 0x484, 0x480, 0x485])
def test_no_other_msr_is_split(label: str, index: int) -> None:
    feature = msr(label, index, 0xFF_00000016)
    assert feature.value == (0x16 if between(label, "3.1", "4.1") else 0xFF_00000016)


FORGOTTEN = [  # the secondary control, and the CPUID bit that brings it
    (20, leaf(0xD, 1, ecx=1 << 3)),
    (11, leaf(0x1, ecx=1 << 30)),
    (12, leaf(0x7, ebx=1 << 10)),
    (16, leaf(0x7, ebx=1 << 18)),
    (3, leaf(0x80000001, edx=1 << 27)),
]


@every_release
@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize(("control", "entry"), FORGOTTEN)
def test_what_kvm_forgot_of_0x48b_is_always_added_in_4_2_and_by_the_list_since(
    label: str, listed: bool, control: int, entry: CpuidEntry
) -> None:
    flags = ["has_msr_vmx_procbased_ctls2"] if listed else []
    feature = msr(label, 0x48B, 0x2 << 32 | 0x40, entry, flags=flags)
    assert feature.kvm == 0x2 << 32 | 0x40
    if between(label, "3.1", "4.1"):
        assert (feature.value, rules(feature.lineage)) == (0x40, ["msr-asked", "msr-truncated"])
        return
    adds = between(label, "4.2", "4.2") or not listed
    assert bits(feature.value) == ({1, control} if adds else {1})
    added = ["procbased-ctls2-added"] if adds else []
    assert rules(feature.lineage) == ["msr-asked", *added, "vmx-controls-split"]
    without = msr(label, 0x48B, 0x2 << 32, flags=flags)
    assert (bits(without.value), rules(without.lineage)) == ({1}, ["msr-asked", "vmx-controls-split"])


NO_BUGS = (5, 8, 13, 14, 15)


@every_release
def test_fb_clear_is_implied_from_10_0_on(label: str) -> None:
    feature = msr(label, 0x10A, mask(*NO_BUGS, 62))
    implied = between(label, "10.0")
    wide = set() if between(label, "3.1", "4.1") else {62}
    assert bits(feature.value) == {*NO_BUGS} | wide | ({17} if implied else set())
    assert ("fb-clear-implied" in rules(feature.lineage)) == implied
    for lacking in NO_BUGS:
        assert bits(msr(label, 0x10A, mask(*NO_BUGS) & ~(1 << lacking)).value) == {*NO_BUGS} - {lacking}
    told = msr(label, 0x10A, mask(*NO_BUGS, 17))
    assert bits(told.value) == {*NO_BUGS, 17}
    assert "fb-clear-implied" not in rules(told.lineage)
    assert bits(msr(label, 0x345, mask(*NO_BUGS)).value) == {*NO_BUGS}, "no other MSR"


# --- the feature list -----------------------------------------------------------------------------------------
FAILURES = {
    "probe": (Reply(1), IndexListReply(-1, EINVAL, 0)),
    "fetch": (Reply(1), IndexListReply(-1, E2BIG, 4), IndexListReply(-1, EINVAL, 4)),
}


@every_release
@pytest.mark.parametrize("failure", FAILURES)
def test_a_feature_list_that_cannot_be_had_is_fatal_from_10_0_on(label: str, failure: str) -> None:
    replies = FAILURES[failure]
    played = play(kvm_get_supported_feature_msrs(QemuProfile(label)), *replies)
    rooms = [question.nmsrs for question in played.asked if isinstance(question, GetMsrFeatureIndexList)]
    assert rooms == [0, 4][: len(replies) - 1]
    text = "Fetch KVM feature MSR list failed: Invalid argument"
    if between(label, "10.0"):
        assert played.exit is not None
        assert played.exit.status == 1
        first, last = played.exit.text.splitlines()
        assert text in first
        assert last.endswith("failed to initialize kvm: Invalid argument")
        return
    assert (played.exit, played.result) == (None, None)
    assert played.decision("feature-msrs-failed").params["text"] == text
    assert played.decision("feature-msrs-failed").sets == {"kvm_feature_msrs": None}


@every_release
def test_an_empty_feature_list_is_an_assertion_and_no_capability_is_a_null_pointer(label: str) -> None:
    empty = play(kvm_get_supported_feature_msrs(QemuProfile(label)), Reply(1), IndexListReply(0, None, 0))
    assert empty.exit is not None
    assert empty.exit.status == 134
    assert "msr_list.nmsrs > 0" in empty.exit.text
    none = play(kvm_get_supported_feature_msrs(QemuProfile(label)), Reply(0))
    assert (none.exit, none.result, none.rules) == (None, None, ["feature-msrs-null"])


# --- the index list -------------------------------------------------------------------------------------------
FIRST = {  # index → the first version that knows it
    0x34: "3.1", 0x3B: "3.1", 0x48: "3.1", 0x8B: "5.0", 0x9E: "3.1", 0xCF: "4.1", 0xE1: "4.2", 0x10A: "3.1",
    0x122: "4.2", 0x1A0: "3.1", 0x345: "5.1", 0x48B: "5.0", 0x491: "4.2", 0x6E0: "3.1", 0x6E1: "6.0", 0xD90: "3.1",
    0xDA0: "3.1", 0x40000002: "3.1", 0x40000003: "3.1", 0x40000010: "3.1", 0x40000022: "3.1", 0x40000080: "3.1",
    0x400000B0: "3.1", 0x400000FF: "7.1", 0x40000105: "3.1", 0x40000106: "3.1", 0xC0000081: "3.1", 0xC0000103: "3.1",
    0xC0000104: "6.2", 0xC0010015: "10.0", 0xC0010117: "3.1", 0xC001011F: "3.1",
}  # fmt: skip
FLAGS = {"3.1": 21, "4.0": 21, "4.2": 25, "5.2": 28, "7.2": 31, "10.0": 32, "10.2": 32}


@every_profile
def test_the_index_list_sets_the_flags_that_the_version_has(label: str) -> None:
    known = {index for index, first in FIRST.items() if between(label, first)}
    assert len(known) == FLAGS.get(label, len(known))
    tables = QemuProfile(label).tables
    assert {row.index for row in tables.msr_flags} == known
    everything = tuple(FIRST)
    replies = (IndexListReply(-1, E2BIG, len(everything)), IndexListReply(0, None, len(everything), everything))
    played = play(kvm_get_supported_msrs(QemuProfile(label)), *replies)
    assert {step.params["index"] for step in played.decisions if step.rule == "has-msr-flag"} == known
    assert len(played.value()) == len(known)
