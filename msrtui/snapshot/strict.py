"""Typed access to an untrusted JSON tree: what is asked for has its type, or Wrong names the place.

Nothing here knows what a snapshot is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import chain
from math import isinf
from typing import Any, NoReturn

DEPTH_LIMIT = 32
"""Objects and lists inside each other; a snapshot has six."""
DIGITS_LIMIT = 300
"""Of a decimal number: what has more costs time to read and is none of a host's."""
TEXT_LIMIT = 4096
"""Characters of a text that means something."""


class Wrong(Exception):
    """What is wrong, with its JSON path."""


def parse(data: bytes) -> Any:
    """The JSON document in ``data``. Raises Wrong: no JSON, a key twice in one object, too deep."""
    try:
        tree = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_once,
            parse_int=_integer,
            parse_float=_fraction,
            parse_constant=_constant,
        )
    except (ValueError, RecursionError):
        raise Wrong("it is not JSON") from None
    if _may_be_deep(data) and _deeper(tree, DEPTH_LIMIT):
        raise Wrong(f"it has more than {DEPTH_LIMIT} objects or lists inside each other")
    return tree


def _integer(digits: str) -> int:
    if len(digits) > DIGITS_LIMIT:
        raise Wrong(f"a number has over {DIGITS_LIMIT} digits")
    return int(digits)


def _fraction(text: str) -> float:
    number = float(text)
    if isinf(number):  # written again it would be Infinity, which is not JSON
        raise Wrong("a number is too large")
    return number


def _constant(_: str) -> NoReturn:
    raise ValueError  # NaN and Infinity are not JSON


def _may_be_deep(data: bytes) -> bool:
    """Whether the brackets do not close within the limit; one in a text counts too, so it errs to yes."""
    brackets = data.translate(None, _NO_BRACKETS)
    for _ in range(DEPTH_LIMIT):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if not brackets:
            return False
    return True


_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def _deeper(tree: Any, limit: int) -> bool:
    level = [tree]
    for _ in range(limit + 1):
        level = [
            inside
            for node in level
            if isinstance(node, (dict, list))
            for inside in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return False
    return True


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise Wrong(f"an object has the key {shown(key)} twice")
            seen.add(key)
    return made


def shown(text: str) -> str:
    """A key as a sentence may show it: printable, short, ASCII."""
    return ascii(text[:40])[1:-1]


# --- members -----------------------------------------------------------------------------------------------------
def member(raw: Mapping[str, Any], key: str, at: str) -> dict[str, Any]:
    """The object ``raw[key]``."""
    value = raw.get(key)
    if not isinstance(value, dict):
        raise Wrong(f"{at}.{shown(key)} is not an object")
    return value


def members(raw: Mapping[str, Any], key: str, at: str, limit: int) -> list[Any]:
    """The list ``raw[key]``, of at most ``limit``."""
    value = raw.get(key)
    if not isinstance(value, list):
        raise Wrong(f"{at}.{shown(key)} is not a list")
    if len(value) > limit:
        raise Wrong(f"{at}.{shown(key)} has {len(value)} entries; no host has over {limit}")
    return value


def rows(raw: Mapping[str, Any], key: str, at: str, limit: int) -> list[tuple[dict[str, Any], str]]:
    """The objects in the list ``raw[key]``, each with its path."""
    for place, row in enumerate(members(raw, key, at, limit)):
        if not isinstance(row, dict):
            raise Wrong(f"{at}.{key}[{place}] is not an object")
    return [(row, f"{at}.{key}[{place}]") for place, row in enumerate(raw[key])]


def integer(raw: Mapping[str, Any], key: str, at: str) -> int:
    """The decimal number ``raw[key]``, 32 bits and a sign."""
    value = raw.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Wrong(f"{at}.{shown(key)} is not a number")
    if not -(1 << 31) <= value < 1 << 32:
        raise Wrong(f"{at}.{shown(key)} is not a number of 32 bits")
    return value


class _Decimal(dict[str, int]):
    """Small decimal numbers as keys that were read before."""

    def __missing__(self, text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise Wrong("a key is not a number")
        if len(self) > 1 << 12:
            self.clear()
        self[text] = int(text)
        return self[text]


_DECIMAL = _Decimal()


def numbers(raw: Mapping[str, Any], key: str, at: str) -> dict[int, int]:
    """The object ``raw[key]`` of numbers of 32 bits and a sign by number."""
    told = member(raw, key, at)
    values = told.values()
    if (
        not set(map(type, values)) <= {int}
        or not -(1 << 31) <= min(values, default=0) <= max(values, default=0) < 1 << 32
    ):
        for name in told:
            integer(told, name, f"{at}.{key}")
    try:
        found = dict(zip(map(_DECIMAL.__getitem__, told), values, strict=True))
    except Wrong:
        raise Wrong(f"{at}.{shown(key)} has a key that is not a number") from None
    if len(found) != len(told):
        raise Wrong(f"{at}.{shown(key)} has a number twice")
    return found


_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")


def hexadecimal(value: object, at: str, bits: int) -> int:
    """A number as hex() prints it, of at most ``bits`` bits."""
    # int() would also take blanks, underscores and other scripts' digits: nothing that hex() prints
    if isinstance(value, str) and value.startswith("0x") and 2 < len(value) <= 18 and _HEX_DIGITS.issuperset(value[2:]):
        number = int(value, 16)
        if number < 1 << bits:
            return number
    raise Wrong(f"{at} is not a hexadecimal number of {bits} bits")


def hex_member(raw: Mapping[str, Any], key: str, at: str, bits: int = 32) -> int:
    """The hexadecimal number ``raw[key]``."""
    return hexadecimal(raw.get(key), f"{at}.{key}", bits)


class _Hex32(dict[str, int]):
    """Hexadecimal numbers of 32 bits that were read before: the same few stand in a snapshot again and again."""

    def __missing__(self, text: str) -> int:
        number = hexadecimal(text, "", 32)
        if len(self) > 1 << 16:
            self.clear()
        self[text] = number
        return number


_HEX32 = _Hex32()


def hex_list(raw: Mapping[str, Any], key: str, at: str, limit: int) -> tuple[int, ...]:
    """The list ``raw[key]`` of hexadecimal numbers of 32 bits."""
    texts = members(raw, key, at, limit)
    try:
        return tuple(map(_HEX32.__getitem__, texts))
    except (TypeError, Wrong):
        return tuple(hexadecimal(text, f"{at}.{key}[{place}]", 32) for place, text in enumerate(texts))


def hex_rows(raw: Mapping[str, Any], key: str, at: str, columns: list[str], limit: int) -> list[tuple[int, ...]]:
    """The rows in the list ``raw[key]``, each a list of hexadecimal numbers of 32 bits; ``raw.columns`` names them."""
    if raw.get("columns") != columns:
        raise Wrong(f"{at}.columns is not {' '.join(columns)}")
    found = members(raw, key, at, limit)
    if set(map(type, found)) <= {list} and set(map(len, found)) <= {len(columns)}:
        try:
            cells = map(_HEX32.__getitem__, chain.from_iterable(found))
            return list(zip(*[cells] * len(columns), strict=True))
        except (TypeError, Wrong):
            pass
    for place, row in enumerate(found):  # something is wrong: now by each step, to name the place
        if not isinstance(row, list) or len(row) != len(columns):
            raise Wrong(f"{at}.{key}[{place}] is not a list of {len(columns)}: {' '.join(columns)}")
        for column, cell in enumerate(row):
            hexadecimal(cell, f"{at}.{key}[{place}][{column}]", 32)
    raise Wrong(f"{at}.{shown(key)} is not a table")


def number_twice(numbers: tuple[int, ...] | list[int], at: str) -> None:
    """Raises Wrong where a number stands twice."""
    if len(set(numbers)) != len(numbers):
        seen: set[int] = set()
        for number in numbers:
            if number in seen:
                raise Wrong(f"{at} has {number:#x} twice")
            seen.add(number)


def text_or_none(raw: Mapping[str, Any], key: str, at: str) -> str | None:
    """The text ``raw[key]``, None where it is null or missing."""
    value = raw.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise Wrong(f"{at}.{shown(key)} is not a text")
    if len(value) > TEXT_LIMIT:
        raise Wrong(f"{at}.{shown(key)} has over {TEXT_LIMIT} characters")
    return value
