"""The probe for people and for programs: what it will do, what KVM made of the vCPU, what comes of a start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from msrtui.catalog import names_of, short_name
from msrtui.explain.predict import Prediction, WriteVerdict
from msrtui.explain.probing import Probed
from msrtui.host.start import Started
from msrtui.kvm.abi import errno_name
from msrtui.kvm.collector import plain
from msrtui.kvm.requests import MsrReading, Reply
from msrtui.qemu.guest_cpuid import Changed
from msrtui.qemu.probe import ProbeResult
from msrtui.qemu.words import bits_of
from msrtui.report.heading import heading
from msrtui.report.refusals import bits_text, outcome_text, prediction_document, rule_text
from msrtui.report.sentences import names_in
from msrtui.report.shape import aligned, counted, hexed, wrapped
from msrtui.snapshot.model import About

_WARNINGS_SHOWN = 3


class Agreement(NamedTuple):
    """A real QEMU's start beside the prediction: ``agree`` is None where nothing was predicted."""

    started: Started
    agree: bool | None


def agreement(prediction: Prediction, started: Started) -> Agreement:
    """Whether the real start went as predicted: the outcome, the MSR and value, and every warning."""
    if prediction.outcome == "not known":
        return Agreement(started, None)
    went = "starts" if started.status == 0 else "aborts" if started.aborted else "ends"
    alike = went == prediction.outcome and started.warnings == prediction.warnings
    if prediction.refused is not None:
        wanted = prediction.said.partition(": ")[2]
        alike = alike and any(line.endswith(wanted) for line in started.others)
    return Agreement(started, alike)


# --- before it starts --------------------------------------------------------------------------------------------
def plan_text(cpus: Sequence[str], *, write: bool, about: About, with_qemu: str | None) -> str:
    """What the command will do on this machine, said before it does it."""
    said = plan_sentence(cpus, write=write, about=about, otherwise="--try does")
    if with_qemu is not None:
        said += f" Then it starts {plain(with_qemu, 400)} with the same -cpu, stopped, and ends it."
    return "\n".join(wrapped(f"{said} All of it is gone when the command ends.", "", "  ")) + "\n\n"


def plan_sentence(cpus: Sequence[str], *, write: bool, about: About, otherwise: str) -> str:
    """What a probe does; ``otherwise`` says how writes are had where there are none."""
    each = "a VM with one vCPU" if len(cpus) == 1 else f"{len(cpus)} VMs, one after the other, each with one vCPU"
    said = f"This makes {each}, without memory and never run: sets a guest's CPUID, reads it and the feature MSRs back."
    if write:
        said += " It also writes to MSRs of such vCPUs, feature MSRs alone, and makes two more vCPUs for that."
    else:
        said += f" It writes no MSR ({otherwise})."
    if about.parameters.get("kvm", {}).get("enable_virt_at_load") in ("N", "0"):
        said += " kvm.enable_virt_at_load is N: virtualization is turned on for all CPUs meanwhile."
    return said


# --- for people --------------------------------------------------------------------------------------------------
def probe_text(source_name: str, about: About, probed: Probed, real: Agreement | None = None) -> str:
    """One guest: the round trip, the MSRs, the writes, and what comes of it."""
    head = f"{heading(source_name, about, probed.profile)}; -cpu {probed.request.text}"
    lines = [*wrapped(head, "", "  "), ""]
    if probed.carried:
        lines += [*wrapped("This guest was not probed. What the probes of others on this host show carries over."), ""]
    if probed.result is not None:
        lines += [*_round_trip(probed.result), "", *_msrs(probed.result), ""]
    lines += [*_writes(probed), *_outcome(probed)]
    if real is not None:
        lines += ["", *_real(real)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _round_trip(result: ProbeResult) -> Iterator[str]:
    yield "The guest's CPUID"
    for what, reply in (("KVM_CREATE_VM", result.vm), ("KVM_CREATE_VCPU", result.vcpu)):
        if reply is not None and reply.result != 0:
            yield f"  {what} {_answer(reply)}: there was no vCPU to ask."
            return
    if result.set_reply is None:
        yield "  It could not be worked out, so no vCPU was made."
        return
    yield f"  KVM_SET_CPUID2, {counted(len(result.put), 'entry', 'entries')}: {_answer(result.set_reply)}."
    if result.got is None:
        yield "  What KVM keeps of it is not known."
        return
    own = [each for each in result.changed if each.follows_state]
    changed = [each for each in result.changed if not each.follows_state]
    if not changed:
        yield "  KVM_GET_CPUID2: the same. KVM keeps what it is given."
        yield from _of_its_own(own)
        return
    said = (
        f"KVM_GET_CPUID2: {counted(len(changed), 'register', 'registers')} otherwise. KVM changes what QEMU asks for."
    )
    yield from wrapped(said, "  ", "  ")
    yield from wrapped(
        "Feature words are this -cpu's; family, caches, topology and the sizes of XSAVE areas are as KVM's table has "
        "them.",
        "  ",
        "  ",
    )
    others = [each for each in changed if result.word_at(each.place) is None]
    for each in changed:
        if each in others:
            continue
        yield f"  {_place(each):<16} {_register(each.put):>10} -> {_register(each.got):>10}"
        for what, mask in (("drops", each.dropped), ("adds", each.added)):
            if mask:
                yield from wrapped(f"{what} {_bits(result, each, mask)}", " " * 8, " " * 12)
    if others:
        said = f"and {counted(len(others), 'register', 'registers')} without feature bits: "
        yield from wrapped(said + ", ".join(map(_place, others)), "  ", "      ")
    yield from _of_its_own(own)


def _of_its_own(own: list[Changed]) -> Iterator[str]:
    if own:
        said = (
            f"{', '.join(map(_place, own))} every KVM works out itself: the size of the XSAVE area as the vCPU is now."
        )
        yield from wrapped(said, "  ", "  ")


def _place(changed: Changed) -> str:
    return f"{changed.place.leaf:02x}h.{changed.place.subleaf} {changed.place.register}"


def _bits(result: ProbeResult, changed: Changed, mask: int) -> str:
    name = result.word_at(changed.place) or ""
    return names_in(result.outcome.state.profile.tables.word_by_name[name], mask, 32)


def _register(value: int | None) -> str:
    return "not there" if value is None else f"{value:#x}"


def _answer(reply: Reply) -> str:
    if reply.result is None:
        return "not known"
    return "taken" if reply.errno is None else f"refused ({errno_name(reply.errno)})"


def _msrs(result: ProbeResult) -> Iterator[str]:
    if not result.system:
        yield "No feature MSRs were read."
        return
    yield "Feature MSRs: KVM's own value, and a new vCPU's without a CPUID and with this one"
    rows = [("MSR", "", "KVM", "vCPU, no CPUID", "vCPU, this CPUID")]
    for index, reading in result.system.items():
        kvm, fresh, kept = (_reading(each) for each in (reading, result.fresh.get(index), result.kept.get(index)))
        rows.append((f"{index:#x}", short_name(index), kvm, fresh, kept))
    yield from aligned(rows)


def _reading(reading: MsrReading | None) -> str:
    if reading is None or reading.status == "unknown":
        return "?"
    if reading.value is not None:
        return f"{reading.value:#x}"
    return "refused" if reading.status == "refused" else errno_name(reading.errno or 0)


def _writes(probed: Probed) -> Iterator[str]:
    prediction = probed.prediction
    if not prediction.verdicts:
        return
    yield "What this QEMU writes to a new vCPU (kvm_init_msrs), in its order"
    rows = []
    for each in prediction.verdicts:
        mark = {True: "taken", False: "refused", None: "not known"}[each.taken]
        by = {"probe": " (vCPU)", "rule": " (rule)"}.get(each.evidence or "", "")
        rows.append((f"{each.index:#x}", short_name(each.index), f"{each.value:#x}", mark + by))
    for each, line in zip(prediction.verdicts, aligned(rows), strict=True):
        yield line
        yield from wrapped(rule_text(each, probed.profile), " " * 8, " " * 8)
    batch = None if probed.result is None else probed.result.batch
    if batch is not None and batch.taken is not None:
        said = f"{max(batch.taken, 0)} of {len(batch.writes)} taken"
        yield f"  In one call, as QEMU does it: {said if batch.errno is None else errno_name(batch.errno)}."
    if probed.result is not None and probed.result.bits:
        yield from _each_bit(probed.result, probed)
    yield ""


def _each_bit(result: ProbeResult, probed: Probed) -> Iterator[str]:
    for index in dict.fromkeys(each.index for each in result.bits):
        for taken, what in ((False, "refused one by one"), (True, "taken one by one")):
            mask = sum(1 << each.bit for each in result.bits if each.index == index and each.taken is taken)
            if mask:
                text = f"{index:#x}: {what}: {bits_text(index, mask, probed.profile)}"
                yield from wrapped(text, "  ", "      ")


def _outcome(probed: Probed) -> Iterator[str]:
    yield from wrapped(outcome_text(probed.prediction) + ".", "", "  ")
    warnings = probed.prediction.warnings
    if warnings:
        yield f"On the way it warns {counted(len(warnings), 'time', 'times')}:"
        for line in warnings[:_WARNINGS_SHOWN]:
            yield f"  {line}"
        if len(warnings) > _WARNINGS_SHOWN:
            yield f"  and {len(warnings) - _WARNINGS_SHOWN} more; --json has them all"
    for other in probed.instead:
        yield from wrapped(f"Instead: {outcome_text(other)}.", "", "  ")


def _real(real: Agreement) -> Iterator[str]:
    started = real.started
    how = "started" if started.status == 0 else f"ended with status {started.status}"
    yield from wrapped(f"{plain(started.path, 400)}, started with the same -cpu: it {how}.", "", "  ")
    for line in started.others[:_WARNINGS_SHOWN]:
        yield f"  {line}"
    if real.agree is None:
        yield "Nothing was predicted to compare that with."
    else:
        yield "As predicted." if real.agree else "That is NOT as predicted: msrtui is wrong here."


# --- for programs ------------------------------------------------------------------------------------------------
def probe_document(source_name: str, probed: Probed, real: Agreement | None = None) -> dict[str, Any]:
    """One guest of ``probe --json``."""
    result = probed.result
    document: dict[str, Any] = {
        "source": source_name,
        "qemu": probed.profile.label,
        "machine": probed.profile.machine,
        "cpu": probed.request.text,
        "probed": result is not None and not probed.carried,
        "tried": result is not None and result.batch is not None,
        "round_trip": None if result is None else _round_trip_document(result),
        "msrs": [] if result is None else list(_msrs_document(result)),
        "batch": None,
        "writes": [_verdict_document(each, probed) for each in probed.prediction.verdicts],
        "bits": [],
        "prediction": prediction_document(probed.prediction),
        "instead": [prediction_document(each) for each in probed.instead],
        "with_qemu": None,
    }
    if result is not None and result.batch is not None:
        document["batch"] = {"count": len(result.batch.writes), "taken": result.batch.taken}
        document["bits"] = [
            {"index": hex(each.index), "bit": each.bit, "value": hex(each.value), "taken": each.taken}
            for each in result.bits
        ]
    if real is not None:
        lines = [*real.started.lines]
        document["with_qemu"] = {
            "path": real.started.path,
            "status": real.started.status,
            "lines": lines,
            "agree": real.agree,
        }
    return document


def _round_trip_document(result: ProbeResult) -> dict[str, Any]:
    changes = []
    for each in result.changed:
        name = result.word_at(each.place)
        word = None if name is None else result.outcome.state.profile.tables.word_by_name[name]
        changes.append(
            {
                "leaf": hex(each.place.leaf),
                "subleaf": hex(each.place.subleaf),
                "register": each.place.register,
                "set": hexed(each.put),
                "got": hexed(each.got),
                "word": name,
                "dropped": [word.bits.get(bit) or str(bit) for bit in bits_of(each.dropped)] if word else [],
                "added": [word.bits.get(bit) or str(bit) for bit in bits_of(each.added)] if word else [],
            }
        )
    return {
        "create_vm": _reply_document(result.vm),
        "create_vcpu": _reply_document(result.vcpu),
        "set_cpuid": _reply_document(result.set_reply),
        "same": None if result.got is None else not changes,
        "changes": changes,
    }


def _reply_document(reply: Reply | None) -> dict[str, Any] | None:
    if reply is None or reply.result is None:
        return None
    return {"result": reply.result, "errno": None if reply.errno is None else errno_name(reply.errno)}


def _msrs_document(result: ProbeResult) -> Iterator[dict[str, Any]]:
    for index, system in result.system.items():
        fresh, kept = result.fresh.get(index), result.kept.get(index)
        yield {
            "index": hex(index),
            "names": list(names_of(index)),
            "kvm": hexed(system.value),
            "fresh": None if fresh is None else hexed(fresh.value),
            "vcpu": None if kept is None else hexed(kept.value),
        }


def _verdict_document(verdict: WriteVerdict, probed: Probed) -> dict[str, Any]:
    return {
        "index": hex(verdict.index),
        "value": hex(verdict.value),
        "taken": verdict.taken,
        "evidence": verdict.evidence,
        "rule": verdict.rule,
        "bits": list(bits_of(verdict.bits)),
        "text": rule_text(verdict, probed.profile),
    }
