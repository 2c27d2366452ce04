"""What can be saved of a session: the snapshot, the screen as a picture or as text, JSON of what is selected."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from msrtui.errors import BadRequest
from msrtui.kvm.requests import reading_of
from msrtui.lines import Line
from msrtui.qemu.why import reason
from msrtui.report.get import get_document
from msrtui.report.msr import view_heard_msr
from msrtui.report.trace import event_document
from msrtui.report.views import WordView
from msrtui.report.why import reason_document
from msrtui.report.words import guest_word_document
from msrtui.snapshot.capture import capture_here
from msrtui.snapshot.codec import encode
from msrtui.snapshot.probes import KEY
from msrtui.transcript.heard_lists import heard_lists
from msrtui.tui.comparison import Comparison
from msrtui.tui.session import Session


def snapshot_text(session: Session) -> str:
    """The snapshot of the session's source, as a file holds it: of this machine taken now.

    Raises BadRequest where there is none to save, KvmUnusable where this machine's KVM cannot be opened.
    """
    if session.source.live:
        heard = {KEY: [dict(taken.document) for taken in session.taken]} if session.taken else {}
        return encode({**capture_here(), **heard})
    if session.source.document is None:
        raise BadRequest("This source holds no snapshot to save.")
    return encode(session.source.document)


def comparison_text(now: Comparison, kind: str) -> str:
    """The two sides as ``msrtui diff`` prints them: ``json``, ``markdown`` or ``text``."""
    from msrtui.report import diff

    pair = now.pair
    told = (pair.a, pair.b), now.found, (pair.there, pair.back)
    if kind == "json":
        return json.dumps(diff.diff_document(*told), indent=1) + "\n"
    return diff.diff_markdown(*told) if kind == "markdown" else diff.diff_text(*told)


def selection_text(session: Session, detail: Sequence[Line]) -> str:
    """JSON of what is selected, in the shapes of the command line, with the ``-cpu`` and what its guest gets.

    Made of what was heard: nothing is asked. What has no shape there is told by its lines.
    """
    top = {"source": session.source.name, "qemu": session.qemu.label, "cpu": session.cpu}
    return json.dumps({**top, **_selection(session, detail)}, indent=1) + "\n"


def _selection(session: Session, detail: Sequence[Line]) -> dict[str, Any]:
    match session.subject:
        case ("word", str(name)) if name in session.state.words:
            return _word(session, name)
        case ("bit", str(name), int(bit)) if name in session.state.words:
            return {**_word(session, name), "bits": _bits(session, name, bit)}
        case ("msr", int(index)):
            return _msr(session, index)
        case ("event", int(place)) if 0 <= place < len(session.events):
            return {"events": [event_document(session.events[place], session.qemu)]}
    return {"subject": list(session.subject), "text": [entry.text.rstrip() for entry in detail]}


def _word(session: Session, name: str) -> dict[str, Any]:
    """As in ``words --json``."""
    found = session.state.words[name]
    view = WordView(found.word, found, None)
    return {"words": {name: guest_word_document(view, session.state.guest.get(name), session.qemu)}}


def _bits(session: Session, name: str, bit: int) -> list[dict[str, Any]]:
    """As in ``features --why NAME --json``; nothing before the guest's word is worked out."""
    outcome = session.outcome
    if outcome is None or outcome.cpu is None or name not in session.state.guest:
        return []
    why = reason(outcome.state, outcome.words, outcome.cpu, name, bit)
    return [reason_document(why, session.source.about, session.qemu, outcome)]


def _msr(session: Session, index: int) -> dict[str, Any]:
    """As in ``get MSR --json``."""
    state, qemu = session.state, session.qemu
    lists = heard_lists(session.events[: state.count])
    listed, query = lists.in_feature_list(index), session.queries.get(index)
    asked = reading_of(query.reply) if query is not None and not listed else None
    reading = session.reading(index) if listed else None
    view = view_heard_msr(index, qemu, state, lists, reading, cpu=session.cpu, asked=asked, about=session.source.about)
    return get_document(session.source.name, qemu, view)
