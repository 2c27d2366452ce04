"""The snapshot format: bytes to a document, a document to a saved host, a document to text.

A snapshot is what KVM and the machine said. Its JSON Schema is snapshot.schema.json beside this file. Loading is
strict and safe: limits, types, a sentence with the JSON path of what is wrong. Keys that are not known stay in
the document, so they survive a load and save; text never carries control characters further.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from msrtui.errors import BadSource
from msrtui.host.facts import likely_vendor_module
from msrtui.kvm.collector import ENTRY_COLUMNS, FORMAT, LEAF_COLUMNS, MAX_CPUID_ENTRIES, VERSION, plain
from msrtui.kvm.recorded import RecordedList, RecordedMsr, RecordedTable, Recording
from msrtui.kvm.requests import CpuidEntry, Registers
from msrtui.snapshot import frames
from msrtui.snapshot.importers import kvmdump
from msrtui.snapshot.model import About, SavedHost
from msrtui.snapshot.strict import (
    Wrong,
    hex_list,
    hex_member,
    hex_rows,
    integer,
    member,
    members,
    number_twice,
    numbers,
    parse,
    rows,
    shown,
    text_or_none,
)

if TYPE_CHECKING:
    from msrtui.kvm.recorded_vcpu import RecordedProbe

INDEX_LIMIT = 4096
"""MSRs in a list; KVM has under 500."""
ROW_LIMIT = 2048
"""Leaves and subleaves of the host's own CPUID."""
CAPABILITY_LIMIT = 4096
NAME_LIMIT = 512
"""Modules, parameters of one, kernel switches."""

_ENTRY = list(ENTRY_COLUMNS)
_LEAF = list(LEAF_COLUMNS)


# --- bytes to a document -----------------------------------------------------------------------------------------
def read_document(data: bytes, shown_as: str) -> dict[str, Any]:
    """The snapshot in the bytes of a file, bare or between a collector's marks, as a document of this version.

    A capture of kvmdump's is converted. ``shown_as`` is what sentences call the file. Raises BadSource.
    """
    if frames.has_frame(data):
        data = frames.unframe(data, shown_as)
    if not data.strip():
        raise BadSource(f"{shown_as} is empty.")
    if data.lstrip()[:1] == b"<" or b"eax=0x" in data[:4096]:
        raise BadSource(f"{shown_as} is no snapshot; raw CPUID, without KVM's answer, is shown by  msrtui decode FILE.")
    try:
        return _known(parse(data), shown_as)
    except Wrong as wrong:
        raise BadSource(f"{shown_as} is not a snapshot that can be read: {wrong}.") from None


def _known(raw: object, shown_as: str) -> dict[str, Any]:
    if isinstance(raw, dict):
        if kvmdump.is_kvmdump(raw):
            return kvmdump.convert(raw)
        if raw.get("format") == FORMAT:
            version = integer(raw, "version", "$")
            if version > VERSION:
                raise BadSource(
                    f"{shown_as} is a snapshot of format version {version}; this msrtui reads up to {VERSION}: "
                    "a newer msrtui is needed for it."
                )
            if version < 1:
                raise Wrong(f"$.version is {version}; the first was 1")
            return raw
    raise BadSource(
        f"{shown_as} is JSON, but not a snapshot that msrtui knows; one is made by  msrtui capture -o FILE."
    )


# --- a document to a saved host ----------------------------------------------------------------------------------
def load(data: bytes, shown_as: str) -> SavedHost:
    """The host in the bytes of a file. Raises BadSource."""
    return decode(read_document(data, shown_as), shown_as)


def decode(document: Mapping[str, Any], shown_as: str) -> SavedHost:
    """The host that a document of this version describes. Raises BadSource with the JSON path of what is wrong."""
    try:
        cpuid = member(document, "cpuid", "$")
        recording = _recording(member(document, "kvm", "$"), cpuid)
        return SavedHost(recording, _about(document, recording.host_cpuid), document, _probes(document))
    except Wrong as wrong:
        raise BadSource(f"{shown_as} is not a snapshot that can be read: {wrong}.") from None


def _probes(document: Mapping[str, Any]) -> tuple[RecordedProbe, ...]:
    if document.get("probe") is None:
        return ()
    from msrtui.snapshot.probes import recorded_probes  # few snapshots hold one

    return recorded_probes(document)


def decode_about(document: Mapping[str, Any], leaves: Mapping[tuple[int, int], Registers], shown_as: str) -> About:
    """What is known of the host of a document whose ``kvm`` and ``cpuid`` were decoded before, from another file.

    ``leaves`` are those of its host's CPUID: VENDOR_LEAVES are enough. Raises BadSource.
    """
    try:
        about = _about(document, leaves)
        _probes(document)  # nobody asks for them here; what is wrong in them is wrong all the same
        return about
    except Wrong as wrong:
        raise BadSource(f"{shown_as} is not a snapshot that can be read: {wrong}.") from None


def _recording(kvm: Mapping[str, Any], cpuid: Mapping[str, Any]) -> Recording:
    leaves = hex_rows(cpuid, "rows", "$.cpuid", _LEAF, ROW_LIMIT)
    host_cpuid = {(leaf[0], leaf[1]): (leaf[2], leaf[3], leaf[4], leaf[5]) for leaf in leaves}
    if len(host_cpuid) != len(leaves):
        raise Wrong("$.cpuid.rows has a leaf twice")
    told = {
        "host_cpuid": host_cpuid,
        "host_cpuid_from": plain(text_or_none(cpuid, "from", "$.cpuid") or "recorded"),
        "host_cpuid_incomplete": _plain(text_or_none(cpuid, "incomplete", "$.cpuid")),
    }
    opened = member(kvm, "open", "$.kvm")
    if integer(opened, "result", "$.kvm.open") < 0:
        return Recording(open_errno=_errno(opened, "$.kvm.open"), **told)  # type: ignore[arg-type]
    api_version = member(kvm, "api_version", "$.kvm")
    return Recording(
        api_version=_returned(api_version, "$.kvm.api_version"),
        capabilities=_capabilities(kvm),
        index_list=_list(kvm, "msr_index_list"),
        feature_list=_list(kvm, "msr_feature_index_list"),
        msrs=_msrs(kvm),
        supported_cpuid=_table(kvm, "supported_cpuid"),
        emulated_cpuid=_table(kvm, "emulated_cpuid"),
        attributes=_attributes(kvm),
        **told,  # type: ignore[arg-type]
    )


def _errno(raw: Mapping[str, Any], at: str) -> int:
    errno = integer(raw, "errno", at)
    if not 0 < errno < 4096:
        raise Wrong(f"{at}.errno is not an error number")
    return errno


def _returned(raw: Mapping[str, Any], at: str) -> int:
    result = integer(raw, "result", at)
    return result if result >= 0 else -_errno(raw, at)


def _capabilities(kvm: Mapping[str, Any]) -> dict[int, int]:
    at = "$.kvm.capabilities"
    raw = member(kvm, "capabilities", "$.kvm")
    first, last = integer(raw, "first", at), integer(raw, "last", at)
    if not 0 <= first <= last + 1 <= CAPABILITY_LIMIT:
        raise Wrong(f"{at}.first and last are no range of capabilities under {CAPABILITY_LIMIT}")
    answers = numbers(raw, "answers", at)
    if answers and not first <= min(answers) <= max(answers) <= last:
        raise Wrong(f"{at}.answers has a capability that was not asked for")
    # what was asked and is not among the answers was answered with 0
    return {**dict.fromkeys(range(first, last + 1), 0), **answers}


def _list(kvm: Mapping[str, Any], key: str) -> RecordedList:
    at = f"$.kvm.{key}"
    raw = member(kvm, key, "$.kvm")
    if integer(raw, "result", at) < 0:
        return RecordedList(errno=_errno(raw, at))
    indices = hex_list(raw, "indices", at, INDEX_LIMIT)
    number_twice(indices, f"{at}.indices")
    if integer(raw, "nmsrs", at) != len(indices):
        raise Wrong(f"{at}.nmsrs is not the number of its indices")
    return RecordedList(indices)


def _msrs(kvm: Mapping[str, Any]) -> dict[int, RecordedMsr]:
    found: dict[int, RecordedMsr] = {}
    listed = rows(kvm, "feature_msrs", "$.kvm", INDEX_LIMIT)
    for row, at in listed:
        index, result = hex_member(row, "index", at), integer(row, "result", at)
        if result == 1:
            found[index] = RecordedMsr(1, hex_member(row, "value", at, 64))
        elif result == 0:
            found[index] = RecordedMsr(0)
        elif result == -1:
            found[index] = RecordedMsr(-1, None, _errno(row, at))
        else:
            raise Wrong(f"{at}.result is not 1, 0 or -1")
    if len(found) != len(listed):
        raise Wrong("$.kvm.feature_msrs has an index twice")
    return found


def _table(kvm: Mapping[str, Any], key: str) -> RecordedTable | None:
    if kvm.get(key) is None:
        return None
    at = f"$.kvm.{key}"
    raw = member(kvm, key, "$.kvm")
    if integer(raw, "result", at) < 0:
        return RecordedTable(errno=_errno(raw, at))
    entries = tuple(map(CpuidEntry._make, hex_rows(raw, "entries", at, _ENTRY, MAX_CPUID_ENTRIES)))
    if integer(raw, "nent", at) != len(entries):
        raise Wrong(f"{at}.nent is not the number of its entries")
    return RecordedTable(entries)


def _attributes(kvm: Mapping[str, Any]) -> dict[tuple[int, int], RecordedMsr]:
    found: dict[tuple[int, int], RecordedMsr] = {}
    listed = rows(kvm, "device_attrs", "$.kvm", 64)
    for row, at in listed:
        which = integer(row, "group", at), integer(row, "attr", at)
        if integer(row, "result", at) < 0:
            found[which] = RecordedMsr(-1, None, _errno(row, at))
        else:
            found[which] = RecordedMsr(0, hex_member(row, "value", at, 64))
    if len(found) != len(listed):
        raise Wrong("$.kvm.device_attrs has an attribute twice")
    return found


# --- what is known about the host --------------------------------------------------------------------------------
# the same names stand in every snapshot
_text = lru_cache(maxsize=2048)(plain)


def _plain(text: str | None) -> str | None:
    return None if text is None else _text(text)


def _about(document: Mapping[str, Any], leaves: Mapping[tuple[int, int], Registers]) -> About:
    made, host = member(document, "made", "$"), member(document, "host", "$")
    cpu, kernel = member(host, "cpu", "$.host"), member(host, "kernel", "$.host")
    modules = member(host, "modules", "$.host")
    vendors = _few([name for name in modules if name.startswith("kvm_")], "$.host.modules")
    loaded = [name for name in vendors if member(modules, name, "$.host.modules").get("loaded") is True]
    hypervisor = member(host, "hypervisor", "$.host") if host.get("hypervisor") is not None else {}
    bios = member(host, "bios", "$.host")
    told = [text_or_none(bios, key, "$.host.bios") for key in ("vendor", "version", "date")]
    switches = members(host, "command_line", "$.host", NAME_LIMIT)
    flaws = member(host, "vulnerabilities", "$.host") if host.get("vulnerabilities") is not None else {}
    return About(
        cpu=_plain(text_or_none(cpu, "name", "$.host.cpu")),
        kernel=_plain(text_or_none(kernel, "release", "$.host.kernel")),
        vendor_module=_plain(likely_vendor_module(vendors, loaded, _flags(leaves))),
        parameters={_text(name): _parameters(modules, name) for name in _few(modules, "$.host.modules")},
        carried_by=_plain(text_or_none(host, "carried_by", "$.host")),
        name=_plain(text_or_none(host, "name", "$.host")),
        origin=_plain(text_or_none(host, "origin", "$.host")),
        when=_plain(text_or_none(made, "when", "$.made")),
        microcode=_plain(text_or_none(cpu, "microcode", "$.host.cpu")),
        bios=plain(" ".join(text for text in told if text)) or None,
        hypervisor=_plain(text_or_none(hypervisor, "signature", "$.host.hypervisor")),
        command_line=tuple(plain(switch) for switch in switches if isinstance(switch, str)),
        vulnerabilities={
            _text(flaw): _text(said)
            for flaw in _few(flaws, "$.host.vulnerabilities")
            if (said := text_or_none(flaws, flaw, "$.host.vulnerabilities")) is not None
        },
    )


def _few(names: Collection[str], at: str) -> Collection[str]:
    if len(names) > NAME_LIMIT:
        raise Wrong(f"{at} has {len(names)} members; no host has over {NAME_LIMIT}")
    return names


def _parameters(modules: Mapping[str, Any], name: str) -> dict[str, str]:
    at = f"$.host.modules.{shown(name)}"
    raw = member(member(modules, name, "$.host.modules"), "parameters", at)
    _few(raw, f"{at}.parameters")
    texts = {key: text_or_none(raw, key, f"{at}.parameters") for key in raw}
    return {_text(key): _text(text) for key, text in texts.items() if text is not None}


VENDOR_LEAVES = ((0x1, 0), (0x80000001, 0))
"""The leaves of the host's CPUID that say which vendor module fits."""


def _flags(leaves: Mapping[tuple[int, int], Registers]) -> set[str]:
    """Of the CPU's flags those that say which vendor module fits: CPUID 1.ECX[5] and 8000_0001.ECX[2]."""
    basic, extended = (leaves.get(leaf, (0, 0, 0, 0)) for leaf in VENDOR_LEAVES)
    return ({"vmx"} if basic[2] >> 5 & 1 else set()) | ({"svm"} if extended[2] >> 2 & 1 else set())


# --- a document to text ------------------------------------------------------------------------------------------
def encode(document: Mapping[str, Any]) -> str:
    """The document as a file holds it: keys sorted, ASCII, one value a line and one row of a table a line."""
    return "".join(_lines(document, "")) + "\n"


def _lines(value: Any, indent: str) -> Iterator[str]:
    if not isinstance(value, (dict, list)) or not value:
        yield _json(value)
        return
    inner = indent + " "
    yield "{" if isinstance(value, dict) else "["
    comma = "\n"
    for label, inside in _members(value):
        yield f"{comma}{inner}{label}"
        if label or not isinstance(inside, (dict, list)) or any(isinstance(cell, (dict, list)) for cell in inside):
            yield from _lines(inside, inner)
        else:
            yield _json(inside)
        comma = ",\n"
    yield f"\n{indent}" + ("}" if isinstance(value, dict) else "]")


def _members(value: dict[str, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key in sorted(value):
            yield f"{_json(key)}: ", value[key]
    else:
        for inside in value:
            yield "", inside


def _json(value: Any) -> str:
    # DEL is the one control character that JSON lets stand as it is
    return json.dumps(value, sort_keys=True).replace("\x7f", "\\u007f")
