"""Reads what kvmdump saves: one C program's JSON of what a KVM and its machine said.

Loading is strict: a size limit, types checked, a sentence with the JSON path of what is wrong. Text from the
file never carries control characters further.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msrtui.errors import BadSource
from msrtui.kvm.abi import ENXIO, KVM_X86_GRP_SYSTEM, KVM_X86_XCOMP_GUEST_SUPP
from msrtui.kvm.recorded import RecordedList, RecordedMsr, RecordedTable, Recording
from msrtui.kvm.requests import CpuidEntry
from msrtui.snapshot.model import About, SavedHost

FORMAT = 1
GENERATOR = "kvmdump"


def is_kvmdump(raw: object) -> bool:
    """Whether a decoded JSON document says that kvmdump made it."""
    return isinstance(raw, dict) and raw.get("generator") == GENERATOR


def load(raw: Mapping[str, Any], name: str) -> SavedHost:
    """The host in a decoded document; ``name`` is what sentences call it. Raises BadSource."""
    try:
        return _load(raw)
    except _Wrong as wrong:
        raise BadSource(f"{name} is not a capture that can be read: {wrong}.") from None


class _Wrong(Exception):
    """What is wrong, with its JSON path."""


def _load(raw: Mapping[str, Any]) -> SavedHost:
    if raw.get("format") != FORMAT:
        raise _Wrong(f"$.format is not {FORMAT}")
    kvm = _dict(raw, "kvm", "$")
    opened = _dict(kvm, "open", "$.kvm")
    about = _about(raw)
    cpuid = {
        (_hex(row, "function", at), _hex(row, "index", at)): (
            _hex(row, "eax", at, 32),
            _hex(row, "ebx", at, 32),
            _hex(row, "ecx", at, 32),
            _hex(row, "edx", at, 32),
        )
        for row, at in _rows(raw, "host_cpuid", "$")
    }
    if opened.get("ok") is not True:
        return SavedHost(Recording(open_errno=_int(opened, "errno", "$.kvm.open"), host_cpuid=cpuid), about)
    return SavedHost(
        Recording(
            api_version=_int(kvm, "api_version", "$.kvm"),
            capabilities={
                _number(key, "$.kvm.capabilities"): _int(_dict(kvm, "capabilities", "$.kvm"), key, "$.kvm.capabilities")
                for key in _dict(kvm, "capabilities", "$.kvm")
            },
            index_list=_list(kvm, "msr_index_list"),
            feature_list=_list(kvm, "msr_feature_index_list"),
            msrs=dict(_msr(row, at) for row, at in _rows(kvm, "feature_msrs", "$.kvm")),
            supported_cpuid=_table(kvm, "supported_cpuid"),
            emulated_cpuid=_table(kvm, "emulated_cpuid"),
            # kvmdump never asked this one; it is read as refused, as on kernels that lack it
            attributes={(KVM_X86_GRP_SYSTEM, KVM_X86_XCOMP_GUEST_SUPP): RecordedMsr(-1, None, ENXIO)},
            host_cpuid=cpuid,
        ),
        about,
    )


def _about(raw: Mapping[str, Any]) -> About:
    modules = raw.get("modules") if isinstance(raw.get("modules"), dict) else {}
    assert isinstance(modules, dict)
    vendor = next((plain(name) for name in modules if isinstance(name, str) and name.startswith("kvm_")), None)
    parameters = {
        plain(name): {
            plain(key): plain(value)
            for key, value in (module.get("parameters") or {}).items()
            if isinstance(key, str) and isinstance(value, str)
        }
        for name, module in modules.items()
        if isinstance(name, str) and isinstance(module, dict) and isinstance(module.get("parameters"), dict)
    }
    cpuinfo = raw.get("cpuinfo_cpu0")
    cpu = cpuinfo.get("model name") if isinstance(cpuinfo, dict) else None
    uname = raw.get("uname")
    kernel = uname.get("release") if isinstance(uname, dict) else None
    lab = raw.get("lab")
    return About(
        cpu=plain(cpu) if isinstance(cpu, str) else None,
        kernel=plain(kernel) if isinstance(kernel, str) else None,
        vendor_module=vendor,
        parameters=parameters,
        carried_by=_carrier(lab) if isinstance(lab, str) else None,
    )


def _carrier(lab: str) -> str | None:
    """What emulated the CPU, from the laboratory's own name for the host."""
    if "bochs" in lab:
        return "Bochs"
    return "QEMU TCG" if "tcg" in lab else None


def plain(text: str, limit: int = 200) -> str:
    """Untrusted text made safe to show: printable characters only, at most ``limit`` of them."""
    return "".join(character if character.isprintable() else " " for character in text[:limit])


# --- typed access, each with the path of what is wrong -----------------------------------------------------
def _dict(raw: Mapping[str, Any], key: str, at: str) -> dict[str, Any]:
    value = raw.get(key)
    if not isinstance(value, dict):
        raise _Wrong(f"{at}.{key} is not an object")
    return value


def _rows(raw: Mapping[str, Any], key: str, at: str) -> list[tuple[dict[str, Any], str]]:
    value = raw.get(key, [])
    if not isinstance(value, list):
        raise _Wrong(f"{at}.{key} is not a list")
    for place, row in enumerate(value):
        if not isinstance(row, dict):
            raise _Wrong(f"{at}.{key}[{place}] is not an object")
    return [(row, f"{at}.{key}[{place}]") for place, row in enumerate(value)]


def _int(raw: Mapping[str, Any], key: str, at: str) -> int:
    value = raw.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _Wrong(f"{at}.{key} is not a number")
    return value


def _number(text: str, at: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise _Wrong(f"{at} has a key that is not a number")
    return int(text)


_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")


def _as_hex(value: object, at: str, bits: int) -> int:
    # int() would also take blanks, underscores and other scripts' digits: nothing that hex() prints
    if isinstance(value, str) and value.startswith("0x") and 2 < len(value) <= 18 and _HEX_DIGITS.issuperset(value[2:]):
        number = int(value, 16)
        if number < 1 << bits:
            return number
    raise _Wrong(f"{at} is not a hexadecimal number of {bits} bits")


def _hex(raw: Mapping[str, Any], key: str, at: str, bits: int = 32) -> int:
    return _as_hex(raw.get(key), f"{at}.{key}", bits)


def _list(kvm: Mapping[str, Any], key: str) -> RecordedList:
    at = f"$.kvm.{key}"
    raw = _dict(kvm, key, "$.kvm")
    answer = raw if "ret" in raw else _dict(raw, "probe", at)
    if answer.get("ret") != 0:
        return RecordedList(errno=_int(answer, "errno", at))
    indices = raw.get("indices")
    if not isinstance(indices, list):
        raise _Wrong(f"{at}.indices is not a list")
    return RecordedList(tuple(_as_hex(value, f"{at}.indices[{n}]", 32) for n, value in enumerate(indices)))


def _msr(row: Mapping[str, Any], at: str) -> tuple[int, RecordedMsr]:
    index, result = _hex(row, "index", at), _int(row, "ret", at)
    if result == 1:
        return index, RecordedMsr(1, _hex(row, "value", at, 64))
    errno = _int(row, "errno", at) if result < 0 else None
    return index, RecordedMsr(result, None, errno)


def _table(kvm: Mapping[str, Any], key: str) -> RecordedTable | None:
    if key not in kvm:
        return None
    raw = _dict(kvm, key, "$.kvm")
    if raw.get("ret") != 0:
        return RecordedTable(errno=_int(raw, "errno", f"$.kvm.{key}"))
    entries = []
    for row, at in _rows(raw, "entries", f"$.kvm.{key}"):
        registers = [_hex(row, name, at) for name in ("eax", "ebx", "ecx", "edx")]
        entries.append(
            CpuidEntry(_hex(row, "function", at), _hex(row, "index", at), _int(row, "flags", at), *registers)
        )
    return RecordedTable(tuple(entries))
