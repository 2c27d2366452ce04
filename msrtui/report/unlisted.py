"""What is said before an MSR is asked for that KVM does not list; it needs nothing but the number."""

from __future__ import annotations


def unlisted_note(index: int, typed: str, known: bool) -> str:
    """What to say before an MSR is asked for that is not in kvm_feature_msrs, or (not ``known``) may not be."""
    decimal = f" ({typed} is decimal; 0x{typed} is written with its 0x)" if typed.isdigit() else ""
    if not known:
        return f"kvm_feature_msrs is not known yet: whether {index:#x}{decimal} is in it cannot be said."
    return (
        f"{index:#x}{decimal} is not in kvm_feature_msrs. An answer of 0 will say nothing: from Linux 6.12 on KVM "
        "gives it for any MSR of its index list."
    )
