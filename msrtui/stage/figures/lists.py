"""KVM's two MSR lists: what goes in and what is left, in big digits. One list alone where only one is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from rich.cells import cell_len

from msrtui.catalog import short_name
from msrtui.language import say as _
from msrtui.lines import Line, Span, dim, head, line, mark, wrap
from msrtui.stage.digits import HEIGHT, big
from msrtui.stage.figures.parts import Room, beside, filled, spread
from msrtui.stage.talk import Scene
from msrtui.stage.telling import Told

_ARROW = "───▸"
_HIGH = 28
"""Rows from which on the digits may be larger: with fewer the names, which say more, would have to go."""


def draw(scene: Scene, told: tuple[Told, ...], room: Room) -> list[Line]:
    """``look``: ``index``, ``feature``, or both without it."""
    wanted = [which for which in ("index", "feature") if which in scene.look] or ["index", "feature"]
    width = room.width // len(wanted)
    for scale in (2, 1, 0) if room.height >= _HIGH else (1, 0):
        part = Room(width, room.height)
        columns = [(_index if which == "index" else _feature)(told[0], part, scale) for which in wanted]
        if not scale or all(_fits(blocks, part) for blocks in columns):
            break
    if len(columns) == 1:
        return spread(columns[0], room.height)
    return spread(
        (beside(left, right, width) for left, right in zip_longest(*columns, fillvalue=[])),
        room.height,
    )


def _fits(blocks: list[list[Line]], room: Room) -> bool:
    rows = sum(map(len, blocks)) + len(blocks) - 1
    return rows <= room.height and all(entry.width < room.width for block in blocks for entry in block)


def _index(told: Told, room: Room, scale: int) -> list[list[Line]]:
    sorted_ = told.index_map
    flags = [flag.removeprefix("has_msr_") for _index, flag in sorted_.flags]
    rest = sorted_.total - len(flags)
    said = [
        _("{count} indices in").format(count=sorted_.total),
        _("{count} has_msr_* flags out").format(count=len(flags)),
        _("{count} set no flag; the list is freed").format(count=rest),
    ]
    names = [f"✓ {flag}" for flag in flags]
    return _column("KVM_GET_MSR_INDEX_LIST", sorted_.total, len(flags), said, names, room, scale, more="✓ ")


def _feature(told: Told, room: Room, scale: int) -> list[list[Line]]:
    features = told.end.feature_list
    title = "KVM_GET_MSR_FEATURE_INDEX_LIST"
    if features is None:
        said = wrap(_("KVM has no feature MSRs: kvm_feature_msrs stays a null pointer"), room.width - 4)
        return [[line(head(title))], said]
    said_lines = [
        _("{count} indices in").format(count=len(features)),
        _("{count} kept in kvm_feature_msrs").format(count=len(features)),
        _("nothing filtered, kept for good"),
    ]
    names = [f"{index:03x}  {short_name(index)}" for index in features]
    return _column(title, len(features), len(features), said_lines, names, room, scale)


def _column(
    title: str,
    before: int,
    after: int,
    said: Sequence[str],
    names: Sequence[str],
    room: Room,
    scale: int,
    more: str = "",
) -> list[list[Line]]:
    digits = _digits(before, after, scale)
    left = room.height - 1 - len(digits) - len(said) - 3
    blocks = [[line(head(title))], digits, [line(text) for text in said]]
    if left > 0:
        blocks.append(_names(names, room.width - 3, min(left, 5 if room.height < 28 else 8), more))
    return blocks


def _digits(before: int, after: int, scale: int) -> list[Line]:
    """``40 ───▸ 10`` in big digits, in common ones where ``scale`` is 0."""
    if not scale:
        return [line(mark(str(before)), f" {_ARROW} ", mark(str(after)))]
    middle = HEIGHT * scale // 2
    rows = zip(big(before, scale), big(after, scale), strict=True)
    return [
        line(mark(one), f"  {_ARROW if y == middle else ' ' * len(_ARROW)}  ", mark(other))
        for y, (one, other) in enumerate(rows)
    ]


def _names(names: Sequence[str], width: int, rows: int, more: str) -> list[Line]:
    """As many names as fit, in columns; the last says how many are left."""
    if not names:
        return []
    longest = max(map(cell_len, names)) + 1
    columns = max(1, min(width // longest, 2 if width < 70 else 4)) if len(names) > rows else 1
    room = rows * columns
    cells: list[Span] = [(text, "") for text in names]
    if len(names) > room:
        rest = more + _("and {count} more").format(count=len(names) - room + 1)
        cells = [*cells[: room - 1], dim(rest)]
    wide = max(cell_len(text) for text, _role in cells) + 1
    return [
        line(*((filled(text, wide) if columns > 1 else text, role) for text, role in cells[at : at + columns]))
        for at in range(0, len(cells), columns)
    ]
