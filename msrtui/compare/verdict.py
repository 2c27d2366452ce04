"""Whether a guest can move: what it has on one side and the other cannot give, bit by bit.

For host and max the guest is held against what the other side's QEMU would filter with (the supported words, no mask);
a named model is made again by the other side's QEMU, and what it takes there and not here is missing.
Source: target/i386/cpu.c x86_cpu_filter_features.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from msrtui.compare.side import Side
from msrtui.qemu.models import XSAVE_BIT
from msrtui.qemu.tables import FeatureWord
from msrtui.qemu.why import is_control_word
from msrtui.qemu.words import bits_of

Answer = Literal["can", "cannot", "unknown"]
Layer = Literal["kvm", "not listed", "qemu", "model", "unknown"]
"""Where the other side lacks a bit: its KVM answers 0, or lists no such MSR or leaf; its QEMU takes it; its QEMU's
model has it not; or its source does not say."""


_COMPONENTS = ("FEAT_XSAVE_XCR0", "FEAT_XSAVE_COMP", "FEAT_XSAVE_XSS")


class Reason(NamedTuple):
    """One bit that the guest has (or, ``sure`` False, may have) and the other side cannot give (or may not)."""

    word: FeatureWord
    bit: int
    layer: Layer
    sure: bool = True


class Verdict(NamedTuple):
    """Of a guest that runs on ``source`` and is to go to ``target``.

    ``clean``: nothing that the guest was to have is taken from it on ``source``; None: not known. ``ends`` is QEMU's
    last line where it does not even start on one of the two.
    """

    source: Side
    target: Side
    answer: Answer
    clean: bool | None
    reasons: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()
    ends: str | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """The words that the reasons are in, in QEMU's order."""
        return tuple(dict.fromkeys(reason.word.name for reason in self.reasons))


def can_move(source: Side, target: Side) -> Verdict:
    """The verdict for the guest of ``source``'s ``-cpu`` on ``target``."""
    warnings = ("vendor",) if source.vendor and target.vendor and source.vendor != target.vendor else ()
    guest = source.guest
    for side in (source, target):
        if side.outcome is None:
            said = " ".join(side.ended.text.split()) if side.ended is not None else ""
            return Verdict(source, target, "cannot" if side.ended is not None else "unknown", None, (), warnings, said)
    assert guest is not None
    if guest.refused is not None:
        return Verdict(source, target, "cannot", False, (), warnings, guest.refused)
    reasons = tuple(_reasons(source, target))
    answer: Answer = "can"
    if reasons:
        answer = "cannot" if any(reason.sure for reason in reasons) else "unknown"
    return Verdict(source, target, answer, _clean(source), reasons, warnings)


def _clean(side: Side) -> bool | None:
    guest = side.guest
    assert guest is not None
    low, high = (any(word.unavailable for word in cpu.words.values()) for cpu in guest)
    return None if low != high else not low


def _reasons(source: Side, target: Side) -> list[Reason]:
    found: list[Reason] = []
    seen = _values(source, source.profile.tables.word_by_name["FEAT_1_ECX"], XSAVE_BIT)[1] & XSAVE_BIT
    for word in source.profile.tables.words:
        if word.name.startswith(_COMPONENTS) and not seen:
            continue  # without XSAVE no guest sees which components there would be
        lacks, may_lack = (_lacked_of_all if source.request.takes_all else _lacked_of_model)(source, target, word)
        for bit in bits_of(may_lack):
            sure = bool(lacks >> bit & 1)
            found.append(Reason(word, bit, _layer(target, word, bit) if sure else "unknown", sure))
    return found


def _lacked_of_all(source: Side, target: Side, word: FeatureWord) -> tuple[int, int]:
    """Of host and max: what the guest has and the target's filter would take; for sure, and what may be."""
    every = (1 << (64 if word.kind == "msr" else 32)) - 1
    has, may_have = _values(source, word, every)
    outcome = target.outcome
    assert outcome is not None
    found = outcome.words.get(word.name)
    if found is None:
        return 0, 0  # the target's QEMU knows no such word, and filters nothing of it
    if found.supported is None:
        return 0, may_have
    return has & ~(found.supported | found.unknown), may_have & ~(found.supported & ~found.unknown)


def _lacked_of_model(source: Side, target: Side, word: FeatureWord) -> tuple[int, int]:
    """Of a named model: what the target's filter takes and the source's did not; for sure, and what may be.

    Another QEMU may make another CPU of the same name: what it leaves out is missing too. (Of another vendor's guest
    that is not asked: realizefn copies CPUID bits for AMD's, which are no part of the model.)
    """
    taken, may_be_taken = _unavailable(target, word)
    gone, may_be_gone = _unavailable(source, word)
    lacks, may_lack = taken & ~may_be_gone, may_be_taken & ~gone
    assert target.outcome is not None
    alike = source.profile == target.profile or source.vendor != target.vendor
    if not alike and word.name in target.outcome.words:
        every = (1 << (64 if word.kind == "msr" else 32)) - 1
        has, may_have = _values(source, word, every)
        gets, may_get = _values(target, word, every)
        lacks, may_lack = lacks | has & ~may_get, may_lack | may_have & ~gets
    return lacks, may_lack


def _values(side: Side, word: FeatureWord, every: int) -> tuple[int, int]:
    """Bits that the guest has, and bits that it may have."""
    guest = side.guest
    assert guest is not None
    values = [cpu.words[word.name].value for cpu in guest if word.name in cpu.words]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return 0, every
    return (known[0] & known[-1], known[0] | known[-1]) if known else (0, 0)


def _unavailable(side: Side, word: FeatureWord) -> tuple[int, int]:
    guest = side.guest
    assert guest is not None
    taken = [cpu.words[word.name].unavailable for cpu in guest if word.name in cpu.words] or [0]
    return taken[0] & taken[-1], taken[0] | taken[-1]


def _layer(target: Side, word: FeatureWord, bit: int) -> Layer:
    """Where the target loses the bit."""
    assert target.outcome is not None
    found = target.outcome.words[word.name]
    if found.kvm is None:
        return "not listed"
    if not found.kvm >> (bit + 32 * is_control_word(word)) & 1:
        return "kvm"
    return "model" if (found.supported or 0) >> bit & 1 else "qemu"
