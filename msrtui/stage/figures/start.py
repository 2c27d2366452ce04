"""What QEMU writes to a new vCPU's feature MSRs, what KVM makes of each write, and what QEMU says at the end."""

from __future__ import annotations

from msrtui.catalog import short_name
from msrtui.explain.predict import failed_to_set, foretold
from msrtui.explain.probing import recorded_facts
from msrtui.language import say as _
from msrtui.lines import Line, bad, dim, head, line, mark, wrap
from msrtui.report.refusals import reason_text
from msrtui.stage.figures.parts import Room, spread
from msrtui.stage.talk import Scene
from msrtui.stage.telling import Told


def draw(scene: Scene, told: tuple[Told, ...], room: Room) -> list[Line]:
    """The writes in QEMU's order, each with ✓, ✗ or ?; under them the message that QEMU ended with, if it did."""
    here = told[0]
    blocks = [[line(head("kvm_init_msrs ▸ KVM_SET_MSRS"))]]
    if here.outcome is None:
        said = here.end.end.text if here.end.end is not None else _("not known")
        return [*blocks[0], line(), *(line(bad(entry.text)) for entry in wrap(said, room.width))]
    facts = recorded_facts(here.heard, here.source.probes)
    prediction = foretold(here.qemu, here.request, here.outcome, here.heard, facts, ignore_msrs=False)
    rows, open_rules, refused = [], [], False
    for verdict in prediction.verdicts[: max(room.height - 9, 3)]:
        taken = verdict.taken
        if scene.message and failed_to_set(verdict.index, verdict.value) in scene.message:
            taken = False  # QEMU itself said so
        sign = {True: "✓", False: "✗", None: "?"}[taken] if not refused else "·"
        text = f"{sign} {verdict.index:>5x}  {short_name(verdict.index):<24} {verdict.value:#x}"
        span = dim(text) if refused else bad(text) if taken is False else mark(text) if taken is None else (text, "")
        rows.append(line(span))
        refused = refused or taken is False  # KVM stops there: what is behind it was not put
        if taken is None and not refused and verdict.rule not in open_rules:
            open_rules.append(verdict.rule)
    left = len(prediction.verdicts) - len(rows)
    if left > 0:
        rows.append(line(dim(_("and {count} more").format(count=left))))
    blocks.append(rows)
    for rule in open_rules[:1]:
        said = reason_text(rule)
        if said:
            blocks.append([line(dim(entry.text)) for entry in wrap(f"? {said}", room.width)])
    if scene.message:
        blocks.append([line(head("QEMU   "), bad(entry.text)) for entry in wrap(scene.message, room.width - 8)])
    return spread(blocks, room.height)
