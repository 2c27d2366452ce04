"""The explorer without a screen: one conversation, where one stands in it, and every way that changes.

What a key does is a method here, each of which leaves a new ``session``. Nothing here draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msrtui.kvm.readings import HostLeaf, read_feature_msrs
from msrtui.kvm.requests import MsrsReply
from msrtui.qemu.cpu_request import parse, profile_for
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.model import About
from msrtui.snapshot.sources import Source
from msrtui.transcript.events import Event
from msrtui.transcript.state import State
from msrtui.tui.places import event_of, first_subject, subject_of
from msrtui.tui.reader import Reader
from msrtui.tui.session import Query, Reading, Session, Subject
from msrtui.values import replace

if TYPE_CHECKING:
    from msrtui.compare.lint import Linted
    from msrtui.explain.probing import Probed
    from msrtui.tui.starting import Taken


class Exploration:
    """One KVM read by one QEMU. Raises BadRequest where that QEMU has no such ``-cpu``."""

    def __init__(self, source: Source, qemu: QemuProfile, cpu: str = "host", *, at_start: bool = False) -> None:
        self.chosen = qemu
        """The profile without what the ``-cpu`` says of itself (``migratable=off``), which is in ``session.qemu``."""
        request = parse(cpu, qemu)
        qemu = profile_for(request, qemu)
        self.reader = Reader(source, qemu, request)
        self.hearing: object = object()
        """Another one whenever everything is forgotten: replies from before that say nothing of what is asked now."""
        self._failures_told = 0
        self._back: list[Subject] = []
        self._forward: list[Subject] = []
        if not at_start:
            self.reader.ends(1)
        events, state = self.reader.events, self.reader.state
        subject: Subject = ("event", 0) if at_start else first_subject(state, qemu, events)
        notice = source.notice.splitlines()[0] if source.notice else None
        self._session = self._with_failures_told(
            self._with_values_read(
                Session(
                    source,
                    qemu,
                    events,
                    state,
                    subject,
                    event_of(subject, events, state.count),
                    cpu=cpu,
                    outcome=self.reader.outcome,
                    notice=notice,
                )
            )
        )

    @property
    def session(self) -> Session:
        """What is shown. Only the methods here make another one of it."""
        return self._session

    @property
    def event(self) -> Event | None:
        """The event that the dialogue speaks of."""
        return None if self.session.at is None else self.session.events[self.session.at]

    def change(self, **changes: Any) -> None:
        """Another session: what was said and what was lit in the one before is over."""
        fresh: dict[str, Any] = {"notice": None, "asked": None, "lit": frozenset(), "outcome": self.reader.outcome}
        self._session = self._with_failures_told(self._with_values_read(replace(self.session, **{**fresh, **changes})))

    def note(self, text: str) -> None:
        """Say something at the foot."""
        self.change(notice=text)

    # --- moving in the conversation ------------------------------------------------------------------------
    def step(self, by: int) -> None:
        """One event on or back."""
        if self.session.at is not None:
            self.reader.stand_at(self.session.at)  # step from what is shown
        if self.reader.step(by) or by < 0:
            self._moved()
        else:
            self.note("The conversation ends here:  p  goes back,  <  to the start.")

    def phase(self, by: int) -> None:
        """One phase on or back."""
        self.reader.phase(by)
        self._moved()

    def ends(self, by: int) -> None:
        """To the start or to the end."""
        self.reader.ends(by)
        self._moved()

    def stand_at(self, place: int) -> None:
        """At the event with this number, which was heard before."""
        self.reader.stand_at(place)
        self._moved()

    def again(self, about: About | None = None) -> None:
        """Forget what KVM said and begin at the start: each step is a question again.

        ``about`` is what is known of this machine by now: a module that was reloaded may have other parameters.
        """
        self.reader.again()
        self.hearing = object()
        self._failures_told = 0
        if about is not None:
            source = self.session.source
            known = replace(about, cpu=about.cpu or source.about.cpu)
            self._session = replace(self.session, source=replace(source, about=known))
        self._moved(values_read={}, queries={}, others=(), leaves={}, asked_at=None, start=None, linted=None, taken=())

    def _moved(self, **changes: Any) -> None:
        """The reader stands elsewhere: the subject is what the event there is about."""
        event, before = self.reader.current, self.session.state
        state = self.reader.state
        subject: Subject = ("event", -1) if event is None else subject_of(event)
        at = None if event is None else event.n
        lit = changed(before, state) if state.count else frozenset()
        self.change(events=self.reader.events, state=state, subject=subject, at=at, lit=lit, **changes)

    def _with_values_read(self, session: Session) -> Session:
        """At the end, values of listed feature MSRs that QEMU did not ask for are asked once, all together.

        Not before: while one steps, each step is one question of QEMU's and nothing else.
        """
        wanted = set(session.state.feature_list or ()) - set(session.values_read)
        if not wanted or not self.reader.at_end:
            return session
        read = read_feature_msrs(self.reader.heard, tuple(session.state.feature_list or ()))
        return replace(session, values_read=read)

    def _with_failures_told(self, session: Session) -> Session:
        """What KVM did not answer is said once at the foot, as soon as nothing else is said there."""
        failures = self.reader.failures
        if session.notice is not None or len(failures) <= self._failures_told:
            return session
        from msrtui.report.failures import shown_sentence

        self._failures_told = len(failures)
        return replace(session, notice=shown_sentence(failures, live=session.source.live))

    # --- what if -------------------------------------------------------------------------------------------
    def what_if(self, qemu: QemuProfile, cpu: str) -> None:
        """Another QEMU or another ``-cpu``, worked out from what was heard; what becomes another value is lit.

        Raises BadRequest where that QEMU has no such ``-cpu``; then nothing has changed.
        """
        session = self.session
        request = parse(cpu, qemu)
        profile = profile_for(request, qemu)
        self.chosen = qemu
        reading = self.reader.current
        follows = session.at is None or (reading is not None and reading.n == session.at)
        self.reader.switch(profile, request)
        events, state = self.reader.events, self.reader.state
        subject = session.subject
        if subject[0] in ("word", "bit") and subject[1] not in profile.tables.word_by_name:
            subject = first_subject(state, profile, events)
        at = event_of(subject, events, state.count)
        if follows or subject[0] == "event":
            at = None if self.reader.current is None else self.reader.current.n
            subject = subject if subject[0] != "event" or at is None else ("event", at)
        self.change(
            qemu=profile,
            cpu=cpu,
            events=events,
            state=state,
            subject=subject,
            at=at,
            lit=changed(session.state, state),
            others=session.others if cpu == session.cpu and alike(profile, session.qemu) else (),
            start=None,
            linted=None,
        )

    def migratable(self) -> None:
        """The second argument of x86_cpu_get_supported_feature_word, on or off."""
        self.what_if(replace(self.chosen, migratable=not self.session.qemu.migratable), self.session.cpu)

    def foretold(self, start: Probed, linted: Linted | None) -> None:
        """What comes of starting this guest here, and what lint finds; worked out elsewhere."""
        self._session = self._with_failures_told(
            replace(self.session, start=start, linted=linted or self.session.linted)
        )

    def probed(self, taken: Taken) -> None:
        """A vCPU was made on this machine and asked: what comes of a start, and lint, are to be worked out anew."""
        self._session = replace(self.session, taken=(*self.session.taken, taken), start=None, linted=None)

    def read_by_others(self, readings: tuple[Reading, ...]) -> None:
        """What other QEMUs make of the same KVM."""
        self._session = replace(self.session, others=readings)

    # --- what is learned or done beside a move, and ends nothing that was said ---------------------------------
    def cpu_named(self, name: str) -> None:
        """The host's CPU is called ``name``."""
        source = self.session.source
        self._session = replace(self.session, source=replace(source, about=replace(source.about, cpu=name)))

    def asked_since(self, clock: str) -> None:
        """A live KVM was asked at this time of day; what is already said of it stays."""
        if self.session.source.live and self.session.asked_at is None:
            self._session = replace(self.session, asked_at=f"asked {clock}")

    def changed_since(self, clock: str, changed: str) -> None:
        """The KVM is another one since this time of day: ``changed`` says what happened."""
        self._session = replace(self.session, notice=f"Since {clock} {changed}:  r  asks everything again.")

    def focus_on(self, pane: str) -> None:
        """The pane with the keys, which grows."""
        self._session = replace(self.session, focus=pane)

    def leaf_read(self, leaf: tuple[int, int], said: HostLeaf) -> None:
        """What the host's CPU says in a CPUID leaf."""
        self._session = replace(self.session, leaves={**self.session.leaves, leaf: said})

    # --- selecting -----------------------------------------------------------------------------------------
    def look_at(self, subject: Subject, **changes: Any) -> None:
        """Look at something, without a trace to come back along."""
        session = self.session
        self.change(subject=subject, at=event_of(subject, session.events, session.state.count), **changes)

    def follow(self, subject: Subject, **changes: Any) -> None:
        """Look at something, and remember where one came from."""
        if subject != self.session.subject:
            self._back.append(self.session.subject)
            self._forward.clear()
        self.look_at(subject, **changes)

    def back(self) -> bool:
        """Back along the links; False where there is nothing to come back to."""
        return self._along(self._back, self._forward)

    def forward(self) -> bool:
        """Forward again."""
        return self._along(self._forward, self._back)

    def _along(self, taken: list[Subject], left: list[Subject]) -> bool:
        if not taken:
            return False
        left.append(self.session.subject)
        self.look_at(taken.pop())
        return True

    def only_changed(self, pane: str) -> None:
        """In one list only what matters, or all again."""
        self.change(only=self.session.only ^ {pane})

    # --- the user's own question -----------------------------------------------------------------------------
    def answered(self, index: int, reply: MsrsReply, seconds: float, listed: bool) -> None:
        """KVM answered a question of the user's."""
        session = self.session
        earlier = session.reading(index)
        before = earlier.value if earlier is not None else None
        queries: Mapping[int, Query] = {**session.queries, index: Query(reply, seconds, before, listed)}
        word = session.qemu.tables.word_by_msr.get(index)
        self.follow(("word", word.name) if word is not None else ("msr", index), queries=queries, asked=index)


def changed(before: State, after: State) -> frozenset[Subject]:
    """What has another value in ``after``: MSRs of the lists, has_msr flags, feature words."""
    lit: set[Subject] = set()
    if before.index_list != after.index_list:
        lit.update(("msr", index) for index in after.index_list or ())
    lit.update(("msr", index) for index in after.flags.keys() ^ before.flags.keys())
    if before.feature_list != after.feature_list:
        lit.update(("msr", index) for index in after.feature_list or ())
    lit.update(("msr", index) for index, reply in after.msrs.items() if before.msrs.get(index) != reply)
    for name, word in after.words.items():
        earlier, guest, guest_earlier = before.words.get(name), after.guest.get(name), before.guest.get(name)
        now = (word.kvm, word.supported, word.migratable, guest.value if guest else None)
        then = earlier and (
            earlier.kvm,
            earlier.supported,
            earlier.migratable,
            guest_earlier.value if guest_earlier else None,
        )
        if now != then:
            lit.add(("word", name))
    return frozenset(lit)


def alike(one: QemuProfile, other: QemuProfile) -> bool:
    """Whether two profiles differ in the version at most."""
    return replace(one, label=other.label) == other
