"""Runs a negotiation on a list of replies, or on a host, and keeps what went over the table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from msrtui.kvm.requests import Answerer, AnyRequest, Reply, Request
from msrtui.qemu.negotiation import Decision, Negotiation, NotDone, QemuExit

T = TypeVar("T")


@dataclass
class Played(Generic[T]):
    """What a negotiation asked and decided, and how it ended: ``result``, or ``exit`` where QEMU would end."""

    asked: list[AnyRequest] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    not_done: list[NotDone] = field(default_factory=list)
    result: T | None = None
    exit: QemuExit | None = None

    @property
    def rules(self) -> list[str]:
        """The rules of the decisions, in order."""
        return [decision.rule for decision in self.decisions]

    def decision(self, rule: str) -> Decision:
        """The one decision by this rule."""
        (found,) = [decision for decision in self.decisions if decision.rule == rule]
        return found

    def value(self) -> T:
        """The result of a negotiation that came to its end."""
        assert self.exit is None, self.exit
        assert self.result is not None
        return self.result


class Script:
    """Gives its replies in order, whatever is asked."""

    def __init__(self, replies: Iterable[Reply]) -> None:
        self.left = list(replies)

    def ask(self, request: AnyRequest) -> Reply:
        assert self.left, f"no reply is left for {request}"
        return self.left.pop(0)


def play(negotiation: Negotiation[T], *replies: Reply) -> Played[T]:
    """With these replies, each of which has to be used."""
    script = Script(replies)
    played = _run(negotiation, script.ask)
    assert script.left == [], "these replies were not asked for"
    return played


def play_on(negotiation: Negotiation[T], host: Answerer) -> Played[T]:
    """With a host that answers."""
    return _run(negotiation, host.ask)


def _run(negotiation: Negotiation[T], ask: Any) -> Played[T]:
    played: Played[T] = Played()
    send: Reply | None = None
    while True:
        try:
            step = negotiation.send(send)
        except StopIteration as stop:
            played.result = stop.value
            return played
        except QemuExit as end:
            played.exit = end
            return played
        send = None
        if isinstance(step, Request):
            played.asked.append(step)
            send = ask(step)
        elif isinstance(step, Decision):
            played.decisions.append(step)
        elif isinstance(step, NotDone):
            played.not_done.append(step)
