"""Many hosts: grouped by fingerprint, put together by guest, the odd ones found, and who can move to whom.

A group is the hosts whose KVMs answer the same; a kind of guest is the groups in which a guest of the chosen ``-cpu``
is the same CPU and can come from and go to the same hosts. Of a host only its name and its facts are kept.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple, TypeVar, cast

from msrtui.compare.fingerprint import ASKED, OPEN, Different, different
from msrtui.compare.fleet_reading import Behaviour, Bits, Facts, Learnt, Read
from msrtui.compare.outliers import Spelt, Vocabulary, odd_ones
from msrtui.compare.pools import Moves, lost, moves, pools
from msrtui.compare.side import Side
from msrtui.compare.verdict import Answer, MoveVerdict, can_move
from msrtui.kvm.requests import AnyRequest, Reply
from msrtui.qemu.cpu_request import CpuRequest
from msrtui.qemu.profile import QemuProfile
from msrtui.values import dataclass

T = TypeVar("T")
FEW_KINDS = 40
"""Up to so many kinds of guest each is held against each other, bit by bit; beyond, each against the largest."""


class Host(NamedTuple):
    """A snapshot by name, and the facts in it."""

    name: str
    facts: Facts


class Skipped(NamedTuple):
    """A file that is no snapshot that can be read; ``reason`` is the sentence."""

    name: str
    reason: str


@dataclass(frozen=True)
class Group:
    """Hosts with one fingerprint, in the order in which they came; ``kind`` is the place of their kind of guest."""

    fingerprint: str
    hosts: tuple[Host, ...]
    behaviour: Behaviour
    kind: int
    failures: tuple[tuple[AnyRequest, Reply], ...] = ()
    """The questions that their KVM did not answer."""

    @cached_property
    def facts(self) -> dict[str, Counter[str | None]]:
        """Each fact with the hosts that have each value: one value is shared. Parameters are ``kvm.NAME``."""
        found: dict[str, Counter[str | None]] = {}
        for facts, count in Counter(host.facts for host in self.hosts).items():
            for name, value in (*zip(Facts._fields[:-1], facts[:-1], strict=True), *facts.parameters):
                found.setdefault(name, Counter())[value] += count
        for name, values in found.items():
            if name not in Facts._fields and values.total() < len(self.hosts):
                values[None] = len(self.hosts) - values.total()
        return found

    def shared(self, name: str) -> str | None:
        """The value of a fact that all hosts have; None where they differ or none says."""
        values = self.facts[name]
        return next(iter(values)) if len(values) == 1 else None


class Kind(NamedTuple):
    """A kind of guest: the places of its groups, the largest first, its hosts, and how each behaves."""

    groups: tuple[int, ...]
    hosts: int
    behaviour: Behaviour


class Outlier(NamedTuple):
    """A small group, by place, with its nearest larger one and what differs: values are the nearest's, then its own."""

    group: int
    nearest: int
    differences: tuple[Different, ...]


class Move(NamedTuple):
    """Whether the guest of one kind can move to hosts of another.

    ``lost`` are the bits that it would lose, by word in the order of QEMU's table: for sure, and those that it may.
    ``verdict`` has the reasons; None where there are too many kinds for that.
    """

    source: int
    target: int
    answer: Answer
    clean: bool | None
    lost: tuple[Bits, ...]
    verdict: MoveVerdict | None


@dataclass(frozen=True)
class Comparison:
    """A fleet compared; groups and kinds are in the order of their hosts, the largest first."""

    profile: QemuProfile
    request: CpuRequest
    groups: tuple[Group, ...]
    kinds: tuple[Kind, ...]
    moves: Moves
    pools: tuple[tuple[int, ...], ...]
    outliers: tuple[Outlier, ...]
    skipped: tuple[Skipped, ...]

    @property
    def hosts(self) -> int:
        """How many were read."""
        return sum(len(group.hosts) for group in self.groups)

    @property
    def pairwise(self) -> bool:
        """Whether there are few enough kinds of guest to hold each against each other."""
        return len(self.kinds) <= FEW_KINDS

    def verdicts(self, open_side: Callable[[Group], Side]) -> list[Move]:
        """Every ordered pair of kinds, with reasons, by a host of each that ``open_side`` reads again.

        Of too many kinds: each with the largest, both ways, without reasons.
        """
        count = len(self.kinds)
        if not self.pairwise:
            pairs = [pair for kind in range(1, count) for pair in ((kind, 0), (0, kind))]
            return [self._move(source, target, None) for source, target in pairs]
        sides = [open_side(self.groups[kind.groups[0]]) for kind in self.kinds] if count > 1 else []
        return [
            self._move(source, target, can_move(sides[source], sides[target]))
            for source in range(count)
            for target in range(count)
            if source != target
        ]

    def _move(self, source: int, target: int, verdict: MoveVerdict | None) -> Move:
        one, other = self.kinds[source].behaviour, self.kinds[target].behaviour
        answer = self.moves.answer(source, target) if verdict is None else verdict.answer
        bits = lost(one, other, self.request.takes_all)
        return Move(source, target, answer, one.clean, bits, verdict)

    def reach(self, kind: int) -> tuple[int, int]:
        """(hosts of other kinds that the guest of this kind can go to, hosts whose guests can come here)."""
        others = [place for place in range(len(self.kinds)) if place != kind]
        to = sum(self.kinds[other].hosts for other in others if self.moves.can[kind] >> other & 1)
        back = sum(self.kinds[other].hosts for other in others if self.moves.can[other] >> kind & 1)
        return to, back


class Fleet:
    """Takes one snapshot after another, for one QEMU and one ``-cpu``."""

    def __init__(self, profile: QemuProfile, request: CpuRequest) -> None:
        self._profile = profile
        self._request = request
        self._fingerprints: dict[bytes, str] = {}
        self._hosts: dict[str, list[Host]] = {}
        self._learnt: dict[str, tuple[array[int], Behaviour, tuple[tuple[AnyRequest, Reply], ...]]] = {}
        self._vocabulary = Vocabulary()
        self._kept: dict[Any, Any] = {}
        self._facts: dict[Facts, Facts] = {}
        self._skipped: list[Skipped] = []

    def add(self, found: Read | Skipped) -> None:
        """One more."""
        if isinstance(found, Skipped):
            self._skipped.append(found)
            return
        if found.learnt is not None:
            self._learn(found.answers, found.learnt)
        hosts = self._hosts.setdefault(self._fingerprints[found.answers], [])
        hosts.append(Host(found.name, self._facts.setdefault(found.facts, found.facts)))

    def _learn(self, answers: bytes, learnt: Learnt) -> None:
        self._fingerprints[answers] = learnt.fingerprint
        if learnt.fingerprint not in self._learnt:
            behaviour = learnt.behaviour
            shared = behaviour._replace(
                guest=self._shared(behaviour.guest),
                needs=self._shared(behaviour.needs),
                offers=self._shared(behaviour.offers),
            )
            self._learnt[learnt.fingerprint] = (
                self._vocabulary.spelt(learnt.items),
                shared,
                learnt.failures,
            )

    def _shared(self, values: tuple[T, ...]) -> tuple[T, ...]:
        """The same words of many hosts, once: what comes from another process does not share."""
        one = tuple(self._kept.setdefault(value, value) for value in values)
        return cast("tuple[T, ...]", self._kept.setdefault(one, one))

    def compared(self) -> Comparison:
        """The whole of what came so far."""
        order = sorted(self._hosts, key=lambda fingerprint: -len(self._hosts[fingerprint]))
        behaviours = [self._learnt[fingerprint][1] for fingerprint in order]
        sizes = [len(self._hosts[fingerprint]) for fingerprint in order]
        kinds = _kinds(behaviours, sizes)
        kind_of = {group: place for place, kind in enumerate(kinds) for group in kind.groups}
        groups = [
            Group(
                fingerprint,
                tuple(self._hosts[fingerprint]),
                behaviours[place],
                kind_of[place],
                self._learnt[fingerprint][2],
            )
            for place, fingerprint in enumerate(order)
        ]
        found = moves([kind.behaviour for kind in kinds], self._request.takes_all)
        return Comparison(
            self._profile,
            self._request,
            tuple(groups),
            tuple(kinds),
            found,
            tuple(pools(found, [kind.hosts for kind in kinds])),
            tuple(self._outliers([self._learnt[fingerprint][0] for fingerprint in order], sizes)),
            tuple(self._skipped),
        )

    def _outliers(self, spelt: Sequence[array[int]], sizes: Sequence[int]) -> list[Outlier]:
        tables = self._profile.tables
        frames = [
            [item for item in map(self._vocabulary.items.__getitem__, numbers) if item[0][0] in (OPEN, ASKED)]
            for numbers in spelt
        ]
        found = []
        for near in odd_ones(Spelt(spelt, sizes, self._vocabulary)):
            theirs, own = dict([*frames[near.nearest], *near.theirs]), dict([*frames[near.group], *near.own])
            found.append(Outlier(near.group, near.nearest, different(theirs, own, tables)))
        return found


def _kinds(behaviours: Sequence[Behaviour], sizes: Sequence[int]) -> list[Kind]:
    """The groups by what is the same for every guest: of what a host offers, that which any guest here may need."""
    width = max((len(behaviour.needs) for behaviour in behaviours), default=0)
    wanted = [0] * width
    for needs in {behaviour.needs for behaviour in behaviours}:
        for word, (_, may) in enumerate(needs):
            wanted[word] |= may
    alike: dict[Behaviour, list[int]] = {}
    for place, behaviour in enumerate(behaviours):
        offers = tuple((sure & mask, may & mask) for (sure, may), mask in zip(behaviour.offers, wanted, strict=False))
        alike.setdefault(behaviour._replace(offers=offers), []).append(place)
    kinds = [Kind(tuple(groups), sum(sizes[group] for group in groups), kind) for kind, groups in alike.items()]
    return sorted(kinds, key=lambda kind: -kind.hosts)
