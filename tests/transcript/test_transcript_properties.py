"""The conversation told forwards, backwards and from the middle is one and the same, whatever KVM answers."""

from __future__ import annotations

import json
from random import Random

import pytest
from effort import few
from hypothesis import given
from hypothesis import strategies as st
from random_kvm import VERSIONS, partly_unknown, random_cpu, random_kvm, random_qemu

from msrtui.kvm.recorded import RecordedHost
from msrtui.qemu.conversation import Outcome, negotiate
from msrtui.qemu.cpu_request import CpuRequest, profile_for
from msrtui.qemu.memo import WordMemo
from msrtui.qemu.negotiation import QemuExit
from msrtui.qemu.profile import QemuProfile
from msrtui.report.trace import event_document
from msrtui.transcript.events import Event
from msrtui.transcript.state import state_at
from msrtui.transcript.stepper import Stepper, conclude, run
from msrtui.values import replace

SEEDS = st.integers(0, 2**40)


def _chosen(seed: int, label: str | None = None) -> tuple[QemuProfile, CpuRequest, RecordedHost, Random]:
    chance = Random(seed)
    profile = random_qemu(chance, label)
    request = random_cpu(chance, profile)
    said = random_kvm(chance)
    if chance.random() < 0.2:
        said = partly_unknown(said, chance)
    return profile_for(request, profile), request, RecordedHost(said), chance


@pytest.mark.parametrize("label", VERSIONS)
@given(seed=SEEDS)
@few(4)
def test_the_state_at_the_cursor_is_that_of_a_run_that_ends_there(label: str, seed: int) -> None:
    profile, request, host, chance = _chosen(seed, label)
    whole = run(negotiate(profile, cpu=request), host)
    for _ in range(6):
        count = chance.randint(0, len(whole.events))
        part = Stepper(negotiate(profile, cpu=request), host)
        part.to(count)
        assert [_same(event) for event in part.events] == [_same(event) for event in whole.events[:count]]
        states = [state_at(events, count) for events in (part.events, whole.events)]
        assert len({(None if state.end is None else str(state.end)) for state in states}) == 1
        one, other = (replace(state, event=None, end=None) for state in states)
        assert one == other
    whole.to_start()
    while whole.forward() is not None:
        pass
    assert whole.cursor == len(whole.events)


def _same(event: Event) -> object:
    """The event; the end of QEMU, which is an exception and so like no other one, by its words."""
    return event if event.end is None else (event.n, event.function, event.end.text, event.end.status)


@pytest.mark.parametrize("label", VERSIONS)
@given(seed=SEEDS)
@few(4)
def test_it_ends_with_an_outcome_or_with_qemus_last_words(label: str, seed: int) -> None:
    profile, request, host, _chance = _chosen(seed, label)
    stepper = run(negotiate(profile, cpu=request), host)
    state = state_at(stepper.events, len(stepper.events))
    assert (stepper.outcome is None) == (stepper.ended is not None)
    answers = {number: max(said, 0) for number, said in host.recording.capabilities.items()}
    assert {**answers, **state.capabilities} == answers
    if stepper.ended is not None:
        assert state.end == stepper.ended
        assert stepper.events[-1].end == stepper.ended
        return
    assert stepper.outcome is not None
    assert stepper.outcome.cpu is not None
    assert state.words == stepper.outcome.words
    assert state.guest == stepper.outcome.guest
    assert set(state.flags.values()) == stepper.outcome.state.flags


@given(seed=SEEDS)
@few(30)
def test_known_words_lead_to_the_same_end(seed: int) -> None:
    profile, request, host, chance = _chosen(seed)
    memo = WordMemo()
    for answerer in (RecordedHost(random_kvm(chance)), host, host):
        plain, known = (_end(profile, request, answerer, each) for each in (None, memo))
        assert known == plain


def _end(profile: QemuProfile, request: CpuRequest, host: RecordedHost, memo: WordMemo | None) -> object:
    try:
        outcome: Outcome = conclude(negotiate(profile, cpu=request, memo=memo), host)
    except QemuExit as end:
        return end.text, end.status
    words = {name: (word.kvm, word.supported, word.migratable, word.unknown) for name, word in outcome.words.items()}
    return outcome.state, words, outcome.cpu, outcome.writes


@pytest.mark.parametrize("label", VERSIONS)
@given(seed=SEEDS)
@few(3)
def test_each_event_is_json_that_says_what_was_asked_and_answered(label: str, seed: int) -> None:
    profile, request, host, _chance = _chosen(seed, label)
    for event in run(negotiate(profile, cpu=request), host).events:
        told = event_document(event, profile)
        assert json.loads(json.dumps(told, allow_nan=False)) == told
        assert told["n"] == event.n
        assert told["done"] == event.done
        if not event.done:
            assert told["result"] is told["errno"] is told["reply"] is None
        for number in _numbers(told["request"], told["reply"]):
            assert hex(int(number, 16)) == number


def _numbers(*documents: object) -> list[str]:
    """Every register value in them."""
    found: list[str] = []
    for document in documents:
        inside = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
        for each in inside:
            found += [each] if isinstance(each, str) and each.startswith("0x") else _numbers(each)
    return found
