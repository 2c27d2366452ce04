"""What a lint rule is, what it finds, and the table that every rule stands in. Makes no sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from msrtui.compare.lint.answers import Answers, Need
from msrtui.subjects import Subject
from msrtui.values import dataclass, field

Severity = Literal["wrong", "odd", "hidden", "note"]
"""``wrong``: two answers exclude each other, or QEMU dies of one. ``odd``: answers that do not fit together as those
of the kernels do that msrtui knows; something may fail later. ``hidden``: a setting takes something away. ``note``:
nothing is amiss, but it surprises people."""
SEVERITIES: tuple[Severity, ...] = ("wrong", "odd", "hidden", "note")
"""The worst first."""


@dataclass(frozen=True)
class Found:
    """What one look of a rule gave: the subjects, the first the most telling, and the numbers that a sentence needs."""

    subjects: tuple[Subject, ...]
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """One finding on one host."""

    rule: str
    severity: Severity
    subjects: tuple[Subject, ...]
    params: Mapping[str, Any] = field(default_factory=dict)


Check: TypeAlias = Callable[[Answers], Iterator[Found]]


class Rule(NamedTuple):
    """One named rule. ``needs`` is what it looks at: where the source does not say that, it is not held."""

    id: str
    severity: Severity
    needs: tuple[Need, ...]
    check: Check


RULES: dict[str, Rule] = {}
"""Every rule by its id, in the order in which they are held."""


def rule(rule_id: str, severity: Severity, *needs: Need) -> Callable[[Check], Check]:
    """Register the function below as the rule ``rule_id``."""

    def registered(check: Check) -> Check:
        assert rule_id not in RULES, rule_id
        RULES[rule_id] = Rule(rule_id, severity, needs, check)
        return check

    return registered


def msrs(indices: list[int] | tuple[int, ...]) -> tuple[Subject, ...]:
    """MSRs as subjects."""
    return tuple(("msr", index) for index in indices)


def bits(word: str, mask: int) -> tuple[Subject, ...]:
    """The bits of a mask as subjects."""
    return tuple(("bit", word, bit) for bit in range(mask.bit_length()) if mask >> bit & 1)
