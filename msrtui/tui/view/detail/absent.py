"""Why an MSR is not in a list, for the detail pane."""

from __future__ import annotations

from msrtui.explain.absent import Absence
from msrtui.report.absent import sentences, worth_telling
from msrtui.tui.view.detail.parts import heading, prose
from msrtui.tui.view.lines import Line


def absent_lines(found: tuple[Absence, ...], width: int) -> list[Line]:
    """Lines for each list that lacks the MSR: the rule that drops it, then what would bring it back; [] for none.

    A link leads to the list. That an MSR is in no kernel a feature MSR, as most are, is not told.
    """
    lines: list[Line] = []
    for absence in worth_telling(found):
        if not lines:
            lines += heading("why it is not here", width)
        for place, sentence in enumerate(sentences(absence)):
            key = ("list", absence.list) if place == 0 else None
            lines += prose(sentence, width, "" if place == 0 else "dim", "  ", key)
    return lines
