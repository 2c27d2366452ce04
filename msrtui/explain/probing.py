"""One probe from its start to what comes of it, on whoever has a vCPU: a scratch one, a recorded one, a double."""

from __future__ import annotations

from msrtui.explain.predict import Facts, Prediction, predict, recall, remedies
from msrtui.kvm.recorded_vcpu import ProbedCpu, RecordedProbe
from msrtui.kvm.requests import Answerer
from msrtui.qemu.conversation import negotiate
from msrtui.qemu.cpu_request import CpuRequest
from msrtui.qemu.negotiation import QemuExit
from msrtui.qemu.probe import ProbeResult, probe
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.model import About
from msrtui.transcript.stepper import conclude
from msrtui.values import dataclass


@dataclass(frozen=True)
class Probed:
    """A guest, what was heard of its vCPU (None: QEMU ends before it makes one, or nobody asked), what comes of it.

    ``instead`` are other ``-cpu`` values that start where this one aborts. ``carried`` says that what was heard is of
    another guest on the same host.
    """

    profile: QemuProfile
    request: CpuRequest
    result: ProbeResult | None
    prediction: Prediction
    instead: tuple[Prediction, ...] = ()
    carried: bool = False


def probed_cpu(profile: QemuProfile, request: CpuRequest) -> ProbedCpu:
    """The guest as a snapshot names it."""
    return ProbedCpu(
        profile.label,
        profile.machine,
        profile.irqchip,
        profile.cpu_pm,
        request.text,
        profile.pmu,
        profile.migratable,
    )


def take(profile: QemuProfile, request: CpuRequest, answerer: Answerer, *, write: bool) -> ProbeResult | None:
    """Make the vCPU and ask; everything is closed behind it. None where QEMU itself would end before it makes one."""
    with answerer.held():
        try:
            outcome = conclude(negotiate(profile, cpu=request), answerer)
        except QemuExit:
            return None
        if outcome.cpu is None or outcome.cpu.refused is not None:
            return None
        return conclude(probe(outcome, write=write), answerer)


def judge(
    profile: QemuProfile,
    request: CpuRequest,
    host: Answerer,
    about: About,
    result: ProbeResult | None,
    facts: Facts,
    *,
    carried: bool = False,
) -> Probed:
    """What comes of it, by all that is known of the host, and what would start instead."""
    ignored = about.parameters.get("kvm", {}).get("ignore_msrs") in ("Y", "1")
    prediction = predict(profile, request, host, facts, ignore_msrs=ignored)
    instead = remedies(prediction, host, facts, ignore_msrs=ignored)
    return Probed(profile, request, result, prediction, instead, carried)


def recorded_facts(host: Answerer, probes: tuple[RecordedProbe, ...]) -> Facts:
    """What the probes in a snapshot heard."""
    found = (recall(host, each) for each in probes)
    return Facts([each for each in found if each is not None])
