"""Several KVMs beside each other, a row each: how long their lists are, and what a guest gets of them."""

from __future__ import annotations

from rich.cells import cell_len

from msrtui.catalog import short_name
from msrtui.kvm.collector import plain
from msrtui.language import say as _
from msrtui.lines import Line, dim, head, line, mark
from msrtui.stage.figures.parts import Room, bar, filled, spread
from msrtui.stage.talk import Scene
from msrtui.stage.telling import Told


def draw(scene: Scene, told: tuple[Told, ...], room: Room) -> list[Line]:
    """Each host: its kernel, both lists as bars, the bits that the guest gets; under it what is new in it."""
    longest = max((each.index_map.total for each in told), default=1)
    most = max((_bits(each) for each in told), default=1)
    width = 14 if not room.wide else 24
    labels = [plain(each.source.about.kernel or each.source.name, 24).split("-")[0].split("+")[0] for each in told]
    label = max(map(cell_len, labels)) + 8
    heads = [_("index list"), _("feature list"), _("bits of -cpu {cpu}").format(cpu=told[0].request.text)]
    caption = " " * label + "".join(map(filled, heads, (width + 7, 16, width + 5)))
    blocks = [[line(head(caption.rstrip()))]]
    before: Told | None = None
    for name, each in zip(labels, told, strict=True):
        features = len(each.end.feature_list or ())
        row = line(
            mark(f"Linux {name:<{label - 6}}"),
            *bar(each.index_map.total, longest, width),
            f" {each.index_map.total:>4}  ",
            *bar(features, max(len(other.end.feature_list or ()) for other in told), 8),
            f" {features:>3}    ",
            *bar(_bits(each), most, width),
            f" {_bits(each):>4}",
        )
        blocks.append([row, *_news(before, each, label, room)])
        before = each
    return spread(blocks, room.height)


def _bits(told: Told) -> int:
    return sum((word.value or 0).bit_count() for word in told.end.guest.values())


def _news(before: Told | None, now: Told, indent: int, room: Room) -> list[Line]:
    """The MSRs that joined a list, and the features that the guest got or lost since the row above."""
    if before is None:
        return []
    said: list[tuple[str, list[str]]] = []
    for which, old, new in (
        (_("listed"), before.end.index_list, now.end.index_list),
        (_("feature MSRs"), before.end.feature_list, now.end.feature_list),
    ):
        said.append((f"+ {which}", [short_name(each) for each in (new or ()) if each not in (old or ())]))
        said.append((f"- {which}", [short_name(each) for each in (old or ()) if each not in (new or ())]))
    said += [("+ " + _("guest"), _features(before, now)), ("- " + _("guest"), _features(now, before))]
    changes = [_change(which, names, room.width - indent) for which, names in said if names]
    lines = [line(" " * indent, dim(text)) for text in changes[: 2 if room.height < 24 else 4]]
    return lines or [line(" " * indent, dim(_("nothing new")))]


def _change(which: str, names: list[str], width: int) -> str:
    """As many names as fit, four at most; how many more there are is always said."""
    for shown in range(min(len(names), 4), 0, -1):
        rest = [_("and {count} more").format(count=len(names) - shown)] if len(names) > shown else []
        text = _("{which}: {names}").format(which=which, names=" ".join([*names[:shown], *rest]))
        if cell_len(text) <= width:
            break
    return text


def _features(old: Told, new: Told) -> list[str]:
    names = []
    for name, word in new.end.guest.items():
        was = old.end.guest.get(name)
        gained = (word.value or 0) & ~((was.value if was is not None else 0) or 0)
        table = new.qemu.tables.word_by_name[name]
        names += [label for bit, label in sorted(table.bits.items()) if gained >> bit & 1]
    return names
