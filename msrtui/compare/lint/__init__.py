"""Lint: contradictions among what one host says of itself, what hides something there, and what surprises.

Each rule stands in a table (``RULES``) with its id, how much it weighs and what it looks at; the rooms beside this one
hold them by subject. A rule that looks at what the source does not say is not held, and that is told too.
"""

from __future__ import annotations

from typing import NamedTuple

from msrtui.compare.lint import cpuid_rules, gates, list_rules, parameter_rules, value_rules, vmx_rules
from msrtui.compare.lint.answers import Answers, Need, answers_of
from msrtui.compare.lint.rules import RULES, SEVERITIES, Finding, Rule, Severity
from msrtui.compare.side import Side
from msrtui.subjects import Subject

__all__ = [
    "RULES",
    "SEVERITIES",
    "Answers",
    "Finding",
    "Linted",
    "Need",
    "Rule",
    "Severity",
    "Subject",
    "answers_of",
    "lint",
    "lint_answers",
]

ROOMS = (gates, list_rules, value_rules, cpuid_rules, vmx_rules, parameter_rules)
"""Where the rules are registered."""


class Linted(NamedTuple):
    """``findings``: the worst first, then in the rules' order. ``unchecked``: rules that could not be held, by id."""

    findings: tuple[Finding, ...]
    unchecked: tuple[str, ...]

    @property
    def wrong(self) -> bool:
        """Whether a finding is a contradiction."""
        return any(finding.severity == "wrong" for finding in self.findings)


def lint(side: Side) -> Linted:
    """Hold every rule against the host of a side, as the QEMU of that side sees it."""
    return lint_answers(answers_of(side))


def lint_answers(answers: Answers) -> Linted:
    """The same for answers that are in hand."""
    found: list[Finding] = []
    unchecked: list[str] = []
    with answers.answerer.held():
        for each in RULES.values():
            if not all(answers.knows(need) for need in each.needs):
                unchecked.append(each.id)
                continue
            found += [Finding(each.id, each.severity, one.subjects, one.params) for one in each.check(answers)]
    found.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return Linted(tuple(found), tuple(unchecked))
