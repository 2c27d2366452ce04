"""What the host that was given says of a message: its lines and its JSON.

Beside ``explain.py``, for what a start comes to (``explain/predict.py``) is asked only where there is a host.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msrtui.explain.acceptance import NO_RULE
from msrtui.explain.answer import Diagnosis, FeatureHere, MsrHere
from msrtui.explain.naming import RefusedBit, refused_bits
from msrtui.explain.on_host import RefusedHere
from msrtui.explain.write_rules import NO_SYSTEM_VALUE
from msrtui.kvm.collector import plain
from msrtui.language import N_
from msrtui.qemu.profile import QemuProfile
from msrtui.report.explain_causes import msr_label
from msrtui.report.heading import heading_lines, qemu_of
from msrtui.report.refusals import EVIDENCE, RULES, WHOLE, prediction_document, reason_text
from msrtui.report.shape import EXPLANATION_WIDTH, aligned, hexed, wrapped
from msrtui.report.why import reason_text as why_text

_FEATURES = 12
"""So many of a message's features are shown."""
_ROWS = 40


# --- for programs ------------------------------------------------------------------------------------------------
def host_document(each: Diagnosis) -> dict[str, Any] | None:
    """``host`` of ``explain --json``; None where none was given."""
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
            "refused_behind": [hex(other.index) for other in write.behind],
            "guest": {"qemu": write.guest.profile.label, "cpu": write.guest.request.text},
            "taken": write.verdict.taken,
            "evidence": write.verdict.evidence,
            "rule": write.verdict.rule,
            "same": write.same,
            "prediction": prediction_document(write.prediction),
            "instead": [prediction_document(other) for other in write.instead],
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


def refused_document(refused: Sequence[RefusedBit]) -> list[dict[str, Any]]:
    """``refused`` of ``explain --json``."""
    return [{"bit": bit.bit, "name": bit.name, "rule": bit.rule, "text": RULES[bit.rule]} for bit in refused]


# --- for people --------------------------------------------------------------------------------------------------
def host_lines(each: Diagnosis, profile: QemuProfile) -> Iterator[str]:
    """The host, its KVM, what QEMU does there, what is refused."""
    assert each.host is not None
    yield from heading_lines(each.host.source.name, each.host.about, each.host.profile)
    made = each.host.conversation()
    if made.ended is not None:
        yield from _wrap(f"QEMU {made.profile.label} ends here: {plain(made.ended.text, 300)}", "  ")
    if each.write is not None:
        yield from _write_lines(each, each.write, profile)
    if each.access is not None and each.msr is not None:
        yield from _wrap(_access_text(each.access, each.msr), "  ")
    for here in each.features[:_FEATURES]:
        yield from wrapped(f"{plain(here.label, 60)}: {_feature_text(here, each)}", "  ", "    ", EXPLANATION_WIDTH)
    if len(each.features) > _FEATURES:
        yield f"  and {len(each.features) - _FEATURES} more"
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
    if write.same:
        guest = f"{qemu_of(write.guest.profile)} with -cpu {plain(write.guest.request.text, 200)}"
        by = EVIDENCE[write.prediction.evidence]
        yield from _wrap(f"This is what {guest} does here: it aborts with this message{by}.", "  ")
    verdict = write.verdict
    if each.refused:
        yield "  Refused by this KVM:"
        yield from _refused_lines(each.refused)
    elif verdict.taken is False:
        yield from _wrap(f"Refused by this KVM: {RULES[NO_RULE]}.", "  ")
    elif verdict.taken:
        yield from _wrap(_TRIED if write.settled else _ACCEPTED, "  ")
    elif verdict.rule not in (NO_RULE, NO_SYSTEM_VALUE):
        yield from _wrap(f"Whether this KVM takes the value is not known: {reason_text(verdict.rule)}.", "  ")
    for other in write.behind:
        names = " ".join(dict.fromkeys(bit.name for bit in refused_bits(profile, other.index, other.refused)[:6]))
        said = f"QEMU would also write {hex(other.value)} to {msr_label(other.index)}, which this KVM refuses too"
        yield from _wrap(f"{said}: {names}." if names else f"{said}.", "  ")


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


def _refused_lines(refused: Sequence[RefusedBit]) -> Iterator[str]:
    """A row for each bit, and one for all bits of a field; a sentence where it is the write and no single bit."""
    fields: dict[tuple[str, str], list[RefusedBit]] = {}
    for bit in refused:
        fields.setdefault((bit.name, bit.rule), []).append(bit)
    single = [bits for (_name, rule), bits in fields.items() if rule not in WHOLE]
    rows = [(_span(bits), bits[0].name, RULES[bits[0].rule]) for bits in single[:_ROWS]]
    yield from aligned(rows, "    ")
    if len(single) > _ROWS:
        yield f"    and {len(single) - _ROWS} more"
    for rule in dict.fromkeys(bit.rule for bit in refused if bit.rule in WHOLE):
        whole = [f"{_span(bits)} {name}" for (name, each), bits in fields.items() if each == rule]
        shown = ", ".join(whole[:_FEATURES]) + (f" and {len(whole) - _FEATURES} more" if len(whole) > _FEATURES else "")
        yield from wrapped(f"{shown}: {RULES[rule]}", "    ", "      ", EXPLANATION_WIDTH)


def _span(bits: Sequence[RefusedBit]) -> str:
    first, last = bits[0].bit, bits[-1].bit
    return str(first) if first == last else f"{last}:{first}"


_NO_WRITER = N_(
    "No QEMU that msrtui knows writes exactly this value here: the message is of another host, of another -cpu or of"
    " another state of this host."
)
_ACCEPTED = N_(
    "By every rule that is known this KVM takes the value: it was another host that refused it, or this one in another"
    " state."
)
_TRIED = N_(
    "This KVM takes the value, as the vCPU showed: it was another host that refused it, or this one in another state."
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
        said = why_text(here.why, each.host.profile, each.host.about)
    else:
        said = {True: "KVM offers it", False: "KVM does not offer it", None: "not known"}[here.kvm]
    if here.parameter is not None and here.parameter[0] not in said:
        said += f"; {here.parameter[0]} is {here.parameter[1]}"
    return said


def _wrap(text: str, indent: str = "") -> Iterator[str]:
    return wrapped(text, indent, indent, EXPLANATION_WIDTH)
