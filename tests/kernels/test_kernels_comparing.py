"""How what two programs heard is compared: nothing that differs passes unless it is named. Boots nothing."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import table
from comparing import snapshots
from cpio import Cpio

Change = Callable[[dict[str, Any]], None]


def _row(cells: str) -> tuple[str, ...]:
    return tuple(cells.split("|"))


@pytest.fixture
def heard(root: Path) -> dict[str, Any]:
    """A snapshot."""
    made = json.loads((root / "snapshots" / "amd-epyc-tcg-linux6.12.json").read_text(encoding="utf-8"))
    assert isinstance(made, dict)
    return made


CHANGES: dict[str, Change] = {
    "a listed MSR": lambda it: it["kvm"]["msr_index_list"]["indices"].pop(),
    "the order of a list": lambda it: it["kvm"]["msr_feature_index_list"]["indices"].reverse(),
    "a feature MSR's value": lambda it: it["kvm"]["feature_msrs"][0].update(value="0x7"),
    "a capability": lambda it: it["kvm"]["capabilities"]["answers"].update({"153": 2}),
    "an entry of KVM's CPUID": lambda it: it["kvm"]["supported_cpuid"]["entries"][3].__setitem__(4, "0x1234"),
    "a leaf of the CPU's": lambda it: it["cpuid"]["rows"][1].__setitem__(3, "0x1234"),
    "a module's parameter": lambda it: it["host"]["modules"]["kvm_amd"]["parameters"].update(nested="0"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_differs_is_named(heard: dict[str, Any], change: Change) -> None:
    assert snapshots(heard, copy.deepcopy(heard)).differ == []
    other = copy.deepcopy(heard)
    change(other)
    assert snapshots(heard, other).differ


def test_what_may_differ_is_counted_apart(heard: dict[str, Any]) -> None:
    other = copy.deepcopy(heard)
    other["made"]["by"] = "another program"
    other["cpuid"]["rows"].append(["0x8000001f", "0x0", "0x1", "0x0", "0x0", "0x0"])
    found = snapshots(heard, other)
    assert (found.differ, len(found.may)) == ([], 2)
    assert found.values > 500


def test_a_row_of_the_table_takes_the_place_of_that_of_an_older_build() -> None:
    first = table.merged("", [_row("6.12.1|epyc|TCG|trace|5|0|0|1"), _row("6.1.0-5|epyc|TCG|trace|4|0|0|1")])
    again = table.merged(first, [_row("6.12.9|epyc|TCG|trace|6|0|0|2")])
    rows = [line for line in again.splitlines() if line.startswith("| 6")]
    assert [row.split()[1] for row in rows] == ["6.1.0-5", "6.12.9"]


def test_an_archive_has_each_folder_once_and_before_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"12345")
    (tmp_path / "a" / "link").symlink_to("b")
    made = Cpio()
    made.folder("a")
    made.tree(tmp_path)
    data = made.bytes()
    names: list[str] = []
    at = 0
    while not names or names[-1] != "TRAILER!!!":
        size, length = int(data[at + 54 : at + 62], 16), int(data[at + 94 : at + 102], 16)
        names.append(data[at + 110 : at + 110 + length - 1].decode())
        at += -(-(110 + length) // 4) * 4 + -(-size // 4) * 4
    assert names == ["a", "a/link", "a/b", "a/b/file", "TRAILER!!!"]
