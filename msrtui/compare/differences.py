"""What differs between sides, by what it is: what a guest sees, what KVM says, and what the host is.

Lists are compared as sets, their order apart. Of CPUID the registers of KVM's table are compared, without what says
nothing of a host (``noise``); of the CPU's own leaves only those that QEMU reads for a guest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import combinations
from typing import Literal, NamedTuple

from msrtui.compare.fingerprint import TOPOLOGY
from msrtui.compare.noise import noise_between, without_noise
from msrtui.compare.reach import Reach, Reaches
from msrtui.compare.side import Side, newest_name
from msrtui.kvm.abi import REGISTERS, cap_symbol
from msrtui.kvm.collector import CAPABILITIES
from msrtui.kvm.readings import read_feature_msrs
from msrtui.kvm.requests import CheckExtension, CpuidEntry, HostCpuid, MsrReading, Registers
from msrtui.qemu.tables import FeatureWord, load

Kind = Literal[
    "fact",
    "parameter",
    "mitigation",
    "capability",
    "index_list",
    "feature_list",
    "order",
    "msr",
    "cpuid",
    "kvm",
    "guest",
]
"""``fact``: what the host is. ``parameter``: of a kvm module. ``mitigation``: what the kernel says of a flaw of the
CPU, and its ``command_line``. ``capability``, ``index_list``, ``feature_list``, ``msr`` (its value, or ``refused`` or
``error``), ``cpuid`` (a register of KVM's table that is no feature word's), ``kvm`` (one that is): KVM's answers.
``order``: of a list, whose values are the first index that stands elsewhere. ``guest``: a feature word as a guest
gets it."""
FACTS = ("cpu", "vendor_module", "kernel", "microcode", "bios", "hypervisor", "carried_by")
CIRCUMSTANCES = ("fact", "parameter", "mitigation")
"""The kinds that are causes, not answers."""
COMMAND_LINE = "command_line"


_SAME: dict[object, object] = {"Y": "1", "N": "0"}
"""A module parameter that became a bool says Y where it said 1."""
_NOTHING: Registers = (0, 0, 0, 0)
_Leaf = tuple[int, int]


class Difference(NamedTuple):
    """``values`` has one entry a side, in order: int, bool (in the list or not), str, or None for not known.

    ``word``: the feature word that ``subject`` names, for ``kvm`` and ``guest``. ``reach``: how far it reaches.
    ``leaf``: (leaf, subleaf) that ``subject`` names, for ``cpuid``.
    """

    kind: Kind
    subject: str
    values: tuple[object, ...]
    word: FeatureWord | None = None
    reach: Reach = "kernel"
    leaf: _Leaf | None = None


class Hidden(NamedTuple):
    """What one rule of ``noise`` hid: in which leaves, (leaf, subleaf); ``vcpus-advised`` hides a capability.

    KVM_CAP_NR_VCPUS counts the host's CPUs, as topology does.
    """

    rule: str
    leaves: tuple[_Leaf, ...]


def differences(sides: Sequence[Side]) -> tuple[Difference, ...]:
    """All that is not the same on every side; what no side knows is no difference."""
    return tuple(each for each in _compared(sides) if _differ(each.values))


def matters(found: Difference) -> bool:
    """Whether KVM answered, or a guest gets, another thing; order is none, and circumstances are causes."""
    return found.kind not in CIRCUMSTANCES and found.kind != "order"


def hidden(sides: Sequence[Side]) -> tuple[Hidden, ...]:
    """Which rules of ``noise`` hid something between any two sides, and where, in the order of their leaves."""
    tables = [_table(side) for side in sides]
    found: dict[str, list[_Leaf]] = {}
    for one, other in combinations([table for table in tables if table is not None], 2):
        for leaf in sorted({*one, *other}):
            for rule in noise_between(*leaf, one.get(leaf, _NOTHING), other.get(leaf, _NOTHING)):
                found.setdefault(rule, []).append(leaf)
    counts = [_answers(side, TOPOLOGY) for side in sides]
    advised = any(_differ([each[number] for each in counts]) for number in TOPOLOGY)
    rules = [Hidden(rule, tuple(dict.fromkeys(leaves))) for rule, leaves in found.items()]
    return (*rules, Hidden("vcpus-advised", ())) if advised else tuple(rules)


def _differ(values: Sequence[object]) -> bool:
    return len(set(map(_SAME.get, values, values))) > 1


def _compared(sides: Sequence[Side]) -> Iterator[Difference]:
    guests = {name: tuple(side.guest_value(name) for side in sides) for name in _words(sides)}
    reaches = Reaches(sides, lambda name: _differ(guests.get(newest_name(name), ())))
    yield from _circumstances(sides)
    yield from _capabilities(sides, reaches)
    yield from _list("index_list", sides, lambda side: side.state.index_list, reaches.index)
    yield from _list("feature_list", sides, lambda side: side.state.feature_list, reaches.listed)
    yield from _feature_msrs(sides, reaches)
    yield from _leaves(sides, reaches)
    for name, word in _words(sides).items():
        if word.kind == "cpuid":
            yield Difference("kvm", name, tuple(_raw(side, word) for side in sides), word, reaches.word(name))
        yield Difference("guest", name, guests[name], word, "guest")


def _circumstances(sides: Sequence[Side]) -> Iterator[Difference]:
    for name in FACTS:
        yield Difference("fact", name, tuple(getattr(side.about, name) for side in sides))
    parameters = {
        (module, name): None for side in sides for module, known in side.about.parameters.items() for name in known
    }
    for module, name in sorted(parameters):
        values = tuple(side.about.parameters.get(module, {}).get(name) for side in sides)
        yield Difference("parameter", f"{module}.{name}", values)
    switches = tuple(_mitigation_switches(side) for side in sides)
    yield Difference("mitigation", COMMAND_LINE, switches)
    for flaw in sorted({flaw for side in sides for flaw in side.about.vulnerabilities}):
        yield Difference("mitigation", flaw, tuple(side.about.vulnerabilities.get(flaw) for side in sides))


def _mitigation_switches(side: Side) -> str | None:
    """The kernel's switches but those of KVM's modules, which are parameters; None where nothing is known of them."""
    if not side.about.command_line and not side.about.vulnerabilities:
        return None
    return " ".join(each for each in side.about.command_line if not each.startswith("kvm"))


def _capabilities(sides: Sequence[Side], reaches: Reaches) -> Iterator[Difference]:
    """Those that every side answers for, but for what counts CPUs; a refusal counts as 0, as it does for QEMU."""
    wanted = [number for number in CAPABILITIES if number not in TOPOLOGY]
    answers = [_answers(side, wanted) for side in sides]
    for number in wanted:
        values = tuple(answered[number] for answered in answers)
        if None not in values:
            yield Difference("capability", cap_symbol(number), values, reach=reaches.capability(number))


def _answers(side: Side, capabilities: Sequence[int]) -> dict[int, int | None]:
    with side.answerer.held():
        replies = {number: side.answerer.ask(CheckExtension(number)) for number in capabilities}
    return {number: None if reply.result is None else max(reply.result, 0) for number, reply in replies.items()}


def _list(
    kind: Literal["index_list", "feature_list"],
    sides: Sequence[Side],
    of: Callable[[Side], tuple[int, ...] | None],
    reach: Callable[[int], Reach],
) -> Iterator[Difference]:
    lists = [of(side) for side in sides]
    for index in sorted({index for known in lists for index in known or ()}):
        values = tuple(None if known is None else index in known for known in lists)
        if _differ(values):
            yield Difference(kind, hex(index), values, reach=reach(index))
    known_lists = [known for known in lists if known is not None]
    if len(known_lists) == len(lists):
        everywhere = set.intersection(*map(set, known_lists))
        orders = [[index for index in known if index in everywhere] for known in known_lists]
        for places in zip(*orders, strict=True):
            if len(set(places)) > 1:
                yield Difference("order", kind, places)
                return


def _feature_msrs(sides: Sequence[Side], reaches: Reaches) -> Iterator[Difference]:
    """The values of those that every side lists; that one does not is the list's difference."""
    lists = [side.state.feature_list for side in sides]
    everywhere = set.intersection(*(set(known or ()) for known in lists))
    read: list[dict[int, MsrReading]] = [read_feature_msrs(side.answerer, sorted(everywhere)) for side in sides]
    for index in sorted(everywhere):
        values = tuple(_msr_value(readings[index]) for readings in read)
        if _differ(values):
            yield Difference("msr", hex(index), values, reach=reaches.feature_msr(index, values))


def _msr_value(reading: MsrReading) -> int | str | None:
    return reading.value if reading.status in ("ok", "unknown") else reading.status


# --- CPUID -------------------------------------------------------------------------------------------------------
def _leaves(sides: Sequence[Side], reaches: Reaches) -> Iterator[Difference]:
    """The registers of KVM's table that are no feature word's, without noise; a leaf that is not there is all 0."""
    tables = [table for table in map(_table, sides) if table is not None]
    if len(tables) < len(sides):
        return
    words = {(word.leaf, word.subleaf or 0, word.register) for word in _words(sides).values() if word.kind == "cpuid"}
    subleaves = {leaf for table in tables for leaf, subleaf in table if subleaf}
    signature = _signatures(sides)
    for leaf, subleaf in sorted({place for table in tables for place in table}):
        rows = [without_noise(leaf, subleaf, table.get((leaf, subleaf), _NOTHING)) for table in tables]
        if len(set(rows)) < 2:
            continue
        name = f"{leaf:#x}.{subleaf:#x}" if leaf in subleaves else f"{leaf:#x}"
        for register, values in zip(REGISTERS, zip(*rows, strict=True), strict=True):
            if (leaf, subleaf, register) in words or len(set(values)) < 2:
                continue
            if (leaf, register) == (0x1, "EAX") and signature:
                continue
            reach = reaches.leaf(leaf, subleaf, register, values)
            yield Difference("cpuid", f"{name} {register}", values, None, reach, (leaf, subleaf))
    if signature:
        yield Difference("cpuid", "0x1 EAX", signature, None, reaches.leaf(0x1, 0, "EAX", signature), (0x1, 0))


def _signatures(sides: Sequence[Side]) -> tuple[int, ...]:
    """Family, model and stepping as the CPU itself says them, which is what QEMU reads; () where one is not known."""
    found: list[int] = []
    for side in sides:
        with side.answerer.held():
            registers = side.answerer.ask(HostCpuid(0x1, 0)).registers
        if registers is None:
            return ()
        found.append(registers[0])
    return tuple(found)


def _table(side: Side) -> Mapping[_Leaf, Registers] | None:
    """KVM's CPUID table as QEMU searches it; None where the source does not hold it, or QEMU ends before."""
    cpuid = side.outcome.state.cpuid if side.outcome is not None else None
    return None if cpuid is None else {place: _registers(entry) for place, entry in cpuid.items()}


def _registers(entry: CpuidEntry) -> Registers:
    return entry.eax, entry.ebx, entry.ecx, entry.edx


def _raw(side: Side, word: FeatureWord) -> int | None:
    """What KVM's table has there: 0 where it has no such leaf, None where there is no table to look in."""
    cpuid = side.outcome.state.cpuid if side.outcome is not None else None
    if cpuid is None:
        return None
    entry = cpuid.get((word.leaf, word.subleaf or 0))
    if entry is None:
        return 0
    clean = without_noise(word.leaf, word.subleaf or 0, _registers(entry))
    return clean[REGISTERS.index(word.register)]


# --- the guest ---------------------------------------------------------------------------------------------------
def _words(sides: Sequence[Side]) -> Mapping[str, FeatureWord]:
    """Every word that a side's QEMU knows, by its newest name, as the last of them has it."""
    return _words_of(tuple(dict.fromkeys(side.profile.label for side in sides)))


@lru_cache(maxsize=64)
def _words_of(labels: tuple[str, ...]) -> Mapping[str, FeatureWord]:
    return {newest_name(word.name): word for label in labels for word in load(label).words}
