"""A snapshot's text in two parts, what KVM and the CPU said and all else, without reading it as JSON.

For who reads thousands: most hosts of a fleet say the same, in the same text. Only the layout that ``codec.encode``
writes is known here, each member of the document on a line of its own. Where both parts are JSON by themselves the
text was, with the same members; the strict checks of each part are then those of the whole.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from msrtui.snapshot import frames
from msrtui.snapshot.codec import read_document
from msrtui.snapshot.strict import Wrong, parse

_FIRST, _LAST, _NEXT = b'{\n "', b"\n}\n", b',\n "'
_SAID = (b'cpuid": ', b'kvm": ')
_MEMBERS = {"cpuid", "kvm"}


class Parts(NamedTuple):
    """Two texts of JSON objects: ``said`` has the members ``cpuid`` and ``kvm``, ``rest`` all others."""

    said: bytes
    rest: bytes


def parts_of(data: bytes) -> Parts | None:
    """The parts of a file's text; None where it is laid out in another way. That they are JSON is not known yet."""
    if not (data.startswith(_FIRST) and data.endswith(_LAST)) or frames.has_frame(data) or b"eax=0x" in data[:4096]:
        return None
    members = data[len(_FIRST) : -len(_LAST)].split(_NEXT)
    said = [member for member in members if member.startswith(_SAID)]
    rest = [member for member in members if not member.startswith(_SAID)]
    if len(said) != len(_SAID) or not rest:
        return None
    one, other = (_FIRST + _NEXT.join(part) + _LAST for part in (said, rest))
    return Parts(one, other)


def rest_document(parts: Parts, shown_as: str) -> dict[str, Any] | None:
    """The members of ``rest``, checked as ``codec.read_document`` does; None where that has to look at the whole.

    Raises BadSource as that does.
    """
    rest = read_document(parts.rest, shown_as)
    return rest if rest.keys().isdisjoint(_MEMBERS) else None  # a member that is there twice, written in another way


def whole_document(parts: Parts, shown_as: str) -> dict[str, Any] | None:
    """The document of both parts, as ``codec.read_document`` gives it; None where that has to look at the whole.

    Raises BadSource as that does, where what is wrong is in the rest.
    """
    try:
        said = parse(parts.said)
    except Wrong:
        return None
    rest = rest_document(parts, shown_as)
    return None if rest is None or said.keys() != _MEMBERS else {**rest, **said}
