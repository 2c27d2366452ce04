"""Compiles the sources on standard input, for an archive, in a process of its own: the same ones give the same bytes.

What ``marshal`` writes depends on what else the process holds, and on the seed of its hashes; in a new process with a
fixed seed it does not. It imports nothing of ours. In: a mapping of names to sources; out: of names to what would be
their ``.pyc``; both by ``marshal``.
"""

from __future__ import annotations

import marshal
import sys
from importlib.util import MAGIC_NUMBER

_UNCHECKED = (1).to_bytes(4, "little") + bytes(8)
"""A hash stands for the source, and is not looked at (PEP 552): nobody changes a source in an archive."""


def compiled(name: str, source: bytes) -> bytes:
    """The ``.pyc`` of a source; another Python than this one passes it over."""
    return MAGIC_NUMBER + _UNCHECKED + marshal.dumps(compile(source, name, "exec", dont_inherit=True))


if __name__ == "__main__":
    given: dict[str, bytes] = marshal.load(sys.stdin.buffer)
    marshal.dump({name: compiled(name, source) for name, source in given.items()}, sys.stdout.buffer)
