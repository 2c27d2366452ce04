"""The two MSR lists and the reading of one feature MSR: replies in, questions and decisions out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import play

from msrtui.kvm.abi import E2BIG, EINVAL, Cap
from msrtui.kvm.requests import (
    CheckExtension,
    CpuidEntry,
    GetMsrFeatureIndexList,
    GetMsrIndexList,
    GetMsrs,
    IndexListReply,
    MsrsReply,
    Reply,
)
from msrtui.qemu.msrs import kvm_arch_get_supported_msr_feature, kvm_get_supported_feature_msrs, kvm_get_supported_msrs
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.state import KvmState

QEMU = QemuProfile("7.2")
EPERM, EFAULT = 1, 14

# target/i386/kvm/kvm.c kvm_get_supported_msrs of 7.2, read by hand: not from the table that is tested
FLAGS_OF_7_2 = {
    0x34: "has_msr_smi_count",
    0x3B: "has_msr_tsc_adjust",
    0x48: "has_msr_spec_ctrl",
    0x8B: "has_msr_ucode_rev",
    0x9E: "has_msr_smbase",
    0xCF: "has_msr_core_capabs",
    0xE1: "has_msr_umwait",
    0x10A: "has_msr_arch_capabs",
    0x122: "has_msr_tsx_ctrl",
    0x1A0: "has_msr_misc_enable",
    0x345: "has_msr_perf_capabs",
    0x48B: "has_msr_vmx_procbased_ctls2",
    0x491: "has_msr_vmx_vmfunc",
    0x6E0: "has_msr_tsc_deadline",
    0x6E1: "has_msr_pkrs",
    0xD90: "has_msr_bndcfgs",
    0xDA0: "has_msr_xss",
    0x40000002: "has_msr_hv_vpindex",
    0x40000003: "has_msr_hv_reset",
    0x40000010: "has_msr_hv_runtime",
    0x40000022: "has_msr_hv_frequencies",
    0x40000080: "has_msr_hv_synic",
    0x400000B0: "has_msr_hv_stimer",
    0x400000FF: "has_msr_hv_syndbg_options",
    0x40000105: "has_msr_hv_crash",
    0x40000106: "has_msr_hv_reenlightenment",
    0xC0000081: "has_msr_star",
    0xC0000103: "has_msr_tsc_aux",
    0xC0000104: "has_tsc_scale_msr",
    0xC0010117: "has_msr_hsave_pa",
    0xC001011F: "has_msr_virt_ssbd",
}


def _listed(*indices: int) -> tuple[IndexListReply, IndexListReply]:
    """A KVM with this list: the replies to the probe and to the fetch."""
    count = len(indices)
    probe = IndexListReply(-1, E2BIG, count) if count else IndexListReply(0, None, 0)
    return probe, IndexListReply(0, None, count, indices)


# --- kvm_get_supported_msrs -----------------------------------------------------------------------------------
def test_the_index_list_is_probed_with_no_room_and_fetched_with_the_count() -> None:
    played = play(kvm_get_supported_msrs(QEMU), *_listed(0x174, 0x10A, 0x175))
    assert played.asked == [GetMsrIndexList(0), GetMsrIndexList(3)]
    assert played.value() == {"has_msr_arch_capabs"}
    assert played.rules == ["index-list-allocated", "has-msr-flag", "index-list-freed"]
    assert played.decision("has-msr-flag").sets == {"has_msr_arch_capabs": True}


@pytest.mark.parametrize(("count", "size"), [(0, 1024), (40, 1024), (255, 1024), (256, 1028), (300, 1204)])
def test_the_index_list_gets_at_least_1_kib(count: int, size: int) -> None:
    allocated = play(kvm_get_supported_msrs(QEMU), *_listed(*range(0x2000, 0x2000 + count)))
    assert allocated.decision("index-list-allocated").params == {"bytes": size, "nmsrs": count}


@pytest.mark.parametrize(("errno", "text"), [(EINVAL, "Invalid argument"), (EFAULT, "Bad address")])
def test_a_probe_that_fails_otherwise_than_with_e2big_ends_qemu(errno: int, text: str) -> None:
    played = play(kvm_get_supported_msrs(QEMU), IndexListReply(-1, errno, 0))
    assert played.asked == [GetMsrIndexList(0)]
    assert played.exit is not None
    assert played.exit.text == f"qemu-system-x86_64: -accel kvm: failed to initialize kvm: {text}"
    assert played.exit.status == 1


def test_a_list_that_grew_between_the_two_calls_ends_qemu() -> None:
    grown = IndexListReply(-1, E2BIG, 4)
    played = play(kvm_get_supported_msrs(QEMU), IndexListReply(-1, E2BIG, 3), grown)
    assert played.asked == [GetMsrIndexList(0), GetMsrIndexList(3)]
    assert played.exit is not None
    assert played.exit.text.endswith("failed to initialize kvm: Argument list too long")
    assert played.exit.status == 1


def test_an_empty_index_list_sets_no_flag_and_is_no_error() -> None:
    played = play(kvm_get_supported_msrs(QEMU), *_listed())
    assert played.exit is None
    assert played.result == frozenset()
    assert "has-msr-flag" not in played.rules


def test_the_table_of_flags_is_that_of_qemu_7_2() -> None:
    assert {row.index: row.flag for row in QEMU.tables.msr_flags} == FLAGS_OF_7_2
    assert len(FLAGS_OF_7_2) == 31


@pytest.mark.parametrize(("index", "flag"), FLAGS_OF_7_2.items(), ids=lambda v: v if isinstance(v, str) else f"{v:x}")
def test_each_known_index_sets_its_flag_and_no_other(index: int, flag: str) -> None:
    played = play(kvm_get_supported_msrs(QEMU), *_listed(0x10, index, 0x11))
    assert played.value() == {flag}
    assert played.decision("has-msr-flag").params == {"index": index, "flag": flag}


@given(indices=st.lists(st.integers(0, 0xFFFFFFFF) | st.sampled_from(sorted(FLAGS_OF_7_2)), unique=True, max_size=60))
def test_the_flags_are_the_known_ones_in_the_lists_order(indices: list[int]) -> None:
    played = play(kvm_get_supported_msrs(QEMU), *_listed(*indices))
    known = [FLAGS_OF_7_2[index] for index in indices if index in FLAGS_OF_7_2]
    assert [step.params["flag"] for step in played.decisions if step.rule == "has-msr-flag"] == known
    assert played.result == frozenset(known)
    freed = played.decisions[-1]
    assert (freed.rule, freed.sets) == ("index-list-freed", {"kvm_msr_list": None})
    assert freed.params == {"nmsrs": len(indices), "flags": len(known)}


# --- kvm_get_supported_feature_msrs ---------------------------------------------------------------------------
ASK_CAP = CheckExtension(int(Cap.GET_MSR_FEATURES))


def test_the_feature_list_is_kept_whole_and_in_kvms_order() -> None:
    probe, fetched = _listed(0x8B, 0x10A, 0x345, 0xCE)
    played = play(kvm_get_supported_feature_msrs(QEMU), Reply(1), probe, fetched)
    assert played.asked == [ASK_CAP, GetMsrFeatureIndexList(0), GetMsrFeatureIndexList(4)]
    assert played.value() == (0x8B, 0x10A, 0x345, 0xCE)
    assert played.decision("feature-msrs-kept").sets == {"kvm_feature_msrs": (0x8B, 0x10A, 0x345, 0xCE)}


@pytest.mark.parametrize("count", [1, 4, 22, 255, 256])
def test_the_feature_list_gets_no_more_than_it_needs(count: int) -> None:
    probe, fetched = _listed(*range(0x480, 0x480 + count))
    played = play(kvm_get_supported_feature_msrs(QEMU), Reply(1), probe, fetched)
    assert played.decision("feature-msrs-allocated").params == {"bytes": 4 + 4 * count, "nmsrs": count}


@pytest.mark.parametrize("reply", [Reply(0), Reply(-1, EINVAL)])
def test_without_the_capability_the_cache_stays_null(reply: Reply) -> None:
    played = play(kvm_get_supported_feature_msrs(QEMU), reply)
    assert played.asked == [ASK_CAP]
    assert played.exit is None
    assert played.result is None
    assert played.rules == ["feature-msrs-null"]
    assert played.decisions[0].sets == {"kvm_feature_msrs": None}


def test_a_probe_error_is_printed_and_leaves_the_cache_null() -> None:
    played = play(kvm_get_supported_feature_msrs(QEMU), Reply(1), IndexListReply(-1, EINVAL, 0))
    assert played.exit is None
    assert played.result is None
    failed = played.decision("feature-msrs-failed")
    assert failed.params["text"] == "Fetch KVM feature MSR list failed: Invalid argument"
    assert failed.sets == {"kvm_feature_msrs": None}


def test_a_fetch_error_is_printed_and_leaves_the_cache_null() -> None:
    replies = (Reply(1), IndexListReply(-1, E2BIG, 4), IndexListReply(-1, E2BIG, 5))
    played = play(kvm_get_supported_feature_msrs(QEMU), *replies)
    assert played.exit is None
    assert played.result is None
    failed = played.decision("feature-msrs-failed")
    assert failed.params["text"] == "Fetch KVM feature MSR list failed: Argument list too long"
    assert failed.sets == {"kvm_feature_msrs": None}


def test_an_empty_feature_list_is_an_assertion() -> None:
    played = play(kvm_get_supported_feature_msrs(QEMU), Reply(1), IndexListReply(0, None, 0))
    assert played.exit is not None
    assert "kvm_get_supported_feature_msrs: Assertion `msr_list.nmsrs > 0' failed." in played.exit.text
    assert played.exit.status == 134


# --- kvm_arch_get_supported_msr_feature -----------------------------------------------------------------------
def _state(*features: int, flags: frozenset[str] = frozenset(), cpuid: tuple[CpuidEntry, ...] = ()) -> KvmState:
    return KvmState(QEMU, flags, features, {(entry.function, entry.index): entry for entry in cpuid})


def _value(raw: int) -> MsrsReply:
    return MsrsReply(1, None, (raw,))


def test_a_null_cache_makes_every_msr_0_without_a_question() -> None:
    played = play(kvm_arch_get_supported_msr_feature(KvmState(QEMU), 0x10A))
    assert played.asked == []
    feature = played.value()
    assert (feature.branch, feature.kvm, feature.value) == ("cache null", None, 0)
    assert [step.rule for step in feature.lineage] == ["msr-cache-null"]


def test_an_msr_that_is_not_listed_is_0_without_a_question() -> None:
    played = play(kvm_arch_get_supported_msr_feature(_state(0x8B, 0x345), 0x10A))
    assert played.asked == []
    feature = played.value()
    assert (feature.branch, feature.kvm, feature.value) == ("not listed", None, 0)
    assert [step.rule for step in feature.lineage] == ["msr-not-listed"]


@pytest.mark.parametrize("index", [0x10A, 0xCF, 0x345, 0x8B, 0x480, 0x485, 0x48C, 0x491, 0xCE, 0xC0011029])
def test_a_listed_msr_is_asked_for_and_taken_raw(index: int) -> None:
    raw = 0xC123_4567_89AB_CDEF
    played = play(kvm_arch_get_supported_msr_feature(_state(0x8B, index), index), _value(raw))
    assert played.asked == [GetMsrs((index,))]
    feature = played.value()
    assert (feature.branch, feature.kvm, feature.value) == ("asked", raw, raw)
    assert [step.rule for step in feature.lineage] == ["msr-asked"]


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (MsrsReply(0), "KVM get MSR (index=0x10a) feature failed, Success"),
        (MsrsReply(-1, EPERM), "KVM get MSR (index=0x10a) feature failed, Operation not permitted"),
        (MsrsReply(-1, EFAULT), "KVM get MSR (index=0x10a) feature failed, Bad address"),
    ],
)
def test_a_listed_msr_that_is_refused_ends_qemu(reply: MsrsReply, text: str) -> None:
    played = play(kvm_arch_get_supported_msr_feature(_state(0x10A), 0x10A), reply)
    assert played.exit is not None
    assert played.exit.text.removeprefix("qemu-system-x86_64: ") == text
    assert played.exit.status == 1


def test_an_msr_that_the_source_does_not_know_is_unknown_and_no_exit() -> None:
    feature = play(kvm_arch_get_supported_msr_feature(_state(0x10A), 0x10A), MsrsReply(None)).value()
    assert (feature.branch, feature.kvm, feature.value) == ("asked", None, None)


@pytest.mark.parametrize(
    ("index", "raw", "word"),
    [
        (0x48D, 0x000000FF_00000016, 0xE9),
        (0x48E, 0xFFF9FFFE_04006172, 0xFBF99E8C),
        (0x48F, 0x00FFFFFF_00036DFB, 0xFC9204),
        (0x490, 0x0000FFFF_000011FB, 0xEE04),
        (0x48B, 0x0011582E_00000000, 0x11582E),
    ],
)
def test_vmx_controls_are_split_into_what_can_be_chosen(index: int, raw: int, word: int) -> None:
    state = _state(index, flags=frozenset({"has_msr_vmx_procbased_ctls2"}))
    feature = play(kvm_arch_get_supported_msr_feature(state, index), _value(raw)).value()
    assert (feature.kvm, feature.value) == (raw, word)
    assert [(step.rule, step.before, step.after) for step in feature.lineage] == [
        ("msr-asked", None, raw),
        ("vmx-controls-split", raw, word),
    ]


@given(can=st.integers(0, 0xFFFFFFFF), must=st.integers(0, 0xFFFFFFFF))
def test_a_control_is_in_the_word_when_it_can_be_1_and_can_be_0(can: int, must: int) -> None:
    feature = play(kvm_arch_get_supported_msr_feature(_state(0x48D), 0x48D), _value(can << 32 | must)).value()
    assert feature.value is not None
    for bit in range(64):
        chosen = bit < 32 and bool(can >> bit & 1) and not must >> bit & 1
        assert bool(feature.value >> bit & 1) == chosen


FORGOTTEN = [
    # control, and the CPUID bit that QEMU takes for it; XSAVES is looked for in ECX, where CPUID has it in EAX
    (20, CpuidEntry(0xD, 1, 1, 0, 0, 1 << 3, 0)),
    (11, CpuidEntry(0x1, 0, 0, 0, 0, 1 << 30, 0)),
    (12, CpuidEntry(0x7, 0, 1, 0, 1 << 10, 0, 0)),
    (16, CpuidEntry(0x7, 0, 1, 0, 1 << 18, 0, 0)),
    (3, CpuidEntry(0x80000001, 0, 0, 0, 0, 0, 1 << 27)),
]


@pytest.mark.parametrize(("control", "entry"), FORGOTTEN)
def test_a_control_that_kvm_forgot_is_added_by_cpuid(control: int, entry: CpuidEntry) -> None:
    raw = 0x2 << 32
    feature = play(kvm_arch_get_supported_msr_feature(_state(0x48B, cpuid=(entry,)), 0x48B), _value(raw)).value()
    assert (feature.kvm, feature.value) == (raw, 0x2 | 1 << control)
    assert [step.rule for step in feature.lineage] == ["msr-asked", "procbased-ctls2-added", "vmx-controls-split"]


@pytest.mark.parametrize(("control", "entry"), FORGOTTEN)
def test_nothing_is_added_where_0x48b_is_in_the_index_list(control: int, entry: CpuidEntry) -> None:
    state = _state(0x48B, flags=frozenset({"has_msr_vmx_procbased_ctls2"}), cpuid=(entry,))
    feature = play(kvm_arch_get_supported_msr_feature(state, 0x48B), _value(0x2 << 32)).value()
    assert feature.value == 0x2
    assert not feature.value >> control & 1


@pytest.mark.parametrize(("control", "entry"), FORGOTTEN)
def test_nothing_is_added_for_any_other_cpuid_bit(control: int, entry: CpuidEntry) -> None:
    others = entry._replace(
        **{name: ~getattr(entry, name) & 0xFFFFFFFF for name in ("ecx", "ebx", "edx") if getattr(entry, name)}
    )
    feature = play(kvm_arch_get_supported_msr_feature(_state(0x48B, cpuid=(others,)), 0x48B), _value(0)).value()
    assert feature.value is not None
    assert not feature.value >> control & 1


def test_the_xsaves_bit_of_eax_adds_nothing() -> None:
    xsaves = CpuidEntry(0xD, 1, 1, 1 << 3, 0, 0, 0)
    feature = play(kvm_arch_get_supported_msr_feature(_state(0x48B, cpuid=(xsaves,)), 0x48B), _value(0)).value()
    assert feature.value == 0


def test_a_forgotten_control_that_must_be_1_is_still_no_choice() -> None:
    state = _state(0x48B, cpuid=(CpuidEntry(0x1, 0, 0, 0, 0, 1 << 30, 0),))
    feature = play(kvm_arch_get_supported_msr_feature(state, 0x48B), _value(1 << 11)).value()
    assert feature.value == 0


def test_the_other_controls_are_never_added_to() -> None:
    cpuid = tuple(entry for _, entry in FORGOTTEN)
    for index in (0x48D, 0x48E, 0x48F, 0x490):
        feature = play(kvm_arch_get_supported_msr_feature(_state(index, cpuid=cpuid), index), _value(0)).value()
        assert feature.value == 0


@pytest.mark.parametrize(
    ("label", "flags", "unknown"),
    [
        ("4.0", (), 0),
        ("4.2", ("has_msr_vmx_procbased_ctls2",), 0x8),
        ("5.2", ("has_msr_vmx_procbased_ctls2",), 0),
        ("10.2", (), 0x8),
    ],
)
def test_what_would_be_added_by_a_cpuid_table_that_the_source_has_not_is_unknown(
    label: str, flags: tuple[str, ...], unknown: int
) -> None:
    state = KvmState(QemuProfile(label), frozenset(flags), (0x48B,), None)
    raw = 1 << 32 + 20 | 1 << 32 + 11 | 1 << 12 | 1 << 32 + 16  # of the five all but 3 are decided: 12 must be 1
    feature = play(kvm_arch_get_supported_msr_feature(state, 0x48B), _value(raw)).value()
    assert feature.unknown == unknown
    assert feature.value is not None
    assert not feature.value & feature.unknown
