"""Feature words in both views, and what a ``-cpu host`` guest gets from them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import play, play_on

from msrtui.errors import BadRequest
from msrtui.kvm.recorded import RecordedHost, RecordedMsr, Recording
from msrtui.kvm.requests import CpuidEntry, MsrsReply
from msrtui.qemu.cpu_request import parse
from msrtui.qemu.filtering import guest_cpu
from msrtui.qemu.models import Guest, GuestWord, with_guest_lineage
from msrtui.qemu.profile import QemuProfile, version_label
from msrtui.qemu.state import AMD_VENDOR, KvmState
from msrtui.qemu.words import Supported, SupportedWord, supported_words, x86_cpu_get_supported_feature_word

ON, OFF = QemuProfile("7.2", migratable=True), QemuProfile("7.2", migratable=False)
WORDS = ON.tables.word_by_name
ALL = (1 << 64) - 1
FIRECRACKER = 0x4000_0000_0C00_0069
INTEL_VENDOR = (0x756E6547, 0x49656E69, 0x6C65746E)
HYGON_VENDOR = (0x6F677948, 0x6E65476E, 0x656E6975)


def _word(profile: QemuProfile, name: str, raw: int) -> SupportedWord:
    word = WORDS[name]
    if word.kind == "msr":
        state = KvmState(profile, frozenset({"has_msr_vmx_procbased_ctls2"}), (word.index,), {})
        return play(x86_cpu_get_supported_feature_word(state, word), MsrsReply(1, None, (raw,))).value()
    entry = CpuidEntry(word.leaf, word.subleaf or 0, 0, 0, 0, 0, 0)._replace(**{word.register.lower(): raw})
    state = KvmState(profile, frozenset({"has_msr_arch_capabs"}), None, {(word.leaf, word.subleaf or 0): entry})
    host = RecordedHost(Recording(capabilities={}))
    return play_on(x86_cpu_get_supported_feature_word(state, word), host).value()


def host_cpu(state: KvmState, supported: Supported) -> Guest:
    """``-cpu host`` from words at hand."""
    return guest_cpu(state, supported, parse("host", state.profile)).words


# --- the migratable mask --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "raw", "supported", "migratable"),
    [
        ("FEAT_ARCH_CAPABILITIES", FIRECRACKER, FIRECRACKER, 0x69),
        ("FEAT_VMX_EXIT_CTLS", 0x00FFFFFF_00036DFB, 0xFC9204, 0xFC9004),
        ("FEAT_VMX_ENTRY_CTLS", 0x0000FFFF_000011FB, 0xEE04, 0xE204),
        ("FEAT_8000_0007_EDX", 0x100, 0x100, 0),  # invtsc has a name and is not migratable
        ("FEAT_XSAVE_XCR0_LO", 0x602E7, 0x602E7, 0x2E7),  # no names; what is migratable is said by a mask, AMX is not
        ("FEAT_XSAVE_XCR0_HI", 0x1, 0x1, 0),  # no names and no mask
        ("FEAT_7_0_EDX", 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF & WORDS["FEAT_7_0_EDX"].named_mask),
    ],
)
def test_a_migratable_word_keeps_what_this_qemu_can_name_or_says_is_migratable(
    name: str, raw: int, supported: int, migratable: int
) -> None:
    word = _word(ON, name, raw)
    assert (word.kvm, word.supported, word.migratable) == (raw, supported, migratable)
    assert word.lineage[-1].rule == "migratable-mask"
    off = _word(OFF, name, raw)
    assert (off.kvm, off.supported, off.migratable) == (raw, supported, supported)


@pytest.mark.parametrize("name", WORDS)
def test_the_mask_is_named_bits_without_the_unmigratable_and_with_the_migratable_ones(name: str) -> None:
    word = WORDS[name]
    named = sum(1 << bit for bit in word.bits)
    assert word.named_mask == named
    assert word.migratable_mask == word.migratable_flags | named & ~word.unmigratable_flags
    assert _word(ON, name, 0).unnamed() & named == 0


def test_the_masks_that_are_not_zero_are_those_of_7_2() -> None:
    assert {n: w.unmigratable_flags for n, w in WORDS.items() if w.unmigratable_flags} == {"FEAT_8000_0007_EDX": 0x100}
    assert {n: w.migratable_flags for n, w in WORDS.items() if w.migratable_flags} == {"FEAT_XSAVE_XCR0_LO": 0x2FF}
    assert {n: w.no_autoenable_flags for n, w in WORDS.items() if w.no_autoenable_flags} == {
        "FEAT_8000_0001_ECX": 1 << 22,
        "FEAT_KVM_HINTS": 0xFFFFFFFF,
        "FEAT_VMX_BASIC": 1 << 49,
    }


@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize("raw", [0, ALL, 0xA5A5_A5A5_5A5A_5A5A])
def test_the_lineage_of_a_word_ends_with_its_value(name: str, raw: int) -> None:
    word = WORDS[name]
    raw = raw if word.kind == "msr" else raw & 0xFFFFFFFF
    both = _word(ON, name, raw)
    assert both.kvm == raw
    assert both.lineage[-1].before == both.supported
    assert both.lineage[-1].after == both.migratable
    assert both.supported is not None
    assert both.migratable == both.supported & word.migratable_mask


def test_words_come_in_the_tables_order_and_only_those_that_were_asked_for() -> None:
    state = KvmState(ON, frozenset(), None, {})
    host = RecordedHost(Recording())
    assert list(play_on(supported_words(state), host).value()) == list(WORDS)
    some = play_on(supported_words(state, ["FEAT_SVM", "FEAT_1_EDX"]), host).value()
    assert list(some) == ["FEAT_1_EDX", "FEAT_SVM"]


def test_an_msr_word_says_which_way_it_took() -> None:
    word = WORDS["FEAT_ARCH_CAPABILITIES"]
    host = RecordedHost(Recording(msrs={0x10A: RecordedMsr(1, FIRECRACKER)}))

    def branch(features: tuple[int, ...] | None) -> str | None:
        state = KvmState(ON, frozenset(), features, {})
        return play_on(x86_cpu_get_supported_feature_word(state, word), host).value().branch

    assert [branch(None), branch((0x8B,)), branch((0x10A,))] == ["cache null", "not listed", "asked"]
    assert _word(ON, "FEAT_1_EDX", 0).branch is None


# --- -cpu host ------------------------------------------------------------------------------------------------
def _supported(values: Mapping[str, int], more: Mapping[str, int] | None = None) -> dict[str, SupportedWord]:
    """Every word of 7.2: ``values`` in both views, with ``more`` where the filter sees something else."""
    return {
        name: SupportedWord(
            word, None, {**values, **(more or {})}.get(name, 0), values.get(name, 0), None, ()
        )
        for name, word in WORDS.items()
    }  # fmt: skip


def _state(vendor: tuple[int, int, int] = INTEL_VENDOR) -> KvmState:
    ebx, edx, ecx = vendor
    return KvmState(ON, cpuid={(0, 0): CpuidEntry(0, 0, 0, 0x10, ebx, ecx, edx)})


def _host(values: Mapping[str, int], *, amd: bool = False, more: Mapping[str, int] | None = None) -> dict[str, int]:
    guest = host_cpu(_state(AMD_VENDOR if amd else INTEL_VENDOR), _supported(values, more))
    return {name: word.value for name, word in guest.items() if word.value}


def test_what_is_not_auto_enabled_has_to_be_asked_for() -> None:
    values = {"FEAT_8000_0001_ECX": 1 << 22 | 1 << 5, "FEAT_KVM_HINTS": 1, "FEAT_VMX_BASIC": 1 << 49 | 1 << 54}
    assert _host({**values, "FEAT_1_ECX": 1 << 5}) == {
        "FEAT_1_ECX": 1 << 5,
        "FEAT_8000_0001_ECX": 1 << 5,
        "FEAT_VMX_BASIC": 1 << 54,
    }


@pytest.mark.parametrize(("row"), range(len(ON.tables.dependencies)))
def test_a_bit_goes_when_none_of_what_it_depends_on_is_there(row: int) -> None:
    rule = ON.tables.dependencies[row]
    everything = {name: ALL for name, word in WORDS.items() if not name.startswith("FEAT_XSAVE_X")}
    lacking = {**everything, rule.from_word: ALL & ~rule.from_mask}
    assert not _host(lacking).get(rule.to_word, 0) & rule.to_mask
    one_left = {**everything, rule.from_word: rule.from_mask & -rule.from_mask | ALL & ~rule.from_mask}
    no_auto = WORDS[rule.to_word].no_autoenable_flags
    assert _host(one_left)[rule.to_word] & rule.to_mask == rule.to_mask & ~no_auto & ALL


def test_the_dependencies_are_the_24_rows_of_7_2() -> None:
    assert len(ON.tables.dependencies) == 24
    rows = [(row.from_word, row.from_mask, row.to_word) for row in ON.tables.dependencies]
    assert ("FEAT_7_0_EDX", 1 << 29, "FEAT_ARCH_CAPABILITIES") in rows
    assert ("FEAT_1_ECX", 1 << 15, "FEAT_PERF_CAPABILITIES") in rows


def test_a_dependency_that_falls_takes_what_depends_on_it_along() -> None:
    values = {"FEAT_VMX_PROCBASED_CTLS": ALL & ~(1 << 31), "FEAT_VMX_SECONDARY_CTLS": 2, "FEAT_VMX_EPT_VPID_CAPS": 1}
    assert "FEAT_VMX_EPT_VPID_CAPS" not in _host({"FEAT_1_ECX": 1 << 5, **values})


AREAS = [  # component, and the feature that owns it
    (0, "FEAT_1_ECX", 26),
    (1, "FEAT_1_ECX", 26),
    (2, "FEAT_1_ECX", 28),
    (3, "FEAT_7_0_EBX", 14),
    (4, "FEAT_7_0_EBX", 14),
    (5, "FEAT_7_0_EBX", 16),
    (6, "FEAT_7_0_EBX", 16),
    (7, "FEAT_7_0_EBX", 16),
    (9, "FEAT_7_0_ECX", 3),
    (15, "FEAT_7_0_EDX", 19),
    (17, "FEAT_7_0_EDX", 24),
    (18, "FEAT_7_0_EDX", 24),
]


@pytest.mark.parametrize(("component", "word", "bit"), AREAS)
def test_an_xsave_component_follows_the_feature_that_owns_it(component: int, word: str, bit: int) -> None:
    xcr0, xss = ("FEAT_XSAVE_XCR0_LO", "FEAT_XSAVE_XSS_LO")
    room = {xcr0: ALL, xss: ALL}
    values = {"FEAT_1_ECX": 1 << 26}
    values[word] = values.get(word, 0) | 1 << bit
    there = _host(values, more=room)
    assert (there.get(xcr0, 0) | there.get(xss, 0)) >> component & 1
    assert bool(there.get(xss, 0) >> component & 1) == (component == 15), "ARCH_LBR alone is in XSS"
    without = {**values, word: values[word] & ~(1 << bit)}
    gone = _host(without, more=room)
    assert not (gone.get(xcr0, 0) | gone.get(xss, 0)) >> component & 1


def test_without_xsave_there_is_no_component_at_all() -> None:
    values = {"FEAT_1_ECX": 1 << 28, "FEAT_7_0_EBX": ALL, "FEAT_XSAVE_XCR0_LO": 0x2FF, "FEAT_XSAVE_XSS_LO": 1 << 15}
    guest = _host(values)
    assert not {"FEAT_XSAVE_XCR0_LO", "FEAT_XSAVE_XCR0_HI", "FEAT_XSAVE_XSS_LO", "FEAT_XSAVE_XSS_HI"} & set(guest)


def test_the_filter_takes_away_what_is_not_supported_and_says_so() -> None:
    values = {"FEAT_1_ECX": 1 << 26 | 1 << 28}
    guest = host_cpu(_state(), _supported(values, {"FEAT_XSAVE_XCR0_LO": 0b011}))
    word = guest["FEAT_XSAVE_XCR0_LO"]
    assert (word.value, word.unavailable) == (0b011, 0b100)
    assert [(step.rule, step.before, step.after) for step in word.lineage] == [
        ("xsave-components", 0, 0b111),
        ("filter", 0b111, 0b011),
    ]
    assert all(other.unavailable == 0 for name, other in guest.items() if name != "FEAT_XSAVE_XCR0_LO")


def test_an_amd_guest_repeats_the_bits_of_1_edx() -> None:
    copies = 0x0183F3FF
    values = {"FEAT_1_EDX": 0x078BFBFF, "FEAT_8000_0001_EDX": 0x22500800 | 0x400}
    assert _host(values, amd=True)["FEAT_8000_0001_EDX"] == (0x22500800 | 0x400) & ~copies | 0x078BFBFF & copies
    assert _host(values, amd=False)["FEAT_8000_0001_EDX"] == 0x22500800 | 0x400


@pytest.mark.parametrize(
    ("vendor", "amd"),
    [(AMD_VENDOR, True), (INTEL_VENDOR, False), (HYGON_VENDOR, False)],
    ids=["AMD", "Intel", "Hygon"],
)
def test_the_guests_vendor_is_the_hosts(vendor: tuple[int, int, int], amd: bool) -> None:
    assert _state(vendor).amd == amd
    assert not KvmState(ON).amd


def test_a_word_that_is_not_known_stays_so_in_the_guest() -> None:
    supported = _supported({"FEAT_1_EDX": 1})
    unknown = {**supported, "FEAT_7_0_EBX": SupportedWord(WORDS["FEAT_7_0_EBX"], None, None, None, None, ())}
    guest = host_cpu(_state(), unknown)
    assert guest["FEAT_7_0_EBX"].value is None
    assert guest["FEAT_1_EDX"].value == 1


@given(data=st.data())
def test_a_guest_never_gets_what_is_not_supported(data: st.DataObject) -> None:
    values = {
        name: data.draw(st.integers(0, ALL if word.kind == "msr" else 0xFFFFFFFF), label=name)
        for name, word in WORDS.items()
    }
    supported = _supported(values)
    guest = host_cpu(_state(), supported)
    for name, word in guest.items():
        assert word.value is not None
        assert word.value & ~values[name] == 0, name
        _unbroken(supported[name], word)


def _unbroken(supported: SupportedWord, guest: GuestWord) -> None:
    value = supported.migratable
    for step in with_guest_lineage(supported.lineage, guest):
        assert step.before == value != step.after
        value = step.after
    assert value == guest.value


# --- versions -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", ["7.2", "7.2.22", "v7.2.0", " 7.2.1 "])
def test_a_version_is_taken_as_people_write_it(text: str) -> None:
    assert version_label(text) == "7.2"


@pytest.mark.parametrize("text", ["7", "", "7.99", "seven", "7.x", "7.2\x1b[31m", "٧.٢", "7.2.22.x" + "9" * 100])
def test_a_version_without_a_profile_is_refused_in_a_clean_sentence(text: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        version_label(text)
    assert str(refusal.value).isprintable()
    assert "7.2" in str(refusal.value)
    assert len(str(refusal.value)) < 200
