"""The whole screen of the explorer from a session: the lines of each part, and where it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msrtui.kvm.requests import GetMsrs
from msrtui.lines import Line, dim, ends, head, line
from msrtui.report.sentences import answer_text, question_text
from msrtui.transcript.events import Event
from msrtui.tui.keymap import KEYMAP, Key, key_line
from msrtui.tui.session import Session
from msrtui.tui.view import panes
from msrtui.tui.view.brand import brand
from msrtui.tui.view.detail import detail
from msrtui.tui.view.detail.parts import prose
from msrtui.tui.view.dialogue import dialogue_lines
from msrtui.tui.view.frame import Box, geometry, hairline, phase_line, title_line

_ASK = " ask for MSR "
_ASK_KEYS = "  Enter asks  Esc leaves "


def ask_keys(width: int) -> Line:
    """The key line while an MSR is being named; the name stands in between."""
    return ends([head(_ASK)], [dim(_ASK_KEYS)] if width >= 60 else [], width)


class Picture(NamedTuple):
    """``fixed`` and ``boxes`` by the widget's id; ``lists`` as (heading, rows); ``detail`` with its heading first."""

    boxes: Mapping[str, Box]
    fixed: Mapping[str, list[Line]]
    lists: Mapping[str, tuple[Line, list[Line]]]
    detail: list[Line]


def picture(session: Session, width: int, height: int, keymap: Sequence[Key] = KEYMAP) -> Picture:
    """Everything that stands on a terminal of this size; ``keymap`` is what the key line tells."""
    state, qemu = session.state, session.qemu
    tables = qemu.tables
    rough = {
        "index": len(state.index_list or ()),
        "feature": len(state.feature_list or ()),
        "words": len(tables.words) + 2,
    }
    place = geometry(width, height, session.focus, rough, session.zoomed)
    box = place.panes
    focused = session.focus
    only = session.only
    headings = {
        "index": panes.index_heading(state),
        "feature": panes.feature_heading(state),
        "words": panes.words_heading(state, tables),
    }
    rows = {
        "index": panes.index_rows(state, box["index"].width, only="index" in only),
        "feature": panes.feature_rows(state, session.values_read, tables, box["feature"].width, only="feature" in only),
        "words": panes.word_rows(state, tables, session.opened, box["words"].width, only="words" in only),
    }
    lists = {
        name: (
            panes.heading(*headings[name], box[name].width, focused == name, only=name in only),
            [panes.lit(row) if row.key in session.lit else row for row in rows[name]],
        )
        for name in headings
    }
    event = session.events[session.at] if session.at is not None and session.at < len(session.events) else None
    seen = {entry.phase for entry in session.events[: state.count]}
    body = place.bottom - place.top
    uprights = {f"upright-{n}": Box(x, place.top, 1, body) for n, x in enumerate(place.uprights)}
    boxes = {
        "title": Box(0, 0, width, 1),
        "phases": Box(0, 1, width, 1),
        "top": Box(0, 2, width, 1),
        **place.panes,
        **{name: uprights.get(name, Box(0, 0, 0, 0)) for name in ("upright-0", "upright-1")},
        "bottom": Box(0, place.bottom, width, 1),
        "dialogue": Box(0, place.bottom + 1, width, place.dialogue),
        "keys": Box(0, height - 1, width, 1),
        "ask": Box(len(_ASK), height - 1, max(width - len(_ASK) - (len(_ASK_KEYS) if width >= 60 else 0), 1), 1),
    }
    fixed = {
        "title": [
            title_line(
                session.source.name,
                session.source.about,
                brand(state.cpuid),
                qemu,
                session.cpu,
                width,
                session.asked_at,
            )
        ],
        "phases": [phase_line(seen, _phase(session, event), state.end is not None, width, _vcpu(session))],
        "top": [hairline(width, place.uprights, "┬")],
        "bottom": [hairline(width, place.uprights, "┴")],
        "dialogue": _dialogue(session, width, place.dialogue),
        "keys": [line(dim(key_line(width, keymap=keymap)))],
        **{name: [line(dim("│"))] * body for name in uprights},
    }
    return Picture(boxes, fixed, lists, detail(session, box["detail"]))


def _phase(session: Session, event: Event | None) -> str | None:
    """Where the reader stands: at the event that is spoken of, else behind the last that was seen."""
    if event is None and session.state.count:
        event = session.events[session.state.count - 1]
    return event.phase if event is not None else None


def _vcpu(session: Session) -> str:
    """Whether a vCPU showed that this guest starts (✓) or does not (✗)."""
    start = session.start
    if start is None or start.prediction.evidence != "probe":
        return "·"
    return {"starts": "✓", "aborts": "✗"}.get(start.prediction.outcome, "·")


def _dialogue(session: Session, width: int, rows: int) -> list[Line]:
    if session.notice is not None:
        return prose(session.notice, width)[:rows]
    if session.asked is not None and session.asked in session.queries:
        return _asked(session, session.asked, width)
    if session.at is None and session.state.count:
        return []  # what is selected, a group of words, is no part of the conversation
    return dialogue_lines(session.events, session.at, session.qemu, width, rows)


def _asked(session: Session, index: int, width: int) -> list[Line]:
    query = session.queries[index]
    request = GetMsrs((index,))
    took = f"{query.seconds * 1e6:.0f} µs " if session.source.live else "from the saved host "
    lines = [
        ends([" you   ", question_text(request)], [dim("your question, on the system fd ")], width),
        ends([" KVM   ", answer_text(request, query.reply)], [dim(took)], width),
    ]
    word = session.qemu.tables.word_by_msr.get(index)
    found = session.state.words.get(word.name) if word else None
    if found is not None and found.migratable is not None and query.value is not None:
        how = "migratable" if session.qemu.migratable else "migratable=off"
        lines.append(
            line(f" QEMU  {session.qemu.label} reads it as {found.supported or 0:#x}, {how} {found.migratable:#x}")
        )
    elif not query.listed and query.value is not None:
        lines.append(line(dim("       not a feature MSR: KVM's answer for it says nothing")))
    return lines
