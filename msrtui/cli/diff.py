"""``msrtui diff``: what differs between KVMs, and whether a guest can move from one to another."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msrtui.cli.options import SOURCE_HELP, Parser, add_json, add_profile, command_parser, profile_from
from msrtui.cli.output import note, say, say_json
from msrtui.cli.watching import Watching
from msrtui.errors import BadRequest
from msrtui.qemu.profile import DEFAULT_VERSION
from msrtui.snapshot.sources import may_be_source, no_such_source

if TYPE_CHECKING:
    from msrtui.compare.differences import Difference
    from msrtui.compare.side import Side

_EPILOG = """Compares what KVM answers and what a guest gets. First the verdicts: whether a guest that runs on one host
can move to the other, and if not, which bits are missing there and at which layer. With more than two the first is
compared with each of the others. Then what differs: what a guest sees, what QEMU alone sees, what is KVM's own. Order
in a list, APIC ids, topology, how many CPUs there are and what is switched on now are no difference; kernels,
microcode, mitigations and module parameters are named, but hosts that answer the same are alike all the same.
With a FOLDER of snapshots, a 'PATTERN*' in quotes or more than 16 sources it groups them by what their KVMs answer,
names the odd ones with what differs, and says among which hosts guests can move freely; --csv has a row a host.
With --drift the two are one host before and after: its changes by their likely cause, and what that means for guests.
With --qemu OLD --qemu NEW one host is read by both (whether a guest sees the same CPU after an upgrade: give its
--machine too), or the first host by the one and the second by the other.

--json of two or a few stands in  msrtui help json ; of a FOLDER it is {"sources", "qemu", "cpu", "alike",
"differences" (a value a group; null over 16 groups), "verdicts": [{"from", "to", "verdict", "clean", "reasons",
"warnings", "guests", "lacks": {WORD: mask}}], "groups": [{"hosts", "fingerprint", "guest", "cpu", "vendor_module",
"kernel", "microcode", "bios", "hypervisor", "carried_by", "parameters": {NAME: text}, "varies"}], "guests":
[{"guest", "hosts", "groups", "vendor", "ends", "clean", "among_themselves", "moves_to_hosts", "moves_from_hosts"}],
"pools": [{"hosts", "guests"}], "outliers", "skipped"}. Over 40 kinds of guest each is held against the largest only,
and "reasons" is null: "lacks" has the bits.

exit status: 0 alike, 1 they differ; with --can-move 0 the guest of A can move to B, 1 it cannot, 2 not known;
2 could not be done, or KVM did not answer a question of one of them (one sentence on stderr), 130 on Ctrl+C"""


def parser() -> Parser:
    """The command's options."""
    made = command_parser("diff", "What differs between KVMs, and whether a guest can move.", _EPILOG)
    made.add_argument("sources", metavar="SOURCE", nargs="+", help=f"two or more: {SOURCE_HELP.partition(' (')[0]}")
    made.add_argument("--cpu", metavar="MODEL", default="host", help="the guest's -cpu (default host)")
    made.add_argument(
        "--can-move", action="store_true", help="only whether a guest can move from the first to the second"
    )
    made.add_argument("--drift", action="store_true", help="the two are one host, before and after")
    how = made.add_mutually_exclusive_group()
    add_json(how)  # type: ignore[arg-type]
    how.add_argument("--markdown", action="store_true", help="for a ticket")
    how.add_argument("--csv", action="store_true", help="of a folder: a table of one row a host")
    add_profile(made, several=True)
    return made


def run(arguments: list[str]) -> int:
    """Print what differs; the exit code is the answer. Raises MsrtuiError where a source cannot be read."""
    options = parser().parse_args(arguments)

    from msrtui.cli import fleet

    if fleet.is_fleet(options.sources) and not options.drift:
        return fleet.run(options)
    for text in options.sources:
        if not may_be_source(text):
            raise no_such_source(text)
    if options.csv:
        raise BadRequest("--csv is a table of many hosts: give a folder of snapshots, or a pattern in quotes.")
    labels = options.qemu or [DEFAULT_VERSION]
    names = options.sources * 2 if len(labels) == 2 and len(options.sources) == 1 else options.sources
    two = options.can_move or options.drift or len(labels) == 2
    if options.drift and (options.can_move or len(labels) > 1):
        raise BadRequest("--drift is of one host and one QEMU: leave out --can-move and the second --qemu.")
    if len(names) < 2 or len(labels) > 2 or (len(names) > 2 and two):
        wanted = "exactly two sources" if two or len(labels) > 2 else "two sources or more"
        raise BadRequest(f"diff compares {wanted}, or one that two QEMUs read; msrtui hosts lists the bundled ones.")
    profiles = []
    for label in labels:
        options.qemu = label
        profiles.append(profile_from(options))

    from msrtui.compare.differences import differences, matters
    from msrtui.compare.side import side_of
    from msrtui.compare.verdict import can_move
    from msrtui.report import diff
    from msrtui.snapshot.capture import settled
    from msrtui.snapshot.sources import open_source

    opened = {text: Watching(settled(open_source(text))) for text in dict.fromkeys(names)}
    for each in opened.values():
        if each.source.notice is not None:
            note(each.source.notice)
    read_by = profiles if len(profiles) == 2 else profiles * len(names)
    sides = [side_of(opened[text].source, qemu, options.cpu) for text, qemu in zip(names, read_by, strict=True)]
    first, *others = sides
    verdicts = []
    for other in others:
        verdicts += [can_move(first, other)] if options.can_move else [can_move(first, other), can_move(other, first)]
    found = differences(sides)
    if options.drift:
        _say_drift(sides, found, options)
    elif options.json:
        say_json(diff.diff_document(sides, found, verdicts))
    else:
        shown = diff.diff_markdown if options.markdown else diff.diff_text
        say(shown(sides, None if options.can_move else found, verdicts))
    if options.can_move:
        status = {"can": 0, "cannot": 1, "unknown": 2}[verdicts[0].answer]
    else:
        status = 1 if any(matters(difference) for difference in found) else 0
    for each in opened.values():
        status = each.status(status, named=True)
    return status


def _say_drift(sides: Sequence[Side], found: Sequence[Difference], options: argparse.Namespace) -> None:
    from msrtui.compare.drift import drift
    from msrtui.report.drift import drift_document, drift_markdown, drift_text

    changes = drift(sides[0], sides[1], found)
    if options.json:
        say_json(drift_document(sides, found, changes))
    else:
        say((drift_markdown if options.markdown else drift_text)(sides, found, changes))
