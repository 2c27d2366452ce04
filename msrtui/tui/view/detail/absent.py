"""Why an MSR is not in a list, for the detail pane."""

from __future__ import annotations

from msrtui.explain.absent import Absence
from msrtui.lines import Line
from msrtui.report.absent import LIST_NAMES, sentences
from msrtui.tui.view.detail.parts import heading, prose


def absent_lines(found: tuple[Absence, ...], width: int) -> list[Line]:
    """Lines for each list that lacks the MSR: the rule that drops it, then what would bring it back; [] for none.

    A link leads to the list. That an MSR is in no kernel a feature MSR, as most are, is not told.
    """
    lines: list[Line] = []
    for group, told in sentences(found):
        if not lines:
            lines += heading("why it is not here", width)
        for place, sentence in enumerate(told):
            key = ("list", group[0].list) if place == 0 else None
            lines += prose(sentence, width, "" if place == 0 else "dim", "  ", key)
        for absence in group[1:]:
            lines += prose(f"→ {LIST_NAMES[absence.list]}", width, indent="  ", key=("list", absence.list))
    return lines
