"""One MSR: which lists hold it, what KVM answers, what QEMU makes of it, and its bits by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from msrtui.catalog import DecodedField, decode, names_of, short_name
from msrtui.explain.absent import Absence, absences
from msrtui.explain.evidence import evidence_at, evidence_of
from msrtui.kvm import abi
from msrtui.kvm.readings import read_feature_msrs
from msrtui.kvm.requests import GetMsrs, MsrReading, reading_of
from msrtui.qemu import rules
from msrtui.qemu.msr_index import MSR_IA32_UCODE_REV
from msrtui.qemu.negotiation import Lineage, QemuExit
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.words import bits_of, is_control_word
from msrtui.report.absent import absence_document, absent_text
from msrtui.report.heading import heading_lines
from msrtui.report.lists import use_of
from msrtui.report.sentences import bit_label, decision_text
from msrtui.report.shape import aligned, grouped, hexed, marks, wrapped
from msrtui.report.views import (
    HostView,
    WordView,
    kvm_bits,
    lineage_document,
    number_bits,
    view_words,
)
from msrtui.snapshot.model import About
from msrtui.transcript.heard_lists import HeardLists
from msrtui.transcript.state import State


class MsrView(NamedTuple):
    """One MSR on one host, as one QEMU reads it: ``lists`` are KVM's, ``ended`` is where that QEMU ends too early.

    ``branch`` is the way that kvm_arch_get_supported_msr_feature takes for it, None where that
    is not known. ``reading`` is what
    KVM_GET_MSRS gave, None where KVM does not list it as a feature MSR or that is not known. ``word`` is the
    feature word that stands on it, if one does. ``asked`` is the answer to a question that QEMU would not put.
    ``absent`` says for each list that lacks the MSR why.
    """

    msr: int
    lists: HeardLists
    branch: str | None
    reading: MsrReading | None
    word: WordView | None
    flag: str | None
    asked: MsrReading | None = None
    absent: tuple[Absence, ...] = ()
    ended: QemuExit | None = None

    @property
    def status(self) -> str:
        """``ok``, ``refused``, ``error``, ``not listed`` or ``unknown``, of the feature list."""
        if self.reading is not None:
            return self.reading.status
        return "unknown" if self.lists.in_feature_list(self.msr) is None else "not listed"

    @property
    def kvm(self) -> int | None:
        """KVM's value of a listed MSR, None unless the status is ok."""
        return self.reading.value if self.reading is not None else None

    @property
    def lineage(self) -> Lineage:
        """What QEMU did to the value; nothing where it makes no word of the MSR."""
        return self.word.lineage if self.word is not None else ()


def view_msr(
    index: int, profile: QemuProfile, host: HostView, *, ask: bool = False, about: About | None = None
) -> MsrView:
    """Look at the MSR ``index``; KVM is asked for it only where it is in the feature list, or with ``ask``.

    ``about`` holds the facts that decide why a list lacks it: kernel, vendor module, parameters.
    """
    lists = host.lists
    listed = lists.in_feature_list(index)
    with host.answerer.held():
        reading = read_feature_msrs(host.answerer, (index,))[index] if listed else None
        word = profile.tables.word_by_msr.get(index)
        view = view_words(host, (word,))[0] if word is not None else None
        asked = reading_of(host.answerer.ask(GetMsrs((index,)))) if ask and not listed else None
        found = evidence_of(about or About(), lists, host.state, host.answerer, index)
    return _msr_view(index, profile, lists, reading, view, asked, absences(index, found), host.ended)


def view_heard_msr(
    index: int,
    profile: QemuProfile,
    state: State,
    lists: HeardLists,
    reading: MsrReading | None,
    *,
    asked: MsrReading | None = None,
    about: About | None = None,
) -> MsrView:
    """Look at the MSR ``index`` as far as a conversation has come: nothing is asked.

    ``reading`` is what was heard of it, None where nothing was; ``asked`` what KVM said where it does not list it.
    """
    if reading is None and lists.in_feature_list(index):
        reading = MsrReading("unknown")
    word = profile.tables.word_by_msr.get(index)
    view = WordView(word, state.words.get(word.name), None) if word is not None else None
    absent = absences(index, evidence_at(state, about or About()))
    return _msr_view(index, profile, lists, reading, view, asked, absent, state.end)


def _msr_view(
    index: int,
    profile: QemuProfile,
    lists: HeardLists,
    reading: MsrReading | None,
    word: WordView | None,
    asked: MsrReading | None,
    absent: tuple[Absence, ...],
    ended: QemuExit | None,
) -> MsrView:
    listed = lists.in_feature_list(index)
    branch = None
    if listed is not None:
        branch = "cache null" if lists.feature_msrs is None else "asked" if listed else "not listed"
    row = profile.tables.flag_by_index.get(index)
    flag = row.flag if row is not None else None
    return MsrView(index, lists, branch, reading, word, flag, asked, absent, ended)


# --- for programs ------------------------------------------------------------------------------------------------
def get_document(source_name: str, profile: QemuProfile, view: MsrView) -> dict[str, Any]:
    """``get MSR --json``; why a list lacks it under ``absent``, what QEMU would not ask under ``asked``."""
    lists = view.lists
    _, supported, migratable = view.word.known if view.word is not None else (None, None, None)
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
        "word": view.word.word.name if view.word is not None else None,
        "flag": view.flag,
        "fields": [
            {"bits": part.field.bits, "name": part.field.name, "value": hex(part.value), "text": _field_text(part)}
            for part in _fields(view)
        ],
        "lineage": lineage_document(view.lineage, profile),
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
        lines += ["", *_ladder(view.word)]
    parts = [part for part in _fields(view) if view.word is None or part.field.width > 1]
    if parts:
        lines += ["", *_field_lines(parts)]
    if view.asked is not None:
        lines += ["", *_asked_lines(view.asked)]
    if view.word is not None:
        lines += ["", *_why(profile, view.word)]
    if view.ended is not None:
        lines += ["", *wrapped(f"This QEMU would end before it asks, saying: {view.ended.text}")]
    return "\n".join(lines) + "\n"


def _head(profile: QemuProfile, view: MsrView) -> Iterator[str]:
    lists = view.lists
    word = view.word.word.name if view.word is not None else ""
    yield f"MSR {view.msr:#x}  {short_name(view.msr)}  {word}".rstrip()
    names = names_of(view.msr)
    if len(names) > 1:
        yield from wrapped(" ".join(names), "  also  ", "        ")
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


def _ladder(view: WordView) -> Iterator[str]:
    """The layers with what each is, then a row for every bit that is set in one of them."""
    kvm, supported, migratable = view.known
    yield f"  KVM         {_layer(kvm, view)}"
    control = is_control_word(view.word) and kvm is not None
    yield f"  QEMU        {_layer(supported, view)}  {_how_supported(view)}".rstrip()
    yield f"  migratable  {_layer(migratable, view)}  {_dropped(supported, migratable)}".rstrip()
    layers = (kvm_bits(view.word, kvm), supported, migratable)
    rows = [
        (str(bit), bit_label(view.word, bit), *marks(layers, bit))
        for bit in bits_of(_any_of(layers) & ~number_bits(view.word, kvm))
    ]
    if rows:
        yield ""
        top = "may be 1" if control else "KVM"
        yield from aligned([("bit", "name", top, "QEMU", "migratable"), *rows], right=frozenset({0, 2, 3, 4}))


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


def _why(profile: QemuProfile, view: WordView) -> Iterator[str]:
    """The lineage in sentences, each with the value that it led to and where the rule stands in QEMU."""
    yield "  How it came to be"
    if view.ended is not None:
        yield "    KVM lists it and does not read it. QEMU ends, saying:"
        yield from wrapped(view.ended.text, "      ", "        ")
    values = [hexed(step.after) or "?" for step in view.lineage]
    width = max(map(len, values), default=0)
    for step, value in zip(view.lineage, values, strict=True):
        blank = " " * (width + 6)
        yield from wrapped(decision_text(step, profile), f"    {value:>{width}}  ", blank)
        yield blank + rules.RULES[step.rule].source(profile.label)
