"""Stepping: forward asks once and only when stepped to, back asks nothing, and all ways lead to the same events."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msrtui.kvm.heard import Heard
from msrtui.kvm.live import LiveHost
from msrtui.kvm.recorded import RecordedHost, RecordedMsr, RecordedTable
from msrtui.kvm.requests import Answerer, AnyRequest, HostCpuid, R, Request
from msrtui.qemu.conversation import negotiate
from msrtui.qemu.phases import PHASES
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source
from msrtui.transcript.events import Event
from msrtui.transcript.stepper import Stepper, run
from msrtui.values import replace

HLE_RTM = 1 << 4 | 1 << 11
CLOSED = "amd-nosvm-tcg-linux6.12"


class Counting:
    """Stands in front of who answers and counts."""

    def __init__(self, answerer: Answerer) -> None:
        self.answerer = answerer
        self.asked: list[AnyRequest] = []
        self.holding = 0

    def ask(self, request: Request[R]) -> R:
        self.asked.append(request)
        return self.answerer.ask(request)

    @contextmanager
    def held(self) -> Iterator[None]:
        self.holding += 1
        with self.answerer.held():
            yield
        self.holding -= 1

    def to_kvm(self) -> list[AnyRequest]:
        """What reached KVM: the CPUID instruction is none of its business."""
        return [request for request in self.asked if not isinstance(request, HostCpuid)]


def _stepper(answerer: Answerer, profile: QemuProfile | None = None) -> Stepper:
    return Stepper(negotiate(profile or QemuProfile("7.2")), answerer)


def _answerer(capture: Path) -> Answerer:
    return open_source(str(capture)).answerer


@pytest.fixture(scope="module")
def host(captures: tuple[Path, ...]) -> Answerer:
    """One captured host with everything: Intel, nested; and with TSX, for which QEMU looks at the host's CPU."""
    host = _answerer(next(path for path in captures if path.stem == "intel-sapphirerapids-bochs-linux6.12"))
    assert isinstance(host, RecordedHost)
    assert host.recording.supported_cpuid is not None
    entries = [
        entry._replace(ebx=entry.ebx | HLE_RTM) if (entry.function, entry.index) == (7, 0) else entry
        for entry in host.recording.supported_cpuid.entries
    ]
    return RecordedHost(replace(host.recording, supported_cpuid=RecordedTable(tuple(entries))))


def _shown(events: list[Event]) -> list[tuple[object, ...]]:
    """Events as far as they can be compared: a QemuExit is equal to itself only."""
    return [
        (e.n, e.phase, e.function, e.word, e.branch, e.request, e.reply, e.not_done, e.decision, e.end and e.end.text)
        for e in events
    ]


def test_stepping_forward_leads_to_what_running_to_the_end_gives(capture: Path) -> None:
    whole = run(negotiate(QemuProfile("7.2")), _answerer(capture))
    stepped = _stepper(_answerer(capture))
    seen = []
    while (event := stepped.forward()) is not None:
        seen.append(event)
        assert stepped.current is event
    assert _shown(seen) == _shown(stepped.events) == _shown(whole.events)
    assert stepped.cursor == whole.cursor == len(whole.events)
    assert stepped.complete
    assert stepped.outcome == whole.outcome
    assert (stepped.ended is None) == (whole.ended is None)


def test_each_event_is_exactly_one_thing(capture: Path) -> None:
    stepper = run(negotiate(QemuProfile("7.2")), _answerer(capture))
    known_phases = {phase.id for phase in PHASES}
    for n, event in enumerate(stepper.events):
        assert event.n == n
        things = (event.request, event.not_done, event.decision, event.end)
        assert sum(thing is not None for thing in things) == 1
        assert (event.reply is None) == (event.request is None)
        assert event.done == (event.not_done is None)
        assert event.phase in known_phases
        assert event.function
        assert (event.ioctl is not None) == (event.kind == "ioctl") == (event.fd is not None)
        assert (event.word is not None) == (event.phase in ("words", "guest"))
        assert (event.branch is not None) == (event.phase == "words")


def test_a_step_asks_exactly_what_it_shows(host: Answerer) -> None:
    counting = Counting(host)
    stepper = _stepper(counting)
    assert counting.asked == [], "nothing is asked before the first step"
    while True:
        before = len(counting.to_kvm())
        event = stepper.forward()
        if event is None:
            break
        assert counting.to_kvm()[before:] == ([event.request] if event.request is not None else [])
    assert len(counting.asked) > len(counting.to_kvm()), "the instruction was asked too, and is no event"
    assert len(counting.to_kvm()) == sum(event.request is not None for event in stepper.events)


def test_going_back_and_forth_asks_nothing_twice(host: Answerer) -> None:
    counting = Counting(host)
    stepper = _stepper(counting)
    stepper.to(60)
    asked, seen = list(counting.asked), list(stepper.events)
    while stepper.back() is not None:
        pass
    assert stepper.cursor == 0
    assert stepper.current is None
    for event in seen:
        assert stepper.forward() is event
    stepper.to_start()
    stepper.to(60)
    stepper.previous_phase()
    stepper.to(59)
    assert counting.asked == asked
    stepper.to_end()
    everything = len(counting.asked)
    stepper.to_start()
    stepper.to_end()
    while stepper.cursor:
        stepper.previous_phase()
    while stepper.cursor < len(stepper.events):
        stepper.next_phase()
    assert stepper.forward() is None
    assert len(counting.asked) == everything


MOVES = st.lists(
    st.sampled_from(("forward", "forward", "back", "next_phase", "previous_phase", "to_start", "to_end", "to 40")),
    max_size=40,
)


@given(moves=MOVES)
def test_however_one_moves_each_event_happens_once_and_in_order(host: Answerer, moves: list[str]) -> None:
    whole = run(negotiate(QemuProfile("7.2")), host)
    counting = Counting(host)
    stepper = _stepper(counting)
    furthest = 0
    for move in moves:
        if move == "to 40":
            stepper.to(40)
        else:
            getattr(stepper, move)()
        furthest = max(furthest, stepper.cursor)
        assert len(stepper.events) == furthest, "nothing happens ahead of the cursor"
        assert 0 <= stepper.cursor <= len(whole.events)
        assert stepper.current == (whole.events[stepper.cursor - 1] if stepper.cursor else None)
    asked = [event.request for event in stepper.events if event.request is not None]
    assert counting.to_kvm() == asked
    assert stepper.events == whole.events[:furthest]


def _runs(events: list[Event]) -> list[int]:
    """Where a run of events of one phase begins."""
    return [n for n, event in enumerate(events) if n == 0 or event.phase != events[n - 1].phase]


def test_the_phases_are_walked_forward_and_back(host: Answerer) -> None:
    whole = run(negotiate(QemuProfile("7.2")), host)
    begins = [n + 1 for n in _runs(whole.events)]
    assert [whole.events[n - 1].phase for n in begins] == [
        "kvm_init",
        "kvm_arch_init",
        "index_list",
        "feature_list",
        "kvm_arch_init",
        "kvm_init",
        "cpuid",
        "words",
        "guest",
        "vcpu",
    ]
    stepper = _stepper(host)
    forward = []
    while stepper.cursor < len(whole.events):
        stepper.next_phase()
        forward.append(stepper.cursor)
    assert forward == [*begins, len(whole.events)]
    back = []
    while stepper.cursor:
        stepper.previous_phase()
        back.append(stepper.cursor)
    assert back == [*reversed(begins), 0]


def test_from_the_middle_of_a_phase_back_is_its_first_event(host: Answerer) -> None:
    stepper = run(negotiate(QemuProfile("7.2")), host)
    for begin in _runs(stepper.events):
        if stepper.events[begin].phase == stepper.events[begin + 1].phase:
            stepper.to(begin + 2)
            stepper.previous_phase()
            assert stepper.cursor == begin + 1


def test_every_phase_of_the_table_is_met(host: Answerer) -> None:
    events = run(negotiate(QemuProfile("7.2")), host).events
    assert {event.phase for event in events} == {phase.id for phase in PHASES}


@pytest.mark.parametrize("count", [-5, 0, 1, 30, 10**6])
def test_a_place_outside_the_conversation_is_its_nearest_end(host: Answerer, count: int) -> None:
    stepper = _stepper(host)
    stepper.to(count)
    total = len(run(negotiate(QemuProfile("7.2")), host).events)
    assert stepper.cursor == min(max(count, 0), total)


# --- the end ----------------------------------------------------------------------------------------------------
def test_a_qemu_that_would_exit_is_the_last_event(captures: tuple[Path, ...]) -> None:
    stepper = _stepper(_answerer(next(path for path in captures if path.stem == CLOSED)))
    stepper.to(1)
    assert (stepper.complete, stepper.ended) == (False, None)
    end = stepper.forward()
    assert end is not None
    assert (end.kind, end.done, end.ioctl, end.fd) == ("end", True, None, None)
    assert end.end is stepper.ended
    assert stepper.ended is not None
    assert stepper.ended.text.startswith("Could not access KVM kernel module: ")
    assert stepper.complete
    assert stepper.outcome is None
    assert stepper.forward() is None
    assert stepper.current is end


def test_an_exit_in_the_middle_keeps_its_place_and_what_came_before(host: Answerer) -> None:
    assert isinstance(host, RecordedHost)
    said = host.recording
    refused = RecordedHost(replace(said, msrs={**said.msrs, 0x10A: RecordedMsr(0)}))
    stepper = run(negotiate(QemuProfile("7.2")), refused)
    *_, question, end = stepper.events
    assert (end.kind, end.phase, end.word) == ("end", "words", "FEAT_ARCH_CAPABILITIES")
    assert end.function == "kvm_arch_get_supported_msr_feature"
    assert end.end is not None
    assert end.end.text.endswith("KVM get MSR (index=0x10a) feature failed, Success")
    assert (question.ioctl, question.reply and question.reply.result) == ("KVM_GET_MSRS", 0)
    whole = run(negotiate(QemuProfile("7.2")), host)
    assert stepper.events[:-2] == whole.events[: len(stepper.events) - 2]


# --- live -------------------------------------------------------------------------------------------------------
def _open_kvm() -> int:
    links = (Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd"))  # noqa: PTH208
    return sum(os.path.islink(link) and os.readlink(link) == "/dev/kvm" for link in links)  # noqa: PTH114, PTH115


def test_a_live_step_is_one_ioctl_and_leaves_nothing_open(live_kvm: LiveHost) -> None:
    counting = Counting(live_kvm)
    stepper = _stepper(counting)
    for _ in range(60):
        before = len(counting.to_kvm())
        event = stepper.forward()
        assert event is not None
        assert len(counting.to_kvm()) - before == (event.request is not None)
        assert _open_kvm() == 0
    stepper.to_end()
    assert stepper.outcome is not None
    assert counting.holding == 0
    assert _open_kvm() == 0


def test_a_second_live_run_from_what_was_heard_asks_nothing_and_is_the_same(live_kvm: LiveHost) -> None:
    counting = Counting(live_kvm)
    heard = Heard(counting)
    first = run(negotiate(QemuProfile("7.2")), heard)
    heard.recall = True
    asked = len(counting.asked)
    second = run(negotiate(QemuProfile("7.2")), heard)
    assert second.events == first.events
    assert len(counting.asked) == asked
