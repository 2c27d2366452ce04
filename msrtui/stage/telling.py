"""What a scene is told of: the host, the conversation of its QEMU with it, and where in that the scene stands.

The same generators as everywhere else run here; a talk has no numbers of its own. Hosts and conversations are kept, for
a talk comes back to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from msrtui.catalog import UnknownMsr, find_msr
from msrtui.errors import BadRequest, BadSource
from msrtui.kvm.collector import plain
from msrtui.kvm.heard import Heard
from msrtui.qemu.conversation import Outcome, negotiate
from msrtui.qemu.cpu_request import CpuRequest, parse, profile_for
from msrtui.qemu.profile import QemuProfile, version_label
from msrtui.report.lists import IndexMap, index_map
from msrtui.snapshot.sources import Source, open_source
from msrtui.stage.talk import Scene, Talk
from msrtui.transcript.events import Event
from msrtui.transcript.state import State, state_at
from msrtui.transcript.stepper import run
from msrtui.values import dataclass, replace


@dataclass(frozen=True)
class Told:
    """One host read by one QEMU: the whole conversation, and the event that the scene stands at."""

    source: Source
    heard: Heard
    qemu: QemuProfile
    request: CpuRequest
    events: tuple[Event, ...]
    outcome: Outcome | None
    at: int | None
    end: State
    """QEMU's variables at the end."""

    @property
    def event(self) -> Event | None:
        """The event that the scene stands at."""
        return None if self.at is None else self.events[self.at]

    @property
    def index_map(self) -> IndexMap:
        """What this QEMU does with KVM's index list."""
        return index_map(self.qemu, self.end.index_list or ())


class Teller:
    """Opens the hosts of a talk and runs its conversations, each once.

    ``instead`` is told of in place of the talk's own host, where scenes name no other. ``may_open`` says which SOURCEs
    may be opened at all. Raises BadSource and BadRequest where a scene asks for what is not there.
    """

    def __init__(
        self, talk: Talk, instead: Source | None = None, may_open: Callable[[str], bool] | None = None
    ) -> None:
        self._talk = talk
        self._instead = instead
        self._may_open = may_open
        self._sources: dict[str, Source] = {}
        self._told: dict[tuple[str, str, str, bool], Told] = {}
        self.migratable = True
        """x86_cpu_get_supported_feature_word's second argument, in all scenes."""

    def tell(self, scene: Scene) -> tuple[Told, ...]:
        """The hosts of the scene, the first at the scene's event."""
        told = [self._conversation(host, scene) for host in scene.hosts]
        if scene.at is not None:
            at = find_event(told[0].events, scene.at, told[0].qemu.label)
            told[0] = replace(told[0], at=at)
        return tuple(told)

    def of_its_host(self, scene: Scene) -> Scene:
        """The scene without what was noted on its own host (``rdmsr``, ``message``), where it is told of another."""
        return replace(scene, rdmsr=None, message=None) if self._is_replaced(scene.hosts[0]) else scene

    def _is_replaced(self, host: str) -> bool:
        return self._instead is not None and host == self._talk.own_host

    def _conversation(self, host: str, scene: Scene) -> Told:
        key = (host, scene.qemu, scene.cpu, self.migratable)
        if key not in self._told:
            source = self._source(host)
            profile = QemuProfile(version_label(scene.qemu), migratable=self.migratable)
            request = parse(scene.cpu, profile)
            profile = profile_for(request, profile)
            heard = Heard(source.answerer)
            stepper = run(negotiate(profile, cpu=request), heard)
            end = state_at(stepper.events, len(stepper.events))
            events = tuple(stepper.events)
            at = len(events) - 1 if events else None
            self._told[key] = Told(source, heard, profile, request, events, stepper.outcome, at, end)
        return self._told[key]

    def _source(self, host: str) -> Source:
        if self._instead is not None and self._is_replaced(host):
            return self._instead
        if host not in self._sources:
            if self._may_open is not None and not self._may_open(host):
                raise BadSource(
                    f"{plain(host, 80)} may not be opened here: only bundled hosts and those that were named."
                )
            if host == "-" or host.startswith("ssh://"):  # a talk is a file that anyone may have written
                raise BadSource(f"A talk does not connect anywhere: {plain(host, 80)} is captured first, as a file.")
            self._sources[host] = open_source(host)
        return self._sources[host]


def find_event(events: Sequence[Event], wanted: str, qemu: str) -> int:
    """The number of the first event that is all that ``wanted`` says, of the last one after the word ``last``.

    Each word of it is one of: a phase, a function of QEMU's, a FEAT_ name, an ioctl, a rule, an MSR's index in hex.
    Raises BadRequest where there is none.
    """
    words = wanted.split()
    last = words[:1] == ["last"]
    words = words[1:] if last else words
    for event in reversed(events) if last else events:
        if _signs(event).issuperset(words):
            return event.n
    raise BadRequest(f"No event is {plain(wanted, 80)} in the conversation of QEMU {qemu} with that host.")


def _signs(event: Event) -> set[str]:
    signs = {event.phase, event.function, event.kind, event.word or "", event.ioctl or "", event.branch or ""}
    if event.decision is not None:
        signs.add(event.decision.rule)
        if "index" in event.decision.params:
            signs.add(f"{event.decision.params['index']:#x}")
    signs |= {f"{index:#x}" for index in getattr(event.request, "indices", ())}
    capability = getattr(event.request, "capability", None)
    if capability is not None:
        signs.add(str(int(capability)))
    return signs


def looked_at_msr(scene: Scene, told: Told) -> int:
    """The MSR that the scene looks at, by number, name or word. Raises BadRequest where it names none."""
    for text in scene.look:
        word = told.qemu.tables.word_by_name.get(text)
        if word is not None and word.kind == "msr":
            return word.index
        with suppress(UnknownMsr):
            return find_msr(text)
    raise BadRequest('The scene looks at no MSR: look = "0x10a" says which.')


def looked_at_word(scene: Scene, told: Told) -> str:
    """The feature word that the scene looks at. Raises BadRequest where this QEMU has none of that name."""
    for text in scene.look:
        for name in (text, f"FEAT_{text}"):
            if name in told.qemu.tables.word_by_name:
                return name
    raise BadRequest(f'The scene looks at no feature word of QEMU {told.qemu.label}: look = "FEAT_7_0_EDX" says which.')
