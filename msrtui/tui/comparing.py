"""What each key of the compare screen does, without a screen: from one comparison to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from msrtui.compare.causes import causes
from msrtui.compare.differences import differences
from msrtui.compare.fingerprint import fingerprint_of, items_of
from msrtui.compare.later import Turn, turns
from msrtui.compare.pair import Common, Pair, pair
from msrtui.compare.side import Side, side_of
from msrtui.compare.verdict import MoveVerdict, can_move
from msrtui.errors import BadRequest
from msrtui.kvm.heard import Heard
from msrtui.kvm.recorded import RecordedHost
from msrtui.kvm.watched import Watched
from msrtui.qemu.cpu_request import parse
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import labels
from msrtui.report.failures import shown_sentence
from msrtui.report.home import at_home
from msrtui.snapshot.sources import Source
from msrtui.tui.comparison import REFERENCE, Comparison
from msrtui.tui.session import Subject
from msrtui.values import replace


class Comparing:
    """Two or more hosts, each as a QEMU reads it. Raises BadRequest where such a QEMU has no such ``-cpu``."""

    def __init__(self, sources: Sequence[Source], qemus: Sequence[QemuProfile], cpu: str = "host") -> None:
        self._qemus = (qemus[0], qemus[-1])
        self._cpu = cpu
        self._sides: dict[int, Side] = {}
        self._heard: dict[int, Heard] = {}
        self._watched: dict[int, Watched] = {}
        self._failures_told: dict[int, int] = {}
        self.comparison = self._compared(tuple(sources), 1)

    # --- what is compared ------------------------------------------------------------------------------------
    @property
    def qemus(self) -> tuple[QemuProfile, QemuProfile]:
        """The QEMU that reads A, and the one that reads the others."""
        return self._qemus

    @property
    def cpu(self) -> str:
        """The ``-cpu`` of all guests."""
        return self._cpu

    def _side(self, sources: Sequence[Source], place: int) -> Side:
        if place not in self._sides:
            self._sides[place] = self.read(sources[place], place)
        return self._sides[place]

    def read(self, source: Source, place: int) -> Side:
        """One host as its QEMU reads it; asks KVM what was not heard before."""
        return self._read(source, self._qemus[0 if place == REFERENCE else 1], self._heard_of(source))

    def _heard_of(self, source: Source) -> Heard:
        if id(source) not in self._heard:
            watched = self._watched[id(source)] = Watched(source.answerer)
            self._heard[id(source)] = Heard(watched, recall=True)
        return self._heard[id(source)]

    def _failures(self, sources: Sequence[Source]) -> str | None:
        """What KVM did not answer and was not told yet: each is said once."""
        for source in sources:
            failures = self._watched[id(source)].failures if id(source) in self._watched else []
            if len(failures) > self._failures_told.get(id(source), 0):
                self._failures_told[id(source)] = len(failures)
                return shown_sentence(failures, live=source.live, name=source.name)
        return None

    def _read(self, source: Source, qemu: QemuProfile, heard: Heard) -> Side:
        with heard.held():
            return side_of(replace(source, answerer=heard), qemu, self._cpu)

    def everyone(self) -> Callable[[], list[Side]]:
        """What reads all hosts by A's QEMU for ``-cpu host``; it may run in another thread, from what was heard."""
        qemu = self._qemus[0]
        forks = [(source, self._heard_of(source).fork()) for source in self.comparison.sources]

        def work() -> list[Side]:
            sides = []
            for source, heard in forks:
                with heard.held():
                    sides.append(side_of(replace(source, answerer=heard), qemu))
            return sides

        return work

    def newer(self) -> Callable[[], Mapping[str, Turn]]:
        """What works out what newer QEMUs make of A and B; it may run in another thread, from what was heard."""
        now = self.comparison
        places = (REFERENCE, now.other)
        forks = [(now.sources[place], self._heard_of(now.sources[place]).fork()) for place in places]
        one, other = self._qemus
        newest = max(one.version, other.version)
        versions = [label for label in labels() if QemuProfile(label).version > newest]

        def work() -> Mapping[str, Turn]:
            def pairs() -> Iterator[tuple[str, Pair]]:
                for label in versions:
                    with suppress(BadRequest):  # it may have no such -cpu any more
                        (a, heard_a), (b, heard_b) = forks
                        qemus = replace(one, label=label), replace(other, label=label)
                        yield label, pair(self._read(a, qemus[0], heard_a), self._read(b, qemus[1], heard_b))

            return turns(now.pair, pairs())

        return work

    def newer_read(self, found: Mapping[str, Turn]) -> None:
        """What newer QEMUs make of A and B; worked out elsewhere."""
        self.comparison = replace(self.comparison, turns=found)

    def again(self) -> None:
        """Forget what live hosts said, and ask them again."""
        now = self.comparison
        if not any(source.live for source in now.sources):
            raise BadRequest("These hosts are saved ones: what they said stays as it is.")
        for place, source in enumerate(now.sources):
            if source.live:
                self._heard.pop(id(source), None)
                self._failures_told.pop(id(source), None)
                self._sides.pop(place, None)
        self._again(now.sources, now.other)

    def _compared(self, sources: tuple[Source, ...], other: int, **kept: Any) -> Comparison:
        a, b = self._side(sources, REFERENCE), self._side(sources, other)
        found_pair = pair(a, b)
        found = differences((a, b))
        subject: Subject = kept.pop("subject", None) or _first(found_pair.words)
        verdicts = {other: (found_pair.there, found_pair.back)}
        return Comparison(
            sources,
            other,
            found_pair,
            found,
            causes(found),
            subject,
            at_home(a),
            verdicts={**kept.pop("verdicts", {}), **verdicts},
            notice=self._failures((sources[REFERENCE], sources[other])),
            **kept,
        )

    def _again(self, sources: tuple[Source, ...], other: int, **changes: Any) -> None:
        now = self.comparison
        kept = {"subject": now.subject, "focus": now.focus, "every": now.every, "opened": now.opened, **changes}
        self.comparison = self._compared(sources, other, **kept)

    # --- what takes longer ------------------------------------------------------------------------------------
    def missing(self) -> list[int]:
        """The places of the hosts whose verdicts are not worked out yet."""
        known = self.comparison
        return [
            place
            for place in range(1, len(known.sources))
            if place not in known.verdicts and place not in known.refused
        ]

    def learned(self, place: int, side: Side, verdicts: tuple[MoveVerdict, MoveVerdict]) -> None:
        """What became of another host; worked out elsewhere."""
        self._sides[place] = side
        now = self.comparison
        prints = {**now.prints, **_prints(now.sources, (REFERENCE, now.other, place), now.prints)}
        self.comparison = replace(now, verdicts={**now.verdicts, place: verdicts}, prints=prints)

    def cannot(self, place: int, why: str) -> None:
        """A host that cannot be compared."""
        self.comparison = replace(self.comparison, refused={**self.comparison.refused, place: why})

    def in_common(self, found: Common) -> None:
        """What A and B have in common; worked out elsewhere."""
        self.comparison = replace(self.comparison, common=found)

    # --- the keys ---------------------------------------------------------------------------------------------
    def change(self, **changes: Any) -> None:
        """Something of what is shown; what was said at the foot is over."""
        self.comparison = replace(self.comparison, **{"notice": None, **changes})

    def note(self, text: str) -> None:
        """Say something at the foot."""
        self.comparison = replace(self.comparison, notice=text)

    def fold(self, group: Subject) -> None:
        """Open a part of the list, at its first row, or shut it."""
        now = self.comparison
        first = next((each for each in now.found if each.kind == group[1]), None)
        if group in now.opened or first is None:
            self.change(opened=now.opened - {group}, subject=group)
        else:
            self.change(opened=now.opened | {group}, subject=("difference", first.kind, first.subject))

    def look_at(self, subject: Subject) -> None:
        """Another row."""
        self.change(subject=subject)

    def to_host(self, place: int) -> None:
        """Another host is B. Raises BadRequest where it cannot be compared."""
        now = self.comparison
        if place in now.refused:
            raise BadRequest(now.refused[place])
        if place != now.other:
            self._again(now.sources, place, verdicts=now.verdicts, refused=now.refused, prints=now.prints)

    def next_host(self, by: int) -> None:
        """The next of the others is B, or the one before. Raises BadRequest where there is none."""
        now = self.comparison
        if not now.many:
            raise BadRequest("There is no other host here:  o  adds one,  w  swaps A and B.")
        places = [place for place in now.groups if place not in now.refused]
        self.to_host(places[(places.index(now.alike(now.other)[0]) + by) % len(places)])

    def swap(self) -> None:
        """A is B and B is A."""
        now, sides = self.comparison, self._sides
        order = list(range(len(now.sources)))
        order[REFERENCE], order[now.other] = now.other, REFERENCE
        self._qemus = (self._qemus[1], self._qemus[0])
        alike = self._qemus[0] == self._qemus[1]
        self._sides = {
            place: sides[was] for place, was in enumerate(order) if was in sides and (alike or place in (0, now.other))
        }
        refused = {place: now.refused[was] for place, was in enumerate(order) if was in now.refused}
        prints = {place: now.prints[was] for place, was in enumerate(order) if was in now.prints}
        self._again(tuple(now.sources[was] for was in order), now.other, refused=refused, prints=prints)

    def add(self, source: Source) -> None:
        """One more host, which is B from now on."""
        now = self.comparison
        sources = (*now.sources, source)
        self._again(sources, len(now.sources), verdicts=now.verdicts, refused=now.refused, prints=now.prints)

    def what_if(self, qemus: tuple[QemuProfile, QemuProfile], cpu: str) -> None:
        """Other QEMUs, or another ``-cpu``. Raises BadRequest, and changes nothing, where there is no such ``-cpu``."""
        for qemu in qemus:
            parse(cpu, qemu)
        before = self._qemus, self._cpu, self._sides
        self._qemus, self._cpu, self._sides = qemus, cpu, {}
        try:
            self._again(self.comparison.sources, self.comparison.other)
        except BadRequest:
            self._qemus, self._cpu, self._sides = before
            raise

    def migratable(self) -> None:
        """migratable on or off, for all."""
        one, other = self._qemus
        turned = replace(one, migratable=not one.migratable), replace(other, migratable=not one.migratable)
        self.what_if(turned, self._cpu)


def _prints(sources: Sequence[Source], places: Iterable[int], known: Mapping[int, str]) -> dict[int, str]:
    """The fingerprints of saved hosts; a live one may answer otherwise tomorrow."""
    return {
        place: fingerprint_of(items_of(source.answerer.recording))
        for place, source in ((place, sources[place]) for place in places if place not in known)
        if isinstance(source.answerer, RecordedHost)
    }


def verdicts_of(reference: Side, side: Side) -> tuple[MoveVerdict, MoveVerdict]:
    """(A → it, it → A)."""
    return can_move(reference, side), can_move(side, reference)


def _first(words: Sequence[Any]) -> Subject:
    """The word to begin with: of the MSR words the first in which a bit is in the way, else of all, else the first."""
    blocking = [each for each in words if each.only_a or each.only_b]
    msrs = [each for each in blocking if each.word.kind == "msr"]
    differing = [each for each in words if each.differs]
    for chosen in (msrs, blocking, differing, words):
        if chosen:
            return ("word", chosen[0].name)
    return ("word", "")
