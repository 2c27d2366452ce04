"""What can be saved of a session: the snapshot, the screen as a picture or as text, JSON of what is selected."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from msrtui.errors import BadRequest
from msrtui.report.get import get_document, view_msr
from msrtui.report.trace import event_document
from msrtui.report.views import WordView, view_host
from msrtui.report.words import words_document
from msrtui.snapshot.capture import capture_here
from msrtui.snapshot.codec import encode
from msrtui.tui.session import Session
from msrtui.tui.view.lines import Line


def snapshot_text(session: Session) -> str:
    """The snapshot of the session's source, as a file holds it: of this machine taken now.

    Raises BadRequest where there is none to save, KvmUnusable where this machine's KVM cannot be opened.
    """
    if session.source.live:
        return encode(capture_here())
    if session.source.document is None:
        raise BadRequest("This source holds no snapshot to save.")
    return encode(session.source.document)


def selection_text(session: Session, detail: Sequence[Line]) -> str:
    """JSON of what is selected, as the command line shapes it; what has no shape there, as its lines."""
    return json.dumps(_selection(session, detail), indent=1) + "\n"


def _selection(session: Session, detail: Sequence[Line]) -> dict[str, Any]:
    source, qemu = session.source, session.qemu
    match session.subject:
        case ("word" | "bit", str(name), *_) if name in session.state.words:
            found = session.state.words[name]
            return words_document(source.name, qemu, [WordView(found.word, found, None)])
        case ("msr", int(index)):
            host = view_host(source.name, qemu, source.answerer)
            return get_document(source.name, qemu, view_msr(index, qemu, host))
        case ("event", int(place)) if 0 <= place < len(session.events):
            event = event_document(session.events[place], qemu)
            return {"source": source.name, "qemu": qemu.label, "events": [event]}
    lines = [entry.text.rstrip() for entry in detail]
    return {"source": source.name, "qemu": qemu.label, "subject": list(session.subject), "text": lines}
