"""The probes in a snapshot: noted as they were heard, told again; a file that holds what no probe hears is refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from vcpus import Vcpu, without_arch_capabilities

from msrtui.errors import BadSource
from msrtui.explain.predict import Facts, predict, recall
from msrtui.explain.probing import probed_cpu, recorded_facts, take
from msrtui.kvm.recorded_vcpu import RecordedVcpu
from msrtui.kvm.vcpu_requests import CreateVcpu, CreateVm, GetCpuid2, GetVcpuMsrs, SetCpuid2, SetMsrs
from msrtui.qemu.cpu_request import parse, profile_for
from msrtui.qemu.probe import ProbeResult
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.codec import decode, encode, load
from msrtui.snapshot.privacy import redact, schema
from msrtui.snapshot.probes import KEY, PROBE_LIMIT, Noting, probe_document
from msrtui.snapshot.sources import open_source

HOST = Path(__file__).resolve().parents[1] / "data" / "hosts" / "amd-pvm-linux6.18.json"


def _plain() -> dict[str, Any]:
    """The snapshot without a probe."""
    document = open_source(str(HOST)).document
    assert document is not None
    return copy.deepcopy(dict(document))


def _probed(
    cpu: str = "host", *, write: bool = True, vm_errno: int | None = None, cpuid_errno: int | None = None
) -> tuple[ProbeResult, dict[str, Any]]:
    """(what was heard, the snapshot with it)."""
    profile = QemuProfile("7.2", machine="pc")
    request = parse(cpu, profile)
    profile = profile_for(request, profile)
    noting = Noting(
        Vcpu(open_source(str(HOST)).answerer, without_arch_capabilities, vm_errno=vm_errno, cpuid_errno=cpuid_errno)
    )
    result = take(profile, request, noting, write=write)
    assert result is not None
    document = _plain()
    return result, {**document, KEY: [probe_document(probed_cpu(profile, request), noting.log)]}


@pytest.mark.parametrize("write", [False, True])
def test_the_same_generator_hears_the_same_from_the_snapshot(write: bool) -> None:
    result, document = _probed(write=write)
    host = load(encode(document).encode(), "it")
    (recorded,) = host.probes
    source = open_source(str(HOST))
    assert recall(source.answerer, recorded) == result
    assert (recorded.writes is None) != write


@pytest.mark.parametrize(("vm_errno", "cpuid_errno"), [(12, None), (None, 22)])
def test_a_probe_that_failed_is_told_as_it_failed(vm_errno: int | None, cpuid_errno: int | None) -> None:
    result, document = _probed(vm_errno=vm_errno, cpuid_errno=cpuid_errno)
    (recorded,) = load(encode(document).encode(), "it").probes
    assert recall(open_source(str(HOST)).answerer, recorded) == result


def test_the_file_gives_the_prediction_that_the_machine_gave() -> None:
    result, document = _probed()
    source = open_source(str(HOST))
    profile = QemuProfile("7.2", machine="pc")
    request = parse("host", profile)
    live = predict(profile, request, source.answerer, Facts([result]))
    saved = recorded_facts(source.answerer, load(encode(document).encode(), "it").probes)
    assert predict(profile, request, source.answerer, saved) == live
    assert live.outcome == "aborts"


def test_what_was_not_recorded_is_unknown() -> None:
    _, document = _probed(write=False)
    (recorded,) = decode(document, "it").probes
    vcpu = RecordedVcpu(open_source(str(HOST)).answerer, recorded)
    assert vcpu.ask(CreateVm()).result == 0
    assert vcpu.ask(CreateVcpu()).result == 0
    assert vcpu.ask(GetVcpuMsrs((0x10A,))).values == (0,)
    assert not vcpu.ask(GetVcpuMsrs((0xC0000080,))).known
    assert not vcpu.ask(GetCpuid2(256)).known
    assert recorded.set_cpuid is not None
    entries = recorded.set_cpuid[0]
    assert not vcpu.ask(SetCpuid2(entries[1:])).known, "another guest's CPUID"
    assert not vcpu.ask(GetVcpuMsrs((0x10A,))).known
    assert vcpu.ask(SetCpuid2(entries)).result == 0
    assert vcpu.ask(GetCpuid2(256)).known
    assert not vcpu.ask(SetMsrs(((0x8B, 1),))).known, "nothing was written"


def test_it_is_as_the_published_schema_says() -> None:
    _, document = _probed()
    jsonschema.validate(document, schema())
    broken = copy.deepcopy(document)
    broken[KEY][0]["writes"][0]["msrs"][0] = ["0x10a"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema())


def test_redacting_keeps_the_probe_and_takes_what_it_does_not_know() -> None:
    _, document = _probed()
    document[KEY][0]["who"] = "ours"
    kept, taken = redact(document)
    assert taken == ["$.probe[0].who"]
    del document[KEY][0]["who"]
    assert kept[KEY] == document[KEY]


def test_the_guests_own_name_is_not_noted() -> None:
    _, document = _probed("host,model-id=ours,-arch-capabilities")
    assert document[KEY][0]["for"]["cpu"] == "host,-arch-capabilities"
    assert "ours" not in encode(document)


def test_a_snapshot_without_a_probe_has_none() -> None:
    assert open_source(str(HOST)).probes == ()
    document = _plain()
    assert decode({**document, KEY: None}, "it").probes == ()
    assert decode({**document, KEY: []}, "it").probes == ()


def test_a_probe_for_a_qemu_of_the_future_is_left_alone() -> None:
    _, document = _probed()
    document[KEY][0]["for"]["qemu"] = "99.0"
    (recorded,) = decode(document, "it").probes
    assert recall(open_source(str(HOST)).answerer, recorded) is None


def _at(path: str, value: Any) -> Any:
    def change(probe: dict[str, Any]) -> None:
        node: Any = probe
        *way, last = path.split(".")
        for step in way:
            node = node[int(step) if step.isdigit() else step]
        node[int(last) if last.isdigit() else last] = value

    return change


WRONG = {
    "for": None,
    "for.qemu": 7.2,
    "for.cpu": "host\x1b[2J",
    "for.machine": "",
    "for.cpu_pm": "no",
    "for.pmu": "on",
    "vm": 0,
    "vm.result": "0",
    "vcpu.result": -1,
    "set_cpuid.entries": [["0x1"]],
    "set_cpuid.columns": [],
    "get_cpuid.entries.0.0": "0x1_0",
    "msrs.0.result": 2,
    "msrs.0.value": "0x1" + "0" * 16,
    "msrs.0.index": "10a",
    "fresh_msrs": [{"index": "0x8b", "result": 1, "value": "0x0"}] * 2,
    "writes.0.result": 77,
    "writes.0.msrs": [["0x49", "0x1"]],
    "writes.0.msrs.0": ["0x10a", "0x0", "0x0"],
    "writes": "all",
}


@pytest.mark.parametrize("path", WRONG)
def test_what_no_probe_hears_is_refused_with_its_place(path: str) -> None:
    _, document = _probed()
    _at(path, WRONG[path])(document[KEY][0])
    with pytest.raises(BadSource, match=r"\$\.probe\[0\]\.") as refused:
        load(json.dumps(document).encode(), "it")
    assert len(str(refused.value).splitlines()) == 1
    assert "\x1b" not in str(refused.value)


def test_there_is_a_limit_to_the_probes_of_one_host() -> None:
    _, document = _probed(write=False)
    document[KEY] *= PROBE_LIMIT + 1
    with pytest.raises(BadSource, match=r"\$\.probe has 65 entries"):
        decode(document, "it")
