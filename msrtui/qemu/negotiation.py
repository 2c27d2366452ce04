"""What QEMU's side is made of: generators that yield questions to KVM and say what they decided.

A negotiation yields four kinds of things. A ``Request`` wants a reply sent back. A ``NotDone`` is a step
that QEMU makes on a VM or a vCPU and msrtui does not. A ``Decision`` says what QEMU made of the replies, by
the id of a rule and its parameters; sentences are made where they are shown. ``Enter`` and ``Leave`` say in
which of QEMU's functions all of that happens.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, TypeAlias, TypeVar

from msrtui.kvm.requests import AnyRequest, Fd, R, Request
from msrtui.values import dataclass, field


@dataclass(frozen=True)
class Enter:
    """QEMU's control flow enters ``function``; everything until ``Leave`` happens there.

    None means: as it is around it. ``word`` and ``branch`` are set while one feature word is worked out.
    """

    function: str
    phase: str | None = None
    word: str | None = None
    branch: str | None = None


@dataclass(frozen=True)
class Leave:
    """Back to the function that called."""


@dataclass(frozen=True)
class NotDone:
    """A step of QEMU's that needs a VM or a vCPU: shown, never made by msrtui."""

    ioctl: str
    fd: Fd
    argument: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """What QEMU made of what it heard.

    ``rule`` is an id of ``rules.RULES``. ``sets`` are the variables that QEMU changed, by QEMU's own names.
    ``before`` and ``after`` are the value that the rule worked on (64 bits at most), where there is one:
    they make the lineage of a feature word.
    """

    rule: str
    params: Mapping[str, Any] = field(default_factory=dict)
    sets: Mapping[str, Any] = field(default_factory=dict)
    before: int | None = None
    after: int | None = None


class QemuExit(Exception):
    """QEMU prints ``text`` and ends with ``status`` (1 = exit(1), 134 = abort by SIGABRT)."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


T = TypeVar("T")
Step: TypeAlias = "AnyRequest | NotDone | Decision | Enter | Leave"
Negotiation: TypeAlias = Generator[Step, Any, T]


def ask(request: Request[R]) -> Negotiation[R]:
    """Put one question; the reply gets its type here and nowhere else."""
    reply: R = yield request
    return reply


def within(
    function: str,
    body: Negotiation[T],
    *,
    phase: str | None = None,
    word: str | None = None,
    branch: str | None = None,
) -> Negotiation[T]:
    """Run ``body`` as one of QEMU's functions."""
    yield Enter(function, phase, word, branch)
    result = yield from body
    yield Leave()
    return result


Lineage: TypeAlias = tuple[Decision, ...]
"""How a value came to be: each rule that touched it, oldest first, with the value before and after."""
