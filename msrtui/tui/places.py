"""Where one can stand: what an event is about, which event and which list show a subject, the same place elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from msrtui.kvm.requests import CheckExtension, GetMsrs
from msrtui.qemu.profile import QemuProfile
from msrtui.transcript.events import Event
from msrtui.transcript.state import State, differs, event_of_word
from msrtui.tui.session import Subject


def first_subject(state: State, qemu: QemuProfile, events: Sequence[Event]) -> Subject:
    """Where to stand first: the word (MSR words before CPUID words) whose guest value is not KVM's answer."""
    words = sorted(qemu.tables.words, key=lambda word: word.kind != "msr")
    for word in words:
        if differs(state, word):
            return ("word", word.name)
    if state.words:
        return ("word", words[0].name)
    return ("event", len(events) - 1)


def event_of(subject: Subject, events: Sequence[Event], count: int) -> int | None:
    """The event behind the cursor that says most about a subject."""
    seen = events[:count]
    if subject[0] in ("word", "bit"):
        for event in reversed(seen):
            step = event.decision
            if event.phase == "guest" and event.word == subject[1] and step is not None and step.before is not None:
                return event.n  # what a rule of the -cpu changed says more than how the word was read
        return event_of_word(seen, str(subject[1]))
    if subject[0] == "event" and isinstance(subject[1], int):
        return subject[1] if subject[1] < count else None
    if subject[0] == "cap":
        return next((event.n for event in reversed(seen) if event.request == CheckExtension(subject[1])), None)  # type: ignore[arg-type]
    if subject[0] == "flag":
        return next((event.n for event in seen if event.decision and subject[1] in event.decision.sets), None)
    if subject == ("list", "capabilities"):
        return next((event.n for event in reversed(seen) if isinstance(event.request, CheckExtension)), None)
    if subject[0] == "list":
        phase = f"{subject[1]}_list"
        return next((event.n for event in reversed(seen) if event.phase == phase and event.kind == "ioctl"), None)
    if subject[0] == "msr":
        for event in reversed(seen):
            if event.decision is not None and event.decision.params.get("index") == subject[1]:
                return event.n
        for event in reversed(seen):
            if subject[1] in getattr(event.reply, "indices", ()):
                return event.n
    return None


def subject_of(event: Event) -> Subject:
    """What an event is about."""
    if event.word is not None:
        return ("word", event.word)
    if event.decision is not None and "index" in event.decision.params:
        return ("msr", event.decision.params["index"])
    if isinstance(event.request, GetMsrs) and len(event.request.indices) == 1:
        return ("msr", event.request.indices[0])
    return ("event", event.n)


def pane_of(subject: Subject, state: State, event: Event | None) -> str | None:
    """The list that shows a subject."""
    if subject[0] in ("word", "bit", "group"):
        return "words"
    if subject[0] == "msr":
        in_features = event is not None and event.phase in ("feature_list", "words", "vcpu")
        if in_features and subject[1] in (state.feature_list or ()):
            return "feature"
        return "index" if subject[1] in (state.index_list or ()) else None
    return None


def _what(event: Event) -> tuple[object, ...]:
    rule = event.decision.rule if event.decision is not None else None
    return (event.function, event.word, event.kind, event.request, rule, event.not_done)


def same_place(events: Sequence[Event], old: Event | None) -> int:
    """How many events of another run are behind its reader, to stand at the same phase, function and subject.

    Where that run has no such event: the last one before it.
    """
    if old is None:
        return 0
    for place, event in enumerate(events):
        if event.phase == old.phase and _what(event) == _what(old):
            return place + 1
    best = 0
    for place, event in enumerate(events):
        if (event.phase, event.function, event.word, event.kind) == (old.phase, old.function, old.word, old.kind):
            best = place + 1
            if place >= old.n:
                break
    return best or min(old.n + 1, len(events))
