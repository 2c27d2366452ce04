"""An explanation as text and JSON: what a message says, why, what this host says of it, what to do, how sure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msrtui.catalog import DecodedField, decode, names_of
from msrtui.explain import messages as m
from msrtui.explain.answer import Certainty, Diagnosis, FeatureHere, MsrHere, RefusedBit
from msrtui.explain.diagnosis import Explanation
from msrtui.explain.naming import CONTROLS, refused_bits
from msrtui.explain.on_host import RefusedHere
from msrtui.kvm.collector import plain
from msrtui.language import say as _
from msrtui.qemu.profile import QemuProfile
from msrtui.report.explain_causes import cause_text, msr_label
from msrtui.report.explain_remedies import COSTS, RULES, remedy_text
from msrtui.report.explain_says import says
from msrtui.report.heading import heading_lines
from msrtui.report.shape import aligned, columns, counted, hexed, wrapped
from msrtui.report.why import reason_text

WIDTH = 96
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
    "cannot be known without the probe": "Cannot be known without the probe, which tries the write on a scratch vCPU.",
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
        "refused": [
            {"bit": bit.bit, "name": bit.name, "rule": bit.rule, "text": RULES[bit.rule]} for bit in each.refused
        ],
        "remedies": [
            {"do": remedy_text(way), "cost": COSTS[way.cost], "certainty": way.certainty} for way in each.remedies
        ],
        "certainty": each.certainty,
        "causes": [{"id": cause.id, "certainty": cause.certainty, "text": cause_text(cause)} for cause in each.causes],
        "host": _host_document(each),
        "text": " ".join((f"{says(each)}.", *(cause_text(cause) for cause in each.causes))),
    }


def _host_document(each: Diagnosis) -> dict[str, Any] | None:
    if each.host is None:
        return None
    document: dict[str, Any] = {"source": each.host.source.name}
    write = each.write
    if write is not None:
        document |= {
            "in_feature_list": write.listed,
            "in_index_list": write.indexed,
            "kvm": hexed(write.system),
            "qemu_writes": hexed(write.written),
            "written_by": [writer._asdict() for writer in write.writers],
            "refused_behind": [hex(index) for index, _value, _broken in write.behind],
        }
    if each.access is not None:
        document |= {
            "in_index_list": each.access.indexed,
            "in_feature_list": each.access.featured,
            "ignore_msrs": each.access.ignore_msrs,
        }
    if each.features:
        document["features"] = [
            {"name": here.label, "kvm": here.kvm, "text": _feature_text(here, each)} for here in each.features
        ]
    return document


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
        yield from _host_lines(each, profile)
    yield ""
    yield "What to do, cheapest first"
    for place, way in enumerate(each.remedies, 1):
        helps = {"sure": "", "likely": " (likely to help)"}.get(way.certainty, "")
        worked = " (worked out: this KVM then takes the value)" if way.params.get("worked_out") else helps
        worked = "" if way.cost == "nothing" else worked
        yield from wrapped(f"{remedy_text(way)}{worked}", f"  {place}. ", "     ", WIDTH)
        if way.cost != "nothing":
            yield from wrapped(f"costs: {COSTS[way.cost]}", "     ", "            ", WIDTH)
    yield ""
    yield "How sure"
    yield from _wrap(_how_sure(each), "  ")


def _quoted(line: str) -> Iterator[str]:
    """A line of the text, cut where it has no blanks."""
    pieces = [word[at : at + _PIECE] for word in line.split(" ") for at in range(0, max(len(word), 1), _PIECE)]
    return wrapped(" ".join(pieces), "  > ", "    ", WIDTH)


def _wrap(text: str, indent: str = "") -> Iterator[str]:
    return wrapped(text, indent, indent, WIDTH)


def _how_sure(each: Diagnosis) -> str:
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
    yield from columns([f"{number:>2} {name}" for number, name in rows], "  ", WIDTH)
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


def _host_lines(each: Diagnosis, profile: QemuProfile) -> Iterator[str]:
    assert each.host is not None
    yield from heading_lines(each.host.source.name, each.host.about, each.host.profile)
    made = each.host.conversation()
    if made.ended is not None:
        yield from _wrap(f"QEMU {made.profile.label} ends here: {plain(made.ended.text, 300)}", "  ")
    if each.write is not None:
        yield from _write_lines(each, each.write, profile)
    if each.access is not None and each.msr is not None:
        yield from _wrap(_access_text(each.access, each.msr), "  ")
    for here in each.features[:_OTHERS]:
        yield from wrapped(f"{plain(here.label, 60)}: {_feature_text(here, each)}", "  ", "    ", WIDTH)
    if len(each.features) > _OTHERS:
        yield f"  and {len(each.features) - _OTHERS} more"
    system = None if each.msr is None or each.write is not None else each.host.system_value(each.msr)
    if each.msr is not None and system is not None:
        yield f"  KVM offers {system:#x} as MSR {msr_label(each.msr)}"
    elif each.write is None and each.access is None and not each.features and made.ended is None:
        yield "  This host has nothing to add to this message."


def _write_lines(each: Diagnosis, write: RefusedHere, profile: QemuProfile) -> Iterator[str]:
    assert each.value is not None
    listed = {True: hexed(write.system) or "listed, not read", False: "no such feature MSR", None: "not known"}
    rows = [("KVM offers", listed[write.listed])]
    cpu = write.host.cpu
    writes = hexed(write.written) or ("nothing" if write.writes_known else "not known")
    rows.append((f"QEMU {write.host.profile.label} -cpu {plain(cpu, 40)} writes", writes))
    rows.append(("the message has", hexed(each.value) or ""))
    yield from aligned(rows)
    if write.writers:
        yield from _wrap(f"Exactly this value is what QEMU writes here: {_writers(write)}.", "  ")
    else:
        yield from _wrap(_NO_WRITER, "  ")
    if each.refused:
        yield "  Refused by this KVM:"
        yield from aligned(_refused_rows(each.refused), "    ")
    elif write.gated:
        yield from _wrap(_GATED, "  ")
    elif write.system is not None:
        yield from _wrap(_ACCEPTED, "  ")
    for index, value, broken in write.behind:
        names = " ".join(bit.name for bit in refused_bits(profile, index, broken)[:6])
        said = f"QEMU would also write {hex(value)} to {msr_label(index)}, which this KVM refuses too: {names}."
        yield from _wrap(said, "  ")


def _writers(write: RefusedHere) -> str:
    """``5.2, 7.2 with -cpu host``; a ``-cpu`` is left out for versions that an earlier one has named."""
    said: list[str] = []
    named: set[str] = set()
    for cpu in dict.fromkeys(writer.cpu for writer in write.writers):
        versions = [writer.version for writer in write.writers if writer.cpu == cpu and writer.version not in named]
        named |= set(versions)
        if versions:
            ordered = sorted(versions, key=lambda label: [int(part) for part in label.split(".")])
            said.append(f"{', '.join(ordered)} with -cpu {plain(cpu, 40)}")
    return "; ".join(said)


def _refused_rows(refused: Sequence[RefusedBit]) -> Iterator[tuple[str, str, str]]:
    """A row for each bit, and one for all bits of a field."""
    fields: dict[tuple[str, str], list[RefusedBit]] = {}
    for bit in refused:
        fields.setdefault((bit.name, bit.rule), []).append(bit)
    for bits in list(fields.values())[:_BITS]:
        first, last = bits[0].bit, bits[-1].bit
        yield (str(first) if first == last else f"{last}:{first}"), bits[0].name, RULES[bits[0].rule]
    if len(fields) > _BITS:
        yield "", f"and {len(fields) - _BITS} more", ""


_NO_WRITER = _(
    "No QEMU that msrtui knows writes exactly this value here: the message is of another host, of another -cpu or of"
    " another state of this host."
)
_GATED = _("The value breaks no rule of KVM's that can be read; whether the guest's CPUID lets it through cannot be.")
_ACCEPTED = _(
    "By every rule that is known this KVM takes the value: it was another host that refused it, or this one in another"
    " state."
)


def _access_text(here: MsrHere, index: int) -> str:
    where = {True: "KVM lists it", False: "KVM does not list it", None: "whether KVM lists it is not known"}[
        here.indexed
    ]
    feature = {True: ", as a feature MSR too", False: "", None: ""}[here.featured]
    ignores = {
        True: "ignore_msrs is on: reads give 0, writes are dropped.",
        False: "ignore_msrs is off: a guest that touches an MSR which KVM does not have gets a fault.",
        None: "What ignore_msrs is set to is not known.",
    }[here.ignore_msrs]
    return f"MSR {msr_label(index)}: {where}{feature}. {ignores}"


def _feature_text(here: FeatureHere, each: Diagnosis) -> str:
    if here.why is not None and each.host is not None:
        said = reason_text(here.why, each.host.profile, each.host.about)
    else:
        said = {True: "KVM offers it", False: "KVM does not offer it", None: "not known"}[here.kvm]
    if here.parameter is not None and here.parameter[0] not in said:
        said += f"; {here.parameter[0]} is {here.parameter[1]}"
    return said


def _also(others: Sequence[Diagnosis], more: int) -> Iterator[str]:
    if not others:
        return
    yield ""
    yield "Also in this text"
    for each in others[:_OTHERS]:
        times = f" ({each.message.count} times)" if each.message.count > 1 else ""
        yield from wrapped(f"{_WEIGHTS[each.message.weight]}: {says(each)}{times}", "  ", "    ", WIDTH)
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
