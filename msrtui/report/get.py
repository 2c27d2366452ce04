"""One MSR: which lists hold it, what KVM answers, what QEMU makes of it, and its bits by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msrtui.catalog import DecodedField, decode, names_of, other_names_on, short_name
from msrtui.kvm import abi
from msrtui.kvm.collector import plain
from msrtui.kvm.requests import MsrReading
from msrtui.qemu import rules
from msrtui.qemu.models import GuestWord, with_guest_lineage
from msrtui.qemu.msr_index import MSR_IA32_UCODE_REV
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.words import bits_of, is_control_word
from msrtui.report.absent import absence_document, absent_text
from msrtui.report.heading import heading_lines
from msrtui.report.layer_notes import guest_note
from msrtui.report.lists import use_of
from msrtui.report.msr import MsrView
from msrtui.report.sentences import bit_label, decision_text
from msrtui.report.shape import aligned, grouped, hexed, marks, wrapped
from msrtui.report.views import GuestView, WordView, kvm_bits, lineage_document, number_bits
from msrtui.snapshot.model import About


# --- for programs ------------------------------------------------------------------------------------------------
def get_document(source_name: str, profile: QemuProfile, view: MsrView) -> dict[str, Any]:
    """``get MSR --json``; why a list lacks it under ``absent``, what QEMU would not ask under ``asked``."""
    lists = view.lists
    _, supported, migratable = view.word.known if view.word is not None else (None, None, None)
    guest = view.guest_word
    document: dict[str, Any] = {
        "source": source_name,
        "qemu": profile.label,
        "index": hex(view.msr),
        "names": list(names_of(view.msr)),
        "in_index_list": lists.in_index_list(view.msr),
        "in_feature_list": lists.in_feature_list(view.msr),
        "branch": view.branch,
        "status": view.status,
        "errno": _errno(view.reading),
        "kvm": hexed(view.kvm),
        "supported": hexed(supported),
        "migratable": hexed(migratable),
        "guest": hexed(view.guest_value),
        "cpu": view.guest.cpu,
        "word": view.word.word.name if view.word is not None else None,
        "flag": view.flag,
        "fields": [
            {"bits": part.field.bits, "name": part.field.name, "value": hex(part.value), "text": _field_text(part)}
            for part in _fields(view)
        ],
        "lineage": lineage_document(view.lineage, profile),
        "guest_lineage": lineage_document(guest.lineage if guest is not None else (), profile),
    }
    if view.asked is not None:
        document["asked"] = {
            "status": view.asked.status,
            "errno": _errno(view.asked),
            "value": hexed(view.asked.value),
            "worth": asked_worth(view.asked),
        }
    document["absent"] = [absence_document(absence) for absence in view.absent]
    return document


def _errno(reading: MsrReading | None) -> str | None:
    return None if reading is None or reading.errno is None else abi.errno_name(reading.errno)


def _fields(view: MsrView) -> tuple[DecodedField, ...]:
    return decode(view.msr, view.kvm) if view.kvm is not None else ()


def _field_text(part: DecodedField) -> str:
    return f"{part.field.text}; must be 1" if part.must_be_1 else part.field.text


def asked_worth(asked: MsrReading) -> str:
    """What an answer for an MSR outside of the feature list is worth."""
    if asked.status == "unknown":
        return "This source does not hold an answer for it, and QEMU does not ask."
    if asked.status == "refused":
        return "KVM has no such MSR to read without a vCPU; a vCPU may have it all the same."
    if asked.status == "error":
        return "The call failed; that says nothing of the MSR."
    return (
        "Nothing: KVM does not list it as a feature MSR. Kernels from 6.12 count the MSRs of the index list as read "
        "and give 0, and with ignore_msrs=1 any MSR reads as 0. What a vCPU has is not asked here."
    )


# --- for people --------------------------------------------------------------------------------------------------
def get_text(source_name: str, about: About, profile: QemuProfile, view: MsrView) -> str:
    """The MSR from its lists down to its bits."""
    lines = [*heading_lines(source_name, about, profile), "", *_head(profile, view)]
    if view.word is None:
        lines += ["", f"  KVM  {_answer(view)}"]
    else:
        lines += ["", *_ladder(profile, view.word, view)]
    parts = [part for part in _fields(view) if view.word is None or part.field.width > 1]
    if parts:
        lines += ["", *_field_lines(parts)]
    if view.asked is not None:
        lines += ["", *_asked_lines(view.asked)]
    if view.word is not None:
        lines += ["", *_why(profile, view.word, view.guest_word)]
    if view.ended is not None:
        lines += ["", *wrapped(f"This QEMU would end before it asks, saying: {view.ended.text}")]
    elif view.guest.last_words is not None and (view.word is None or view.word.ended is None):
        lines += ["", *wrapped(f"{_where_ended(view.guest)}, saying: {' '.join(view.guest.last_words.split())}")]
    return "\n".join(lines) + "\n"


def _where_ended(guest: GuestView) -> str:
    return f"This QEMU would not start with {_cpu(guest)}" if guest.words else "This QEMU would end before it has a CPU"


def _cpu(guest: GuestView) -> str:
    return f"-cpu {plain(guest.cpu, 200)}"


def _head(profile: QemuProfile, view: MsrView) -> Iterator[str]:
    lists = view.lists
    word = view.word.word.name if view.word is not None else ""
    yield f"MSR {view.msr:#x}  {short_name(view.msr)}  {word}".rstrip()
    others = other_names_on(view.msr, view.maker)
    if others:
        yield from wrapped(" ".join((*names_of(view.msr)[:1], *others)), "  also  ", "        ")
    yield ""
    use, flag = use_of(profile, view.msr)
    listed = lists.in_index_list(view.msr)
    said = "saved and restored without a look at this list" if use == "transferred" else "never named by this QEMU"
    if flag is not None:
        said = f"sets {flag}" if listed else f"{flag} stays false"
    yield f"  in KVM's index list   {_yes(listed):3}  {said}".rstrip()
    yield f"  in kvm_feature_msrs   {_yes(lists.in_feature_list(view.msr)):3}  {_feature_use(view)}".rstrip()
    why = list(absent_text(view.absent))
    if why:
        yield ""
        yield from why


def _yes(fact: bool | None) -> str:
    return "?" if fact is None else "yes" if fact else "no"


def _feature_use(view: MsrView) -> str:
    if view.status == "unknown" and view.reading is None:
        return "the source does not say"
    if view.branch == "cache null":
        return "a null pointer here: it counts as 0, KVM is not asked"
    if view.branch == "not listed":
        return "it counts as 0, KVM is not asked" if view.word else "KVM is not asked for it"
    if view.word is not None:
        return "so QEMU asks for it with KVM_GET_MSRS"
    if view.msr == MSR_IA32_UCODE_REV:
        return "QEMU reads it for -cpu host and max, just before it makes a vCPU"
    return "this QEMU makes no feature word of it; asked by msrtui"


def _answer(view: MsrView) -> str:
    reading = view.reading
    if reading is None:
        return "not known" if view.status == "unknown" else "not asked"
    if reading.status == "ok":
        return grouped(reading.value)
    if reading.status == "error":
        return f"error {_errno(reading)}"
    return "refused: KVM_GET_MSRS read 0" if reading.status == "refused" else "not known: the source does not say"


def _ladder(profile: QemuProfile, view: WordView, told: MsrView) -> Iterator[str]:
    """The layers with what each is, then a row for every bit that is set in one of them."""
    kvm, supported, migratable = view.known
    yield f"  KVM         {_layer(kvm, view)}"
    control = is_control_word(view.word) and kvm is not None
    yield f"  QEMU        {_layer(supported, view)}  {_how_supported(view)}".rstrip()
    yield f"  migratable  {_layer(migratable, view)}  {_dropped(supported, migratable)}".rstrip()
    guest = told.guest_value
    head = f"  guest       {_guest_layer(told)}  "
    yield from wrapped(_how_guest(profile, told), head, " " * len(head))
    layers = (kvm_bits(view.word, kvm), supported, migratable, guest)
    rows = [
        (str(bit), bit_label(view.word, bit), *marks(layers, bit))
        for bit in bits_of(_any_of(layers) & ~number_bits(view.word, kvm))
    ]
    if rows:
        yield ""
        top = "may be 1" if control else "KVM"
        yield from aligned(
            [("bit", "name", top, "QEMU", "migratable", "guest"), *rows], right=frozenset({0, 2, 3, 4, 5})
        )


def _any_of(layers: Sequence[int | None]) -> int:
    """Every bit that is set in some layer."""
    mask = 0
    for layer in layers:
        mask |= layer or 0
    return mask


def _layer(value: int | None, view: WordView) -> str:
    if value is not None:
        return grouped(value)
    if view.ended is not None:
        return "refused" if view.layers[0] is None else "?"
    return "not asked" if view.supported is not None and view.supported.branch != "asked" else "not known"


def _guest_layer(view: MsrView) -> str:
    return "not known" if view.guest_value is None else grouped(view.guest_value)


def _how_guest(profile: QemuProfile, view: MsrView) -> str:
    """The ``-cpu``, and the last that was done to the word for it."""
    cpu = _cpu(view.guest)
    if view.guest_value is None:
        return cpu
    note = guest_note(view.guest_word, profile, plain(view.guest.cpu, 200))
    return cpu if note == cpu else f"{cpu}: {note}"


def _how_supported(view: WordView) -> str:
    kvm, supported, _ = view.known
    if view.supported is None:
        return "QEMU would end here"
    if supported is None:
        return ""
    if view.supported.branch != "asked":
        return "counts as 0"
    if is_control_word(view.word):
        return "what may be 1 and may be 0"
    return "as read" if kvm == supported else "changed, see below"


def _dropped(supported: int | None, migratable: int | None) -> str:
    gone = bits_of((supported or 0) & ~(migratable or 0))
    if not gone or migratable is None:
        return ""
    shown = " ".join(str(bit) for bit in gone[:8])
    return f"without {shown}" + (f" and {len(gone) - 8} more" if len(gone) > 8 else "")


def _field_lines(parts: Sequence[DecodedField]) -> Iterator[str]:
    rows = [("bits", "field", "value", "")]
    rows += [(part.field.bits, part.field.name, hex(part.value), _field_text(part)) for part in parts]
    heads = list(aligned((row[:3] for row in rows), right=frozenset({0, 2})))
    for head, row in zip(heads, rows, strict=True):
        yield from wrapped(row[3], f"{head}  ", " " * (len(heads[0]) + 2))


def _asked_lines(asked: MsrReading) -> Iterator[str]:
    said = {
        "ok": f"1 read: {grouped(asked.value)}",
        "refused": "0 read",
        "error": f"error {_errno(asked)}",
        "unknown": "not known",
    }[asked.status]
    yield f"  KVM_GET_MSRS all the same: {said}"
    yield from wrapped(asked_worth(asked), "    ", "    ")


def _why(profile: QemuProfile, view: WordView, guest: GuestWord | None) -> Iterator[str]:
    """The lineage in sentences, each with the value that it led to and where the rule stands in QEMU."""
    yield "  How it came to be"
    if view.ended is not None:
        yield "    KVM lists it and does not read it. QEMU ends, saying:"
        yield from wrapped(view.ended.text, "      ", "        ")
    lineage = view.lineage if guest is None else with_guest_lineage(view.lineage, guest)
    values = [hexed(step.after) or "?" for step in lineage]
    width = max(map(len, values), default=0)
    for step, value in zip(lineage, values, strict=True):
        blank = " " * (width + 6)
        yield from wrapped(decision_text(step, profile), f"    {value:>{width}}  ", blank)
        yield blank + rules.RULES[step.rule].source(profile.label)
