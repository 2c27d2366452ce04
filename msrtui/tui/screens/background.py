"""What the explorer works out beside the keys, in threads: the CPU's name, other QEMUs' readings, a CPUID leaf."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on, work
from textual.message import Message

from msrtui.kvm.heard import Heard
from msrtui.kvm.readings import HostLeaf, read_host_leaf
from msrtui.kvm.requests import Answerer, HostCpuid
from msrtui.tui.others import read_by_others
from msrtui.tui.screens.part import Part
from msrtui.tui.session import Reading, Session
from msrtui.tui.view.brand import BRAND_LEAVES, brand, brand_of
from msrtui.values import replace

if TYPE_CHECKING:
    from msrtui.compare.lint import Linted
    from msrtui.explain.probing import Probed


class CpuNamed(Message):
    """The CPU of the host that ``answerer`` speaks for is called ``name``."""

    def __init__(self, name: str, answerer: Answerer) -> None:
        super().__init__()
        self.name = name
        self.answerer = answerer


class OthersRead(Message):
    """Other QEMUs' ``readings`` of what ``session`` shows, from what was heard in this ``hearing``."""

    def __init__(self, session: Session, hearing: object, readings: tuple[Reading, ...]) -> None:
        super().__init__()
        self.session = session
        self.hearing = hearing
        self.readings = readings


class LeafRead(Message):
    """What the host's CPU ``said`` in a CPUID ``leaf``, in this ``hearing``."""

    def __init__(self, hearing: object, leaf: tuple[int, int], said: HostLeaf) -> None:
        super().__init__()
        self.hearing = hearing
        self.leaf = leaf
        self.said = said


def _question(session: Session) -> tuple[object, ...]:
    """What the other QEMUs' readings depend on: who answers, the -cpu, and all of the profile but its version."""
    return (id(session.source.answerer), session.cpu, replace(session.qemu, label=""))


class StartForetold(Message):
    """What comes of starting the guest of ``session``, in this ``hearing``, and what lint finds on its host."""

    def __init__(self, session: Session, hearing: object, start: Probed, linted: Linted) -> None:
        super().__init__()
        self.session = session
        self.hearing = hearing
        self.start = start
        self.linted = linted


def _guest(session: Session) -> tuple[object, ...]:
    """What a start depends on."""
    return (id(session.source.answerer), session.qemu, session.cpu, len(session.taken))


class Background(Part):
    """The part of the explorer that asks while the user goes on; what comes too late for what is shown is let go."""

    _others_asked: object = None
    _start_asked: object = None
    _leaf_asked: object = None

    def _follow(self) -> None:
        raise NotImplementedError

    def _look_further(self, session: Session) -> None:
        """Begin what the session wants and has not: other QEMUs' readings, the leaf that is looked at."""
        if session.others or not self.exploration.reader.at_end or session.outcome is None:
            self._others_asked = None  # "ask again" makes it a new question
        elif self._others_asked != _question(session):
            self._others_asked = _question(session)
            heard = self.exploration.reader.heard.fork()  # here: a thread could find it being emptied
            # what is asked for comes first
            self.call_after_refresh(self._ask_the_others, session, self.exploration.hearing, heard)
            self._start_asked = _guest(session)  # which is worked out with them
        if session.start is not None or not self.exploration.reader.at_end or not session.state.count:
            self._start_asked = None
        elif self._start_asked != _guest(session):
            self._start_asked = _guest(session)
            heard = self.exploration.reader.heard.fork()
            self.call_after_refresh(self._foretell, session, self.exploration.hearing, heard)
        self._look_into_the_leaf(session)

    def _look_into_the_leaf(self, session: Session) -> None:
        """A CPUID leaf that is looked at is asked of the host's CPU too, once."""
        leaf, hearing = session.leaf_wanted, self.exploration.hearing
        if leaf is not None and self._leaf_asked != (hearing, leaf):
            self.call_after_refresh(self._ask_the_cpu, session.source.answerer, hearing, leaf)
        self._leaf_asked = None if leaf is None else (hearing, leaf)

    @work(thread=True, exclusive=True, group="cpu", exit_on_error=False)
    def _name_the_cpu(self) -> None:
        """Some KVM give no brand string in their table; then the instruction is asked, after the first paint."""
        session = self.exploration.session
        if brand(session.state.cpuid) is None:
            leaves = [session.source.answerer.ask(HostCpuid(leaf, 0)).registers for leaf in BRAND_LEAVES]
            name = brand_of([registers for registers in leaves if registers is not None])
            if name is not None:
                self.post_message(CpuNamed(name, session.source.answerer))

    @on(CpuNamed)
    def _cpu_named(self, message: CpuNamed) -> None:
        if message.answerer is self.exploration.session.source.answerer:  # else another was opened meanwhile
            self.exploration.cpu_named(message.name)
            self._follow()

    @work(thread=True, exclusive=True, group="others", exit_on_error=False)
    def _ask_the_others(self, session: Session, hearing: object, heard: Heard) -> None:
        """What other QEMUs make of it: ten conversations, from the replies in ``heard``, which is this thread's own."""
        with session.source.answerer.held():
            readings = read_by_others(heard, session.qemu, session.cpu)
        self.post_message(OthersRead(session, hearing, readings))
        if session.start is None:
            self._tell_start(session, hearing, heard)

    @on(OthersRead)
    def _others_read(self, message: OthersRead) -> None:
        still_heard = message.hearing is self.exploration.hearing
        if still_heard and _question(message.session) == _question(self.exploration.session):
            self.exploration.read_by_others(message.readings)
            self._follow()

    @work(thread=True, exclusive=True, group="start", exit_on_error=False)
    def _foretell(self, session: Session, hearing: object, heard: Heard) -> None:
        """What comes of starting this guest here: by KVM's rules, or by what a vCPU showed."""
        self._tell_start(session, hearing, heard)

    def _tell_start(self, session: Session, hearing: object, heard: Heard) -> None:
        from msrtui.compare.lint import lint
        from msrtui.compare.side import side_of
        from msrtui.tui.starting import start_of, with_probes

        found = start_of(session.source, heard, session.qemu, session.cpu, session.taken)
        source = replace(with_probes(session.source, session.taken), answerer=heard)
        linted = session.linted or lint(side_of(source, session.qemu, session.cpu))
        self.post_message(StartForetold(session, hearing, found, linted))

    @on(StartForetold)
    def _start_foretold(self, message: StartForetold) -> None:
        still = message.hearing is self.exploration.hearing
        if still and _guest(message.session) == _guest(self.exploration.session):
            self.exploration.foretold(message.start, message.linted)
            self._follow()

    @work(thread=True, exclusive=True, group="leaf", exit_on_error=False)
    def _ask_the_cpu(self, answerer: Answerer, hearing: object, leaf: tuple[int, int]) -> None:
        """What the host's CPU itself says in a leaf: on a live host that may take a child process."""
        self.post_message(LeafRead(hearing, leaf, read_host_leaf(answerer, *leaf)))

    @on(LeafRead)
    def _leaf_read(self, message: LeafRead) -> None:
        if message.hearing is self.exploration.hearing:
            self.exploration.leaf_read(message.leaf, message.said)
            self._follow()
