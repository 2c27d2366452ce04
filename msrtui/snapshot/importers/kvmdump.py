"""Converts what kvmdump saved: one C program's JSON of what a KVM and its machine said, to a snapshot.

As strict as the snapshot's own reading: types checked, a sentence with kvmdump's JSON path of what is wrong.
What kvmdump kept and a snapshot does not (the whole kernel command line, /proc/cpuinfo, raw MSRs) is left behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msrtui.kvm.abi import ENXIO, KVM_X86_GRP_SYSTEM, KVM_X86_XCOMP_GUEST_SUPP, errno_name
from msrtui.kvm.collector import ENTRY_COLUMNS, LEAF_COLUMNS, VERSION, cpu_identity, hypervisor_of, kept_switches, plain
from msrtui.kvm.collector import FORMAT as SNAPSHOT
from msrtui.snapshot.strict import Wrong, hex_member, hexadecimal, integer, member, members, numbers, rows

FORMAT = 1
GENERATOR = "kvmdump"
ROW_LIMIT = 4096
_TABLES = ("supported_cpuid", "emulated_cpuid", "supported_hv_cpuid")
_REGISTERS = ("eax", "ebx", "ecx", "edx")


def is_kvmdump(raw: object) -> bool:
    """Whether a decoded JSON document says that kvmdump made it."""
    return isinstance(raw, dict) and raw.get("generator") == GENERATOR


def convert(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The snapshot that says the same. Raises Wrong with the JSON path of what is wrong."""
    if raw.get("format") != FORMAT or isinstance(raw.get("format"), bool):
        raise Wrong(f"$.format is not {FORMAT}")
    cpuid = _leaves(raw)
    lab = raw.get("lab")
    return {
        "format": SNAPSHOT,
        "version": VERSION,
        "made": {"by": GENERATOR, "when": None, "python": None, "cpu": 0, "root": None},
        "host": _host(raw, cpuid, lab if isinstance(lab, str) else None),
        "cpuid": {
            "from": "recorded",
            "incomplete": None if cpuid else "the capture does not hold it",
            "columns": list(LEAF_COLUMNS),
            "rows": [list(map(hex, (*pair, *registers))) for pair, registers in cpuid.items()],
        },
        "kvm": _kvm(raw),
    }


def _leaves(raw: Mapping[str, Any]) -> dict[tuple[int, int], tuple[int, ...]]:
    if "host_cpuid" not in raw:
        return {}
    found = {}
    for row, at in rows(raw, "host_cpuid", "$", ROW_LIMIT):
        registers = tuple(hex_member(row, name, at) for name in _REGISTERS)
        pair = hex_member(row, "function", at), hex_member(row, "index", at)
        if pair[0] != 3:  # a serial number once stood there
            found[pair] = registers
    return found


# --- the machine -------------------------------------------------------------------------------------------------
def _host(raw: Mapping[str, Any], cpuid: dict[tuple[int, int], tuple[int, ...]], lab: str | None) -> dict[str, Any]:
    uname, cpuinfo, bugs = _object(raw, "uname"), _object(raw, "cpuinfo_cpu0"), _object(raw, "vulnerabilities")
    identity = cpu_identity(cpuid)
    identity["name"] = _text(cpuinfo, "model name") or identity["name"]
    identity["microcode"] = _text(cpuinfo, "microcode")
    command_line = raw.get("cmdline")
    return {
        "name": plain(lab) if lab else None,
        "carried_by": _carrier(lab) if lab else None,
        "kernel": {"release": _text(uname, "release"), "machine": _text(uname, "machine")},
        "command_line": kept_switches(command_line) if isinstance(command_line, str) else [],
        "modules": {plain(name): _module(module) for name, module in _object(raw, "modules").items()},
        "vulnerabilities": {plain(bug): plain(said) for bug, said in bugs.items() if isinstance(said, str)},
        "cpu": identity,
        "hypervisor": hypervisor_of(cpuid),
        "bios": {},
    }


def _object(raw: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = raw.get(key)
    return value if isinstance(value, dict) else {}


def _text(raw: Mapping[str, Any], key: str) -> str | None:
    value = raw.get(key)
    return (plain(value) or None) if isinstance(value, str) else None


def _module(module: object) -> dict[str, Any]:
    told = _object(module, "parameters") if isinstance(module, dict) else {}
    return {
        "loaded": None,
        "parameters": {plain(key): plain(text) if isinstance(text, str) else None for key, text in told.items()},
    }


def _carrier(lab: str) -> str | None:
    """What emulated the CPU, from the laboratory's own name for the host."""
    if "bochs" in lab:
        return "Bochs"
    return "QEMU TCG" if "tcg" in lab else None


# --- KVM ---------------------------------------------------------------------------------------------------------
def _kvm(raw: Mapping[str, Any]) -> dict[str, Any]:
    kvm = member(raw, "kvm", "$")
    opened = member(kvm, "open", "$.kvm")
    if opened.get("ok") is not True:
        return {"open": _refused(integer(opened, "errno", "$.kvm.open"))}
    # older captures did not ask this one; it is read as refused, as on kernels that lack it
    attribute = {**_refused(ENXIO), "assumed": "kvmdump did not ask for it"}
    if "xcomp_guest_supp" in kvm:
        attribute = _value(kvm, "xcomp_guest_supp")
    return {
        "open": {"result": 0},
        "api_version": {"result": integer(kvm, "api_version", "$.kvm")},
        "capabilities": _capabilities(kvm),
        "msr_index_list": _list(kvm, "msr_index_list"),
        "msr_feature_index_list": _list(kvm, "msr_feature_index_list"),
        "feature_msrs": _msrs(kvm),
        **{key: _table(kvm, key) for key in _TABLES if key in kvm},
        **({"mce_cap_supported": _value(kvm, "mce_cap_supported")} if "mce_cap_supported" in kvm else {}),
        "device_attrs": [{"group": KVM_X86_GRP_SYSTEM, "attr": KVM_X86_XCOMP_GUEST_SUPP, **attribute}],
    }


def _refused(errno: int) -> dict[str, Any]:
    return {"result": -1, "errno": errno, "error": errno_name(errno)}


def _value(kvm: Mapping[str, Any], key: str) -> dict[str, Any]:
    at = f"$.kvm.{key}"
    raw = member(kvm, key, "$.kvm")
    if (result := integer(raw, "ret", at)) < 0:
        return _refused(integer(raw, "errno", at))
    return {"result": result, "value": hex(hex_member(raw, "value", at, 64))}


def _capabilities(kvm: Mapping[str, Any]) -> dict[str, Any]:
    at = "$.kvm.capabilities"
    said = numbers(kvm, "capabilities", "$.kvm")
    first, last = min(said, default=0), max(said, default=-1)
    if len(said) != last - first + 1:
        raise Wrong(f"{at} has gaps")
    return {"first": first, "last": last, "answers": {str(number): value for number, value in said.items() if value}}


def _list(kvm: Mapping[str, Any], key: str) -> dict[str, Any]:
    at = f"$.kvm.{key}"
    raw = member(kvm, key, "$.kvm")
    answer = raw if "ret" in raw else member(raw, "probe", at)
    if answer.get("ret") != 0:
        return _refused(integer(answer, "errno", at))
    indices = [
        hex(hexadecimal(value, f"{at}.indices[{place}]", 32))
        for place, value in enumerate(members(raw, "indices", at, ROW_LIMIT))
    ]
    return {"result": 0, "nmsrs": len(indices), "indices": indices}


def _msrs(kvm: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [_msr(row, at) for row, at in rows(kvm, "feature_msrs", "$.kvm", ROW_LIMIT)] if "feature_msrs" in kvm else []


def _msr(row: Mapping[str, Any], at: str) -> dict[str, Any]:
    index, result = hex(hex_member(row, "index", at)), integer(row, "ret", at)
    if result == 1:
        return {"index": index, "result": 1, "value": hex(hex_member(row, "value", at, 64))}
    return {"index": index, **(_refused(integer(row, "errno", at)) if result < 0 else {"result": result})}


def _table(kvm: Mapping[str, Any], key: str) -> dict[str, Any]:
    at = f"$.kvm.{key}"
    raw = member(kvm, key, "$.kvm")
    if raw.get("ret") != 0:
        return _refused(integer(raw, "errno", at))
    entries = []
    for row, place in rows(raw, "entries", at, ROW_LIMIT):
        flags = integer(row, "flags", place)
        if flags < 0:
            raise Wrong(f"{place}.flags is negative")
        leaf, *registers = (hex(hex_member(row, name, place)) for name in ("function", "index", *_REGISTERS))
        entries.append([leaf, registers[0], hex(flags), *registers[1:]])
    return {"result": 0, "nent": len(entries), "columns": list(ENTRY_COLUMNS), "entries": entries}
