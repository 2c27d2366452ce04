"""The dialogue: QEMU asks, KVM answers, QEMU decides; the lines at the foot of the explorer."""

from __future__ import annotations

from collections.abc import Sequence

from msrtui.lines import Line, dim, ends, line, wrap
from msrtui.qemu.profile import QemuProfile
from msrtui.report.sentences import answer_text, decision_text, not_done_text, question_text
from msrtui.transcript.events import Event
from msrtui.transcript.state import last_exchange

_WIDEST = 130
"""On a wide screen the function's name stays near what it says."""


def dialogue_lines(events: Sequence[Event], upto: int | None, qemu: QemuProfile, width: int, rows: int) -> list[Line]:
    """The exchange that ends at event ``upto``, and where there is room the ones before it."""
    if upto is None:
        return [line(dim(" Nothing is asked yet.  n  asks the first question,  >  all of them."))]
    said: list[Line] = []
    at: int | None = upto
    while at is not None and at >= 0:
        exchange = last_exchange(events, at)
        block = [entry for event in exchange for entry in _event_lines(event, qemu, width)]
        if said and len(said) + len(block) > rows - (1 if rows > 3 else 0):
            break
        said = [*block, *said]
        if rows <= 3:
            break
        at = exchange[0].n - 1 if exchange[0].n > 0 else None
    return said[:rows]


def _event_lines(event: Event, qemu: QemuProfile, width: int) -> list[Line]:
    if event.end is not None:
        said = [part for text in event.end.text.splitlines() for part in wrap(text, width - 8, "bad")]
        return [line(" QEMU  " if at == 0 else "       ", *part.spans) for at, part in enumerate(said)]
    if event.decision is not None:
        return [_speak("QEMU", decision_text(event.decision, qemu), event.function, width)]
    if event.not_done is not None:
        step = not_done_text(event.not_done)
        return [
            _speak("QEMU", step, event.function, width, wide=0),
            line("       ", dim("not done by msrtui, which makes no VM and no vCPU")),
        ]
    assert event.request is not None
    assert event.reply is not None
    answer = answer_text(event.request, event.reply)
    return [
        _speak("QEMU", question_text(event.request), event.function, width, wide=0),
        _speak("KVM", answer, "", width),
    ]


def _speak(who: str, text: str, function: str, width: int, wide: int = 110) -> Line:
    """A speaker's line; from ``wide`` cells on the function's name stands at the right where both have room."""
    start = f" {who:<5} "
    width = min(width, _WIDEST)
    if function and width >= wide and len(start) + len(text) + len(function) + 2 <= width:
        return ends([start, text], [dim(f"{function} ")], width)
    return ends([start, text], [], width)
