"""A version between two profiles: what both say stays, the rest is null."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msrtui.report.between import Versions, merge, one_document, one_text

LEAVES = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["0x1", "text"])
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["bit", "index", "rule", "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("one", "other", "merged"),
    [
        ("0x9", "0x9", "0x9"),
        ("0x9", "0x69", None),
        (True, 1, None),
        ({"a": True}, {"a": 1}, {"a": None}),
        ([True], [1], None),
        (False, None, None),
        ({"a": True, "b": True}, {"a": True, "b": False}, {"a": True, "b": None}),
        ({"a": True}, {"b": True}, {"a": None, "b": None}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        (["pku", "hle"], ["pku", "hle"], ["pku", "hle"]),
        (["pku"], ["hle"], None),
        (["pku"], ["pku", "pku"], None),
        ([], ["pku"], None),
    ],
)
def test_what_both_say_stays(one: Any, other: Any, merged: Any) -> None:
    assert merge(one, other) == merged
    assert type(merge(one, other)) is type(merged)


def test_a_table_is_merged_by_its_rows() -> None:
    one = [{"bit": 0, "name": "fpu"}, {"bit": 7, "name": "mce"}]
    other = [{"bit": 0, "name": "fpu"}, {"bit": 3, "name": "pse"}]
    assert merge(one, other) == [{"bit": 0, "name": "fpu"}, {"bit": 3, "name": None}, {"bit": 7, "name": None}]
    flags, others = ([{"index": "0x8b", "use": use}, {"index": "0x3a", "use": "flag"}] for use in ("never", "flag"))
    assert merge(flags, others) == [{"index": "0x8b", "use": None}, {"index": "0x3a", "use": "flag"}]


def test_a_lineage_is_merged_where_the_same_rules_were_at_work() -> None:
    steps = [{"rule": "asked", "after": "0x1", "source": "kvm.c, QEMU 8.2"}]
    others = [{"rule": "asked", "after": "0x1", "source": "kvm.c, QEMU 10.0"}]
    assert merge(steps, others) == [{"rule": "asked", "after": "0x1", "source": None}]
    assert merge(steps, [{**others[0], "rule": "not-listed"}]) is None
    assert merge(steps, [*others, *others]) is None


@given(DOCUMENTS)
def test_what_is_alike_is_left_alone(document: Any) -> None:
    assert merge(document, document) == document


@given(DOCUMENTS, DOCUMENTS)
def test_nothing_is_said_that_not_both_say(one: Any, other: Any) -> None:
    def leaves(value: Any) -> list[Any]:
        if isinstance(value, (dict, list)):
            return [leaf for item in (value.values() if isinstance(value, dict) else value) for leaf in leaves(item)]
        return [(type(value), value)]

    def without_keys(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: without_keys(item) for name, item in value.items() if name not in ("bit", "index")}
        return [without_keys(item) for item in value] if isinstance(value, list) else value

    said = {leaf for leaf in leaves(without_keys(merge(one, other))) if leaf[1] is not None}
    assert said <= set(leaves(one)) & set(leaves(other))
    assert leaves(merge(other, one)).count((bool, True)) == leaves(merge(one, other)).count((bool, True))


def test_a_version_with_a_profile_is_left_alone() -> None:
    versions = Versions("7.2", ("7.2",))
    document = {"source": "here", "qemu": "7.2", "x": 1}
    assert one_document(versions, [document]) is document
    assert one_text(versions, ["text\n"]) == "text\n"


def test_a_version_without_one_names_its_neighbours() -> None:
    versions = Versions("9.2", ("8.2", "10.0"))
    documents = [{"source": "here", "qemu": label, "x": 1, "y": label} for label in versions.profiles]
    merged = {"source": "here", "qemu": "9.2", "between": ["8.2", "10.0"], "x": 1, "y": None}
    assert one_document(versions, documents) == merged
    assert list(one_document(versions, documents)) == ["source", "qemu", "between", "x", "y"]
    text = one_text(versions, ["older\n", "newer\n"])
    assert text.startswith("QEMU 9.2, ")
    assert text.endswith("older\n\nnewer\n")
