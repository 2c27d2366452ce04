"""Whether a guest can move: what it has on one side and the other cannot give, bit by bit.

For host and max the guest is held against what the other side's QEMU would filter with (the supported words, no mask);
a named model is made again by the other side's QEMU, and what it takes there and not here is missing.
Source: target/i386/cpu.c x86_cpu_filter_features.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from msrtui.compare.side import Side, newest_name
from msrtui.qemu.models import XSAVE_BIT, set_behind_the_filter
from msrtui.qemu.negotiation import QemuExit
from msrtui.qemu.tables import FeatureWord
from msrtui.qemu.words import bits_of, is_control_word

Answer = Literal["can", "cannot", "unknown"]
Layer = Literal["kvm", "not listed", "qemu", "model", "unknown"]
"""Where the other side lacks a bit: its KVM answers 0, or lists no such MSR or leaf; its QEMU takes it, or knows no
such word; its QEMU's model has it not; or its source does not say."""

_COMPONENTS = ("FEAT_XSAVE_XCR0", "FEAT_XSAVE_XSS")


class Reason(NamedTuple):
    """One bit that the guest has (or, ``sure`` False, may have) and the other side cannot give (or may not)."""

    word: FeatureWord
    bit: int
    layer: Layer
    sure: bool = True


class MoveVerdict(NamedTuple):
    """Of a guest that runs on ``source`` and is to go to ``target``.

    ``clean``: nothing that the guest was to have is taken from it on ``source``; None: not known. ``ends`` is QEMU's
    last line where it does not even start on one of the two, which is ``ends_on``.
    """

    source: Side
    target: Side
    answer: Answer
    clean: bool | None
    reasons: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()
    ends: str | None = None
    ends_on: Side | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """The words that the reasons are in, in QEMU's order."""
        return tuple(dict.fromkeys(reason.word.name for reason in self.reasons))


class Start(NamedTuple):
    """Whether QEMU starts with a side's ``-cpu``: ``ends`` is its last line where it does not, None where it may.

    ``known`` False: its source does not say enough. That QEMU does not end by itself is all that is known here:
    whether KVM takes what is written to the vCPU has to be tried.
    """

    known: bool
    ends: str | None = None


def starts(side: Side) -> Start:
    """Whether QEMU comes as far as a CPU on this side, and makes one."""
    if side.outcome is None:
        return Start(side.ended is not None, _last_words(side.ended))
    guest = side.guest
    assert guest is not None
    unsure = guest.refused is None and guest.low.refused is not None
    return Start(not unsure, guest.refused)


def _last_words(ended: QemuExit | None) -> str | None:
    return None if ended is None else " ".join(ended.text.split())


def can_move(source: Side, target: Side) -> MoveVerdict:
    """The verdict for the guest of ``source``'s ``-cpu`` on ``target``."""
    warnings = ("vendor",) if source.vendor and target.vendor and source.vendor != target.vendor else ()
    for side in (source, target):
        start = starts(side)
        if side.outcome is None or start.ends is not None:
            answer: Answer = "cannot" if start.known else "unknown"
            clean = None if source.outcome is None else _clean(source)
            return MoveVerdict(source, target, answer, clean, (), warnings, start.ends or "", side)
    reasons = tuple(_reasons(source, target))
    answer = "can"
    if reasons:
        answer = "cannot" if any(reason.sure for reason in reasons) else "unknown"
    elif not (starts(source).known and starts(target).known):
        answer = "unknown"
    return MoveVerdict(source, target, answer, _clean(source), reasons, warnings)


def _clean(side: Side) -> bool | None:
    guest = side.guest
    assert guest is not None
    low, high = (any(word.unavailable for word in cpu.words.values()) for cpu in guest)
    return None if low != high else not low


def _reasons(source: Side, target: Side) -> list[Reason]:
    found: list[Reason] = []
    seen = _values(source, "FEAT_1_ECX", XSAVE_BIT)[1] & XSAVE_BIT
    for word in source.profile.tables.words:
        name = newest_name(word.name)
        if name.startswith(_COMPONENTS) and not seen:
            continue  # without XSAVE no guest sees which components there would be
        every = (1 << (64 if word.kind == "msr" else 32)) - 1
        lacked = _lacked_of_all if source.request.takes_all else _lacked_of_model
        lacks, may_lack = lacked(source, target, name, every)
        for bit in bits_of(may_lack):
            sure = bool(lacks >> bit & 1)
            found.append(Reason(word, bit, _layer(target, name, bit) if sure else "unknown", sure))
    return found


def _lacked_of_all(source: Side, target: Side, name: str, every: int) -> tuple[int, int]:
    """Of host and max: what the guest has and the target's filter would take; for sure, and what may be.

    What the target's QEMU has no word for is in no guest of its own.
    """
    has, may_have = _values(source, name, every)
    found = target.words.get(name)
    if found is None:
        return has, may_have
    if found.supported is None:
        return 0, may_have
    low, high = (set_behind_the_filter(word) for word in target.guest_words[name])
    offered, may_be_offered = (
        found.supported & ~found.unknown | low & high,
        found.supported | found.unknown | low | high,
    )
    return has & ~may_be_offered, may_have & ~offered


def _lacked_of_model(source: Side, target: Side, name: str, every: int) -> tuple[int, int]:
    """Of a named model: what the target's filter takes and the source's did not; for sure, and what may be.

    Another QEMU may make another CPU of the same name: what it leaves out is missing too. (Of another vendor's guest
    that is not asked: realizefn copies CPUID bits for AMD's, which are no part of the model.)
    """
    taken, may_be_taken = _unavailable(target, name)
    gone, may_be_gone = _unavailable(source, name)
    lacks, may_lack = taken & ~may_be_gone, may_be_taken & ~gone
    if source.profile != target.profile and source.vendor == target.vendor:
        has, may_have = _values(source, name, every)
        gets, may_get = _values(target, name, every)
        lacks, may_lack = lacks | has & ~may_get, may_lack | may_have & ~gets
    return lacks, may_lack


def _values(side: Side, name: str, every: int) -> tuple[int, int]:
    """Bits that the guest has, and bits that it may have; none of a word that its QEMU does not know."""
    if name not in side.guest_words:
        return 0, 0
    low, high = (word.value for word in side.guest_words[name])
    return (0, every) if low is None or high is None else (low & high, low | high)


def _unavailable(side: Side, name: str) -> tuple[int, int]:
    if name not in side.guest_words:
        return 0, 0
    low, high = (word.unavailable for word in side.guest_words[name])
    return low & high, low | high


def _layer(target: Side, name: str, bit: int) -> Layer:
    """Where the target loses the bit."""
    found = target.words.get(name)
    if found is None:
        return "qemu"
    if found.kvm is None:
        return "not listed"
    if not found.kvm >> (bit + 32 * is_control_word(found.word)) & 1:
        return "kvm"
    return "model" if (found.supported or 0) >> bit & 1 else "qemu"
