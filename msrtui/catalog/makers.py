"""Whose kind of CPU it is, by the first four letters of the vendor's name (CPUID leaf 0, EBX).

Source: the kernel's arch/x86/kernel/cpu (what each vendor's file is for) and arch/x86/kvm (VMX on Intel's kind, SVM on
AMD's).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

Maker: TypeAlias = Literal["intel", "amd"]

_MAKERS: dict[int, Maker] = {
    0x756E6547: "intel",  # GenuineIntel
    0x746E6543: "intel",  # CentaurHauls
    0x68532020: "intel",  # Shanghai
    0x68747541: "amd",  # AuthenticAMD
    0x6F677948: "amd",  # HygonGenuine
}


def maker_of(ebx: int) -> Maker | None:
    """Intel's kind (VMX) or AMD's (SVM), by the 32 bits of leaf 0's EBX; None for any other."""
    return _MAKERS.get(ebx)
