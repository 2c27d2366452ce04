"""The whole screen of the explorer from a session: the lines of each part, and where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from msrtui.kvm.requests import GetMsrs
from msrtui.qemu.tables import FeatureWord
from msrtui.qemu.why import reason
from msrtui.report.sentences import answer_text, bit_label, question_text
from msrtui.report.why import reason_text
from msrtui.tui.keymap import key_line
from msrtui.tui.session import Query, Session
from msrtui.tui.view import panes
from msrtui.tui.view.brand import brand
from msrtui.tui.view.detail_parts import padded
from msrtui.tui.view.details import event_detail, msr_detail
from msrtui.tui.view.dialogue import dialogue_lines
from msrtui.tui.view.frame import Box, geometry, hairline, phase_line, title_line
from msrtui.tui.view.ladder import Looks, word_detail
from msrtui.tui.view.lines import Line, dim, ends, head, line, mark, wrap
from msrtui.tui.view.others import others_lines


class Picture(NamedTuple):
    """``fixed`` and ``boxes`` by the widget's id; ``lists`` as (heading, rows); ``detail`` with its heading first."""

    boxes: Mapping[str, Box]
    fixed: Mapping[str, list[Line]]
    lists: Mapping[str, tuple[Line, list[Line]]]
    detail: list[Line]


def picture(session: Session, width: int, height: int) -> Picture:
    """Everything that stands on a terminal of this size."""
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
        "feature": panes.feature_rows(state, session.readings, tables, box["feature"].width, only="feature" in only),
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
        "ask": Box(0, height - 1, width, 1),
    }
    fixed = {
        "title": [title_line(session.source.name, session.source.about, brand(state.cpuid), qemu, session.cpu, width)],
        "phases": [phase_line(seen, event.phase if event else None, state.end is not None, width)],
        "top": [hairline(width, place.uprights, "┬")],
        "bottom": [hairline(width, place.uprights, "┴")],
        "dialogue": _dialogue(session, width, place.dialogue),
        "keys": [line(dim(key_line(width)))],
        **{name: [line(dim("│"))] * body for name in uprights},
    }
    return Picture(boxes, fixed, lists, _detail(session, box["detail"]))


def _detail(session: Session, box: Box) -> list[Line]:
    state, qemu, subject = session.state, session.qemu, session.subject
    kind = subject[0]
    if kind == "msr" and isinstance(subject[1], int):
        word = qemu.tables.word_by_msr.get(subject[1])
        if word is not None and word.name in state.words:
            return _with_query(session, word, box)
        query = session.queries.get(subject[1])
        heard = state.msrs.get(subject[1])
        value = (
            query.value if query else heard.values[0] if heard and heard.values else session.readings.get(subject[1])
        )
        lines = msr_detail(state, subject[1], value, qemu, box.width)
        return lines + (_query_lines(query, box.width) if query else [])
    if kind in ("word", "bit"):
        word = qemu.tables.word_by_name[str(subject[1])]
        lines = _with_query(session, word, box)
        return (
            lines
            if kind == "word" or not isinstance(subject[2], int)
            else _with_bit(session, word, subject[2], box, lines)
        )
    if kind == "event" and isinstance(subject[1], int) and 0 <= subject[1] < len(session.events):
        return event_detail(session.events[subject[1]], qemu, box.width)
    if kind == "group":
        return _group(session, str(subject[1]), box)
    return [
        line(" ", head("The start")),
        Line(),
        *padded(wrap("QEMU has opened nothing and asked nothing yet.", box.width - 2)),
        *padded(wrap("n puts the first question, N walks to the next phase, > to the end.", box.width - 2, "dim")),
    ]


def _with_query(session: Session, word: FeatureWord, box: Box) -> list[Line]:
    source = session.source
    asked = "asked on /dev/kvm" if source.live else "as recorded"

    def others(rows: int) -> list[Line]:
        return others_lines(word, session.others, session.qemu.label, box.width, rows)

    how = Looks(box.width, box.height, asked, session.cpu, session.grid, session.focus == "detail", others)
    lines = word_detail(session.state, word, session.qemu, how)
    query = session.queries.get(word.index) if word.kind == "msr" else None
    return lines if query is None else [lines[0], *_query_lines(query, box.width), *lines[1:]]


def _with_bit(session: Session, word: FeatureWord, bit: int, box: Box, lines: list[Line]) -> list[Line]:
    """One bit: why it is on or off, in a sentence, above the ladder of its word."""
    outcome = session.outcome
    if outcome is None or outcome.cpu is None or word.name not in session.state.guest:
        return lines
    why = reason(outcome.state, outcome.words, outcome.cpu, word.name, bit)
    on = "not known" if why.on is None else "on" if why.on else "off"
    said = reason_text(why, session.qemu, session.source.about)
    return [
        ends([" ", head(bit_label(word, bit)), f" is {on}"], [dim(f"bit {bit} ")], box.width),
        *padded(wrap(f"{said[:1].upper()}{said[1:]}.", box.width - 2)),
        Line(),
        *lines,
    ]


def _query_lines(query: Query, width: int) -> list[Line]:
    if query.value is None:
        said = "not known" if query.reply.result is None else "KVM refuses it"
    else:
        said = f"{query.value:#x}"
    changed = query.before is not None and query.value is not None and query.before != query.value
    note = (
        f"changed: was {query.before:#x}"
        if changed and query.before is not None
        else "as before"
        if query.before is not None
        else ""
    )
    worth = "" if query.listed else "not a feature MSR: an answer of 0 says nothing"
    lines = [line(" you    ", said, "  ", mark(f"≠ {note}") if changed else dim(note))]
    return lines + [Line((("        ", ""), *part.spans)) for part in wrap(worth, width - 9, "dim")]


def _group(session: Session, kind: str, box: Box) -> list[Line]:
    words = [word for word in session.qemu.tables.words if word.kind == kind]
    changed = [word.short for word in words if panes.differs(session.state, word)]
    text = (
        "Feature words that QEMU reads from feature MSRs, with KVM_GET_MSRS on /dev/kvm."
        if kind == "msr"
        else "Feature words that QEMU reads from the table of KVM_GET_SUPPORTED_CPUID, and then fixes up."
    )
    lines = [
        ends([" ", head("MSR words" if kind == "msr" else "CPUID words")], [dim(f"{len(words)} ")], box.width),
        Line(),
    ]
    lines += [line(" ", part.text) for part in wrap(text, box.width - 2)]
    lines += [
        Line(),
        line(f" {len(changed)} of {len(words)} differ between KVM and a guest" + (":" if changed else "")),
    ]
    return lines + [line(mark(" ≠ "), name) for name in changed]


def _dialogue(session: Session, width: int, rows: int) -> list[Line]:
    if session.notice is not None:
        return [line(" ", part.text) for part in wrap(session.notice, width - 2)][:rows]
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
