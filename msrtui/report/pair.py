"""Two sides in sentences: the verdicts in a line each, what they have in common, what tells them apart in a word."""

from __future__ import annotations

from collections.abc import Iterable

from msrtui.compare.flaws import said_of
from msrtui.compare.later import Turn
from msrtui.compare.pair import Common, Pair, WordPair
from msrtui.compare.side import Side, newest_name
from msrtui.compare.verdict import MoveVerdict, Reason
from msrtui.kvm.collector import plain
from msrtui.language import say as _
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.words import is_control_word
from msrtui.report.sentences import bit_label, names_in
from msrtui.report.shape import counted


def move_text(verdict: MoveVerdict, source: str, target: str) -> tuple[str, str]:
    """What becomes of a guest of ``source`` that is to go to ``target`` (letters), and why: in a few words each."""
    if verdict.ends is not None:
        where = source if verdict.ends_on is verdict.source else target
        said = plain(" ".join(verdict.ends.split()), 300)
        return _("does not start on {where}").format(where=where), said or _("its source does not say why")
    if verdict.answer == "can":
        taken = {None: _("whether {a} gives it whole is not known"), False: _("though {a} itself lacks some of it")}
        return _("can move"), "" if verdict.clean else taken[verdict.clean].format(a=source)
    sure = [reason for reason in verdict.reasons if reason.sure]
    shown = sure or verdict.reasons
    if not shown:
        return _("not known"), _("what is known of the two does not say")
    said = _("cannot move") if sure else _("not known")
    words = counted(len({reason.word.name for reason in shown}), "word", "words")
    lacks = _("cannot") if sure else _("may not")
    bits = counted(len(shown), "bit", "bits")
    return said, _("{bits} in {words} that {a} gives a guest and {b} {lacks}").format(
        bits=bits, words=words, a=source, b=target, lacks=lacks
    )


def common_text(found: Common) -> str:
    """The models that run whole on both, and how many features the guests share."""
    features = _("{shared} of {all} features in common").format(shared=found.features, all=found.names)
    if not found.models:
        return _("no named model runs whole on both; {features}").format(features=features)
    names = [*found.models[:4], *([f"+{len(found.models) - 4}"] if len(found.models) > 4 else [])]
    runs = _("run on both") if len(found.models) > 1 else _("runs on both")
    return f"{' '.join(names)} {runs}; {features}"


def telling(found: WordPair, pair: Pair, b: str = "B") -> str:
    """What sets the two apart in this word: of the first bit that is in the way, who says what. ``b``: B's letter."""
    for reasons, one, other, verdict in (
        (found.only_a, "A", b, pair.there),
        (found.only_b, b, "A", pair.back),
    ):
        if reasons:
            return _of(reasons[0], one, other, verdict)
    if found.guest[0] == found.guest[1]:
        return _("{word}: a guest gets the same on both.").format(word=found.word.short)
    if None in found.guest:
        return _("{word}: not known on both sides.").format(word=found.word.short)
    return _("{word} differs, and that blocks nothing: each KVM can give what the other's guests have.").format(
        word=found.word.short
    )


def flaws_text(side: Side, letter: str, reasons: Iterable[Reason]) -> str:
    """What a side's own kernel says of the flaws that the bits it lacks are about; "" where it says nothing."""
    said = [f"{flaw} “{plain(text, 60)}”" for flaw, text in said_of(side, reasons)]
    return _("Of {a} its own kernel says: {said}.").format(a=letter, said=", ".join(said)) if said else ""


def turn_text(turn: Turn, found: WordPair, b: str = "B") -> str:
    """What a newer QEMU is the first to change in a word."""
    label = turn.label
    word = QemuProfile(label).tables.word_by_name.get(found.name, found.word)
    for side, name in enumerate(("A", b)):
        if turn.more[side]:
            names = names_in(word, turn.more[side], 3)
            return _("In QEMU {label} {a} has {names} that the other cannot give.").format(
                label=label, a=name, names=names
            )
    names = names_in(word, turn.fewer[0] | turn.fewer[1], 3)
    return _("In QEMU {label} {names} would not be in the way.").format(label=label, names=names)


def _of(reason: Reason, one: str, other: str, verdict: MoveVerdict) -> str:
    name = bit_label(reason.word, reason.bit)
    here = _answers(verdict, reason, one, source=True)
    there = _answers(verdict, reason, other, source=False)
    label = verdict.target.profile.label
    match reason.layer:
        case "qemu" if newest_name(reason.word.name) not in verdict.target.words:
            end = _("QEMU {label} on {b} does not know the word").format(label=label, b=other)
        case "qemu":
            end = _("QEMU {label} takes it on {b}").format(label=label, b=other)
        case "model":
            end = _("the model of QEMU {label} on {b} has it not").format(label=label, b=other)
        case "unknown":
            end = _("what is known of {b} does not say").format(b=other)
        case _ if _passed(verdict, reason):
            end = _("QEMU passes both answers on")
        case _:
            end = ""
    return f"{name}: {here}, {there}{'; ' if end else ''}{end}."


def _passed(verdict: MoveVerdict, reason: Reason) -> bool:
    """Whether QEMU makes nothing of KVM's answers to this bit, on both sides."""
    for side in (verdict.source, verdict.target):
        found = side.words.get(newest_name(reason.word.name))
        if found is None or found.kvm is None or found.supported is None:
            return False
        if found.kvm >> (reason.bit + 32 * is_control_word(found.word)) & 1 != found.supported >> reason.bit & 1:
            return False
    return True


def _answers(verdict: MoveVerdict, reason: Reason, letter: str, *, source: bool) -> str:
    side = verdict.source if source else verdict.target
    found = side.words.get(newest_name(reason.word.name))
    if found is None:
        return _("{a}'s QEMU does not ask").format(a=letter)
    if found.kvm is None:
        what = (
            _("no MSR {index:#x}").format(index=reason.word.index) if reason.word.kind == "msr" else _("no such leaf")
        )
        return _("{a}'s KVM lists {what}").format(a=letter, what=what)
    bit = found.kvm >> (reason.bit + 32 * is_control_word(found.word)) & 1
    given = side.guest_words[newest_name(reason.word.name)] if source else None
    added = given is not None and not bit and (given[0].value or 0) >> reason.bit & 1
    by_qemu = _(" and QEMU adds it") if added else ""
    return _("{a}'s KVM answers {bit}{more}").format(a=letter, bit=bit, more=by_qemu)
