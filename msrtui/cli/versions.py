"""``--qemu VERSION``: as people and QEMU write it, to the profiles that it is worked out with."""

from __future__ import annotations

from typing import TypeAlias

from msrtui.cleaning import typed
from msrtui.errors import BadRequest
from msrtui.qemu import tables
from msrtui.qemu.profile import version_numbers
from msrtui.report.between import Versions

Number: TypeAlias = tuple[int, ...]

_IN_DEVELOPMENT = 50
"""From this micro version on it is what became the next release: 8.2.90 is 9.0's first candidate."""
_HIGHEST_MINOR = 2
"""Since 4.0 a year's releases are .0, .1 and .2."""


def versions_of(text: str) -> Versions:
    """The version in ``text`` (``7.2``, ``7.2.22``, ``v7.2.0``) with its profile, or with both of its neighbours.

    Raises BadRequest where it is no version, older than the oldest profile or newer than the newest.
    """
    known = {_numbers(label): label for label in tables.labels()}
    number = _version(text)
    if number is None or _never_was(number):
        raise BadRequest(f"There is no QEMU {typed(text)}; there are profiles for {', '.join(known.values())}.")
    if number[:2] in known and len(number) == 2:
        return Versions(known[number[:2]], (known[number[:2]],))
    label = ".".join(map(str, number))
    older = [profile for at, profile in known.items() if at < number]
    newer = [profile for at, profile in known.items() if at > number]
    if older and newer:
        return Versions(label, (older[-1], newer[0]))
    end = f"newer than {older[-1]}, the newest" if older else f"older than {newer[0]}, the oldest"
    raise BadRequest(f"QEMU {label} is {end} that msrtui knows; there are profiles for {', '.join(known.values())}.")


def _version(text: str) -> Number | None:
    """(major, minor), with the micro version behind it where that is a step towards the next release."""
    number = version_numbers(text)
    if number is None:
        return None
    return number[:3] if len(number) > 2 and number[2] >= _IN_DEVELOPMENT else number[:2]


def _never_was(number: Number) -> bool:
    return number[0] >= 4 and number[1] > _HIGHEST_MINOR


def _numbers(label: str) -> Number:
    return tuple(int(part) for part in label.split("."))
