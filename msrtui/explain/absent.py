"""Why an MSR is not in one of KVM's lists: which array of the kernel's it would be in, and what drops it.

The arrays are those of three kernels (``catalog.arrays``); the one nearest to the host's release is taken and
named. What is said is ``sure`` only where the host's own data decide it by a rule that holds for its kernel.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from msrtui.catalog import Entry, kernel_entries, known_kernels
from msrtui.explain.evidence import Evidence
from msrtui.explain.kernel_rules import Finding, RuleId, findings
from msrtui.values import dataclass

ListName = Literal["index", "feature"]
Certainty = Literal["sure", "expectation", "no kernel known"]

FEATURES = "msr_based_features"


@dataclass(frozen=True)
class Absence:
    """Why an MSR is not in one list.

    ``array`` of Linux ``kernel`` is where it would be, both None where no kernel that msrtui knows has it in such
    a list. ``reasons`` are the rule that drops it, or those that may. ``decided``: True where what is known of the
    host says that the rule drops it, None where that cannot be told, False where every rule that is known keeps it.
    """

    list: ListName
    array: str | None
    kernel: str | None
    reasons: tuple[Finding, ...]
    decided: bool | None
    certainty: Certainty
    nearest: bool = False
    """``kernel`` is not the host's own series but the nearest that msrtui knows."""


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
        nowhere = _no_kernel(which)
        return Absence(which, None, None, (nowhere,), None, "no kernel known")
    near = nearest_kernel(evidence.about.kernel)
    entry = entries.get(near.name)
    if which == "feature" and evidence.feature_list is None:
        reason = Finding(False, "no-feature-list", "feature-list-kernel")
        array = (entry or next(iter(entries.values()))).array
        return Absence(which, array, near.name, (reason,), True, "sure", not near.exact)
    if entry is None:
        return _other_kernel(which, entries, near)
    said = findings(entry.condition, evidence, index, entry.kernel)
    drops = dropped(which, index, evidence)
    if drops is not None:
        certainty: Certainty = "sure" if drops.sure and _holds_here(entries, near) else "expectation"
        return Absence(which, entry.array, entry.kernel, (drops,), True, certainty, not near.exact)
    open_ones = tuple(found for found in said if found.holds is None)
    if not open_ones:
        kept = (Finding(True, "every-rule-keeps-it"),)
        return Absence(which, entry.array, entry.kernel, kept, False, "expectation", not near.exact)
    return Absence(which, entry.array, entry.kernel, open_ones, None, "expectation", not near.exact)


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
    params = {"near": near.name, "kernel": entry.kernel}
    reason = (
        Finding(False, "kernel-has-it-not-yet", "kernel-like", params=params)
        if newer
        else Finding(False, "kernel-has-it-no-longer", params=params)
    )
    return Absence(which, entry.array, entry.kernel, (reason,), True, "sure" if near.exact else "expectation")


def _no_kernel(which: ListName) -> Finding:
    params = {"kernels": ", ".join(known_kernels())}
    rule: RuleId = "no-kernel-has-it-as-a-feature" if which == "feature" else "no-kernel-lists-it"
    return Finding(None, rule, params=params)
