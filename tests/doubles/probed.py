"""A snapshot with probes in it, of a KVM whose vCPU is a double."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vcpus import Entries, Vcpu, as_set

from msrtui.explain.probing import probed_cpu, take
from msrtui.qemu.cpu_request import parse, profile_for
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.probes import KEY, Noting, probe_document
from msrtui.snapshot.sources import open_source


def probed_snapshot(
    host: str,
    into: Path,
    keep: Callable[[Entries], Entries] = as_set,
    *,
    qemu: str = "7.2",
    cpus: Sequence[str] = ("host",),
    write: bool = False,
    **more: Any,
) -> Path:
    """Write the snapshot of ``host`` with what a vCPU that treats CPUID so says of guests, and give its path.

    ``write``: MSRs are written too; ``more`` is what else is chosen of the double.
    """
    source = open_source(host)
    probes = []
    for cpu in cpus:
        profile = QemuProfile(qemu, machine="pc")
        request = parse(cpu, profile)
        profile = profile_for(request, profile)
        noting = Noting(Vcpu(source.answerer, keep, **more))
        assert take(profile, request, noting, write=write) is not None
        probes.append(probe_document(probed_cpu(profile, request), noting.log))
    assert source.document is not None
    document = {**copy.deepcopy(dict(source.document)), KEY: probes}
    path = into / f"{Path(host).stem}-probed.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path
