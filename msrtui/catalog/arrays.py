"""Which array of KVM's source an MSR index is from.

KVM_GET_MSR_INDEX_LIST gives one list, made of three arrays that ``kvm_init_msr_lists``
(``arch/x86/kvm/x86.c``) has thinned out: MSRs of the CPU that are saved and restored, those of the PMU, and
those that KVM emulates. The list does not say where one ends; the arrays of three kernels, in
``kernel_arrays.json``, and the order in the list do. Nothing here asks a kernel or knows its version.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import accumulate
from typing import TypedDict

from msrtui.catalog.tables import load_table
from msrtui.values import dataclass

# the order in which the kernel appends what survives of each
_LISTED = ("msrs_to_save", "msrs_to_save_pmu", "emulated_msrs")


@dataclass(frozen=True)
class Placement:
    """The array that one entry of an index list is from, ``sure`` as ``place`` says.

    ``array`` is ``msrs_to_save``, ``msrs_to_save_pmu``, ``emulated_msrs``, or None where nothing decides.
    """

    array: str | None
    sure: bool


@dataclass(frozen=True)
class Entry:
    """One kernel's entry for an MSR index.

    ``array`` is one of ``Placement``'s or ``msr_based_features`` (the feature list's). ``symbol`` is written
    as in that source, ``condition`` says in words when the entry survives, ``order`` is its position in the
    array from 0. Linux 6.1 has one array of saved MSRs: there ``msrs_to_save_pmu`` is said by meaning and
    ``order`` counts in the one array.
    """

    kernel: str
    array: str
    symbol: str
    condition: str
    order: int


class _Table(TypedDict):
    kernels: list[str]
    one_array: list[str]
    conditions: list[str]
    msrs: dict[str, tuple[str, list[tuple[str, str, int, int]]]]


@dataclass(frozen=True)
class _Kernel:
    """One kernel's index list before thinning: ``runs`` names the array of each unbroken stretch of it.

    Newer kernels have three; 6.1 has four, as its saved MSRs go on after those of the PMU.
    """

    runs: tuple[str, ...]
    run_of: dict[int, int]


@cache
def _table() -> _Table:
    table: _Table = load_table("kernel_arrays.json")
    return table


def kernel_entries(index: int) -> tuple[Entry, ...]:
    """Return what the arrays of Linux 6.1.176, 6.12.107 and 7.1.8 hold for ``index``, oldest kernel first.

    One kernel can give two: some emulated MSRs are feature MSRs too. () for an index in none of them.
    """
    table = _table()
    if hex(index) not in table["msrs"]:
        return ()
    symbol, rows = table["msrs"][hex(index)]
    return tuple(
        Entry(kernel, array, symbol, table["conditions"][condition], order) for kernel, array, order, condition in rows
    )


def known_kernels() -> tuple[str, ...]:
    """Return the kernels that the arrays were read in, ``6.1.176`` and so on, oldest first."""
    return tuple(_table()["kernels"])


def place(indices: Sequence[int]) -> tuple[Placement, ...]:
    """Say for each entry of a whole KVM_GET_MSR_INDEX_LIST, in the kernel's order, which array it is from.

    ``sure`` where every kernel table that knows the index names the same array and the order agrees: no
    entry before it belongs to a later array, none after it to an earlier one. An index that no table
    knows gets the one array that its place leaves possible, not sure, or None where it leaves several.
    """
    fits = [(kernel, _fit(indices, kernel)) for kernel in _kernels()]
    fits.reverse()  # so that of kernels that fit as well the newest is taken
    kernel, runs = max(fits, key=lambda fit: sum(run is not None for run in fit[1]))
    before = list(accumulate((0 if run is None else run for run in runs), max))
    last = len(kernel.runs) - 1
    after = list(accumulate((last if run is None else run for run in reversed(runs)), min))[::-1]
    placed = []
    for position, index in enumerate(indices):
        known, run = _arrays_of(index), runs[position]
        if run is not None:
            placed.append(Placement(kernel.runs[run], sure=len(known) == 1))
            continue
        possible = known or frozenset(kernel.runs[before[position] : after[position] + 1])
        placed.append(Placement(next(iter(possible)) if len(possible) == 1 else None, sure=False))
    return tuple(placed)


@cache
def _kernels() -> tuple[_Kernel, ...]:
    table = _table()
    return tuple(_kernel(name, name in table["one_array"]) for name in table["kernels"])


def _kernel(name: str, one_array: bool) -> _Kernel:
    entries = []
    for written, (_, rows) in _table()["msrs"].items():
        for kernel, array, order, _ in rows:
            if kernel == name and array in _LISTED:
                stage = _LISTED.index(array)
                # where saved and PMU entries share an array, their positions alone say who comes first
                entries.append((max(stage, 1) if one_array else stage, order, array, int(written, 16)))
    runs: list[str] = []
    run_of = {}
    for _, _, array, index in sorted(entries):
        if not runs or runs[-1] != array:
            runs.append(array)
        run_of[index] = len(runs) - 1
    return _Kernel(tuple(runs), run_of)


@lru_cache(maxsize=1024)
def _arrays_of(index: int) -> frozenset[str]:
    """Every array that some kernel table has the index in, the feature list's left out."""
    _, rows = _table()["msrs"].get(hex(index), ("", []))
    return frozenset(array for _, array, _, _ in rows if array in _LISTED)


def _fit(indices: Sequence[int], kernel: _Kernel) -> list[int | None]:
    """Lay a list over one kernel's runs: the run of each entry, None for what is unknown or out of order."""
    choices = [_runs_open_to(index, kernel) for index in indices]
    last = len(kernel.runs) - 1
    lowest = list(accumulate((min(runs, default=0) for runs in choices), max))
    highest = list(accumulate((max(runs, default=last) for runs in reversed(choices)), min))[::-1]
    fitting = (
        [run for run in runs if lowest[position] <= run <= highest[position]] for position, runs in enumerate(choices)
    )
    return [runs[0] if runs else None for runs in fitting]


def _runs_open_to(index: int, kernel: _Kernel) -> list[int]:
    """The runs that the index can be from: its own, or those of its array where this kernel lacks it."""
    own = kernel.run_of.get(index)
    if own is not None:
        return [own]
    arrays = _arrays_of(index)
    return [run for run, array in enumerate(kernel.runs) if array in arrays]
