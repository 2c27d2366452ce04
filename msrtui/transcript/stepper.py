"""Runs a negotiation against who can answer, one event at a time, and keeps a cursor among the events.

Forward past the last event asks for one more: on a live host the ioctl is issued at that moment. Back moves
the cursor only: nothing is undone, nothing is asked twice.
"""

from __future__ import annotations

from typing import Any

from msrtui.kvm.requests import Answerer, HostCpuid, Request
from msrtui.qemu.conversation import Outcome
from msrtui.qemu.negotiation import Decision, Enter, Leave, Negotiation, NotDone, QemuExit, T
from msrtui.transcript.events import Event


class Stepper:
    """A conversation and where one stands in it.

    ``events`` are all that have happened; ``cursor`` of them are behind the reader. ``outcome`` is there once
    the negotiation ran to its end, ``ended`` the QemuExit where it ended early.
    """

    def __init__(self, negotiation: Negotiation[Outcome], answerer: Answerer) -> None:
        self._negotiation = negotiation
        self._answerer = answerer
        self._send: Any = None
        self._where: list[Enter] = []
        self.events: list[Event] = []
        self.cursor = 0
        self.outcome: Outcome | None = None
        self.ended: QemuExit | None = None

    @property
    def complete(self) -> bool:
        """Whether the conversation has no further event to come."""
        return self.outcome is not None or self.ended is not None

    @property
    def current(self) -> Event | None:
        """The event that the cursor stands behind: the last one seen; None at the very start."""
        return self.events[self.cursor - 1] if self.cursor else None

    # --- moving ------------------------------------------------------------------------------------------
    def forward(self) -> Event | None:
        """One event on; None at the end."""
        if self.cursor == len(self.events) and not self._advance():
            return None
        self.cursor += 1
        return self.current

    def back(self) -> Event | None:
        """One event back; None when at the start already."""
        if not self.cursor:
            return None
        self.cursor -= 1
        return self.current

    def to(self, count: int) -> None:
        """Stand behind ``count`` events, asking for as many as there are yet to come."""
        with self._answerer.held():
            while len(self.events) < count and self._advance():
                pass
        self.cursor = max(0, min(count, len(self.events)))

    def to_start(self) -> None:
        """Before the first event."""
        self.cursor = 0

    def to_end(self) -> None:
        """Behind the last event, asking all that is left."""
        with self._answerer.held():
            while self._advance():
                pass
        self.cursor = len(self.events)

    def next_phase(self) -> None:
        """To the first event of another phase than the current one's, or to the end."""
        with self._answerer.held():
            started = self.current.phase if self.current else None
            while (event := self.forward()) is not None:
                if event.phase != started:
                    break

    def previous_phase(self) -> None:
        """To the first event of this run of the phase, or of the one before when standing on it."""
        if self.cursor <= 1:
            self.cursor = 0
            return
        at = self.cursor - 1
        phase = self.events[at - 1].phase
        while at and self.events[at - 1].phase == phase:
            at -= 1
        self.cursor = at + 1

    # --- running the generator ---------------------------------------------------------------------------
    def _advance(self) -> bool:
        """Run the negotiation to its next event. False when there is none."""
        if self.complete:
            return False
        while True:
            try:
                step = self._negotiation.send(self._send)
            except StopIteration as stop:
                self.outcome = stop.value
                return False
            except QemuExit as end:
                self.ended = end
                self._append(end=end)
                return True
            self._send = None
            if isinstance(step, Enter):
                self._where.append(self._inside(step))
            elif isinstance(step, Leave):
                self._where.pop()
            elif isinstance(step, Request):
                self._send = reply = self._answerer.ask(step)
                if isinstance(step, HostCpuid):
                    continue  # an instruction, not a question to KVM; the rule that used it is the event
                self._append(request=step, reply=reply)
                return True
            elif isinstance(step, NotDone):
                self._append(not_done=step)
                return True
            else:
                self._append(decision=step)
                return True

    def _inside(self, step: Enter) -> Enter:
        """What ``step`` leaves open is as it is around it."""
        around = self._where[-1] if self._where else Enter("", "kvm_init")
        return Enter(step.function, step.phase or around.phase, step.word or around.word, step.branch or around.branch)

    def _append(
        self,
        request: Request[Any] | None = None,
        reply: Any = None,
        not_done: NotDone | None = None,
        decision: Decision | None = None,
        end: QemuExit | None = None,
    ) -> None:
        where = self._where[-1] if self._where else Enter("kvm_init", "kvm_init")
        self.events.append(
            Event(
                len(self.events),
                where.phase or "kvm_init",
                where.function,
                where.word,
                where.branch,
                request,
                reply,
                not_done,
                decision,
                end,
            )
        )


def run(negotiation: Negotiation[Outcome], answerer: Answerer) -> Stepper:
    """The whole conversation at once."""
    stepper = Stepper(negotiation, answerer)
    stepper.to_end()
    return stepper


def conclude(negotiation: Negotiation[T], answerer: Answerer) -> T:
    """Run a negotiation for its result alone. Raises QemuExit where QEMU would end."""
    send: Any = None
    with answerer.held():
        while True:
            try:
                step = negotiation.send(send)
            except StopIteration as stop:
                result: T = stop.value
                return result
            send = answerer.ask(step) if isinstance(step, Request) else None
