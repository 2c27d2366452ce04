"""Every rule that a decision can name: where it stands in QEMU. What it does is in the code that applies it.

Sentences about a rule are made where they are shown; a test holds that each rule here has one.
"""

from __future__ import annotations

from typing import NamedTuple

KVM_C = "target/i386/kvm/kvm.c"
CPU_C = "target/i386/cpu.c"
KVM_CPU_C = "target/i386/kvm/kvm-cpu.c"


class Rule(NamedTuple):
    """``file`` and ``function`` are QEMU's, as of the versions that have them."""

    id: str
    file: str
    function: str

    def source(self, version: str) -> str:
        """Where to read it: file, function, version."""
        return f"{self.file}: {self.function}, QEMU {version}"


RULES: dict[str, Rule] = {}


def register(rule_id: str, file: str, function: str) -> str:
    """Enter a rule into the table and hand its id back. Raises ValueError where the id is taken."""
    if rule_id in RULES:
        raise ValueError(f"two rules are called {rule_id}")
    RULES[rule_id] = Rule(rule_id, file, function)
    return rule_id
