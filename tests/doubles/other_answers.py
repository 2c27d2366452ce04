"""Snapshots of hosts that there are not: whole and well-formed, with a KVM that answers otherwise.

What breaks a snapshot's form is refused when it is read and goes no further. These are read, so they reach whatever
works on a host: bits that no CPU has together, lists that are cut, questions that fail, a machine that tells nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

Document = dict[str, Any]

ERRNOS = (1, 2, 6, 7, 11, 12, 13, 14, 22, 25, 38, 95, 133, 4095)
WORDS = ("Y", "N", "0", "1", "", "-1", "(null)", "x" * 60, "[red]x[/]", "%s {0} {name}", "\u202e", "host", "0x10a")


def answered_otherwise(text: str, chance: Random) -> bytes:
    """The snapshot in ``text`` with a few of KVM's answers or of the machine's facts otherwise."""
    document: Document = json.loads(text)
    for _ in range(chance.choice((1, 1, 2, 3, 5, 12))):
        chance.choice(_CHANGES)(document, chance)
    return json.dumps(document).encode()


def number(chance: Random, bits: int) -> int:
    """Any number of so many bits, often one with few or nearly all of them set."""
    every = (1 << bits) - 1
    few = sum({1 << chance.randrange(bits) for _ in range(chance.randrange(4))})
    return chance.choice((0, every, few, every & ~few, chance.getrandbits(bits)))


def _failed(errno: int) -> Document:
    return {"result": -1, "errno": errno, "error": "?"}


def _rows(document: Document, chance: Random) -> list[list[str]]:
    kvm = document["kvm"]
    tables = [document["cpuid"]["rows"]]
    tables += [kvm[key]["entries"] for key in ("supported_cpuid", "emulated_cpuid") if "entries" in kvm.get(key, {})]
    found: list[list[str]] = chance.choice(tables)
    return found


def _register(document: Document, chance: Random) -> None:
    rows = _rows(document, chance)
    for _ in range(chance.choice((1, 4, 30))):
        if rows:
            chance.choice(rows)[-chance.randrange(1, 5)] = hex(number(chance, 32))


def _every_register(document: Document, chance: Random) -> None:
    value = chance.choice(("0x0", "0xffffffff"))
    for row in _rows(document, chance):
        row[-4:] = [value] * 4


def _leaf(document: Document, chance: Random) -> None:
    """A leaf more, or fewer."""
    rows = _rows(document, chance)
    if rows and chance.random() < 0.6:
        del rows[chance.randrange(len(rows))]
    elif len(rows) < 200 and rows:
        row = [hex(chance.choice((2, 0xD, 0x24, 0x40000010, 0x80000021, 0xFFFFFFFF))), hex(chance.randrange(1 << 16))]
        rows.insert(chance.randrange(len(rows)), [*row, *chance.choice(rows)[2:]])
    _counted(document)


def _no_leaves(document: Document, chance: Random) -> None:
    _rows(document, chance).clear()
    _counted(document)


def _counted(document: Document) -> None:
    """A table's count is how many entries it has, a list's how many indices."""
    for key in ("supported_cpuid", "emulated_cpuid"):
        if "entries" in document["kvm"].get(key, {}):
            document["kvm"][key]["nent"] = len(document["kvm"][key]["entries"])
    for key in ("msr_index_list", "msr_feature_index_list"):
        if "indices" in document["kvm"].get(key, {}):
            document["kvm"][key]["nmsrs"] = len(document["kvm"][key]["indices"])


def _value(document: Document, chance: Random) -> None:
    for row in document["kvm"].get("feature_msrs", []):
        if row["result"] == 1 and chance.random() < 0.3:
            row["value"] = hex(number(chance, 64))


def _unread(document: Document, chance: Random) -> None:
    """A listed MSR that KVM does not read, or that the snapshot does not hold."""
    rows = document["kvm"].get("feature_msrs", [])
    if rows:
        place = chance.randrange(len(rows))
        index = rows[place]["index"]
        said = chance.choice(({"result": 0}, _failed(chance.choice(ERRNOS)), None))
        rows[place : place + 1] = [] if said is None else [{"index": index, **said}]


def _list(document: Document, chance: Random) -> None:
    raw = document["kvm"].get(chance.choice(("msr_index_list", "msr_feature_index_list")), {})
    if "indices" in raw:
        indices = raw["indices"]
        for index in (0x10A, 0x48B, chance.getrandbits(32), chance.choice((0x40000000, 0x4B564D00, 0xC0010015))):
            if chance.random() < 0.3 and hex(index) not in indices:
                indices.append(hex(index))
        for index in list(indices):
            if chance.random() < 0.1:
                indices.remove(index)
        if chance.random() < 0.1:
            indices.clear()
        _counted(document)


def _question_failed(document: Document, chance: Random) -> None:
    key = chance.choice(
        ("open", "api_version", "msr_index_list", "msr_feature_index_list", "supported_cpuid", "emulated_cpuid")
    )
    document["kvm"][key] = _failed(chance.choice(ERRNOS))


def _question_unasked(document: Document, chance: Random) -> None:
    document["kvm"].pop(chance.choice(("supported_cpuid", "emulated_cpuid")), None)


def _capability(document: Document, chance: Random) -> None:
    raw = document["kvm"].get("capabilities")
    if raw and raw["last"] >= raw["first"]:
        for _ in range(chance.choice((1, 5, 60))):
            which = str(chance.randint(raw["first"], raw["last"]))
            raw["answers"][which] = chance.choice((0, 1, 3, 255, (1 << 31) - 1, -22, -chance.choice(ERRNOS)))
        if chance.random() < 0.1:
            raw["first"], raw["last"], raw["answers"] = 0, -1, {}


def _attribute(document: Document, chance: Random) -> None:
    raw = {"group": 0, "attr": 0}
    said = chance.choice(({"result": 0, "value": hex(number(chance, 64))}, _failed(chance.choice(ERRNOS))))
    document["kvm"]["device_attrs"] = chance.choice(([], [{**raw, **said}]))


def _fact(document: Document, chance: Random) -> None:
    """A text of the machine's is another, or is not known."""
    host = document["host"]
    places = [(host, key) for key in ("name", "origin", "carried_by")]
    places += [(inner, key) for inner in (host["cpu"], host["kernel"], host["bios"]) for key in inner]
    places += [(each["parameters"], key) for each in host["modules"].values() for key in each["parameters"]]
    places += [(host["vulnerabilities"], key) for key in host.get("vulnerabilities") or {}]
    for _ in range(chance.choice((1, 4, 40))):
        place, key = chance.choice(places)
        if not isinstance(place[key], int):
            place[key] = chance.choice((None, *WORDS))


def _nothing_told(document: Document, chance: Random) -> None:
    document["host"][chance.choice(("modules", "vulnerabilities", "bios"))] = {}
    document["host"]["hypervisor"] = chance.choice((None, {"virtual": True, "signature": None}))
    document["cpuid"]["incomplete"] = chance.choice((None, "not allowed"))


def _module(document: Document, chance: Random) -> None:
    name = chance.choice(("kvm", "kvm_intel", "kvm_amd", "kvm_pvm", "kvm_x", "{0}"))
    document["host"]["modules"][name] = {"loaded": chance.choice((None, True, False)), "parameters": {"nested": "1"}}


_CHANGES: tuple[Callable[[Document, Random], None], ...] = (
    *(_register, _register, _register, _every_register, _leaf, _leaf, _no_leaves, _value, _value, _value, _unread),
    *(_list, _list, _question_failed, _question_unasked, _capability, _capability, _attribute),
    *(_fact, _fact, _nothing_told, _module),
)
