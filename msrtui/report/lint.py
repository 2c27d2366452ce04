"""What lint found on one host, as text and JSON: the worst first, each with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msrtui.compare.lint import SEVERITIES, Finding, Linted, Subject
from msrtui.qemu.profile import QemuProfile
from msrtui.report.heading import heading
from msrtui.report.lint_sentences import TITLES, said_of
from msrtui.report.shape import wrapped
from msrtui.snapshot.model import About

WIDTH = 80
"""Columns: findings are pasted into tickets and mails."""
_NAMED = 6


def lint_document(source_name: str, profile: QemuProfile, found: Linted) -> dict[str, Any]:
    """``lint --json``. ``unchecked`` are the rules that look at what the source does not say."""
    return {
        "source": source_name,
        "qemu": profile.label,
        "wrong": found.wrong,
        "findings": [finding_document(finding, profile) for finding in found.findings],
        "unchecked": list(found.unchecked),
    }


def finding_document(finding: Finding, profile: QemuProfile) -> dict[str, Any]:
    """One finding; its subjects with their indices, leaves and parameters as a program reads them."""
    said = said_of(finding, profile)
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "subjects": [_subject(subject) for subject in finding.subjects],
        "text": said.text,
        "do": said.do,
    }


def _subject(subject: Subject) -> list[Any]:
    """MSR indices and leaves in hex; a bit's and a capability's number stay numbers."""
    kind, *rest = subject
    numbers = [hex(each) if kind in ("msr", "leaf") and isinstance(each, int) else each for each in rest]
    return ["cpuid" if kind == "leaf" else kind, *numbers]


def lint_text(source_name: str, about: About, profile: QemuProfile, found: Linted) -> str:
    """The findings under their severities; below, what could not be checked."""
    lines = [
        *wrapped(heading(source_name, about, profile), "", "  ", WIDTH),
        counts(found),
        *finding_lines(found, profile),
    ]
    if found.unchecked:
        lines += ["", *wrapped(unchecked_sentence(found), "", "  ", WIDTH)]
    return "\n".join(lines) + "\n"


def finding_lines(found: Linted, profile: QemuProfile) -> Iterator[str]:
    """The findings, those of a severity below its title."""
    for severity in SEVERITIES:
        of_kind = [finding for finding in found.findings if finding.severity == severity]
        if of_kind:
            yield ""
            yield TITLES[severity]
        for finding in of_kind:
            yield from _one(finding, profile)


def counts(found: Linted) -> str:
    """``1 wrong, 2 odd, 4 notes``, or that there is nothing."""
    numbers = {severity: sum(each.severity == severity for each in found.findings) for severity in SEVERITIES}
    said = [
        f"{count} {severity}{'s' if severity == 'note' and count > 1 else ''}"
        for severity, count in numbers.items()
        if count
    ]
    return ", ".join(said) if said else "nothing found"


def unchecked_sentence(found: Linted) -> str:
    """Which rules were not held; many are counted, and only JSON names them all."""
    count, named = len(found.unchecked), found.unchecked[:_NAMED]
    more = f" and {count - _NAMED} rules more" if count > _NAMED else ""
    return f"Not checked, for the source does not say enough: {', '.join(named)}{more}."


def _one(finding: Finding, profile: QemuProfile) -> Iterator[str]:
    said = said_of(finding, profile)
    yield f"  {finding.rule}"
    yield from wrapped(said.text, "    ", "    ", WIDTH)
    if said.do is not None:
        yield from wrapped(said.do, "    → ", "      ", WIDTH)
