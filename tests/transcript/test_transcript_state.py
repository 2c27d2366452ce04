"""QEMU's variables at the cursor: nothing before it was heard, everything after, and back again."""

from __future__ import annotations

import pytest

from msrtui.qemu.conversation import negotiate
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source
from msrtui.transcript.state import State, event_of_word, last_exchange, state_at
from msrtui.transcript.stepper import Stepper, run

EPYC = "amd-pvm-linux6.18"


@pytest.fixture(scope="module")
def whole() -> Stepper:
    return run(negotiate(QemuProfile("7.2")), open_source(EPYC).answerer)


def behind(whole: Stepper, rule_or_ioctl: str, nth: int = 1) -> State:
    """The state behind the nth event with this rule or ioctl."""
    for event in whole.events:
        if rule_or_ioctl in (event.ioctl, event.decision.rule if event.decision else None):
            nth -= 1
            if not nth:
                return state_at(whole.events, event.n + 1)
    raise AssertionError(rule_or_ioctl)


def test_before_the_first_event_nothing_is_known(whole: Stepper) -> None:
    assert state_at(whole.events, 0) == State()


def test_the_probe_makes_only_the_count_known(whole: Stepper) -> None:
    state = behind(whole, "KVM_GET_MSR_INDEX_LIST")
    assert (state.index_wanted, state.index_list, dict(state.flags)) == (40, None, {})


def test_the_fetch_makes_the_list_known_and_no_flag_yet(whole: Stepper) -> None:
    state = behind(whole, "KVM_GET_MSR_INDEX_LIST", 2)
    assert len(state.index_list or ()) == 40
    assert not state.flags
    assert not state.index_freed


def test_each_flag_comes_with_its_own_event(whole: Stepper) -> None:
    assert dict(behind(whole, "has-msr-flag").flags) == {0xC0000081: "has_msr_star"}
    assert len(behind(whole, "index-list-freed").flags) == 10
    assert behind(whole, "index-list-freed").index_freed


def test_the_feature_list_is_there_when_it_is_kept_not_when_it_is_fetched(whole: Stepper) -> None:
    assert behind(whole, "KVM_GET_MSR_FEATURE_INDEX_LIST", 2).feature_list is None
    assert behind(whole, "feature-msrs-kept").feature_list == (0x8B, 0x10A, 0x345, 0xCE)


def test_words_and_guest_words_appear_one_by_one(whole: Stepper) -> None:
    first = behind(whole, "migratable-mask")
    assert list(first.words) == ["FEAT_1_EDX"]
    assert not first.guest
    assert list(behind(whole, "guest-word").guest) == ["FEAT_1_EDX"]
    end = state_at(whole.events, len(whole.events))
    assert len(end.words) == len(end.guest) == 36


def test_every_state_only_adds_to_the_one_before(whole: Stepper) -> None:
    before = State()
    for count in range(1, len(whole.events) + 1):
        state = state_at(whole.events, count)
        assert state.event is whole.events[count - 1]
        assert set(before.words) <= set(state.words)
        assert before.flags.items() <= state.flags.items()
        assert before.index_list is None or state.index_list == before.index_list
        before = state


def test_a_decision_is_shown_with_the_question_that_led_to_it(whole: Stepper) -> None:
    at = event_of_word(whole.events, "FEAT_ARCH_CAPABILITIES")
    assert at is not None
    exchange = last_exchange(whole.events, at)
    assert [event.ioctl for event in exchange] == ["KVM_GET_MSRS", None]
    assert exchange[-1].n == at


def test_a_decision_of_another_word_is_not_taken_for_its_answer(whole: Stepper) -> None:
    at = event_of_word(whole.events, "FEAT_1_EDX")
    assert at is not None
    assert [event.n for event in last_exchange(whole.events, at)] == [at]


def test_the_event_of_a_word_is_the_last_that_changed_it() -> None:
    whole = run(negotiate(QemuProfile("10.2")), open_source(EPYC).answerer)
    at = event_of_word(whole.events, "FEAT_7_0_EDX")
    assert at is not None
    step = whole.events[at].decision
    assert step is not None
    assert step.rule == "arch-capabilities-hidden-from-amd"


def test_the_event_of_a_word_that_nothing_changed_is_its_last(whole: Stepper) -> None:
    for name in QemuProfile("7.2").tables.word_by_name:
        about = [event for event in whole.events if event.word == name and event.phase == "words"]
        steps = [(event.n, event.decision) for event in about if event.decision and event.decision.before is not None]
        changed = [n for n, step in steps if step.before != step.after]
        assert event_of_word(whole.events, name) == (changed or [about[-1].n])[-1]
