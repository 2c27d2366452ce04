"""The whole compare screen from a comparison: the lines of each part, and where it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msrtui.language import say as _
from msrtui.lines import Line, cut, dim, line
from msrtui.report.pair import telling
from msrtui.tui.comparison import Comparison, letter
from msrtui.tui.keymap import COMPARE_KEYS, Key, key_line
from msrtui.tui.view.compare.detail import detail
from msrtui.tui.view.compare.heads import host_lines, host_rows, hosts_heading, title_line, verdict_lines
from msrtui.tui.view.compare.rows import columns, headings, word_rows, words_shown
from msrtui.tui.view.detail.parts import prose
from msrtui.tui.view.frame import Box, hairline

LINES = ("title", "sides", "line-1", "verdicts", "line-2", "columns", "upright", "line-3", "dialogue", "keys")
WIDE = 110
"""From here on the detail stands beside the rows; below it stands in their place."""


class ComparePicture(NamedTuple):
    """``fixed`` and ``boxes`` by widget id; ``hosts`` and ``rows`` as (heading, rows); ``detail``, heading first."""

    boxes: Mapping[str, Box]
    fixed: Mapping[str, list[Line]]
    hosts: tuple[Line, list[Line]]
    rows: tuple[Line, list[Line]]
    detail: list[Line]


def compare_picture(
    shown: Comparison, cpu: str, width: int, height: int, keymap: Sequence[Key] = COMPARE_KEYS
) -> ComparePicture:
    """Everything that stands on a terminal of this size; ``keymap``: the keys that there are."""
    verdicts = verdict_lines(shown, width)
    foot = 6 if height >= 36 else 3 if height >= 30 else 1
    if shown.notice is not None:  # what was asked for is said whole
        foot = max(foot, min(len(prose(shown.notice, width)), 3))
    ruled = height >= 30
    hosts = 0
    if shown.many:
        hosts = min(len(shown.groups) + 1, max(height // 4, 4))
    top = 3 + 1 + len(verdicts) + hosts
    bottom = height - 1 - foot - ruled
    body = max(bottom - top - 1, 1)
    wide = width >= WIDE
    alone = not wide and shown.focus == "detail"
    left = 59 if width < 150 else 75
    list_width = left if wide else width
    boxes = {
        "title": Box(0, 0, width, 1),
        "sides": Box(0, 1, width, 2),
        "line-1": Box(0, 3, width, 1),
        "verdicts": Box(0, 4, width, len(verdicts)),
        "hosts": Box(0, 4 + len(verdicts), width, hosts),
        "line-2": Box(0, top, width, 1),
        "columns": Box(0, top + 1, 0 if alone else list_width, 1),
        "rows": Box(0, top + 2, 0 if alone else list_width, max(body - 1, 1)),
        "upright": Box(left, top + 1, 1 if wide else 0, body),
        "detail": Box(left + 1, top + 1, width - left - 1, body)
        if wide
        else Box(0, top + 1, width if alone else 0, body),
        "line-3": Box(0, bottom, width if ruled else 0, 1),
        "dialogue": Box(0, bottom + ruled, width, foot),
        "keys": Box(0, height - 1, width, 1),
    }
    rows = max(body - 2, 1)
    words, _vmx = words_shown(shown, rows)
    cols = columns(shown, words, list_width)
    over, heading = headings(shown, cols, list_width, shown.focus == "rows")
    uprights = (left,) if wide else ()
    fixed = {
        "title": [title_line(shown, cpu, width)],
        "sides": host_lines(shown, width),
        "line-1": [hairline(width, (), "─")],
        "verdicts": verdicts,
        "line-2": [hairline(width, uprights, "┬")],
        "columns": [over],
        "upright": [line(dim("│"))] * body,
        "line-3": [hairline(width, uprights, "┴")],
        "dialogue": dialogue(shown, width, foot),
        "keys": [line(dim(key_line(width, keymap=_keys(shown, keymap))))],
    }
    return ComparePicture(
        boxes,
        fixed,
        (hosts_heading(shown, width, shown.focus == "hosts"), host_rows(shown, width)),
        (heading, word_rows(shown, list_width, rows)),
        detail(shown, boxes["detail"].width or width),
    )


def _keys(shown: Comparison, keymap: Sequence[Key]) -> tuple[Key, ...]:
    """The keys that mean something here: with two hosts there is no next one."""
    return tuple(key for key in keymap if shown.many or not key.action.startswith("next_host"))


def dialogue(shown: Comparison, width: int, rows: int) -> list[Line]:
    """At the foot: what was just said, else QEMU's question to both, where there is room for it, or what it came to."""
    if shown.notice is not None:
        return prose(shown.notice, width)[:rows]
    found = shown.word
    if found is None:
        return []
    said = [Line(cut(part.spans, width)) for part in prose(telling(found, shown.pair, letter(shown.other)), width)]
    if rows < 5:
        return said[:rows]
    b = letter(shown.other)
    if found.word.kind == "msr":
        question = f"KVM_GET_MSRS {found.word.index:#x}"
    else:
        question = _("KVM_GET_SUPPORTED_CPUID, for {where}").format(where=found.word.where)
    lines = [line(" QEMU  ", _("asks both: {question}").format(question=question))]
    lines += [line(f" {name}     ", _answer(shown, side)) for side, name in ((0, "A"), (1, b))]
    guests = [("?" if value is None else f"{value:#x}") for value in found.guest]
    lines.append(line(" QEMU  ", _("gives a guest on A {a}, on {b} {c}").format(a=guests[0], b=b, c=guests[1])))
    return [*lines, *said][:rows]


def _answer(shown: Comparison, side: int) -> str:
    found, whose = shown.word, (shown.pair.a, shown.pair.b)[side]
    assert found is not None
    value = found.kvm[side]
    if value is not None:
        return f"{value:#x}"
    known = whose.words.get(found.name)
    if known is None:
        return _("QEMU {label} does not ask").format(label=whose.profile.label)
    if known.supported is None:
        return _("not known")
    return (
        _("not in its feature list: QEMU does not ask, and takes 0")
        if found.word.kind == "msr"
        else _("no such leaf: 0")
    )
