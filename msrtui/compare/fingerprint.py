"""What makes two hosts the same to QEMU and to a guest: all that KVM answered, without the noise.

The answers of a host are a set of items, each a key and a value. In them: what opening KVM came to, its API version,
the capabilities, the MSR index list, the feature MSRs with value or refusal, the CPUID table (the first entry of each
leaf, as QEMU's search finds it; ``noise`` taken out), the device attributes, and of the host's own CPUID the bits that
QEMU reads beside the table. Not in them: order in a list, the emulated CPUID, for which QEMU never asks, and facts
about the host: kernel, microcode, BIOS, parameters, names and times. (Microcode shows all the same where KVM lists
MSR 0x8b: a guest of host and max gets its value.) What a snapshot does not say is an item of its own, never 0.

The fingerprint is the first 12 hex digits of SHA-256 over a line an item, sorted, after a line that says which rules
made them. It is the same from run to run and on every machine; other rules, or more noise known, make another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import and_
from typing import Literal, NamedTuple, TypeAlias

from msrtui.catalog import bit_name
from msrtui.compare.noise import without_noise
from msrtui.kvm.abi import REGISTERS, Cap, cap_symbol, errno_name
from msrtui.kvm.recorded import RecordedHost, RecordedList, RecordedMsr, RecordedTable, Recording
from msrtui.kvm.requests import HostCpuid
from msrtui.qemu.tables import Tables

RULES = "msrtui-fingerprint 1"
"""The first line of what is hashed: counted up where the items change in a way that changes every fingerprint."""
DIGITS = 12

Kind = Literal[
    "open", "api_version", "capability", "index_list", "feature_list", "msr", "cpuid", "host_cpuid", "attribute"
]
Key: TypeAlias = tuple[int, int, int]
"""(part, then what it is about: a capability, an index, a leaf and subleaf, a group and attribute)."""
Item: TypeAlias = tuple[Key, int]
OPEN, API, ASKED, CAPABILITY, INDEX_LIST, INDEX, FEATURE_LIST, MSR, TABLE, CPUID, HOST, ATTRIBUTE = range(12)
_NAMES = (
    *("open", "api", "asked", "capability", "index_list", "index"),
    *("feature_list", "msr", "table", "cpuid", "host_cpuid", "attribute"),
)

GIVEN = 0
"""Of a list or a table: it was given; its members are items of their own."""
NOT_SAID, REFUSED = -3, -2
"""Values that are none: the snapshot does not say; KVM_GET_MSRS read nothing. An errno is -1000 and so much less."""
_ERROR = -1000

TOPOLOGY = (int(Cap.NR_VCPUS),)
"""Capabilities that only count the host's CPUs: noise, as the topology in CPUID is."""

_ALL = 0xFFFFFFFF
HOST_BITS: Mapping[tuple[int, int], tuple[int, int, int, int]] = {
    (0x0, 0): (0, _ALL, _ALL, _ALL),
    (0x1, 0): (_ALL, 0, 0, 0),
    (0x7, 0): (0, 1 << 9, 0, 1 << 4),
    (0x7, 1): (0b111 << 10, 0, 0, 0),
    (0x7, 2): (0, 0, 0, 1 << 5),
    **{(0xD, component): (_ALL, _ALL, 0, 0) for component in range(2, 20)},
    (0x80000000, 0): (_ALL, 0, 0, 0),
    (0x80000008, 0): (0xFF, 0, 0, 0),
}
"""The bits of the host's own CPUID that any QEMU reads, EAX to EDX, by leaf and subleaf: is TSX broken, erms, fsrm and
their kin, the places of XSAVE components, the CPU's family, physical address bits. A test holds it to what is asked."""

_HOST_MASKS = tuple((leaf, without_noise(*leaf, masks)) for leaf, masks in HOST_BITS.items())


def items_of(recording: Recording) -> tuple[Item, ...]:
    """The answers of one host, sorted."""
    return tuple(sorted(_items(recording)))


def fingerprint_of(items: Iterable[Item]) -> str:
    """12 hex digits; the same for the same items."""
    lines = [f"{_NAMES[part]} {a:x} {b:x} {value:x}" for (part, a, b), value in items]
    return hashlib.sha256("\n".join([RULES, *lines]).encode("ascii")).hexdigest()[:DIGITS]


def _items(said: Recording) -> Iterator[Item]:
    yield (OPEN, 0, 0), GIVEN if said.open_errno is None else _ERROR - said.open_errno
    host = RecordedHost(said)
    for (leaf, subleaf), masks in _HOST_MASKS:
        recorded = said.host_cpuid.get((leaf, subleaf)) or host.ask(HostCpuid(leaf, subleaf)).registers
        if recorded is None:
            yield (HOST, leaf, subleaf), NOT_SAID
        else:
            eax, ebx, ecx, edx = map(and_, recorded, masks)
            yield (HOST, leaf, subleaf), _packed((eax, ebx, ecx, edx))
    if said.open_errno is not None:
        return
    yield (API, 0, 0), _returned(said.api_version)
    asked = said.capabilities
    if asked:
        yield (ASKED, min(asked), max(asked)), 1
    for number, value in asked.items():
        if value and number not in TOPOLOGY:
            yield (CAPABILITY, number, 0), _returned(value)
    yield (INDEX_LIST, 0, 0), _given(said.index_list)
    if said.index_list is not None:
        for index in said.index_list.indices:
            yield (INDEX, index, 0), 1
    yield (FEATURE_LIST, 0, 0), _given(said.feature_list)
    if said.feature_list is not None:
        for index in said.feature_list.indices:
            yield (MSR, index, 0), _msr(said.msrs.get(index))
    yield (TABLE, 0, 0), _given(said.supported_cpuid)
    if said.supported_cpuid is not None:
        seen = set()
        for leaf, subleaf, _, *registers in said.supported_cpuid.entries:
            if (leaf, subleaf) not in seen:
                seen.add((leaf, subleaf))
                eax, ebx, ecx, edx = registers
                yield (CPUID, leaf, subleaf), _packed(without_noise(leaf, subleaf, (eax, ebx, ecx, edx)))
    for (group, attribute), answer in said.attributes.items():
        yield (ATTRIBUTE, group, attribute), _msr(answer)


def _packed(registers: tuple[int, int, int, int]) -> int:
    eax, ebx, ecx, edx = registers
    return eax | ebx << 32 | ecx << 64 | edx << 96


def _returned(value: int | None) -> int:
    return NOT_SAID if value is None else _ERROR + value if value < 0 else value


def _given(answer: RecordedList | RecordedTable | None) -> int:
    if answer is None:
        return NOT_SAID
    return GIVEN if answer.errno is None else _ERROR - answer.errno


def _msr(answer: RecordedMsr | None) -> int:
    if answer is None:
        return NOT_SAID
    if answer.errno is not None:
        return _ERROR - answer.errno
    return REFUSED if answer.value is None else answer.value


# --- what differs --------------------------------------------------------------------------------------------------
class Different(NamedTuple):
    """One thing in which the answers of two hosts differ; ``values`` are the first's and the second's.

    ``kind`` and ``subject`` are as in ``differences`` (``cpuid`` and ``host_cpuid`` have ``CPUID[…].EDX``). Where
    a few bits of one value differ each is a Different of its own with its ``bit`` and values False and True, and its
    ``name`` where it has one; else ``bit`` is None and the values are int, bool (in the list or not), the text
    ``refused`` or an errno's name, or None where one does not say.
    """

    kind: Kind
    subject: str
    bit: int | None
    name: str | None
    values: tuple[object, object]


_FEW_BITS = 4
_LISTS: dict[int, tuple[int, Kind, str]] = {
    INDEX_LIST: (INDEX, "index_list", "KVM_GET_MSR_INDEX_LIST"),
    FEATURE_LIST: (MSR, "feature_list", "KVM_GET_MSR_FEATURE_INDEX_LIST"),
    TABLE: (CPUID, "cpuid", "KVM_GET_SUPPORTED_CPUID"),
}


def different(one: Mapping[Key, int], other: Mapping[Key, int], tables: Tables) -> tuple[Different, ...]:
    """What differs between the answers of two hosts; a bit's name is the catalogue's or that of the QEMU's tables.

    Both may leave out items that are the same in both, but for those of part ASKED.
    """
    found: list[Different] = []
    hidden: set[int] = set()
    opened = one.get((OPEN, 0, 0)), other.get((OPEN, 0, 0))
    if opened[0] != opened[1]:
        return (Different("open", "/dev/kvm", None, None, (_shown(opened[0]), _shown(opened[1]))),)
    for part, (members, kind, ioctl) in _LISTS.items():
        states = one.get((part, 0, 0)), other.get((part, 0, 0))
        if states[0] != states[1]:
            # of a list that only one of them has, the members say nothing more
            hidden.update((part, members))
            found.append(Different(kind, ioctl, None, None, (_shown(states[0]), _shown(states[1]))))
    ranges = _asked(one), _asked(other)
    for number in sorted(set(ranges[0]) ^ set(ranges[1])):
        key = CAPABILITY, number, 0
        values = tuple(
            side.get(key, 0) if number in asked else None for side, asked in zip((one, other), ranges, strict=True)
        )
        found.append(Different("capability", cap_symbol(number), None, None, (values[0], values[1])))
    for key in sorted(set(one) | set(other)):
        part, number, _ = key
        mine, theirs = one.get(key), other.get(key)
        if mine == theirs or part in hidden or part in (OPEN, ASKED):
            continue
        if part == CAPABILITY and not (number in ranges[0] and number in ranges[1]):
            continue
        found += _of_item(key, mine, theirs, tables)
    return tuple(found)


def _asked(items: Mapping[Key, int]) -> range:
    return next((range(first, last + 1) for part, first, last in items if part == ASKED), range(0))


def _shown(value: int | None) -> object:
    if value is None or value == NOT_SAID:
        return None
    if value == REFUSED:
        return "refused"
    return errno_name(_ERROR - value) if value <= _ERROR else value


def _of_item(key: Key, mine: int | None, theirs: int | None, tables: Tables) -> Iterator[Different]:
    part, a, b = key
    if part == CAPABILITY:
        yield from _values("capability", cap_symbol(a), mine or 0, theirs or 0, lambda _: None)
    elif part == INDEX:
        yield Different("index_list", hex(a), None, None, (mine is not None, theirs is not None))
    elif part == MSR and (mine is None or theirs is None):
        yield Different("feature_list", hex(a), None, None, (mine is not None, theirs is not None))
    elif part == MSR:
        yield from _values("msr", hex(a), mine, theirs, lambda bit: bit_name(a, bit))
    elif part == ATTRIBUTE:
        yield from _values("attribute", f"({a}, {b})", mine, theirs, lambda _: None)
    elif part == API:
        yield Different("api_version", "KVM_GET_API_VERSION", None, None, (_shown(mine), _shown(theirs)))
    elif part in (CPUID, HOST):
        yield from _registers("cpuid" if part == CPUID else "host_cpuid", a, b, mine, theirs, tables)


def _values(
    kind: Kind, subject: str, mine: int | None, theirs: int | None, name: Callable[[int], str | None]
) -> Iterator[Different]:
    if mine is None or theirs is None or mine < 0 or theirs < 0 or (mine ^ theirs).bit_count() > _FEW_BITS:
        yield Different(kind, subject, None, None, (_shown(mine), _shown(theirs)))
        return
    for bit in range((mine ^ theirs).bit_length()):
        if (mine ^ theirs) >> bit & 1:
            yield Different(kind, subject, bit, name(bit), (bool(mine >> bit & 1), bool(theirs >> bit & 1)))


def _registers(
    kind: Kind, leaf: int, subleaf: int, mine: int | None, theirs: int | None, tables: Tables
) -> Iterator[Different]:
    where = f"CPUID[eax={leaf:02X}h,ecx={subleaf:02X}h]"
    if mine is None or theirs is None or mine < 0 or theirs < 0:
        yield Different(kind, where, None, None, (_entry(mine), _entry(theirs)))
        return
    for place, register in enumerate(REGISTERS):
        names: Mapping[int, str] = {}
        for word in tables.words:
            if (word.kind, word.leaf, word.subleaf or 0, word.register) == ("cpuid", leaf, subleaf, register):
                names = word.bits
        values = mine >> 32 * place & _ALL, theirs >> 32 * place & _ALL
        yield from _values(kind, f"{where}.{register}", *values, names.get)


def _entry(value: int | None) -> object:
    return None if value == NOT_SAID else value is not None
