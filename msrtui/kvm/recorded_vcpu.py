"""A scratch vCPU that was probed once answers from what was noted then; what was not asked then is unknown.

The probe asks in one order: MSRs of the vCPU as it was made, the guest's CPUID, that CPUID again, the MSRs again,
writes. So one table of readings before the CPUID and one behind it hold all that it heard.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import NamedTuple, cast

from msrtui.kvm.recorded import RecordedMsr, RecordedTable
from msrtui.kvm.requests import Answerer, AnyRequest, CpuidEntry, CpuidReply, MsrsReply, MsrWrite, R, Reply, Request
from msrtui.kvm.vcpu_requests import CreateVcpu, CreateVm, GetCpuid2, GetVcpuMsrs, SetCpuid2, SetMsrs
from msrtui.values import dataclass, field

Answer = tuple[int, int | None]
"""A return value, and the errno where it is -1."""


class ProbedCpu(NamedTuple):
    """The QEMU and the ``-cpu`` whose guest CPUID a vCPU was given, as ``QemuProfile`` and ``-cpu`` name them."""

    qemu: str
    machine: str
    irqchip: str
    cpu_pm: bool
    cpu: str
    pmu: bool | None = None
    migratable: bool = True


@dataclass(frozen=True)
class RecordedProbe:
    """What one KVM said of a vCPU with one guest CPUID. None, or a key that is missing, means that it was not asked.

    ``fresh`` are the MSRs of the vCPU before it had a CPUID, ``msrs`` behind. ``writes`` are the KVM_SET_MSRS on a
    vCPU with that CPUID, each with its outcome; None where nothing was written.
    """

    made_for: ProbedCpu
    vm: Answer
    vcpu: Answer | None = None
    fresh: Mapping[int, RecordedMsr] = field(default_factory=dict)
    set_cpuid: tuple[tuple[CpuidEntry, ...], Answer] | None = None
    got_cpuid: RecordedTable | None = None
    msrs: Mapping[int, RecordedMsr] = field(default_factory=dict)
    writes: Mapping[tuple[MsrWrite, ...], Answer] | None = None


class RecordedVcpu:
    """Answers from a RecordedProbe, and hands what needs no vCPU to the recorded host. It does no I/O."""

    def __init__(self, host: Answerer, probe: RecordedProbe) -> None:
        self.host = host
        self.probe = probe
        self._cpuid: tuple[CpuidEntry, ...] | None = None

    def ask(self, request: Request[R]) -> R:
        """The kernel's answer as far as it was noted."""
        return cast(R, self._answer(request))

    def held(self) -> AbstractContextManager[object]:
        """As the host's."""
        return self.host.held()

    def _answer(self, request: AnyRequest) -> Reply:
        probe = self.probe
        match request:
            case CreateVm():
                return Reply(*probe.vm)
            case CreateVcpu():
                self._cpuid = None
                return Reply(None) if probe.vcpu is None else Reply(*probe.vcpu)
            case SetCpuid2(entries):
                self._cpuid = entries
                known = probe.set_cpuid is not None and probe.set_cpuid[0] == entries
                return Reply(*probe.set_cpuid[1]) if known and probe.set_cpuid is not None else Reply(None)
            case GetCpuid2(nent):
                if probe.got_cpuid is None or not self._as_probed:
                    return CpuidReply(None)
                entries = probe.got_cpuid.entries
                return CpuidReply(
                    0 if probe.got_cpuid.errno is None else -1,
                    probe.got_cpuid.errno,
                    nent if probe.got_cpuid.errno is not None else len(entries),
                    entries,
                )
            case GetVcpuMsrs(indices):
                if self._cpuid is not None and not self._as_probed:
                    return MsrsReply(None)
                return _msrs(probe.fresh if self._cpuid is None else probe.msrs, indices)
            case SetMsrs(writes):
                if probe.writes is None or not self._as_probed or writes not in probe.writes:
                    return Reply(None)
                return Reply(*probe.writes[writes])
        reply: Reply = self.host.ask(request)
        return reply

    @property
    def _as_probed(self) -> bool:
        """Whether the vCPU has the CPUID that it had when it was probed."""
        return self.probe.set_cpuid is not None and self._cpuid == self.probe.set_cpuid[0]


def _msrs(answers: Mapping[int, RecordedMsr], indices: tuple[int, ...]) -> MsrsReply:
    values: list[int] = []
    for index in indices:
        answer = answers.get(index)
        if answer is None:
            return MsrsReply(None)
        if answer.errno is not None:
            return MsrsReply(-1, answer.errno)
        if answer.value is None:
            break
        values.append(answer.value)
    return MsrsReply(len(values), None, tuple(values))
