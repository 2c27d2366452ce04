"""Takes out of a snapshot what could say whose host it is, on the raw tree, and says what was taken.

What stays is what the JSON Schema names: a key that it does not know could hold anything, so it goes. No snapshot
holds serials, MAC addresses or the whole kernel command line to begin with; what a file from elsewhere holds in
their place goes too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from msrtui.kvm.collector import kept_switches, plain
from msrtui.resources import package_file, read
from msrtui.snapshot.strict import shown

SCHEMA = "snapshot/snapshot.schema.json"

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ADDRESS = re.compile(
    r"(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}"  # MAC
    r"|(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])"  # IPv4
    r"|(?<![\w:])(?:[0-9a-fA-F]{0,4}:){3,7}[0-9a-fA-F]{1,4}(?![\w:])"  # IPv6
    # mail; looked for where a word begins, or each letter of a long word would be tried as its first
    r"|(?<![\w.+-])[\w.+-]+@[\w-]+\.[\w.-]+"
)


@lru_cache(maxsize=1)
def schema() -> dict[str, Any]:
    """The published JSON Schema of a snapshot."""
    made: dict[str, Any] = json.loads(read(package_file(SCHEMA)))
    return made


def redact(document: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """(a copy without what could tell whose host it is, the JSON paths of what was taken out)."""
    taken: list[str] = []
    host = document.get("host")
    if isinstance(host, dict):
        document = {**document, "host": _nobodys(host, taken)}
    kept: dict[str, Any] = _known(document, schema(), "$", taken)
    return kept, taken


def _nobodys(host: Mapping[str, Any], taken: list[str]) -> dict[str, Any]:
    """The facts of the host without its name, its origin and all but the kept kernel switches."""
    changed = {key: None for key in ("name", "origin") if host.get(key) is not None}
    told: dict[str, Any] = {**host, **changed}
    switches = host.get("command_line")
    if isinstance(switches, list):
        told["command_line"] = kept_switches(" ".join(switch for switch in switches if isinstance(switch, str)))
    taken += [f"$.host.{key}" for key in told if told[key] != host[key]]
    return told


def _known(value: Any, shape: Mapping[str, Any], at: str, taken: list[str]) -> Any:
    """``value`` with only what ``shape`` names."""
    if "$ref" in shape:
        shape = schema()["$defs"][shape["$ref"].rpartition("/")[2]]
    if isinstance(value, dict):
        return _members(value, shape, at, taken)
    if isinstance(value, list):
        inside = shape.get("items", {})
        return [_known(part, inside, f"{at}[{place}]", taken) for place, part in enumerate(value)]
    if isinstance(value, str) and _ADDRESS.search(value):
        taken.append(at)
        return _without_addresses(value)
    return value


def _without_addresses(text: str) -> str:
    for _ in range(8):  # what is taken out may have stood right before another one, which begins only now
        text = _ADDRESS.sub("(removed)", text)
        if not _ADDRESS.search(text):
            return text
    return "(removed)"


def _members(value: dict[str, Any], shape: Mapping[str, Any], at: str, taken: list[str]) -> dict[str, Any]:
    kept = {}
    named, others = shape.get("properties", {}), shape.get("additionalProperties")
    for key, inside in value.items():
        path = f"{at}.{plain(shown(key))}"
        if key in named:
            kept[key] = _known(inside, named[key], path, taken)
        elif isinstance(others, dict) and _NAME.fullmatch(key) and not _ADDRESS.search(key):
            kept[key] = _known(inside, others, path, taken)
        else:
            taken.append(path)
    return kept
