"""Names of MSRs: from an index to its symbols, and from what a person types to an index.

Symbols are those of the kernel's headers (``arch/x86/include/asm/msr-index.h`` and its neighbours), see the
header of ``names.json``. Nothing here knows what is in a register.
"""

from __future__ import annotations

from functools import cache
from typing import TypedDict

from msrtui.catalog.makers import Maker
from msrtui.catalog.tables import load_table

_INDEX_LIMIT = 1 << 32  # RDMSR takes the index in ECX
_SHOWN_TEXT = 60  # as much of what was typed as a message repeats


class UnknownMsr(ValueError):
    """What was typed is neither the number nor the name of an MSR; ``str()`` is one sentence to show.

    ``text`` is what was typed; ``nearest`` holds up to three short names like it, the likeliest first.
    """

    def __init__(self, text: str, sentence: str, nearest: tuple[str, ...] = ()) -> None:
        super().__init__(sentence)
        self.text = text
        self.nearest = nearest


class _Range(TypedDict):
    first: str
    last: str
    symbols: list[list[str]]


class _Table(TypedDict):
    ranges: list[_Range]
    aliases: dict[str, str]
    names: dict[str, list[str]]


@cache
def _table() -> _Table:
    table: _Table = load_table("names.json")
    return table


def names_of(index: int) -> tuple[str, ...]:
    """Return every symbol of the MSR ``index``, the one to show first; () where none is known.

    Registers that come in runs (machine-check banks, variable MTRRs, x2APIC) have a computed symbol.
    """
    table = _table()
    listed = table["names"].get(hex(index))
    if listed is not None:
        return tuple(listed)
    for run in table["ranges"]:
        first = int(run["first"], 16)
        if first <= index <= int(run["last"], 16):
            number, which = divmod(index - first, len(run["symbols"]))
            return tuple(template.format(n=number) for template in run["symbols"][which])
    return ()


_OF_A_KIND: dict[str, Maker | None] = {
    "MSR_IDT_": None,
    "MSR_K6_": None,
    "MSR_GEODE_": None,
    "MSR_AMD64_": "amd",
    "MSR_P4_": "intel",
    "MSR_P6_": "intel",
    "MSR_ATOM_": "intel",
}
"""Whose CPUs call a register so, by how a symbol begins; None: CPUs that have neither VMX nor SVM, and so no KVM."""


def other_names_on(index: int, maker: Maker | None) -> tuple[str, ...]:
    """Return the symbols of the MSR ``index`` but the one to show, less those of CPUs that the host's cannot be.

    ``maker`` is whose kind of CPU it is (``catalog.makers``), None where that is not known.
    """
    here = ("intel", "amd") if maker is None else (maker,)
    elsewhere = tuple(start for start, owner in _OF_A_KIND.items() if owner not in here)
    return tuple(symbol for symbol in names_of(index)[1:] if not symbol.startswith(elsewhere))


def short_name(index: int) -> str:
    """Return the name that panes show: the first symbol without MSR_ and IA32_, or ``hex(index)``.

    Hyper-V's keep an ``HV_`` in front (``HV_X64_MSR_EOI`` is ``HV_EOI``).
    """
    names = names_of(index)
    return _shortened(names[0]) if names else hex(index)


def known_msrs() -> dict[int, tuple[str, ...]]:
    """Return every MSR that has a name, those of the runs included, by index: its symbols as ``names_of`` gives them.

    Listed ones come first, in the table's order, then the runs.
    """
    table = _table()
    found = {int(written, 16): tuple(symbols) for written, symbols in table["names"].items()}
    for run in table["ranges"]:
        for index in range(int(run["first"], 16), int(run["last"], 16) + 1):
            if index not in found:
                found[index] = names_of(index)
    return found


def find_msr(text: str) -> int:
    """Return the index that ``text`` stands for.

    ``0x10a`` is hexadecimal, ``266`` decimal; all else is a name, with or without MSR_ and IA32_, in any
    case, with ``-`` or a space for ``_``; and what is no name but made of hex digits (``48b``, ``4b564d01``)
    is hexadecimal after all. Groups may be parted by ``_`` as the panes show them (``0x4b56_4d01``).

    Raises:
        UnknownMsr: no such name, a number that cannot be an index (below 0, 2**32 or more), or nothing.
    """
    typed = text.strip()
    if not typed:
        raise UnknownMsr(text, "no MSR was given: write a number (0x10a, 266) or a name (ARCH_CAPABILITIES)")
    digits = typed.lower().replace("_", "")
    if digits.startswith(("0x", "-0x", "+0x")) and _is_hex(digits.partition("x")[2]):
        return _checked(text, typed, digits.partition("x")[2], 16)
    if digits.lstrip("-+") and _is_decimal(digits.lstrip("-+")):
        return _checked(text, typed, digits.lstrip("-+"), 10)
    key = _key(typed)
    if key in _listed_names():
        return _listed_names()[key]
    if key in _computed_names():
        return _computed_names()[key]
    if _is_hex(digits):
        return _checked(text, typed, digits, 16)
    raise _no_such_name(text, typed)


def _is_decimal(digits: str) -> bool:
    # int() would also take the digits of other scripts
    return digits.isascii() and digits.isdecimal()


def _is_hex(digits: str) -> bool:
    return bool(digits) and all(digit in "0123456789abcdef" for digit in digits)


def _checked(text: str, typed: str, digits: str, base: int) -> int:
    significant = digits.lstrip("0") or "0"
    # the length comes first: Python refuses to read a decimal of thousands of digits
    index = int(significant, base) if len(significant) <= 10 else _INDEX_LIMIT
    if (typed.startswith("-") and index) or index >= _INDEX_LIMIT:
        raise UnknownMsr(text, f"{_quoted(typed)} cannot be an MSR: indices go from 0x0 to 0xffffffff")
    return index


def _shortened(symbol: str) -> str:
    for prefix in ("HV_X64_MSR_", "HV_MSR_"):
        if symbol.startswith(prefix):
            return "HV_" + symbol.removeprefix(prefix)
    return symbol.removeprefix("MSR_").removeprefix("IA32_")


def _key(name: str) -> str:
    """The spelling under which names are compared: short, upper case, ``_`` between the words."""
    return _shortened(name.upper().replace("-", "_").replace(" ", "_"))


@cache
def _listed_names() -> dict[str, int]:
    table = _table()
    found = {alias: int(index, 16) for alias, index in table["aliases"].items()}
    for written, symbols in table["names"].items():
        index = int(written, 16)
        for symbol in symbols:
            found[_key(symbol)] = index
    return found


@cache
def _computed_names() -> dict[str, int]:
    # apart from the listed ones, as most names are found there and these take longer to make
    return {
        _key(symbol): index
        for run in _table()["ranges"]
        for index in range(int(run["first"], 16), int(run["last"], 16) + 1)
        for symbol in names_of(index)
    }


def _no_such_name(text: str, typed: str) -> UnknownMsr:
    nearest = _nearest(typed)
    if not nearest:
        return UnknownMsr(
            text,
            f"no MSR is called {_quoted(typed)}: write a number (0x10a, 266) or a name (ARCH_CAPABILITIES)",
        )
    *others, last = nearest
    named = f"{', '.join(others)} and {last} come" if others else f"{last} comes"
    return UnknownMsr(text, f"no MSR is called {_quoted(typed)}: {named} nearest", nearest)


def _nearest(typed: str) -> tuple[str, ...]:
    """Up to three short names: those that hold what was typed, shortest first, then those spelt like it."""
    from difflib import get_close_matches  # only a mistake needs it

    key = _key(typed[:_SHOWN_TEXT])
    known = _computed_names() | _listed_names()
    holding = sorted((name for name in known if key in name), key=lambda name: (len(name), name))
    if len(key) < 3:
        holding = []  # a letter or two is in every other name
    close = get_close_matches(key, known, n=6, cutoff=0.6)
    names = dict.fromkeys(short_name(known[name]) for name in (*holding[:3], *close))
    return tuple(names)[:3]


def _quoted(typed: str) -> str:
    # repr() keeps what could drive a terminal out of a message
    return repr(typed if len(typed) <= _SHOWN_TEXT else typed[:_SHOWN_TEXT] + "...")
