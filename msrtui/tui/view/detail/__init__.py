"""The detail view: whatever is selected, told in full. Which text belongs to which kind of thing is decided here."""

from __future__ import annotations

from msrtui.kvm import abi
from msrtui.kvm.requests import MsrReading
from msrtui.lines import Line, dim, ends, head, line, mark, wrap
from msrtui.qemu.tables import FeatureWord
from msrtui.qemu.why import reason
from msrtui.report.sentences import bit_label
from msrtui.report.why import reason_text
from msrtui.transcript.state import differs
from msrtui.tui.session import Query, Session
from msrtui.tui.view.detail.of_words import Looks, word_detail
from msrtui.tui.view.detail.others import others_lines
from msrtui.tui.view.detail.parts import WIDEST, padded
from msrtui.tui.view.frame import Box


def detail(session: Session, box: Box) -> list[Line]:
    """The lines for the session's subject, its heading first; what lint found about it comes last."""
    lines = _told(session, box)
    if session.linted is None or not session.linted.findings:
        return lines
    from msrtui.tui.view.detail.lint import lint_lines

    return [*lines, *lint_lines(session, box.width)]


def _told(session: Session, box: Box) -> list[Line]:
    qemu = session.qemu
    match session.subject:
        case ("msr", int(index)):
            return _msr(session, index, box)
        case ("word", str(name)) if name in qemu.tables.word_by_name:
            return _with_query(session, qemu.tables.word_by_name[name], box)
        case ("bit", str(name), int(bit)) if name in qemu.tables.word_by_name:
            word = qemu.tables.word_by_name[name]
            return _with_bit(session, word, bit, box, _with_query(session, word, box))
        case ("group", str(kind)):
            return _group(session, kind, box)
    return _of_the_conversation(session, box.width)


def _of_the_conversation(session: Session, width: int) -> list[Line]:
    """What is seldom the first thing to be looked at: imported when it is."""
    from msrtui.tui.view.detail.of_events import event_detail
    from msrtui.tui.view.detail.of_kvm import capability_detail, flag_detail, leaf_detail
    from msrtui.tui.view.detail.of_lists import capabilities_detail, list_detail
    from msrtui.tui.view.detail.of_parameters import parameter_detail

    state, qemu = session.state, session.qemu
    match session.subject:
        case ("event", int(place)) if 0 <= place < len(session.events):
            return event_detail(session.events[place], qemu, width)
        case ("cap", int(number)):
            return capability_detail(state, number, qemu, width, session.events)
        case ("flag", str(name)):
            return flag_detail(state, name, qemu, width, session.events)
        case ("leaf", int(function), int(index)):
            return leaf_detail(state, session.leaves.get((function, index)), function, index, qemu, width)
        case ("parameter", str(module), str(name)):
            return parameter_detail(session.source.about, module, name, width, qemu)
        case ("list", ("index" | "feature") as which):
            return list_detail(which, state, qemu, width)
        case ("list", "capabilities"):
            return capabilities_detail(state, qemu, width)
    return [
        line(" ", head("The start")),
        Line(),
        *padded(wrap("QEMU has opened nothing and asked nothing yet.", width - 2)),
        *padded(wrap("n puts the first question, N walks to the next phase, > to the end.", width - 2, "dim")),
    ]


def _msr(session: Session, index: int, box: Box) -> list[Line]:
    from msrtui.tui.view.detail.of_msrs import msr_detail

    state, qemu = session.state, session.qemu
    word = qemu.tables.word_by_msr.get(index)
    if word is not None and word.name in state.words:
        return _with_query(session, word, box)
    query, reading = session.queries.get(index), session.reading(index)
    lines = msr_detail(state, index, reading.value if reading is not None else None, qemu, box.width)
    asked = _query_lines(query, box.width) if query else _unanswered(reading, box.width)
    return [*lines, *asked, *_absent(session, index, box.width)]


def _unanswered(reading: MsrReading | None, width: int) -> list[Line]:
    if reading is None or reading.errno is None:
        return []
    said = f"KVM did not answer KVM_GET_MSRS for it: {abi.errno_name(reading.errno)}, {abi.errno_text(reading.errno)}."
    return [Line(), *padded(wrap(said, width - 2, "mark"))]


def _absent(session: Session, index: int, width: int) -> list[Line]:
    listed = session.state.index_list is not None and index in session.state.index_list
    if listed and index in (session.state.feature_list or ()):
        return []
    from msrtui.explain.absent import absences
    from msrtui.explain.evidence import evidence_at
    from msrtui.tui.view.detail.absent import absent_lines

    return absent_lines(absences(index, evidence_at(session.state, session.source.about)), width)


def _with_query(session: Session, word: FeatureWord, box: Box) -> list[Line]:
    source = session.source
    asked = "asked on /dev/kvm" if source.live else "as recorded"

    def others(rows: int) -> list[Line]:
        return others_lines(word, session.others, session.qemu.label, box.width, rows)

    said = word.kind == "msr" and word.name in session.state.words
    absent = tuple(_absent(session, word.index, box.width)) if said else ()
    how = Looks(
        box.width, box.height, asked, session.cpu, session.grid, absent, others, session.start, session.source.live
    )
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
        ends([" ", head(bit_label(word, bit)), f" is {on}"], [dim(f"bit {bit} ")], min(box.width, WIDEST)),
        *padded(wrap(f"{said[:1].upper()}{said[1:]}.", box.width - 2)),
        Line(),
        *lines,
    ]


def _query_lines(query: Query, width: int) -> list[Line]:
    errno = query.reply.errno
    if query.value is None and errno is not None:
        said = f"no answer: {abi.errno_name(errno)}, {abi.errno_text(errno)}"
    elif query.value is None:
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
    changed = [word.short for word in words if differs(session.state, word)]
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
