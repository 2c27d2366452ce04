"""What lint found about the thing that is looked at, at the end of its detail."""

from __future__ import annotations

from collections.abc import Iterator

from msrtui.compare.lint import Finding
from msrtui.lines import Line
from msrtui.report.lint_sentences import said_of
from msrtui.tui.session import Session
from msrtui.tui.view.detail.parts import heading, prose

_FEW = 3
"""A note about more things than these is about the host, and is told by the key for all of lint alone."""


def lint_lines(session: Session, width: int) -> list[Line]:
    """The findings about what is selected; [] where there is none, or where they are not worked out yet."""
    lines: list[Line] = []
    for finding in _about(session):
        said = said_of(finding, session.qemu)
        lines += prose(f"{finding.severity}: {said.text}", width)
        if said.do is not None:
            lines += prose(f"→ {said.do}", width, "dim", "  ")
    return [*heading("lint", width), *lines] if lines else []


def _about(session: Session) -> Iterator[Finding]:
    linted = session.linted
    if linted is None:
        return
    here = _same(session)
    for finding in linted.findings:
        many = len(finding.subjects) > _FEW and finding.severity == "note"
        if not many and any(subject in here for subject in finding.subjects):
            yield finding


def _same(session: Session) -> set[tuple[object, ...]]:
    """The subject, and what it is one with: a word and its MSR, a bit of a word and the word."""
    subject = session.subject
    here = {subject}
    words = session.qemu.tables.word_by_name
    if subject[0] in ("word", "bit") and subject[1] in words:
        word = words[str(subject[1])]
        if subject[0] == "word":
            here |= {("bit", word.name, bit) for bit in range(64)}
            if word.kind == "msr":
                here.add(("msr", word.index))
    elif subject[0] == "msr" and subject[1] in session.qemu.tables.word_by_msr:
        here.add(("word", session.qemu.tables.word_by_msr[int(str(subject[1]))].name))
    return here
