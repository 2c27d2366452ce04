"""The model against itself: what holds for every QEMU version, whatever KVM answers and whatever ``-cpu`` says.

Which rules may set or take a bit is written down here once more, by hand, from facts about QEMU: not read off the code.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from effort import few
from hypothesis import given
from hypothesis import strategies as st
from random_kvm import (
    VERSIONS,
    World,
    partly_unknown,
    random_kvm,
    random_qemu,
    random_world,
    state_of,
    with_guest,
    world,
)
from worlds import mask, number

from msrtui.kvm.recorded import RecordedHost, RecordedList, RecordedTable, Recording
from msrtui.qemu import models, msrs, rules, words
from msrtui.qemu.cpu_request import parse
from msrtui.qemu.cpuid_table import get_supported_cpuid
from msrtui.qemu.filtering import INTEL_PT_LEAF, GuestCpu
from msrtui.qemu.memo import WordMemo
from msrtui.qemu.negotiation import Decision, Lineage, QemuExit
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.why import reason
from msrtui.qemu.words import SupportedWord, bits_of, is_control_word, supported_words
from msrtui.transcript.stepper import conclude
from msrtui.values import replace

SEEDS = st.integers(0, 2**40)
ALL32, ALL64 = (1 << 32) - 1, (1 << 64) - 1
versions = pytest.mark.parametrize("label", VERSIONS)


# --- which bits QEMU sets that KVM does not say, and the other way round -------------------------------------------
AMD_COPIES = 0x0183F3FF
_SETS: dict[str, tuple[tuple[int, str, str], ...]] = {
    "FEAT_1_EDX": ((mask(7, 12, 14, 16), "0.0", "99.0"), (mask(28), "8.2", "99.0")),
    "FEAT_1_ECX": ((mask(3, 24, 31), "0.0", "99.0"),),
    "FEAT_6_EAX": ((mask(2), "0.0", "99.0"),),
    "FEAT_7_0_EBX": ((mask(9), "8.0", "99.0"),),
    "FEAT_7_0_ECX": ((mask(5), "4.2", "5.0"),),
    "FEAT_7_0_EDX": ((mask(4), "8.0", "99.0"),),
    "FEAT_7_1_EAX": ((mask(10, 11, 12), "8.0", "99.0"),),
    "FEAT_7_2_EDX": ((mask(5), "8.1", "99.0"),),
    "FEAT_XSAVE_COMP_LO": ((ALL32, "7.0", "99.0"),),
    "FEAT_XSAVE_COMP_HI": ((ALL32, "7.0", "99.0"),),
    "FEAT_XSAVE_XCR0_LO": ((ALL32, "7.0", "99.0"),),
    "FEAT_XSAVE_XCR0_HI": ((ALL32, "7.0", "99.0"),),
    "FEAT_8000_0001_ECX": ((mask(22), "0.0", "99.0"),),
    "FEAT_8000_0001_EDX": ((AMD_COPIES, "0.0", "99.0"),),
    "FEAT_8000_0007_EBX": ((mask(0, 1), "9.0", "99.0"),),
    "FEAT_KVM": ((mask(15), "6.0", "99.0"), (mask(0, 1, 2, 4), "0.0", "5.1")),
    "FEAT_KVM_HINTS": ((mask(0), "0.0", "99.0"),),
    "FEAT_ARCH_CAPABILITIES": ((mask(17), "10.0", "99.0"),),
    "FEAT_VMX_SECONDARY_CTLS": ((mask(3, 11, 12, 16, 20), "4.2", "99.0"),),
}
"""The bits that a rule can set without KVM, by word, with the first and the last version that has the rule."""
_CLEARS: dict[str, tuple[tuple[int, str, str], ...]] = {
    "FEAT_1_ECX": ((mask(21), "0.0", "99.0"),),
    "FEAT_7_0_EBX": ((mask(4, 11), "0.0", "99.0"), (mask(2), "9.0", "99.0")),
    "FEAT_7_0_ECX": ((mask(5), "4.2", "5.0"), (mask(30), "9.0", "99.0")),
    "FEAT_7_0_EDX": ((mask(29), "4.0", "99.0"),),
    "FEAT_XSAVE_COMP_LO": ((ALL32, "7.0", "99.0"),),
    "FEAT_XSAVE_COMP_HI": ((ALL32, "7.0", "99.0"),),
    "FEAT_XSAVE_XCR0_LO": ((ALL32, "7.0", "99.0"),),
    "FEAT_XSAVE_XCR0_HI": ((ALL32, "7.0", "99.0"),),
    "FEAT_KVM": ((mask(7), "0.0", "99.0"),),
}
"""The bits that a rule can take although KVM has them."""


def _bits(table: dict[str, tuple[tuple[int, str, str], ...]], word: SupportedWord, label: str) -> int:
    found = 0
    for bits, since, until in table.get(word.word.name, ()):
        found |= bits if number(since) <= number(label) <= number(until) else 0
    if table is _CLEARS and word.word.kind == "msr" and number(label) < (4, 2):
        found |= ALL64 & ~ALL32  # the function returned 32 bits then
    return found


def _offered(word: SupportedWord) -> int:
    """The word as KVM offers it; of a VMX control what may be 1 and need not be."""
    raw = word.kvm or 0
    return raw >> 32 & ~raw & ALL32 if is_control_word(word.word) else raw


@versions
@given(seed=SEEDS)
@few(12)
def test_a_bit_that_kvm_has_not_is_on_only_where_a_rule_sets_it(label: str, seed: int) -> None:
    for word in random_world(Random(seed), label).words.values():
        assert word.supported is not None
        odd = word.supported & ~_offered(word) & ~_bits(_SETS, word, label)
        assert not odd, (word.word.name, hex(odd))


@versions
@given(seed=SEEDS)
@few(12)
def test_a_bit_that_kvm_has_is_off_only_where_a_rule_takes_it(label: str, seed: int) -> None:
    for word in random_world(Random(seed), label).words.values():
        assert word.supported is not None
        odd = _offered(word) & ~word.supported & ~_bits(_CLEARS, word, label)
        assert not odd, (word.word.name, hex(odd))


@versions
@given(seed=SEEDS)
@few(12)
def test_what_host_may_take_is_supported_named_and_may_migrate(label: str, seed: int) -> None:
    made = random_world(Random(seed), label)
    for word in made.words.values():
        assert word.supported is not None
        assert word.migratable is not None
        assert not word.migratable & ~word.supported
        assert word.unnamed() == word.supported & ~word.word.named_mask
        assert (word.supported & word.word.named_mask) | word.unnamed() == word.supported
        if made.profile.migratable:
            assert not word.migratable & ~word.word.migratable_mask


# --- lineage -------------------------------------------------------------------------------------------------------
def _retold(word: SupportedWord, value: int | None) -> Iterator[int | None]:
    """The values along a lineage; each step is one of a registered rule and goes on where the one before ended."""
    at: int | None = None
    for step in word.lineage:
        assert step.rule in rules.RULES
        if step.before is not None:
            assert step.before == at, (word.word.name, step)
            assert step.before != step.after or step.rule in (msrs.CONTROLS_SPLIT, words.MIGRATABLE_MASK)
        at = step.after
        yield at
    assert at == value


@versions
@given(seed=SEEDS)
@few(12)
def test_the_steps_put_together_again_make_the_value(label: str, seed: int) -> None:
    made, _request, cpu = with_guest(Random(seed), label)
    for name, word in made.words.items():
        values = list(_retold(word, word.migratable))
        assert values[0] == (word.kvm or 0)
        assert word.supported in values or word.supported == 0
        guest = cpu.words[name]
        at = word.migratable if cpu.request.takes_all else 0
        for step in guest.lineage:
            assert step.rule in rules.RULES
            assert step.before == at != step.after, (name, step)
            at = step.after
        assert at == guest.value, name


# --- the guest -----------------------------------------------------------------------------------------------------
def _more_than_supported(made: World, cpu: GuestCpu, name: str) -> int:
    """The bits that a guest may have although the filter does not count them as supported, each with a reason."""
    version, more = number(made.profile.label), 0
    if cpu.request.takes_all and made.profile.cpu_pm and version >= (6, 0):
        # behind the filter: monitor up to 7.2, waitpkg where KVM lists its MSR
        more |= mask(3) if name == "FEAT_1_ECX" and version < (8, 0) else 0
        more |= mask(5) if name == "FEAT_7_0_ECX" else 0
    return more


@versions
@given(seed=SEEDS)
@few(25)
def test_a_guest_never_has_what_is_not_supported(label: str, seed: int) -> None:
    made, _request, cpu = with_guest(Random(seed), label)
    for name, word in cpu.words.items():
        assert word.value is not None
        odd = word.value & ~(made.words[name].supported or 0) & ~_more_than_supported(made, cpu, name)
        assert not odd, (name, hex(odd))


@versions
@given(seed=SEEDS)
@few(25)
def test_the_filter_only_takes_and_says_what_it_took(label: str, seed: int) -> None:
    made, _request, cpu = with_guest(Random(seed), label)
    for name, word in cpu.words.items():
        assert word.value is not None
        assert word.expanded is not None
        late = [step for step in word.lineage if step.rule in (models.AMD_ALIASES, models.CPU_PM)]
        filtered = late[0].before if late and number(label) >= models.CPU_PM_LAST else None
        if filtered is None:
            filtered = word.value if not late or late[0].rule == models.CPU_PM else late[0].before
        assert filtered is not None
        assert not filtered & ~word.expanded, name
        lacking = word.expanded & ~filtered
        assert not lacking & ~word.unavailable, (name, "taken without a word")
        reasons = {_last_that_took(word.lineage, bit).rule for bit in bits_of(lacking)}
        assert reasons <= {models.FILTER, INTEL_PT_LEAF}, name
        if lacking:
            assert reasons, name
        assert not filtered & word.unavailable, name
        if name != "FEAT_7_0_EBX":
            assert not lacking & (made.words[name].supported or 0), name


def _last_that_took(lineage: Lineage, bit: int) -> Decision:
    return [step for step in lineage if ((step.before or 0) & ~(step.after or 0)) >> bit & 1][-1]


@versions
@given(seed=SEEDS)
@few(25)
def test_before_the_filter_nothing_stands_without_what_it_depends_on(label: str, seed: int) -> None:
    made, _request, cpu = with_guest(Random(seed), label)
    rows = made.profile.tables.dependencies
    for place, row in enumerate(rows):
        if row.from_word not in cpu.words or row.to_word not in cpu.words:
            continue
        source, target = cpu.words[row.from_word], cpu.words[row.to_word]
        if (target.expanded or 0) & row.to_mask and not (source.expanded or 0) & row.from_mask:
            # one pass over the table: what a later row, or what comes behind it, takes is not looked at again
            later = [
                step
                for step in source.lineage
                if (step.before or 0) & ~(step.after or 0) & row.from_mask
                and (
                    step.rule in (models.APX_AND_MPX, models.XSAVE_COMPONENTS)
                    or (step.rule == models.DEPENDENCY and _row_of(made, step.params) > place)
                )
            ]
            behind = target.lineage and any(step.rule == models.XSAVE_COMPONENTS for step in target.lineage)
            assert later or behind, (row, place)


def _row_of(made: World, params: object) -> int:
    """The last row of the table that takes for this reason."""
    assert isinstance(params, dict)
    rows = made.profile.tables.dependencies
    places = [
        place
        for place, row in enumerate(rows)
        if (row.from_word, row.from_mask, row.to_word) == (params["from"], params["mask"], params["word"])
    ]
    return places[-1]


# --- why -----------------------------------------------------------------------------------------------------------
@versions
@given(seed=SEEDS)
@few(8)
def test_each_bits_reason_agrees_with_the_bit(label: str, seed: int) -> None:
    made, _request, cpu = with_guest(Random(seed), label)
    chance = Random(seed)
    for name, word in cpu.words.items():
        every = range(64 if made.words[name].word.kind == "msr" else 32)
        assert word.value is not None
        for bit in chance.sample(every, 8):
            why = reason(made.state, made.words, cpu, name, bit)
            assert why.on == bool(word.value >> bit & 1)
            raw = made.words[name].kvm
            high = 32 if is_control_word(made.words[name].word) else 0
            assert why.kvm == (None if raw is None else bool(raw >> (bit + high) & 1))
            if why.on:
                assert not why.obstacles
                assert why.step is not None, (name, bit)
            else:
                assert why.obstacles, (name, bit)
                assert not why.sustained_by


# --- what does not matter ------------------------------------------------------------------------------------------
@given(seed=SEEDS)
@few(40)
def test_the_order_of_kvms_lists_and_leaves_does_not_matter(seed: int) -> None:
    chance = Random(seed)
    made, request, cpu = with_guest(chance)
    said = made.said
    assert said.index_list is not None
    assert said.feature_list is not None
    assert said.supported_cpuid is not None
    shuffled = replace(
        said,
        index_list=RecordedList(tuple(chance.sample(said.index_list.indices, len(said.index_list.indices)))),
        feature_list=RecordedList(tuple(chance.sample(said.feature_list.indices, len(said.feature_list.indices)))),
        supported_cpuid=RecordedTable(
            tuple(chance.sample(said.supported_cpuid.entries, len(said.supported_cpuid.entries)))
        ),
    )
    again = world(shuffled, made.profile)
    assert again.words == made.words
    assert again.guest(request).words == cpu.words


@given(seed=SEEDS)
@few(40)
def test_a_leaf_that_is_there_twice_is_the_first_one(seed: int) -> None:
    chance = Random(seed)
    made = random_world(chance)
    assert made.said.supported_cpuid is not None
    other = tuple(entry._replace(eax=0, ebx=0, ecx=0, edx=0) for entry in made.said.supported_cpuid.entries)
    twice = replace(made.said, supported_cpuid=RecordedTable((*made.said.supported_cpuid.entries, *other)))
    assert conclude(get_supported_cpuid(), RecordedHost(twice)) == made.state.cpuid
    assert world(twice, made.profile).words == made.words


@given(seed=SEEDS)
@few(40)
def test_words_that_are_known_from_other_hosts_are_the_same_words(seed: int) -> None:
    chance = Random(seed)
    memo = WordMemo()
    profiles = [random_qemu(chance) for _ in range(2)]
    for _ in range(4):
        said = random_kvm(chance)
        if chance.random() < 0.5:
            said = partly_unknown(said, chance)
        for profile in profiles:
            plain, known = (_words(said, profile, each) for each in (None, memo))
            assert known == plain


def _words(said: Recording, profile: QemuProfile, memo: WordMemo | None) -> object:
    """The words without their lineage, or QEMU's last words."""
    state = state_of(said, profile)
    try:
        found = conclude(supported_words(state) if memo is None else memo.read(state), RecordedHost(said))
    except QemuExit as end:
        return end.text, end.status
    return {name: replace(word, lineage=()) for name, word in found.items()}


# --- what is not known ---------------------------------------------------------------------------------------------
@given(seed=SEEDS)
@few(60)
def test_what_a_source_does_not_say_is_unknown_and_never_wrong(seed: int) -> None:
    """A bit that is known of half a recording is the bit that the whole one gives."""
    chance = Random(seed)
    whole = random_world(chance)
    half = world(partly_unknown(whole.said, chance), whole.profile)
    for name, word in half.words.items():
        full = whole.words[name]
        if word.supported is not None:
            assert full.supported is not None
            assert not word.supported & word.unknown
            assert not (word.supported ^ full.supported) & ~word.unknown, name


_SHARED = {
    "FEAT_7_0_EBX": mask(14),
    "FEAT_7_1_EDX": mask(21),
    "FEAT_XSAVE_XCR0_LO": mask(3, 4, 19),
    "FEAT_XSAVE_XSS_LO": mask(3, 4, 19),
}


# --- more in, more out ---------------------------------------------------------------------------------------------
@versions
@given(seed=SEEDS)
@few(12)
def test_a_bit_more_of_kvms_takes_no_other_from_host(label: str, seed: int) -> None:
    chance = Random(seed)
    profile = random_qemu(chance, label)
    said = random_kvm(chance)
    before = world(said, profile)
    word = chance.choice([word for word in profile.tables.words if word.kind == "cpuid"])
    bit = chance.choice(bits_of(word.named_mask) or [0])
    assert said.supported_cpuid is not None
    changed = []
    for entry in said.supported_cpuid.entries:
        here = (entry.function, entry.index) == (word.leaf, word.subleaf or 0)
        more = {word.register.lower(): entry.register(word.register) | 1 << bit} if here else {}
        changed.append(entry._replace(**more))
    after = world(replace(said, supported_cpuid=RecordedTable(tuple(changed))), profile)
    request = parse("host", profile)
    had, has = before.guest(request), after.guest(request)
    for name, guest in has.words.items():
        lost = (had.words[name].value or 0) & ~(guest.value or 0)
        if number(label) >= (11, 0):  # with both APX and MPX, which share a place in the XSAVE area, both go
            lost &= ~_SHARED.get(name, 0)
        assert not lost, (word.name, bit, name, hex(lost))
