"""An explanation as text and JSON: what a message says, why, what this host says of it, what to do, how sure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msrtui.catalog import DecodedField, decode, names_of
from msrtui.explain import messages as m
from msrtui.explain.answer import Certainty, Diagnosis
from msrtui.explain.diagnosis import Explanation
from msrtui.explain.naming import CONTROLS
from msrtui.kvm.collector import plain
from msrtui.language import N_
from msrtui.qemu.profile import QemuProfile
from msrtui.report.explain_causes import cause_text
from msrtui.report.explain_remedies import COSTS, remedy_text
from msrtui.report.explain_says import says
from msrtui.report.shape import EXPLANATION_WIDTH, columns, counted, hexed, wrapped

_OTHERS = 12
"""So many of the other messages are shown."""
_BITS = 40
_RESERVED = "DEFAULT1_"
_HALF = 32
_PIECE = 80
_WEIGHTS: dict[m.Weight, str] = {
    "ends": "QEMU ended",
    "refuses": "refused",
    "breaks": "does not work",
    "warns": "warning",
    "notes": "a remark",
}
_SURE: dict[Certainty, str] = {
    "sure": "Sure.",
    "likely": "Likely: it fits what the message says, and other things would too.",
    "cannot be known without the probe": (
        "Cannot be known without the probe, a scratch vCPU on the host that refused it: msrtui probe -o FILE."
    ),
}
_TRIED = N_("Sure for the host that was given: this very write was tried on a vCPU with that guest's CPUID.")
_LOOKED_AT = N_(
    "Sure for the host that was given: a vCPU showed what its KVM keeps of the guest's CPUID and of this MSR."
)
_STARTS = {
    "probe": N_(" (worked out: it starts, as the vCPU showed)"),
    "rule": N_(" (worked out: it starts, by KVM's rules)"),
}


# --- for programs ------------------------------------------------------------------------------------------------
def explain_document(text: str, found: Explanation, profile: QemuProfile) -> dict[str, Any]:
    """``explain --json``: the message that ended it, and all of them under ``messages``."""
    head = found.decisive
    if head is None:
        return {
            "known": False,
            "qemu": profile.label,
            "message": _first_line(text),
            "msr": None,
            "value": None,
            "bits": [],
            "refused": [],
            "remedies": [],
            "certainty": "cannot be known without the probe",
            "text": " ".join(_unknown(found)),
            "messages": [],
            "mentioned": [
                {"msr": hex(index), "names": list(names_of(index)), "value": hex(value)}
                for index, value in found.mentioned
            ],
        }
    return {
        "known": True,
        "qemu": profile.label,
        **_document(head, profile),
        "messages": [_document(each, profile) for each in found.all],
        "more": found.more,
    }


def _document(each: Diagnosis, profile: QemuProfile) -> dict[str, Any]:
    return {
        "kind": type(each.message).__name__,
        "weight": each.message.weight,
        "count": each.message.count,
        "message": each.message.line,
        "msr": hexed(each.msr),
        "value": hexed(each.value),
        "bits": [bit._asdict() for bit in each.bits],
        "refused": [],
        "remedies": [
            {"do": remedy_text(way), "cost": COSTS[way.cost], "certainty": way.certainty} for way in each.remedies
        ],
        "certainty": each.certainty,
        "causes": [{"id": cause.id, "certainty": cause.certainty, "text": cause_text(cause)} for cause in each.causes],
        "host": None,
        "text": " ".join((f"{says(each)}.", *(cause_text(cause) for cause in each.causes))),
        **_host_members(each),
    }


def _host_members(each: Diagnosis) -> dict[str, Any]:
    if each.host is None:
        return {}
    from msrtui.report.explain_host import host_document, refused_document  # dear to import, and needs a host

    return {"refused": refused_document(each.refused), "host": host_document(each)}


# --- for people --------------------------------------------------------------------------------------------------
def explain_text(text: str, found: Explanation, profile: QemuProfile) -> str:
    """The decisive message in full, then the others in a line each."""
    head = found.decisive
    if head is None:
        return "\n".join(_lines_of_unknown(text, found)) + "\n"
    others = [each for each in found.all if each is not head]
    return "\n".join((*_in_full(head, profile), *_also(others, found.more))) + "\n"


def _in_full(each: Diagnosis, profile: QemuProfile) -> Iterator[str]:
    yield from _wrap(f"{says(each)}.")
    yield from _quoted(each.message.line)
    if each.message.count > 1:
        yield f"    {each.message.count} times in this text"
    yield ""
    yield "Why"
    for cause in each.causes:
        sure = {"sure": "", "likely": "Likely. ", "cannot be known without the probe": ""}[cause.certainty]
        yield from _wrap(sure + cause_text(cause), "  ")
    if each.bits or each.value == 0:
        yield ""
        yield from _value_lines(each, profile)
    if each.host is not None:
        yield ""
        from msrtui.report.explain_host import host_lines  # dear to import, and needs a host

        yield from host_lines(each, profile)
    yield ""
    yield "What to do, cheapest first"
    for place, way in enumerate(each.remedies, 1):
        helps = {"sure": "", "likely": " (likely to help)"}.get(way.certainty, "")
        worked = " (worked out: this KVM then takes the value)" if way.params.get("worked_out") else helps
        worked = _STARTS.get(way.params.get("starts") or "", worked)
        worked = "" if way.cost == "nothing" else worked
        yield from wrapped(f"{remedy_text(way)}{worked}", f"  {place}. ", "     ", EXPLANATION_WIDTH)
        if way.cost != "nothing":
            yield from wrapped(f"costs: {COSTS[way.cost]}", "     ", "            ", EXPLANATION_WIDTH)
    yield ""
    yield "How sure"
    yield from _wrap(_how_sure(each), "  ")


def _quoted(line: str) -> Iterator[str]:
    """A line of the text, cut where it has no blanks."""
    pieces = [word[at : at + _PIECE] for word in line.split(" ") for at in range(0, max(len(word), 1), _PIECE)]
    return wrapped(" ".join(pieces), "  > ", "    ", EXPLANATION_WIDTH)


def _wrap(text: str, indent: str = "") -> Iterator[str]:
    return wrapped(text, indent, indent, EXPLANATION_WIDTH)


def _how_sure(each: Diagnosis) -> str:
    if each.write is not None and each.write.settled:
        return _TRIED if each.write.verdict.tried else _LOOKED_AT
    if each.refused and each.host is not None:
        return "Sure for the host that was given: these are the rules that its KVM applies to its own value."
    if each.certainty == "sure" and each.features:
        return "Sure of the host that was given, by what its KVM answered."
    return _SURE[each.certainty]


def _value_lines(each: Diagnosis, profile: QemuProfile) -> Iterator[str]:
    yield f"The value {hexed(each.value)}, by the names of QEMU {profile.label}"
    numbers = [part for part in _numbers(each) if part.value]
    taken = {bit for part in numbers for bit in range(part.field.lo, part.field.hi + 1)}
    ones = [bit for bit in each.bits if bit.set and bit.bit not in taken and not bit.name.startswith(_RESERVED)]
    reserved = [bit for bit in each.bits if bit.set and bit.name.startswith(_RESERVED)]
    rows = [(str(bit.bit), bit.name) for bit in ones[:_BITS]]
    for part in numbers:
        yield f"  {part.field.bits} {part.field.name} = {part.value:#x}"
    if not rows and not reserved and not numbers:
        yield "  no bit is set"
    yield from columns([f"{number:>2} {name}" for number, name in rows], "  ", EXPLANATION_WIDTH)
    if reserved:
        may, must = (sum((bit.bit >= _HALF) is high for bit in reserved) for high in (True, False))
        yield f"  and of the reserved controls (default-1 class) {may} may be 1, {must} must be 1"
    if len(ones) > _BITS:
        yield f"  and {len(ones) - _BITS} more; msrtui decode {hexed(each.msr)} {hexed(each.value)} lists all"


def _numbers(each: Diagnosis) -> list[DecodedField]:
    """The fields of several bits, which are numbers."""
    if each.msr is None or each.value is None or each.msr in CONTROLS:
        return []
    return [part for part in decode(each.msr, each.value) if part.field.width > 1]


def _also(others: Sequence[Diagnosis], more: int) -> Iterator[str]:
    if not others:
        return
    yield ""
    yield "Also in this text"
    for each in others[:_OTHERS]:
        times = f" ({each.message.count} times)" if each.message.count > 1 else ""
        yield from wrapped(f"{_WEIGHTS[each.message.weight]}: {says(each)}{times}", "  ", "    ", EXPLANATION_WIDTH)
    left = len(others) - _OTHERS + more
    if left > 0:
        yield f"  and {counted(left, 'other message', 'other messages')}; --json has them"


# --- what is not known -------------------------------------------------------------------------------------------
def _first_line(text: str) -> str:
    return next((plain(line, 300) for line in text[:20_000].splitlines() if plain(line, 300)), "")


def _unknown(found: Explanation) -> Iterator[str]:
    yield "This is no message that msrtui knows."
    yield "It knows those of QEMU, libvirt and the kernel that are about MSRs and CPU features."
    if found.mentioned:
        yield "What looks like an MSR and its value in it can be decoded."


def _lines_of_unknown(text: str, found: Explanation) -> Iterator[str]:
    yield from _wrap(" ".join(_unknown(found)))
    line = _first_line(text)
    if line:
        yield from _quoted(line)
    for index, value in found.mentioned:
        yield f"  msrtui decode {hex(index)} {hex(value)}"
    if not found.mentioned:
        yield from _wrap(
            "Of a register's number and value msrtui decode says what is in it: msrtui decode 0x48b 0x1582e00000000."
        )
