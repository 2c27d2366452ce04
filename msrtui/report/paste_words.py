"""The words of a paste: where a guest gets something else than KVM answered, and what did it.

Of VMX controls only those count that are a choice. A named model asks for less than KVM has: of it what the model asks
for is held against what the guest gets.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from msrtui.compare.side import Side
from msrtui.qemu.models import GuestWord
from msrtui.qemu.words import SupportedWord, bits_of, is_control_word
from msrtui.report.layer_notes import guest_note, migratable_note, qemu_note
from msrtui.report.lint import WIDTH
from msrtui.report.sentences import names_in
from msrtui.report.shape import counted, grouped, hexed, wrapped
from msrtui.report.views import lineage_document, number_bits

_NAMED = 8


class Changed(NamedTuple):
    """One word: KVM's bits, or those that a named model asks for, and the guest's; and what each layer did to it.

    ``known`` False: not every bit of the guest's can be told.
    """

    found: SupportedWord
    guest: GuestWord
    before: int
    value: int
    known: bool
    notes: tuple[str, ...]


def changed_words(side: Side) -> Iterator[str]:
    """The words as lines."""
    changed = list(_changed(side))
    total = len(side.words)
    if not changed:
        yield f"nothing, in {counted(total, 'word', 'words')}"
        return
    yield f"{len(changed)} of {counted(total, 'word', 'words')}:"
    for each in changed:
        word = each.found.word
        bits = 64 if word.kind == "msr" else 32
        yield f"{word.name}  {word.where}"
        unsure = "" if each.known else "  (not every bit is known)"
        whose = "KVM" if side.request.takes_all else "asked for"
        yield f"  {whose} {grouped(each.before, bits)} -> guest {grouped(each.value, bits)}{unsure}"
        for sign, mask in (("-", each.before & ~each.value), ("+", each.value & ~each.before)):
            if mask:
                yield from wrapped(names_in(word, mask, _NAMED), f"  {sign} ", "    ", WIDTH)
        if each.notes:
            yield from wrapped("; ".join(each.notes), "  why: ", "       ", WIDTH)


def changed_words_document(side: Side) -> list[dict[str, Any]]:
    """The same for programs, with the whole lineage."""
    return [
        {
            "word": each.found.word.name,
            "where": each.found.word.where,
            "kvm": hexed(each.found.kvm),
            "guest": hexed(each.guest.value) if each.known else None,
            "lost": bits_of(each.before & ~each.value),
            "gained": bits_of(each.value & ~each.before),
            "unavailable": bits_of(each.guest.unavailable),
            "notes": list(each.notes),
            "lineage": lineage_document((*each.found.lineage, *each.guest.lineage), side.profile),
        }
        for each in _changed(side)
    ]


def _changed(side: Side) -> Iterator[Changed]:
    for name, found in side.words.items():
        low, high = side.guest_words.get(name, (None, None))
        if low is None or high is None:
            continue
        before = _offered(found) if side.request.takes_all else low.expanded or 0
        value = low.value or 0
        if before != value:
            known = low.value is not None and low == high and not found.unknown
            yield Changed(found, low, before, value, known, tuple(_notes(side, found, low)))


def _offered(found: SupportedWord) -> int:
    """KVM's bits without the numbers that stand among them; of VMX controls those that are a choice."""
    if is_control_word(found.word):
        return found.supported or 0
    return (found.kvm or 0) & ~number_bits(found.word, found.kvm)


def _notes(side: Side, found: SupportedWord, guest: GuestWord) -> Iterator[str]:
    """What each layer did, of those that did something."""
    if found.supported is None:
        return
    start = found.migratable if side.request.takes_all else guest.expanded
    if side.request.takes_all:
        if (found.supported ^ _offered(found)) & ~number_bits(found.word, found.kvm):
            yield f"QEMU: {qemu_note(found)}"
        if found.migratable != found.supported:
            yield f"to migrate: {migratable_note(found, side.profile)}"
    if guest.value != start:
        yield f"guest: {guest_note(guest, side.profile, side.request.text)}"
