"""Why an MSR is not in one of KVM's lists: which array of the kernel's it would be in, and what drops it.

The arrays are those of three kernels (``catalog.arrays``); the one nearest to the host's release is taken and
named. What is said is ``sure`` only where the host's own data decide it by a rule that holds for its kernel.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from msrtui.catalog import Entry, kernel_entries, known_kernels
from msrtui.kvm.abi import Cap
from msrtui.kvm.requests import Answerer, CheckExtension, CpuidEntry, GetMsrs, HostCpuid
from msrtui.qemu.state import KvmState
from msrtui.report.absent_rules import Evidence, Finding, findings
from msrtui.report.heard_lists import HeardLists
from msrtui.report.sentences import _
from msrtui.report.shape import wrapped
from msrtui.snapshot.model import About
from msrtui.transcript.state import State

ListName = Literal["index", "feature"]
Certainty = Literal["sure", "expectation", "no kernel known"]

FEATURES = "msr_based_features"
LIST_NAMES = {"index": "KVM's index list", "feature": "kvm_feature_msrs"}


@dataclass(frozen=True)
class Absence:
    """Why an MSR is not in one list.

    ``array`` of Linux ``kernel`` is where it would be, both None where no kernel that msrtui knows has it in such
    a list. ``rule`` says in words what drops it. ``decided``: True where what is known of the host says that the
    rule drops it, None where that cannot be told, False where every rule that is known keeps it. ``remedy`` is
    what would bring it back, None where nothing is known to.
    """

    list: ListName
    array: str | None
    kernel: str | None
    rule: str
    decided: bool | None
    remedy: str | None
    certainty: Certainty


class Nearest(NamedTuple):
    """The known kernel nearest to a release. ``below`` and ``above`` are the known ones that it lies between.

    ``exact``: it is of that very series. A release that cannot be read is taken for the newest, between nothing.
    """

    name: str
    exact: bool
    below: str | None = None
    above: str | None = None


# the number of the first release of each series, counting every release of Linux since 3.0
_FIRST_OF = {3: 0, 4: 20, 5: 41, 6: 61, 7: 81}
_RELEASE = re.compile(r"(\d{1,3})\.(\d{1,3})(?=\D|$)")
_BACKPORTED = re.compile(r"\.el\d")


def _place(major: int, minor: int) -> int:
    return _FIRST_OF[major] + minor if major in _FIRST_OF else -20 if major < 3 else 101 + 20 * (major - 8) + minor


def nearest_kernel(release: str | None) -> Nearest:
    """The known kernel nearest to ``release`` (uname -r), counted in releases.

    Red Hat's enterprise kernels carry KVM of much later ones, so their number is no more than a hint.
    """
    known = known_kernels()
    found = _RELEASE.match(release or "")
    if found is None:
        return Nearest(known[-1], exact=False)
    wanted = _place(int(found[1]), int(found[2]))
    places = {name: _place(*(int(part) for part in name.split(".")[:2])) for name in known}
    name = min(known, key=lambda each: abs(places[each] - wanted))
    if _BACKPORTED.search(release or ""):
        return Nearest(name, exact=False)
    below = [each for each in known if places[each] <= wanted]
    above = [each for each in known if places[each] >= wanted]
    return Nearest(name, places[name] == wanted, below[-1] if below else None, above[0] if above else None)


# --- what is known of a host -------------------------------------------------------------------------------------
def evidence_of(about: About, lists: HeardLists, state: KvmState, answerer: Answerer, index: int) -> Evidence:
    """What can be had of a host for the rules of the MSR ``index``; only what these need is asked."""
    cpuid = state.cpuid
    caps: dict[int, int | None] = {}
    wanted = [Cap.PMU_CAPABILITY] if "enable_pmu" not in about.parameters.get("kvm", {}) else []
    conditions = " ".join(entry.condition for entry in kernel_entries(index))
    wanted += [Cap.X86_SMM] if "SMM" in conditions or "unrestricted_guest" in conditions else []
    wanted += [Cap.HYPERV] if "HYPERV" in conditions else []
    listed = lists.feature_msrs or ()
    arch: int | None = None
    leaves: dict[tuple[int, int], tuple[int, int, int, int]] = {}
    with answerer.held():
        for cap in wanted:
            caps[cap] = answerer.ask(CheckExtension(int(cap))).result
        if "ARCH_CAPABILITIES" in conditions and 0x10A in listed:
            reply = answerer.ask(GetMsrs((0x10A,)))
            arch = reply.values[0] if reply.values else None
        if "INTEL_PT" in conditions and (entry := (cpuid or {}).get((7, 0))) and entry.ebx >> 25 & 1:
            for leaf in ((0x14, 0), (0x14, 1)):
                registers = answerer.ask(HostCpuid(*leaf)).registers
                if registers is not None:
                    leaves[leaf] = registers
    return Evidence(about, lists.index_list, lists.feature_msrs, lists.feature_known, cpuid, leaves, caps, arch)


def evidence_at(state: State, about: About) -> Evidence:
    """What QEMU has heard of a host so far: nothing is asked for it."""
    table: dict[tuple[int, int], CpuidEntry] = {}
    for entry in state.cpuid or ():
        table.setdefault((entry.function, entry.index), entry)
    arch = state.msrs.get(0x10A)
    return Evidence(
        about,
        state.index_list,
        state.feature_list,
        state.feature_list is not None or state.feature_null,
        table if state.cpuid is not None else None,
        capabilities=state.capabilities,
        arch_capabilities=arch.values[0] if arch is not None and arch.values else None,
    )


# --- the answer --------------------------------------------------------------------------------------------------
def absences(index: int, evidence: Evidence) -> tuple[Absence, ...]:
    """Why the MSR ``index`` is not in each list that is known and lacks it, the index list first."""
    found = []
    if evidence.index_list is not None and index not in evidence.index_list:
        found.append(_absence("index", index, evidence))
    if evidence.feature_known and index not in (evidence.feature_list or ()):
        found.append(_absence("feature", index, evidence))
    return tuple(found)


def dropped(which: ListName, index: int, evidence: Evidence) -> Finding | None:
    """The first rule of the nearest kernel's that drops the MSR here, without a look at the lists; None: none does."""
    entry = _entries(which, index).get(nearest_kernel(evidence.about.kernel).name)
    if entry is None:
        return None
    failing = [found for found in findings(entry.condition, evidence, index, entry.kernel) if found.holds is False]
    return next((found for found in failing if found.sure), failing[0] if failing else None)


def _entries(which: ListName, index: int) -> dict[str, Entry]:
    return {entry.kernel: entry for entry in kernel_entries(index) if (entry.array == FEATURES) == (which == "feature")}


def _absence(which: ListName, index: int, evidence: Evidence) -> Absence:
    entries = _entries(which, index)
    if not entries:
        return Absence(which, None, None, _no_kernel(which), None, None, "no kernel known")
    near = nearest_kernel(evidence.about.kernel)
    entry = entries.get(near.name)
    if which == "feature" and evidence.feature_list is None:
        rule = _("this KVM has no list of feature MSRs (KVM_CAP_GET_MSR_FEATURES is 0)")
        array = (entry or next(iter(entries.values()))).array
        return Absence(which, array, near.name, rule, True, _("Linux 4.16 or newer"), "sure")
    if entry is None:
        return _other_kernel(which, entries, near)
    said = findings(entry.condition, evidence, index, entry.kernel)
    reason = dropped(which, index, evidence)
    if reason is not None:
        sure = reason.sure and _holds_here(entries, near)
        certainty: Certainty = "sure" if sure else "expectation"
        return Absence(which, entry.array, entry.kernel, reason.rule, True, reason.remedy, certainty)
    open_ones = [found for found in said if found.holds is None]
    if not open_ones:
        rule = _("every rule that msrtui knows keeps it, so this kernel has another rule, or not the MSR")
        return Absence(which, entry.array, entry.kernel, rule, False, None, "expectation")
    rule = _("; or ").join(dict.fromkeys(found.rule for found in open_ones))
    remedies = dict.fromkeys(found.remedy for found in open_ones if found.remedy)
    remedy = _(", and ").join(remedies) or None
    return Absence(which, entry.array, entry.kernel, rule, None, remedy, "expectation")


def _holds_here(entries: dict[str, Entry], near: Nearest) -> bool:
    """Whether a rule read in the nearest kernel is the host's: its own series, or the same on both sides of it."""
    if near.exact:
        return True
    below, above = entries.get(near.below or ""), entries.get(near.above or "")
    if below is None or above is None:
        return False
    return (below.array, below.condition) == (above.array, above.condition)


def _other_kernel(which: ListName, entries: dict[str, Entry], near: Nearest) -> Absence:
    """In the nearest kernel's arrays there is no such entry; another's has one."""
    known = known_kernels()
    entry = next(reversed(entries.values()))
    newer = known.index(entry.kernel) > known.index(near.name)
    template = (
        _("Linux {near} does not have it in an array of this list yet; Linux {kernel} does")
        if newer
        else _("Linux {near} no longer has it in an array of this list; Linux {kernel} did")
    )
    rule = template.format(near=near.name, kernel=entry.kernel)
    remedy = _("a kernel like Linux {kernel}").format(kernel=entry.kernel) if newer else None
    return Absence(which, entry.array, entry.kernel, rule, True, remedy, "sure" if near.exact else "expectation")


def _no_kernel(which: ListName) -> str:
    kernels = ", ".join(known_kernels())
    if which == "feature":
        return _("no kernel that msrtui knows ({kernels}) has it as a feature MSR").format(kernels=kernels)
    return _("no kernel that msrtui knows ({kernels}) has it in an array of this list").format(kernels=kernels)


# --- for programs and people -------------------------------------------------------------------------------------
def absence_document(absence: Absence) -> dict[str, Any]:
    """One absence for ``get --json``."""
    return {
        "list": absence.list,
        "array": absence.array,
        "kernel": absence.kernel,
        "rule": absence.rule,
        "decided": absence.decided,
        "remedy": absence.remedy,
        "certainty": absence.certainty,
    }


def worth_telling(found: tuple[Absence, ...]) -> tuple[Absence, ...]:
    """The absences that a person wants told: that an MSR is in no kernel a feature MSR, as most are, is not one."""
    return tuple(absence for absence in found if absence.array is not None or absence.list == "index")


def sentences(absence: Absence) -> Iterator[str]:
    """One absence in sentences: the array, the rule with what it is worth, what would bring it back."""
    if absence.array is None:
        yield _("Not in {list}: {rule}.").format(list=LIST_NAMES[absence.list], rule=absence.rule)
        return
    worth = _("sure") if absence.certainty == "sure" else _("expectation")
    yield _("Not in {list} ({array} of Linux {kernel}, {worth}): {rule}.").format(
        list=LIST_NAMES[absence.list], array=absence.array, kernel=absence.kernel, worth=worth, rule=absence.rule
    )
    if absence.remedy:
        yield _("It would come back with {remedy}.").format(remedy=absence.remedy)


def absent_text(found: tuple[Absence, ...]) -> Iterator[str]:
    """The absences that are worth telling, as lines for ``get``."""
    for absence in worth_telling(found):
        for place, sentence in enumerate(sentences(absence)):
            yield from wrapped(sentence, "  " if not place else "    ", "    ")
