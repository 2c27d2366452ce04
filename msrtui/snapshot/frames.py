"""A snapshot between marks, as a collector prints it: found in whatever a login, a mail or Ansible put around it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from msrtui.errors import BadSource

_BEGIN = re.compile(rb"-----BEGIN MSRTUI SNAPSHOT (\d{1,9}) ([0-9a-f]{64})-----")
_END = b"-----END MSRTUI SNAPSHOT-----"
# Ansible keeps what was printed as a JSON text: line ends are two characters there
_ESCAPED_LINE_END = re.compile(rb"\\[rn]")


def has_frame(data: bytes) -> bool:
    """Whether a collector's first mark is in there."""
    return _BEGIN.search(data) is not None


def unframe(data: bytes, shown_as: str) -> bytes:
    """The bytes of the first snapshot that is whole. Raises BadSource where there is none."""
    for found in snapshots(data):
        return found
    if not has_frame(data):
        raise BadSource(f"{shown_as} holds no snapshot: the mark that the collector begins with is missing.")
    raise BadSource(
        f"{shown_as} holds a snapshot that is cut or changed: its length or checksum is wrong. Take it again."
    )


def snapshots(data: bytes) -> Iterator[bytes]:
    """The bytes of every snapshot that is whole, in order."""
    begins = list(_BEGIN.finditer(data))
    # none goes on behind the next one's begin: so each byte is looked at once, however many marks a file may hold
    ends = [begin.start() for begin in begins[1:]] + [len(data)] * bool(begins)
    for begin, last in zip(begins, ends, strict=True):
        end = data.find(_END, begin.end(), last)
        if end < 0:
            continue
        text = _ESCAPED_LINE_END.sub(b"", data[begin.end() : end])
        try:
            inside = base64.b64decode(b"".join(text.split()), validate=True)
        except (binascii.Error, ValueError):
            continue
        import hashlib  # a plain capture has nothing to be summed; OpenSSL is dear to load

        whole = len(inside) == int(begin[1]) and hashlib.sha256(inside).hexdigest().encode() == begin[2]
        if whole:
            yield inside
