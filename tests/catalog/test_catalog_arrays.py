"""From an index list back to the arrays it was made of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

from msrtui.catalog import arrays
from msrtui.catalog.arrays import Entry, Placement, kernel_entries, place

SAVED, PMU, EMULATED = "msrs_to_save", "msrs_to_save_pmu", "emulated_msrs"
UNKNOWN = 0xDEADBEEF

# what KVM_GET_MSR_INDEX_LIST answered on 24 hosts, in the kernel's order, by the capture's name
LISTS: dict[str, list[int]] = {
    host: [int(index, 16) for index in indices]
    for host, indices in json.loads(Path(__file__).with_name("index_lists.json").read_text()).items()
}


def runs(placements: tuple[Placement, ...]) -> list[tuple[str | None, int]]:
    return [(array, len(list(group))) for array, group in groupby(placed.array for placed in placements)]


@pytest.mark.parametrize("host", LISTS)
def test_every_entry_of_a_real_list_is_placed_for_sure(host: str) -> None:
    placements = place(LISTS[host])
    assert len(placements) == len(LISTS[host])
    assert all(placed.array is not None and placed.sure for placed in placements)


@pytest.mark.parametrize("host", LISTS)
def test_a_real_list_is_saved_then_pmu_then_emulated(host: str) -> None:
    order = [array for array, _ in runs(place(LISTS[host]))]
    assert order in ([SAVED, PMU, EMULATED], [SAVED, EMULATED])


def test_the_lists_of_this_kind_of_machine_split_into_16_and_24() -> None:
    indices = LISTS["this-machine-pvm-6.18"]
    assert runs(place(indices)) == [(SAVED, 16), (EMULATED, 24)]
    assert indices[15] == 0x1DE
    assert indices[16] == 0x12


def test_an_intel_host_splits_into_three() -> None:
    placements = place(LISTS["intel-skylake-bochs-linux6.12"])
    assert runs(placements) == [(SAVED, 12), (PMU, 17), (EMULATED, 65)]


def test_an_empty_list_has_nothing_to_place() -> None:
    assert place([]) == ()


def test_saved_msrs_after_the_pmus_are_sure_as_in_6_1() -> None:
    # 6.1 has XFD behind the PMU's MSRs, in one array with them
    placements = place([0x174, 0x309, 0x186, 0x1C4, 0x1C5, 0x12])
    assert placements == tuple(Placement(array, True) for array in (SAVED, PMU, PMU, SAVED, SAVED, EMULATED))


def test_the_first_saved_msrs_after_the_pmus_are_as_in_no_kernel() -> None:
    assert place([0x309, 0x174]) == (Placement(PMU, False), Placement(SAVED, False))


def test_an_entry_out_of_order_keeps_its_array_but_is_not_sure() -> None:
    placements = place([0x174, 0x12, 0x175, 0x11])
    assert placements == (
        Placement(SAVED, True),
        Placement(EMULATED, False),
        Placement(SAVED, False),
        Placement(EMULATED, True),
    )


@pytest.mark.parametrize(
    ("indices", "array"),
    [
        ([0x174, UNKNOWN, 0x175], SAVED),
        ([0x309, UNKNOWN, 0x30A, 0x12], PMU),
        ([0x12, UNKNOWN, 0x11], EMULATED),
        ([UNKNOWN, 0x174], SAVED),  # nothing comes before the saved ones
        ([0x12, UNKNOWN], EMULATED),  # and nothing after the emulated ones
        ([0x174, UNKNOWN, 0x12], None),
        ([0x174, UNKNOWN, 0x309], None),
        ([0x309, UNKNOWN, 0x12], None),
        ([0x174, UNKNOWN], None),
        ([UNKNOWN, 0x12], None),
        ([UNKNOWN], None),
    ],
)
def test_an_index_that_no_kernel_has_gets_the_one_array_its_place_allows(indices: list[int], array: str | None) -> None:
    assert place(indices)[indices.index(UNKNOWN)] == Placement(array, sure=False)


def test_an_unknown_index_leaves_the_others_sure() -> None:
    placements = place([0x174, UNKNOWN, 0x309, UNKNOWN + 1, 0x12])
    assert [placed.sure for placed in placements] == [True, False, True, False, True]


def test_a_feature_msr_is_placed_by_its_emulated_entry_alone() -> None:
    assert place([0x12, 0x10A]) == (Placement(EMULATED, True), Placement(EMULATED, True))
    # 0x481 is in the feature list's array and in no other
    assert place([0x12, 0x481, 0x11])[1] == Placement(EMULATED, False)
    assert place([0x481]) == (Placement(None, False),)


def test_an_msr_of_one_kernel_alone_is_sure_too() -> None:
    # 0x390 went after 6.1; 0x1d9 came after 6.12
    assert place([0x174, 0x38F, 0x390, 0x12])[2] == Placement(PMU, True)
    assert place([0x174, 0x1D9, 0x309, 0x12])[1] == Placement(SAVED, True)


def test_what_the_kernels_say_of_arch_capabilities() -> None:
    entries = kernel_entries(0x10A)
    assert [(entry.kernel, entry.array) for entry in entries] == [
        (kernel, array)
        for kernel in ("6.1.176", "6.12.107", "7.1.8")
        for array in ("emulated_msrs", "msr_based_features")
    ]
    assert {entry.symbol for entry in entries} == {"MSR_IA32_ARCH_CAPABILITIES"}
    assert {entry.condition for entry in entries} == {"always"}


def test_what_drops_an_entry_is_said_with_its_position() -> None:
    entries = kernel_entries(0x122)
    assert [(entry.kernel, entry.array, entry.order) for entry in entries] == [
        ("6.12.107", SAVED, 15),
        ("7.1.8", SAVED, 15),
    ]
    assert all("ARCH_CAPABILITIES" in entry.condition for entry in entries)
    assert "CONFIG_X86_64" in kernel_entries(0xC0000082)[0].condition


def test_platform_info_is_a_feature_msr_in_the_newest_kernel_alone() -> None:
    features = [entry.kernel for entry in kernel_entries(0xCE) if entry.array == "msr_based_features"]
    assert features == ["7.1.8"]


def test_an_index_in_no_kernel_has_no_entries() -> None:
    assert kernel_entries(UNKNOWN) == ()


def test_the_arrays_have_the_sizes_of_the_kernels() -> None:
    sizes: dict[tuple[str, str], int] = {}
    for index in (*range(0x2000), *range(0x40000000, 0x40000200), *range(0x4B564D00, 0x4B564D10)):
        count(sizes, kernel_entries(index))
    for index in range(0xC0000000, 0xC0012000):
        count(sizes, kernel_entries(index))
    in_order = (SAVED, PMU, EMULATED, "msr_based_features")
    assert [sizes["6.1.176", array] for array in in_order] == [31, 46, 66, 22]
    assert [sizes["6.12.107", array] for array in in_order] == [32, 49, 67, 22]
    assert [sizes["7.1.8", array] for array in in_order] == [45, 49, 67, 23]


def count(sizes: dict[tuple[str, str], int], entries: tuple[Entry, ...]) -> None:
    for entry in entries:
        sizes[entry.kernel, entry.array] = sizes.get((entry.kernel, entry.array), 0) + 1


@pytest.fixture
def kernels_that_disagree(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two kernels, of which the newer moved MSR 0x2 from the saved array to the emulated one."""
    caches = (arrays._table, arrays._kernels, arrays._arrays_of)
    table = {
        "kernels": ["1", "2"],
        "one_array": [],
        "conditions": ["always"],
        "msrs": {
            "0x1": ["ONE", [["1", SAVED, 0, 0], ["2", SAVED, 0, 0]]],
            "0x2": ["TWO", [["1", SAVED, 1, 0], ["2", EMULATED, 0, 0]]],
            "0x3": ["THREE", [["1", EMULATED, 0, 0], ["2", EMULATED, 1, 0]]],
            "0x4": ["FOUR", [["1", SAVED, 2, 0], ["2", SAVED, 1, 0]]],
        },
    }
    monkeypatch.setattr(arrays, "load_table", lambda name: table)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.mark.usefixtures("kernels_that_disagree")
def test_where_the_order_fits_several_kernels_the_newest_is_believed() -> None:
    assert place([1, 4, 2, 3])[2] == Placement(EMULATED, False)


@pytest.mark.usefixtures("kernels_that_disagree")
def test_where_kernels_disagree_the_order_decides_and_nothing_is_sure() -> None:
    assert place([1, 4, 3, 2])[3] == Placement(EMULATED, False)
    assert place([1, 2, 4, 3]) == (
        Placement(SAVED, True),
        Placement(SAVED, False),
        Placement(SAVED, True),
        Placement(EMULATED, True),
    )
