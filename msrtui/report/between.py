"""A QEMU version without a profile of its own: what the two neighbours agree on, and null where they differ.

Works on documents, so that every command has it without knowing: leaves that agree stay, leaves that differ and
members that only one of the documents has become null.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

_IDENTITY = ("index", "bit")
"""A list whose items have one of these is a table by it; the other lists are what they are item by item."""


class Versions(NamedTuple):
    """The version that is meant, and the profiles that it is worked out with: its own, or both neighbours."""

    label: str
    profiles: tuple[str, ...]

    @property
    def sure(self) -> bool:
        """Whether the version has a profile of its own."""
        return len(self.profiles) == 1

    def warning(self, *, side_by_side: bool) -> str:
        """What to say about a version that has none; ``side_by_side``: both neighbours are shown, not what they share.

        It is for standard error: what is printed says no more than by whom it was read.
        """
        lower, upper = self.profiles
        shown = (
            "each is shown for itself, and where they differ it is not known what this version does"
            if side_by_side
            else "what these two agree on is given, the rest is not known"
        )
        return f"There is no profile for QEMU {self.label}, which lies between {lower} and {upper}: {shown}."

    @property
    def agreed(self) -> str:
        """The heading of what both neighbours agree on."""
        return f"What {' and '.join(self.profiles)} agree on"


def one_document(versions: Versions, documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The document for a version, from that of each of its profiles: ``qemu`` is the version, ``between`` both."""
    if versions.sure:
        return documents[0]
    merged = merge(*documents)
    top = {"source": merged.pop("source"), "qemu": versions.label, "between": list(versions.profiles)}
    del merged["qemu"]
    return {**top, **merged}


def one_text(versions: Versions, texts: Sequence[str]) -> str:
    """The text for a version: both neighbours', one after the other."""
    if versions.sure:
        return texts[0]
    lower, upper = versions.profiles
    return "\n".join((f"QEMU {versions.label}, by its neighbours: first as {lower} has it, then {upper}\n", *texts))


def merge(one: Any, other: Any) -> Any:
    """What both say; None where they differ."""
    if _same(one, other):
        return one
    if isinstance(one, dict) and isinstance(other, dict):
        names = (*one, *(name for name in other if name not in one))
        return {name: merge(one.get(name), other.get(name)) for name in names}
    if isinstance(one, list) and isinstance(other, list):
        return _merge_lists(one, other)
    return None


def _same(one: Any, other: Any) -> bool:
    """Equal, and of one type all through: true is not 1."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _merge_lists(one: list[Any], other: list[Any]) -> list[Any] | None:
    """A table by the name of its rows; a lineage step by step where both took the same steps; else None."""
    if not all(isinstance(item, dict) for item in (*one, *other)):
        return None
    for key in _IDENTITY:
        if {type(item.get(key)) for item in (*one, *other)} in ({int}, {str}):
            return _merge_tables(key, one, other)
    if [item.get("rule") for item in one] == [item.get("rule") for item in other]:
        return [merge(item, match) for item, match in zip(one, other, strict=True)]
    return None


def _merge_tables(key: str, one: list[dict[str, Any]], other: list[dict[str, Any]]) -> list[Any] | None:
    rows, others = ({item[key]: item for item in items} for items in (one, other))
    if len(rows) < len(one) or len(others) < len(other):
        return None  # no table after all: a row is there twice
    names = [*rows, *(name for name in others if name not in rows)]
    if key == "bit":
        names.sort()
    return [{**merge(rows.get(name, {}), others.get(name, {})), key: name} for name in names]
