"""The three ways through kvm_arch_get_supported_msr_feature, and which feature MSR words went each of them here."""

from __future__ import annotations

from msrtui.language import say as _
from msrtui.lines import Line, Role, dim, head, line, mark
from msrtui.qemu.words import SupportedWord
from msrtui.stage.figures.parts import Room, bar, spread
from msrtui.stage.talk import Scene
from msrtui.stage.telling import Told

_BAR = 24


def draw(scene: Scene, told: tuple[Told, ...], room: Room) -> list[Line]:
    """A block a way: the question, how many words left there, which ones. Those looked at are lit."""
    here = told[0]
    words = [found for found in here.end.words.values() if found.word.kind == "msr"]
    ways = (
        ("cache null", "kvm_feature_msrs == NULL", _("return 0: this KVM has no feature MSRs")),
        ("not listed", _("index not in kvm_feature_msrs"), _("return 0: KVM does not have it")),
        ("asked", "kvm_ioctl(s, KVM_GET_MSRS, …)", _("return what KVM says")),
    )
    blocks = [[line(head("kvm_arch_get_supported_msr_feature(KVMState *s, uint32_t index)"))]]
    lit = {text.removeprefix("FEAT_") for text in scene.look}
    for number, (branch, asks, answer) in enumerate(ways, 1):
        went = [found for found in words if found.branch == branch]
        role: Role = "mark" if lit & {found.word.short for found in went} else ""
        blocks.append(
            [
                line(f"{number}  ", (asks, role), dim("   ▸ "), (answer, role)),
                line(
                    "   ",
                    *bar(len(went), len(words), _BAR),
                    _("  {count} of {total}").format(count=len(went), total=len(words)),
                ),
                *_names(went, lit, room),
            ]
        )
    return spread(blocks, room.height)


def _names(went: list[SupportedWord], lit: set[str], room: Room) -> list[Line]:
    shown = sorted(went, key=lambda found: found.word.short not in lit)
    lines: list[Line] = []
    limit = 3 if room.height >= 24 else 1
    for found in shown[:limit]:
        short, value = found.word.short, "" if found.branch != "asked" else f" = {found.kvm or 0:#x}"
        text = f"{found.word.index:#x}  {short}{value}"
        lines.append(line("   ", mark(text) if short in lit else dim(text)))
    if len(shown) > limit and lines:
        rest = _("and {count} more").format(count=len(shown) - limit)
        lines[-1] = line(*lines[-1].spans, dim(f"   {rest}"))
    return lines
