"""What the sentences of lint are made with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from msrtui.qemu.profile import QemuProfile

KERNEL_BUG = "Try a newer kernel; else report it to who makes this KVM."
"""What to do about answers that no reader can mend."""


class Said(NamedTuple):
    """``text`` is one sentence or a few; ``do`` what helps, None where there is nothing to do."""

    text: str
    do: str | None


Params: TypeAlias = Mapping[str, Any]
"""A finding's, and ``qemu``: the profile that it was found with."""
Say: TypeAlias = Callable[[Params], Said]


def without(p: Params, word: str, bit: int) -> str:
    """How a guest is made without a bit: by the name that this QEMU has for it."""
    qemu: QemuProfile = p["qemu"]
    row = qemu.tables.word_by_name.get(word)
    if row is not None and bit in row.bits:
        return f"-cpu …,-{row.bits[bit]}"
    return f"QEMU {qemu.label} has no name for it, and gives it to no guest that may migrate"


def fixed_text(text: str, do: str | None = None) -> Say:
    """The same sentence for every finding of a rule."""
    return lambda _p: Said(text, do)
