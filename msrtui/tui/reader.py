"""The conversation as the explorer reads it: who is asked, as which QEMU, and where the reader stands."""

from __future__ import annotations

from collections.abc import Sequence

from msrtui.kvm.heard import Heard
from msrtui.kvm.watched import Failures, Watched
from msrtui.qemu.conversation import Outcome, negotiate
from msrtui.qemu.cpu_request import CpuRequest
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import Source
from msrtui.transcript.events import Event
from msrtui.transcript.state import State, state_at
from msrtui.transcript.stepper import Stepper
from msrtui.tui.places import same_place


class Reader:
    """Runs one QEMU against one source; another QEMU is run from the replies that were heard."""

    def __init__(self, source: Source, qemu: QemuProfile, cpu: CpuRequest | None = None) -> None:
        self._watched = Watched(source.answerer)
        self.heard = Heard(self._watched)
        self.qemu = qemu
        self.cpu = cpu
        self._stepper = Stepper(negotiate(qemu, cpu=cpu), self.heard)

    @property
    def events(self) -> Sequence[Event]:
        """All events so far, those ahead of the reader included."""
        return tuple(self._stepper.events)

    @property
    def outcome(self) -> Outcome | None:
        """What it all led to; None before the end was reached, and where QEMU ended early."""
        return self._stepper.outcome

    @property
    def failures(self) -> Failures:
        """The questions so far that KVM did not answer, those included that msrtui put itself."""
        return self._watched.failures

    @property
    def current(self) -> Event | None:
        """The event that the reader saw last."""
        return self._stepper.current

    @property
    def state(self) -> State:
        """QEMU's variables where the reader stands."""
        return state_at(self._stepper.events, self._stepper.cursor)

    def step(self, by: int) -> bool:
        """One event on or back; False where there is none."""
        return (self._stepper.forward() if by > 0 else self._stepper.back()) is not None

    @property
    def at_end(self) -> bool:
        """Whether everything was asked and the reader stands behind it."""
        return self._stepper.complete and self._stepper.cursor == len(self._stepper.events)

    def stand_at(self, place: int) -> None:
        """Stand behind the event with this number, which was seen before."""
        if self._stepper.current is None or self._stepper.current.n != place:
            self._stepper.to(place + 1)

    def phase(self, by: int) -> None:
        """To the next phase, or to the start of this one or the one before."""
        if by > 0:
            self._stepper.next_phase()
        else:
            self._stepper.previous_phase()

    def ends(self, by: int) -> None:
        """To the end, asking all that is left, or to the start."""
        if by > 0:
            self._stepper.to_end()
        else:
            self._stepper.to_start()

    def again(self) -> None:
        """Forget every reply and stand at the start: each step is a question again."""
        self.heard.forget()
        self._watched.failures = []
        self._stepper = Stepper(negotiate(self.qemu, cpu=self.cpu), self.heard)

    def switch(self, qemu: QemuProfile, cpu: CpuRequest | None = None) -> None:
        """Work it all out again for another QEMU or ``-cpu``, asking only what was not heard; the place is kept."""
        old, count, complete = self._stepper.current, self._stepper.cursor, self._stepper.complete
        at_end = complete and count == len(self._stepper.events)
        self.qemu, self.cpu = qemu, cpu
        self.heard.recall = True
        self._stepper = Stepper(negotiate(qemu, cpu=cpu), self.heard)
        if complete:
            self._stepper.to_end()
        else:
            self._stepper.to(count)  # what was not asked yet stays unasked
        self.heard.recall = False
        if not at_end:
            self._stepper.to(same_place(self._stepper.events, old))
