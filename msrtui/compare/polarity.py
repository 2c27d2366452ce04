"""What a bit about speculation says of a CPU: whether set is the good news, the bad news or neither.

Of the bits of ARCH_CAPABILITIES, and of those in CPUID that a guest's kernel chooses its defences by. It reads them
when it boots: a guest that goes on elsewhere keeps the choice that it made.
Source: Intel SDM volume 4 table 2-2 (IA32_ARCH_CAPABILITIES) and Intel's guidance on each flaw, AMD APM volume 3
appendix E; arch/x86/kernel/cpu/common.c cpu_set_bug_bits and bugs.c, which read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Sign = Literal["good", "bad", "neutral"]
Because = Literal["immune", "defence", "spared", "exposed", "switch"]
"""``immune``: the CPU has not the flaw, so a guest leaves its defence out. ``defence``: there is something that a
guest defends itself with. ``spared``: a hypervisor may leave something out. ``exposed``: the usual defence is not
enough here. ``switch``: something can be chosen, or a register is there; it tells of no flaw."""


class Polarity(NamedTuple):
    """Of a bit that is set."""

    sign: Sign
    because: Because


_IMMUNE, _DEFENCE = Polarity("good", "immune"), Polarity("good", "defence")
_SPARED, _EXPOSED = Polarity("good", "spared"), Polarity("bad", "exposed")
_SWITCH = Polarity("neutral", "switch")

_WORDS: Mapping[str, Mapping[Polarity, tuple[int, ...]]] = {
    "FEAT_ARCH_CAPABILITIES": {
        # RDCL, SSB, MDS, page-size change, TAA, SBDR/SSDP, FBSDP, PSDP, BHI, PBRSB, GDS, RFDS, ITS
        _IMMUNE: (0, 4, 5, 6, 8, 13, 14, 15, 20, 24, 26, 27, 62),
        # IBRS that stays on; VERW that also clears fill buffers, register files
        _DEFENCE: (1, 17, 28),
        # no flush of L1D before a nested guest is entered
        _SPARED: (3,),
        # RSBA and RRSBA: returns may take their target from elsewhere, so retpolines alone do not hold
        _EXPOSED: (2, 19),
        # TSX_CTRL, package controls, energy filter, DOITM, microcode status, and locks of what was switched
        _SWITCH: (7, 10, 11, 12, 16, 18, 21, 23, 25),
    },
    "FEAT_7_0_EDX": {
        # srbds-ctrl, md-clear, spec-ctrl (IBRS and IBPB), stibp, flush-l1d, ssbd
        _DEFENCE: (9, 10, 26, 27, 28, 31),
        # rtm-always-abort, tsx-force-abort, and the MSRs that say more: without them a guest thinks the worst
        _SWITCH: (11, 13, 29, 30),
    },
    "FEAT_7_2_EDX": {_DEFENCE: (0, 1, 2, 3, 4), _IMMUNE: (5,)},
    "FEAT_8000_0008_EBX": {
        # ibpb, ibrs, stibp, IBRS that protects the same mode, ssbd in two ways, psfd, IBPB that clears returns too
        _DEFENCE: (12, 14, 15, 19, 24, 25, 28, 30),
        # no speculative store bypass, no branch type confusion
        _IMMUNE: (26, 29),
        # what the CPU's maker would rather have switched on for good
        _SWITCH: (16, 17, 18),
    },
    "FEAT_8000_0021_EAX": {
        # LFENCE that waits, VERW that clears, automatic IBRS, ERAPS, SBPB, IBPB that clears branch types
        _DEFENCE: (2, 5, 8, 24, 27, 28),
        # no SRSO at all, or not between user and kernel
        _IMMUNE: (29, 30),
    },
    "FEAT_8000_0021_ECX": {_IMMUNE: (1, 2)},
}
POLARITY: Mapping[str, Mapping[int, Polarity]] = {
    word: {bit: polarity for polarity, bits in rows.items() for bit in bits} for word, rows in _WORDS.items()
}
"""By feature word and bit."""
WORD_OF_MSR = {0x10A: "FEAT_ARCH_CAPABILITIES"}
SYNTHETIC = 1 << 3 | 1 << 6 | 1 << 62
"""Bits of ARCH_CAPABILITIES that a kernel sets by what it knows itself: no microcode brings them.
Source: arch/x86/kvm/x86.c kvm_get_arch_capabilities."""


def polarity_of(word: str, bit: int) -> Polarity | None:
    """What the bit of a feature word says of the CPU when it is set; None where it is about something else."""
    return POLARITY.get(word, {}).get(bit)


def mask_of(word: str) -> int:
    """The bits of a feature word that are about speculation."""
    return sum(1 << bit for bit in POLARITY.get(word, ()))
