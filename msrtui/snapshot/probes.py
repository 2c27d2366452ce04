"""The probes in a snapshot: what KVM said of scratch vCPUs, noted as it was heard, and read again.

A probe is for one guest CPUID, so a snapshot holds a list of them, each with the QEMU and the ``-cpu`` that it was made
for. Only questions and answers are kept, nothing that was made of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from msrtui.kvm.abi import errno_name
from msrtui.kvm.collector import ENTRY_COLUMNS, MAX_CPUID_ENTRIES, plain
from msrtui.kvm.recorded import RecordedMsr, RecordedTable
from msrtui.kvm.recorded_vcpu import Answer, ProbedCpu, RecordedProbe
from msrtui.kvm.requests import Answerer, AnyRequest, CpuidEntry, CpuidReply, MsrsReply, MsrWrite, R, Reply, Request
from msrtui.kvm.vcpu_requests import (
    ALLOWED,
    VCPU_REQUESTS,
    CreateVcpu,
    CreateVm,
    GetCpuid2,
    GetVcpuMsrs,
    SetCpuid2,
    SetMsrs,
)
from msrtui.snapshot.strict import (
    Wrong,
    hex_member,
    hex_rows,
    hexadecimal,
    integer,
    member,
    members,
    rows,
    text_or_none,
)

KEY = "probe"
PROBE_LIMIT = 64
"""Guests whose CPUID was probed on one host."""
MSR_LIMIT = 256
WRITE_LIMIT = 2048
"""KVM_SET_MSRS of one probe: every write, and every bit of those that were refused."""
BATCH_LIMIT = 64
_COLUMNS = list(ENTRY_COLUMNS)
_UNSAID = ("model-id", "model_id")
"""Options of ``-cpu`` that say nothing of a feature and could say whose the guest is."""


class Noting:
    """Stands in front of who has a scratch vCPU, and keeps what was asked of it with the replies."""

    def __init__(self, answerer: Answerer) -> None:
        self.answerer = answerer
        self.log: list[tuple[AnyRequest, Reply]] = []

    def ask(self, request: Request[R]) -> R:
        """The answerer's reply, noted where the question was for a VM or a vCPU."""
        reply = self.answerer.ask(request)
        if isinstance(request, VCPU_REQUESTS):
            self.log.append((request, reply))
        return reply

    def held(self) -> AbstractContextManager[object]:
        """As the answerer's."""
        return self.answerer.held()


# --- as it was heard, to a document ------------------------------------------------------------------------------
def probe_document(made_for: ProbedCpu, log: Iterable[tuple[AnyRequest, Reply]]) -> dict[str, Any]:
    """One probe as a snapshot holds it, from what was asked and answered."""
    cpu = ",".join(part for part in made_for.cpu.split(",") if part.partition("=")[0] not in _UNSAID)
    document: dict[str, Any] = {"for": {**made_for._asdict(), "cpu": cpu}}
    set_already = False
    for request, reply in log:
        match request, reply:
            case CreateVm(), Reply():
                document["vm"] = _answer(reply)
            case CreateVcpu(), Reply():
                document.setdefault("vcpu", _answer(reply))
            case SetCpuid2(entries), Reply():
                set_already = True
                document.setdefault("set_cpuid", {**_answer(reply), **_entries(entries)})
            case GetCpuid2(), CpuidReply():
                told = {} if reply.errno is not None else {"nent": len(reply.entries), **_entries(reply.entries)}
                document.setdefault("get_cpuid", {**_answer(reply), **told})
            case GetVcpuMsrs((index,)), MsrsReply():
                value = {"value": hex(reply.values[0])} if reply.values else {}
                document.setdefault("msrs" if set_already else "fresh_msrs", []).append(
                    {"index": hex(index), **_answer(reply), **value}
                )
            case SetMsrs(writes), Reply():
                pairs = [[hex(index), hex(value)] for index, value in writes]
                document.setdefault("writes", []).append({"msrs": pairs, **_answer(reply)})
    return document


def _answer(reply: Reply) -> dict[str, Any]:
    said: dict[str, Any] = {"result": reply.result}
    return said if reply.errno is None else {**said, "errno": reply.errno, "error": errno_name(reply.errno)}


def _entries(entries: Iterable[CpuidEntry]) -> dict[str, Any]:
    return {"columns": _COLUMNS, "entries": [[hex(number) for number in entry] for entry in entries]}


# --- a document, as it was heard ---------------------------------------------------------------------------------
def recorded_probes(document: Mapping[str, Any]) -> tuple[RecordedProbe, ...]:
    """Every probe of a snapshot, () where there is none. Raises Wrong with the JSON path."""
    if document.get(KEY) is None:
        return ()
    return tuple(_probe(raw, at) for raw, at in rows(document, KEY, "$", PROBE_LIMIT))


def _probe(raw: Mapping[str, Any], at: str) -> RecordedProbe:
    made_for = _made_for(member(raw, "for", at), f"{at}.for")
    writes = None if raw.get("writes") is None else _writes(raw, at)
    set_cpuid = None
    if raw.get("set_cpuid") is not None:
        told = member(raw, "set_cpuid", at)
        set_cpuid = _table(told, f"{at}.set_cpuid"), _said(told, f"{at}.set_cpuid")
    got = None
    if raw.get("get_cpuid") is not None:
        told = member(raw, "get_cpuid", at)
        result, errno = _said(told, f"{at}.get_cpuid")
        got = RecordedTable(errno=errno) if result < 0 else RecordedTable(_table(told, f"{at}.get_cpuid"))
    return RecordedProbe(
        made_for,
        _said(member(raw, "vm", at), f"{at}.vm"),
        None if raw.get("vcpu") is None else _said(member(raw, "vcpu", at), f"{at}.vcpu"),
        _msrs(raw, "fresh_msrs", at),
        set_cpuid,
        got,
        _msrs(raw, "msrs", at),
        writes,
    )


def _made_for(raw: Mapping[str, Any], at: str) -> ProbedCpu:
    texts = {}
    for key in ("qemu", "machine", "irqchip", "cpu"):
        text = text_or_none(raw, key, at)
        if not text or plain(text, 400) != text:
            raise Wrong(f"{at}.{key} is not a short text")
        texts[key] = text
    for key in ("cpu_pm", "migratable"):
        if not isinstance(raw.get(key), bool):
            raise Wrong(f"{at}.{key} is not true or false")
    pmu = raw.get("pmu")
    if pmu is not None and not isinstance(pmu, bool):
        raise Wrong(f"{at}.pmu is not true, false or null")
    return ProbedCpu(cpu_pm=raw["cpu_pm"], pmu=pmu, migratable=raw["migratable"], **texts)


def _said(raw: Mapping[str, Any], at: str) -> Answer:
    result = integer(raw, "result", at)
    if result >= 0:
        return result, None
    errno = integer(raw, "errno", at)
    if not 0 < errno < 4096:
        raise Wrong(f"{at}.errno is not an error number")
    return -1, errno


def _table(raw: Mapping[str, Any], at: str) -> tuple[CpuidEntry, ...]:
    return tuple(map(CpuidEntry._make, hex_rows(raw, "entries", at, _COLUMNS, MAX_CPUID_ENTRIES)))


def _msrs(raw: Mapping[str, Any], key: str, at: str) -> dict[int, RecordedMsr]:
    found: dict[int, RecordedMsr] = {}
    if raw.get(key) is None:
        return found
    listed = rows(raw, key, at, MSR_LIMIT)
    for row, place in listed:
        index, (result, errno) = hex_member(row, "index", place), _said(row, place)
        if result not in (-1, 0, 1):
            raise Wrong(f"{place}.result is not 1, 0 or -1")
        found[index] = RecordedMsr(result, hex_member(row, "value", place, 64) if result == 1 else None, errno)
    if len(found) != len(listed):
        raise Wrong(f"{at}.{key} has an index twice")
    return found


def _writes(raw: Mapping[str, Any], at: str) -> dict[tuple[MsrWrite, ...], Answer]:
    found: dict[tuple[MsrWrite, ...], Answer] = {}
    for row, place in rows(raw, "writes", at, WRITE_LIMIT):
        pairs = []
        for number, pair in enumerate(members(row, "msrs", place, BATCH_LIMIT)):
            if not isinstance(pair, list) or len(pair) != 2:
                raise Wrong(f"{place}.msrs[{number}] is not an index and a value")
            index = hexadecimal(pair[0], f"{place}.msrs[{number}][0]", 32)
            if index not in ALLOWED:
                raise Wrong(f"{place}.msrs[{number}] is an MSR that no probe writes")
            pairs.append((index, hexadecimal(pair[1], f"{place}.msrs[{number}][1]", 64)))
        answer = _said(row, place)
        if answer[0] > len(pairs):
            raise Wrong(f"{place}.result is more than was written")
        found[tuple(pairs)] = answer
    return found
