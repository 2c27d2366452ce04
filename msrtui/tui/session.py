"""What the explorer shows, as one frozen value; the next one is made with ``dataclasses.replace``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msrtui.kvm.readings import HostLeaf
from msrtui.kvm.requests import MsrReading, MsrsReply, reading_of
from msrtui.qemu.conversation import Outcome
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import Source
from msrtui.subjects import Subject as Subject  # what a session looks at
from msrtui.transcript.events import Event
from msrtui.transcript.state import State
from msrtui.values import dataclass, field

if TYPE_CHECKING:  # what is needed only after the first paint is imported then
    from msrtui.compare.lint import Linted
    from msrtui.explain.probing import Probed
    from msrtui.tui.starting import Taken


@dataclass(frozen=True)
class Query:
    """One question of the user's to KVM about one MSR, and how long the answer took (seconds).

    ``before`` is what KVM answered for it earlier, None where it was not asked.
    """

    reply: MsrsReply
    seconds: float
    before: int | None
    listed: bool

    @property
    def value(self) -> int | None:
        """The value, where it was read."""
        return self.reply.values[0] if self.reply.values else None


@dataclass(frozen=True)
class Reading:
    """The same KVM as another QEMU reads it for the same ``-cpu``: each word as the guest gets it.

    ``words`` is empty where that QEMU would end, or has no such ``-cpu``: then ``ended`` says so.
    """

    label: str
    words: Mapping[str, int | None]
    ended: str | None = None
    lost: Mapping[str, str] = field(default_factory=dict)
    """For words that KVM has and the guest has not at all: what took them, in a few words."""


@dataclass(frozen=True)
class Session:
    """Everything that the screen depends on."""

    source: Source
    qemu: QemuProfile
    events: Sequence[Event]
    state: State
    subject: Subject
    at: int | None
    """The event that the dialogue speaks of, None before the first."""
    cpu: str = "host"
    """The value of ``-cpu``."""
    outcome: Outcome | None = None
    """What it all led to, once the conversation was run to its end."""
    focus: str = "words"
    zoomed: bool = False
    opened: frozenset[object] = frozenset()
    values_read: Mapping[int, MsrReading] = field(default_factory=dict)
    """Every listed feature MSR, read by msrtui: QEMU does not ask for all of them."""
    queries: Mapping[int, Query] = field(default_factory=dict)
    asked: int | None = None
    """The MSR of the user's last question, while the dialogue speaks of it."""
    notice: str | None = None
    lit: frozenset[Subject] = frozenset()
    """What the last step changed."""
    only: frozenset[str] = frozenset()
    """The lists that show only what matters."""
    grid: bool = False
    """The detail view shows the 64-bit grid in place of the ladder."""
    asked_at: str | None = None
    """When a live KVM was asked, as the title says it; a saved one's time is its snapshot's."""
    others: tuple[Reading, ...] = ()
    """The same KVM as other QEMUs read it, once that was worked out."""
    start: Probed | None = None
    """What comes of starting this guest here, once that was worked out; with what a vCPU showed, where one was made."""
    linted: Linted | None = None
    """What lint finds on this host, once that was worked out."""
    taken: tuple[Taken, ...] = ()
    """The probes that were made on this machine."""
    leaves: Mapping[tuple[int, int], HostLeaf] = field(default_factory=dict)
    """CPUID leaves that were looked at, as the host's CPU has them, by (function, index)."""

    @property
    def leaf_wanted(self) -> tuple[int, int] | None:
        """The CPUID leaf that is looked at, where the host's CPU was not asked for it yet."""
        match self.subject:
            case ("leaf", int(function), int(index)) if (function, index) not in self.leaves:
                return function, index
        return None

    def reading(self, index: int) -> MsrReading | None:
        """What was last heard of an MSR: by the user, by QEMU, by msrtui; None where nothing was."""
        if index in self.queries:
            return reading_of(self.queries[index].reply)
        heard = self.state.msrs.get(index)
        if heard is not None and heard.values:
            return reading_of(heard)
        return self.values_read.get(index)
