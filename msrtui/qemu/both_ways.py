"""A guest's CPU where the source does not say all: worked out with what is not known off, and again with it on.

What comes out the same both ways is known all the same; what does not is not.
"""

from __future__ import annotations

from typing import NamedTuple

from msrtui.qemu.cpu_request import CpuRequest
from msrtui.qemu.filtering import GuestCpu, guest_cpu, unavailable_features
from msrtui.qemu.state import KvmState
from msrtui.qemu.words import Supported, SupportedWord
from msrtui.values import replace


class BothWays(NamedTuple):
    """One ``-cpu`` with what is not known off (``low``) and on (``high``): one object where all is known."""

    low: GuestCpu
    high: GuestCpu

    def bit(self, word: str, bit: int, *, expanded: bool = False) -> bool | None:
        """One bit of the guest, with ``expanded`` before the filter; None where it is not known."""
        one, other = self.low.words[word], self.high.words[word]
        before = _alike(one.expanded, other.expanded, bit)
        # where it is not known what the filter gets, its answer is no knowledge either
        return before if before is None or expanded else _alike(one.value, other.value, bit)

    @property
    def warnings(self) -> tuple[str, ...]:
        """QEMU's lines: those that come either way."""
        sure = set(self.high.warnings)
        return tuple(line for line in self.low.warnings if line in sure)

    @property
    def refused(self) -> str | None:
        """QEMU's last line where ``enforce`` ends it either way."""
        return self.high.refused if self.low.refused is not None else None


def _alike(one: int | None, other: int | None, bit: int) -> bool | None:
    if one is None or other is None or (one ^ other) >> bit & 1:
        return None
    return bool(one >> bit & 1)


class Guests:
    """Makes the guests of one host under one QEMU: the words are looked through once, for as many as are wanted."""

    def __init__(self, state: KvmState, words: Supported) -> None:
        self._state = state
        self._low = {name: _filled(state, word, on=False) for name, word in words.items()}
        sure = all(word.supported is not None and not word.unknown for word in words.values())
        self._high = self._low if sure else {name: _filled(state, word, on=True) for name, word in words.items()}

    def guest(self, request: CpuRequest) -> BothWays:
        """The guest of one ``-cpu``."""
        low = guest_cpu(self._state, self._low, request)
        return BothWays(low, low if self._high is self._low else guest_cpu(self._state, self._high, request))

    def unavailable(self, request: CpuRequest) -> tuple[bool | None, list[str] | None]:
        """(nothing is filtered, unavailable-features as query-cpu-definitions lists them); None: not known."""
        both = self.guest(request)
        tables = self._state.profile.tables
        one, other = (unavailable_features(tables, cpu) for cpu in both)
        return (None if bool(one) != bool(other) else not one), (one if one == other else None)


def _filled(state: KvmState, word: SupportedWord, *, on: bool) -> SupportedWord:
    """The word with the bits that are not known all off or all on."""
    if word.supported is not None and not word.unknown:
        return word
    every = (1 << (64 if word.word.kind == "msr" else 32)) - 1
    bits = (every if word.supported is None else word.unknown) if on else 0
    offered = bits & word.word.migratable_mask if state.profile.migratable else bits
    return replace(word, supported=(word.supported or 0) | bits, migratable=(word.migratable or 0) | offered)
