"""Whether the guest would start: what probes heard, here or in the snapshot, and what comes of it by KVM's rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from msrtui.explain.predict import Facts, recall
from msrtui.explain.probing import Probed, judge, probed_cpu, take
from msrtui.kvm.recorded_vcpu import ProbedCpu
from msrtui.kvm.requests import Answerer
from msrtui.kvm.scratch import ScratchVcpu
from msrtui.qemu.cpu_request import CpuRequest, parse, profile_for
from msrtui.qemu.probe import ProbeResult
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.probes import KEY, Noting, probe_document, recorded_probes
from msrtui.snapshot.sources import Source
from msrtui.values import replace


class Taken(NamedTuple):
    """One probe of this machine: of which guest, what was heard, and that as a snapshot holds it."""

    made_for: ProbedCpu
    result: ProbeResult
    document: Mapping[str, Any]


def guest_of(qemu: QemuProfile, cpu: str) -> tuple[QemuProfile, CpuRequest]:
    """The guest that is to start; ``-machine none`` makes no vCPU, so it is taken for pc. Raises BadRequest."""
    on = replace(qemu, machine="pc") if qemu.machine == "none" else qemu
    request = parse(cpu, on)
    return profile_for(request, on), request


def probe_here(answerer: Answerer, qemu: QemuProfile, cpu: str, *, write: bool) -> Taken | None:
    """Make a scratch vCPU on this machine and ask it; None where QEMU itself would end before it makes one."""
    profile, request = guest_of(qemu, cpu)
    noting = Noting(ScratchVcpu(answerer))
    result = take(profile, request, noting, write=write)
    made_for = probed_cpu(profile, request)
    return None if result is None else Taken(made_for, result, probe_document(made_for, noting.log))


def with_probes(source: Source, taken: Sequence[Taken]) -> Source:
    """The source with the probes that were made of it, as a snapshot would have them."""
    if not taken:
        return source
    heard = recorded_probes({KEY: [dict(each.document) for each in taken]})
    return replace(source, probes=(*source.probes, *heard))


def start_of(source: Source, host: Answerer, qemu: QemuProfile, cpu: str, taken: Sequence[Taken]) -> Probed:
    """What comes of starting the guest, by all that is known of the host; ``host`` answers for ``source``."""
    profile, request = guest_of(qemu, cpu)
    wanted = probed_cpu(profile, request)
    with host.held():
        heard = [(each.made_for, recall(host, each)) for each in source.probes]
        heard += [(each.made_for, each.result) for each in taken]
        results = [result for _, result in heard if result is not None]
        same = next((result for made_for, result in reversed(heard) if made_for == wanted), None)
        return judge(profile, request, host, source.about, same, Facts(results), carried=same is None and bool(results))
