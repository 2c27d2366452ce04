"""One host as the lint rules look at it: what its KVM answered, what its CPU says, and how its modules are set.

Nothing here is a rule. KVM's lists and its table are asked for anew where QEMU ended before it had them: a host that
one QEMU cannot start on may be looked at all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msrtui.catalog.makers import Maker, maker_of
from msrtui.compare.side import Side
from msrtui.kvm.abi import E2BIG, REGISTERS, Cap
from msrtui.kvm.collector import MAX_CPUID_ENTRIES
from msrtui.kvm.readings import read_feature_msrs
from msrtui.kvm.recorded_vcpu import RecordedProbe
from msrtui.kvm.requests import (
    Answerer,
    CheckExtension,
    CpuidEntry,
    GetDeviceAttr,
    GetMsrFeatureIndexList,
    GetMsrIndexList,
    GetSupportedCpuid,
    HostCpuid,
    IndexListReply,
    MsrReading,
)
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import FeatureWord, labels, load
from msrtui.qemu.words import SupportedWord
from msrtui.snapshot.model import About
from msrtui.values import dataclass, field

Need = Literal[
    "index list", "index answer", "feature list", "values", "cpuid", "host cpuid", "parameters", "words", "mitigations"
]
"""What a rule looks at. ``index answer``: the list, or its refusal. ``values``: of the feature MSRs; ``words``: QEMU's;
``mitigations``: the kernel's own words."""


def newest_word(name: str) -> FeatureWord:
    """The word of that name in the newest QEMU's tables: KVM's bits have places that no older QEMU knows."""
    return load(labels()[-1]).word_by_name[name]


@dataclass(frozen=True)
class Answers:
    """What is known of one host. None, or a key that is missing: the source does not say.

    A list is None too where KVM refused it (``…_errno``), the feature list where KVM has none (``feature_cap`` is 0).
    ``entries`` is KVM's CPUID table in its order. ``words`` are QEMU's, {} where that QEMU ends before it has them.
    ``probes`` is what vCPUs showed, () where none was asked.
    """

    about: About
    profile: QemuProfile
    answerer: Answerer = field(repr=False)
    index_list: tuple[int, ...] | None = None
    index_errno: int | None = None
    feature_list: tuple[int, ...] | None = None
    feature_cap: int | None = None
    feature_errno: int | None = None
    values: Mapping[int, MsrReading] = field(default_factory=dict)
    entries: tuple[CpuidEntry, ...] | None = None
    words: Mapping[str, SupportedWord] = field(default_factory=dict)
    probes: tuple[RecordedProbe, ...] = ()

    def knows(self, need: Need) -> bool:
        """Whether the source says enough for a rule that looks at this."""
        if need == "index list":
            return self.index_list is not None
        if need == "index answer":
            return self.index_list is not None or self.index_errno is not None
        if need == "feature list":
            return self.feature_list is not None or self.feature_cap == 0 or self.feature_errno is not None
        if need == "values":
            return self.feature_list is not None and all(each.status != "unknown" for each in self.values.values())
        if need == "cpuid":
            return self.entries is not None
        if need == "host cpuid":
            return self.cpu_register(0, 0, "EBX") is not None
        if need == "parameters":
            return bool(self.about.parameters)
        if need == "words":
            return bool(self.words)
        return bool(self.about.vulnerabilities)

    # --- CPUID ------------------------------------------------------------------------------------------------------
    def entry(self, leaf: int, subleaf: int = 0) -> CpuidEntry | None:
        """The first entry of KVM's table for a leaf, as QEMU's search finds it."""
        found = (each for each in self.entries or () if (each.function, each.index) == (leaf, subleaf))
        return next(found, None)

    def register(self, word: str) -> int:
        """The register of KVM's table that a feature word is made of; a leaf that is not there is 0."""
        place = newest_word(word)
        found = self.entry(place.leaf, place.subleaf or 0)
        return 0 if found is None else found.register(place.register)

    def offers(self, word: str, bit: int) -> bool:
        """One bit of a CPUID word in KVM's table."""
        return bool(self.register(word) >> bit & 1)

    def has_leaf(self, word: str) -> bool:
        """Whether KVM's table has the leaf of a CPUID word."""
        place = newest_word(word)
        return self.entry(place.leaf, place.subleaf or 0) is not None

    def cpu_register(self, leaf: int, subleaf: int, register: str) -> int | None:
        """A register of the host's own CPUID, None where that is not known."""
        registers = self.answerer.ask(HostCpuid(leaf, subleaf)).registers
        return None if registers is None else registers[REGISTERS.index(register)]

    def cpu_has(self, word: str, bit: int) -> bool | None:
        """One bit of a CPUID word as the CPU itself says it."""
        place = newest_word(word)
        value = self.cpu_register(place.leaf, place.subleaf or 0, place.register)
        return None if value is None else bool(value >> bit & 1)

    @property
    def maker(self) -> Maker | None:
        """Whose kind of CPU it is by leaf 0 of KVM's table: Intel's (VMX) or AMD's (SVM)."""
        found = self.entry(0)
        return None if found is None else maker_of(found.ebx)

    # --- MSRs -------------------------------------------------------------------------------------------------------
    def listed(self, index: int) -> bool:
        """Whether KVM's index list has it."""
        return index in (self.index_list or ())

    def is_feature(self, index: int) -> bool:
        """Whether KVM's feature list has it."""
        return index in (self.feature_list or ())

    def value(self, index: int) -> int | None:
        """What KVM_GET_MSRS gave for an MSR of the feature list; None where it is not there, or gave nothing."""
        reading = self.values.get(index)
        return None if reading is None else reading.value

    # --- circumstances ----------------------------------------------------------------------------------------------
    def capability(self, number: int) -> int | None:
        """KVM_CHECK_EXTENSION; a refusal counts as 0, as it does for QEMU."""
        result = self.answerer.ask(CheckExtension(int(number))).result
        return None if result is None else max(result, 0)

    def shown(self, word: str, bit: int, index: int) -> frozenset[tuple[bool, bool]]:
        """What vCPUs that were given a bit of CPUID showed: whether it was kept, and whether MSR ``index`` is not 0.

        Empty where no probe tells, of more than one member where they differ.
        """
        place = newest_word(word)
        leaf = place.leaf, place.subleaf or 0

        def has(entries: tuple[CpuidEntry, ...]) -> bool:
            at = (each for each in entries if (each.function, each.index) == leaf)
            return any(each.register(place.register) >> bit & 1 for each in at)

        found = set()
        for each in self.probes:
            got, reading = each.got_cpuid, each.msrs.get(index)
            if each.set_cpuid is None or not has(each.set_cpuid[0]) or got is None or got.errno is not None:
                continue
            if reading is not None and reading.value is not None:
                found.add((has(got.entries), reading.value != 0))
        return frozenset(found)

    def attribute(self, group: int, attribute: int) -> int | None:
        """KVM_GET_DEVICE_ATTR on the system fd, None where it was refused or not asked."""
        return self.answerer.ask(GetDeviceAttr(group, attribute)).value

    def switched(self, module: str, name: str) -> bool | None:
        """A module parameter that is a switch; it is printed as Y and N or as 1 and 0."""
        told = self.about.parameters.get(module, {}).get(name)
        return {"Y": True, "1": True, "N": False, "0": False}.get(told or "")


def answers_of(side: Side) -> Answers:
    """What can be had of the host of one side. Asks for no MSR that is not in the feature list."""
    answerer, state = side.answerer, side.state
    with answerer.held():
        cap = answerer.ask(CheckExtension(int(Cap.GET_MSR_FEATURES))).result
        index_list, features, entries = state.index_list, state.feature_list, state.cpuid
        index_errno = refused = None
        if index_list is None:
            index_list, index_errno = _listed(answerer, GetMsrIndexList)
        if features is None and cap:
            features, refused = _listed(answerer, GetMsrFeatureIndexList)
        if entries is None:
            reply = answerer.ask(GetSupportedCpuid(MAX_CPUID_ENTRIES))
            entries = reply.entries if reply.result == 0 else None
        values = read_feature_msrs(answerer, features or ())
    about, profile = side.about, side.profile
    feature_cap = None if cap is None or cap < 0 else cap  # an errno is no answer
    return Answers(
        about,
        profile,
        answerer,
        index_list,
        index_errno,
        features,
        feature_cap,
        refused,
        values,
        entries,
        dict(side.words),
        side.probes,
    )


def _listed(
    answerer: Answerer, question: type[GetMsrIndexList] | type[GetMsrFeatureIndexList]
) -> tuple[tuple[int, ...] | None, int | None]:
    """(the list, None), or (None, the errno of the refusal), or twice None where the source does not say."""
    reply: IndexListReply = answerer.ask(question(0))
    if reply.errno == E2BIG:
        reply = answerer.ask(question(reply.nmsrs or 0))
    if reply.result is None:
        return None, None
    return (reply.indices, None) if reply.errno is None else (None, reply.errno)
