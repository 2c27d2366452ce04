"""QEMU asks, KVM answers, QEMU decides: the events that lead to where the scene stands, the last one lit."""

from __future__ import annotations

from msrtui.language import say as _
from msrtui.lines import Line, bad, dim, line, mark, wrap
from msrtui.report.sentences import answer_text, decision_text, not_done_text, question_text
from msrtui.stage.figures.calls import path_to
from msrtui.stage.figures.parts import Room
from msrtui.stage.talk import Scene
from msrtui.stage.telling import Told
from msrtui.transcript.events import Event

_WHO = 7


def draw(scene: Scene, told: tuple[Told, ...], room: Room) -> list[Line]:
    """The functions down to the one that speaks, then as much of the exchange as there is room for."""
    here = told[0]
    event = here.event
    if event is None:
        return [line(dim(_("Nothing is asked yet.")))]
    path = _path(event.function, room)
    left = room.height - len(path) - 1
    blocks: list[list[Line]] = []
    at = event.n
    while at >= 0 and here.events[at].phase == event.phase:
        each = here.events[at]
        if event.word is not None and each.word != event.word:
            break
        block = _said(each, here, room, lit=each is event)
        taken = sum(len(other) + 1 for other in blocks)
        if blocks and taken + len(block) > left:
            break
        blocks.insert(0, block)
        at -= 1
    shown: list[Line] = []
    for block in blocks:
        if shown:
            shown.append(line())
        shown += block
    return [*path, line(), *shown[-left:]] if left > 0 else shown


def _path(function: str, room: Room) -> list[Line]:
    names = path_to(function)
    spans: list[Line] = []
    text = " ▸ ".join(names[:-1])
    tail = f"{' ▸ ' if len(names) > 1 else ''}{names[-1]}"
    if len(text) + len(tail) <= room.width:
        return [line(dim(text), tail)]
    for depth, name in enumerate(names):
        spans.append(line("  " * depth, name if depth == len(names) - 1 else dim(name)))
    return spans


def _said(event: Event, told: Told, room: Room, *, lit: bool) -> list[Line]:
    if event.end is not None:
        return _speak("QEMU", event.end.text, room, lit, ended=True)
    if event.decision is not None:
        return _speak("QEMU", decision_text(event.decision, told.qemu), room, lit)
    if event.not_done is not None:
        return _speak("QEMU", not_done_text(event.not_done), room, lit)
    assert event.request is not None
    assert event.reply is not None
    asked = _speak("QEMU", question_text(event.request), room, lit)
    return [*asked, *_speak("KVM", answer_text(event.request, event.reply), room, lit)]


def _speak(who: str, text: str, room: Room, lit: bool, *, ended: bool = False) -> list[Line]:
    width = room.width - _WHO - 2
    sign = mark("▸ ") if lit else ("  ", "")
    made: list[Line] = []
    for part in text.splitlines() or [""]:
        for entry in wrap(part, width):
            said = bad(entry.text) if ended else (entry.text, "") if lit else dim(entry.text)
            first = not made
            speaker = f"{who:<{_WHO}}" if first else " " * _WHO
            made.append(line(sign if first else "  ", (speaker, "head" if lit else "dim"), said))
    return made or [line(sign, f"{who:<{_WHO}}")]
