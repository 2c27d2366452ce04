"""One paste for a bug tracker: all that helps to understand one host from afar, as Markdown, text and JSON.

What a host or a file says stands in fenced blocks, and nothing in it can end one. The paste is made of the snapshot
that goes with it: where that was redacted, so is the paste.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msrtui import __version__
from msrtui.catalog import short_name
from msrtui.cleaning import printable
from msrtui.compare.lint import Linted
from msrtui.compare.side import Side
from msrtui.explain.predict import Prediction
from msrtui.kvm import abi
from msrtui.kvm.collector import plain
from msrtui.kvm.requests import AnyRequest, MsrReading, Reply
from msrtui.qemu.filtering import unavailable_names
from msrtui.report.failures import asked_text
from msrtui.report.heading import qemu_of
from msrtui.report.home import at_home, home_text
from msrtui.report.lint import WIDTH, counts, finding_document, finding_lines, unchecked_sentence
from msrtui.report.naming import ranges
from msrtui.report.parameters import PARAMETERS
from msrtui.report.paste_words import changed_words, changed_words_document
from msrtui.report.refusals import rule_text
from msrtui.report.shape import aligned, counted, grouped, hexed, wrapped
from msrtui.snapshot.codec import encode
from msrtui.values import dataclass, field

LIMIT = 65_536
"""Characters that GitHub takes in one comment."""
_LINES = 60
"""So many lines of QEMU's are shown; the rest is counted."""


@dataclass(frozen=True)
class Paste:
    """What a paste is made of. ``shown_as`` is what it calls its source. ``readings`` are the feature MSRs.

    ``document`` is the snapshot that goes along, None for none; ``taken_out`` are the JSON paths of what was taken
    from it, None where it was not redacted. ``failures`` are the questions that KVM did not answer.
    """

    side: Side
    linted: Linted
    shown_as: str
    readings: Mapping[int, MsrReading] = field(default_factory=dict)
    document: Mapping[str, Any] | None = None
    taken_out: Sequence[str] | None = None
    failures: Sequence[tuple[AnyRequest, Reply]] = ()


# --- for a ticket ------------------------------------------------------------------------------------------------
def paste_markdown(paste: Paste) -> str:
    """The paste, with its snapshot folded away as long as both fit into one comment."""
    body = f"**msrtui {__version__} report**\n"
    for title, lines in _sections(paste):
        body += f"\n**{title}**\n\n{fenced(lines)}"
    if paste.document is None:
        return body
    for text in (encode(dict(paste.document)), json.dumps(paste.document, separators=(",", ":"), sort_keys=True)):
        folded = body + _folded(text, paste)
        if len(folded) <= LIMIT:
            return folded
    return body + (
        f"\nThe snapshot would make this longer than the {LIMIT:,} characters of one comment: "
        "`msrtui capture -o FILE`, `msrtui redact FILE -o REDACTED`, and attach it.\n"
    )


def _folded(text: str, paste: Paste) -> str:
    """The snapshot in a block that opens on a click. Backticks and < are in its strings only: JSON can spell them."""
    safe = text.strip().replace("`", "\\u0060").replace("<", "\\u003c").replace("\x7f", "\\u007f")
    redacted = "" if paste.taken_out is None else ", redacted"
    summary = f"The snapshot{redacted}: save it as a file, and <code>msrtui FILE</code> shows this host"
    return f"\n<details><summary>{summary}</summary>\n\n```json\n{safe}\n```\n\n</details>\n"


def fenced(lines: Sequence[str]) -> str:
    """Lines in a block that nothing in them can end, and without what could drive a terminal."""
    kept = "\n".join(printable(line, " ") for line in lines)
    return f"```text\n{kept.replace('```', chr(39) * 3)}\n```\n"


def paste_text(paste: Paste) -> str:
    """The same for a terminal, without the snapshot."""
    lines = [f"msrtui {__version__} report"]
    for title, section in _sections(paste):
        lines += ["", title, *(f"  {line}".rstrip() for line in section)]
    if paste.document is not None:
        lines += ["", "The snapshot goes along where this is written or piped: msrtui report … -o FILE"]
    return "".join(printable(line, " ") + "\n" for line in lines)


# --- the sections ------------------------------------------------------------------------------------------------
def _sections(paste: Paste) -> Iterator[tuple[str, list[str]]]:
    yield "Host and QEMU", list(aligned(_who(paste), ""))
    rows = list(_parameters(paste.side))
    if rows:
        yield "Module parameters", rows
    if paste.failures:
        yield "KVM did not answer", list(_failed(paste))
    yield "Outcome", list(_outcome(paste.side))
    yield "KVM's lists", list(_lists(paste))
    if paste.side.outcome is not None:
        yield "What QEMU made of KVM's words", list(changed_words(paste.side))
        yield "What the guest lacks", list(_lacks(paste.side))
    lint = [counts(paste.linted), *finding_lines(paste.linted, paste.side.profile)]
    if paste.linted.unchecked:
        lint += ["", *wrapped(unchecked_sentence(paste.linted), "", "  ", WIDTH)]
    yield "msrtui lint", lint


def _who(paste: Paste) -> Iterator[tuple[str, str]]:
    side, about = paste.side, paste.side.about
    yield "source", plain(paste.shown_as, 60) + (f", taken {plain(about.when, 40)}" if about.when else "")
    yield "QEMU", f"{qemu_of(side.profile).removeprefix('QEMU ')} (worked out: no QEMU was run)"
    yield "-cpu", plain(side.request.text, 200)
    facts = (
        ("CPU", about.cpu),
        ("emulated by", about.carried_by),
        ("vendor", side.vendor),
        ("microcode", about.microcode),
        ("BIOS", about.bios),
        ("under", about.hypervisor),
        ("kernel", about.kernel),
        ("started with", " ".join(about.command_line)),
        ("module", about.vendor_module),
    )
    for name, told in facts:
        if told:
            yield name, " ".join(plain(told).split())


def _parameters(side: Side) -> Iterator[str]:
    """Those that decide what KVM offers, a module a line."""
    for module, known in side.about.parameters.items():
        told = [f"{name}={plain(value, 20)}" for name, value in sorted(known.items()) if (module, name) in PARAMETERS]
        if told:
            yield from wrapped(" ".join(told), f"{plain(module, 20)}  ", "    ", WIDTH)


def _outcome(side: Side) -> Iterator[str]:
    """Whether it starts, as far as KVM's rules or a probe in the snapshot tell; QEMU's own lines."""
    found = at_home(side)
    answer, why = home_text(found)
    if found.outcome in ("aborts", "ends"):
        yield f"{answer}; QEMU's last words:"
        yield from (f"  {plain(line, 300)}" for line in found.said.splitlines()[:_LINES])
        if found.refused is not None:
            yield from wrapped(f"why: {rule_text(found.refused, side.profile)}", "", "  ", WIDTH)
    else:
        yield from wrapped(f"{answer}: {why}".rstrip(), "", "  ", WIDTH)
    if found.warnings:
        yield "QEMU says on the way:"
        yield from (f"  {plain(line, 200)}" for line in found.warnings[:_LINES])
        if len(found.warnings) > _LINES:
            yield f"  … and {len(found.warnings) - _LINES} lines more"


def _failed(paste: Paste) -> Iterator[str]:
    """The questions that failed, and what that means for the rest."""
    rows = [(asked_text(request), abi.errno_name(reply.errno or 0)) for request, reply in paste.failures]
    yield from aligned(rows[:_LINES], "")
    if len(rows) > _LINES:
        yield f"… and {len(rows) - _LINES} questions more"
    yield from wrapped("what follows is what QEMU would make of that, not what this KVM can", "", "  ", WIDTH)


def _lists(paste: Paste) -> Iterator[str]:
    state = paste.side.state
    if state.index_list is None:
        yield "index list: not known"
    else:
        yield f"index list: {counted(len(state.index_list), 'MSR', 'MSRs')}"
        yield from wrapped(ranges(state.index_list, len(state.index_list)), "  ", "  ", WIDTH)
    if state.feature_list is None:
        yield "feature list: " + ("none, KVM is too old" if state.without_feature_list else "not known")
        return
    yield f"feature list: {counted(len(state.feature_list), 'MSR', 'MSRs')}"
    rows = [
        (hex(index), short_name(index), grouped(reading.value) if reading.status == "ok" else reading.status)
        for index, reading in paste.readings.items()
    ]
    yield from aligned(rows)


def _lacks(side: Side) -> Iterator[str]:
    missing = _unavailable(side)
    if missing is None:
        yield "not known: the source does not say enough"
    elif not missing:
        yield "nothing that it asked for"
    else:
        yield f"{counted(len(missing), 'feature', 'features')} that it asked for and KVM cannot give:"
        yield from wrapped(" ".join(missing), "  ", "  ", WIDTH)


def _unavailable(side: Side) -> list[str] | None:
    """The names that QEMU's filter takes, a bit without one as ``?``; None where it is not known."""
    guest = side.guest
    if guest is None:
        return None
    low, high = (unavailable_names(side.profile.tables, cpu.words) for cpu in guest)
    return [name or "?" for name in dict.fromkeys(low)] if low == high else None


# --- for programs ------------------------------------------------------------------------------------------------
def paste_document(paste: Paste) -> dict[str, Any]:
    """``report --json``: the same facts. What is not known is null."""
    side, about = paste.side, paste.side.about
    state, guest = side.state, side.guest
    return {
        "source": paste.shown_as,
        "qemu": side.profile.label,
        "cpu": side.request.text,
        "msrtui": __version__,
        "options": {
            "machine": side.profile.machine,
            "irqchip": side.profile.irqchip,
            "cpu_pm": side.profile.cpu_pm,
            "pmu": side.profile.pmu,
            "migratable": side.profile.migratable,
        },
        "host": {
            "cpu": about.cpu,
            "vendor": side.vendor,
            "carried_by": about.carried_by,
            "microcode": about.microcode,
            "bios": about.bios,
            "hypervisor": about.hypervisor,
            "kernel": about.kernel,
            "command_line": list(about.command_line),
            "vendor_module": about.vendor_module,
            "parameters": {module: dict(known) for module, known in about.parameters.items()},
        },
        "outcome": _outcome_document(at_home(side)),
        "index_list": None if state.index_list is None else [hex(index) for index in state.index_list],
        "feature_list": None
        if state.feature_list is None
        else [
            {"index": hex(index), "status": reading.status, "value": hexed(reading.value)}
            for index, reading in paste.readings.items()
        ],
        "words": changed_words_document(side),
        "unavailable": _unavailable(side),
        "warnings": None if guest is None else list(guest.warnings),
        "lint": {
            "wrong": paste.linted.wrong,
            "findings": [finding_document(finding, side.profile) for finding in paste.linted.findings],
            "unchecked": list(paste.linted.unchecked),
        },
        "failed": [
            {"question": asked_text(request), "errno": abi.errno_name(reply.errno or 0)}
            for request, reply in paste.failures
        ],
        "taken_out": None if paste.taken_out is None else list(paste.taken_out),
        "snapshot": None if paste.document is None else dict(paste.document),
    }


def _outcome_document(found: Prediction) -> dict[str, Any]:
    return {
        "start": found.outcome,
        "evidence": found.evidence,
        "said": found.said or None,
        "reason": found.reason,
        "refused": None if found.refused is None else [hex(found.refused.index), hex(found.refused.value)],
        "text": ": ".join(part.strip() for part in home_text(found) if part),
    }
