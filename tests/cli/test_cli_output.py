"""How JSON is laid out: short values on one line, long ones opened, and nothing of it changed."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from msrtui.cli.output import LINE, laid_out

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.text(max_size=40), inner, max_size=8),
    max_leaves=60,
)


def _each_tried_whole(value: Any, indent: str = "") -> str:
    """The same, by writing each value out to see whether it fits."""
    short = json.dumps(value)
    if len(short) + len(indent) <= LINE or not value or not isinstance(value, (dict, list)):
        return short
    inner = indent + " "
    if isinstance(value, dict):
        members = [f"{inner}{json.dumps(key)}: {_each_tried_whole(each, inner)}" for key, each in value.items()]
        return "{\n" + ",\n".join(members) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + _each_tried_whole(each, inner) for each in value) + f"\n{indent}]"


@given(_VALUES)
def test_what_fits_on_a_line_stands_on_one_and_what_is_read_back_is_the_same(value: Any) -> None:
    said = laid_out(value)
    assert said == _each_tried_whole(value)
    assert json.loads(said) == value


def test_at_the_edge_of_a_line() -> None:
    for size in range(LINE - 8, LINE + 2):
        for value in (["a" * size], {"a": "b" * size}, [1] * (size // 3), [[], {}, "a" * size]):
            assert laid_out(value) == _each_tried_whole(value)
