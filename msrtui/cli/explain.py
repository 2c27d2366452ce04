"""``msrtui explain``: what an error message of QEMU, libvirt or the kernel means, and on a given host why."""

from __future__ import annotations

import os
import sys

from msrtui.cli.options import Parser, add_json, add_profile, command_parser, profile_from
from msrtui.cli.output import note, say, say_json
from msrtui.cli.watching import Watching
from msrtui.errors import BadRequest, BadSource, KvmUnusable
from msrtui.kvm.collector import plain

SIZE_LIMIT = 32 * 1024 * 1024
"""Bytes of a log: 200,000 lines."""

_GIVE = "Give a message in quotes, a log's path, or - and a log on standard input."
_EPILOG = """MESSAGE is the message itself or any text that holds it, the path of a log, or - for standard input:
  msrtui explain 'failed to set MSR 0x48b to 0x1582e00000000' intel-skylake-bochs-linux6.12
  journalctl -b | msrtui explain - live
Several messages in one text are all found; the one that ended it is explained in full, the others are named.

Without SOURCE it is explained from the message alone, because a pasted message is often another machine's. With one
(live is this machine) it is held against that host's KVM: what it offers, which QEMU writes that value, which bits it
refuses by which rule, and what would work. Where the snapshot has a probe in it (msrtui probe -o FILE) what the vCPU
showed counts most: it settles what no answer of KVM's can, as for MSR 0x10a.

--json: {"known", "qemu", "kind", "weight", "count", "message", "msr", "value", "bits": [{"bit", "name", "set"}],
"refused": [{"bit", "name", "rule", "text"}], "remedies": [{"do", "cost", "certainty"}],
"certainty": "sure"|"likely"|"cannot be known without the probe",
"causes": [{"id", "certainty", "text"}], "host", "text", "messages": [each in that shape], "more"}; with a SOURCE "host"
is {"source", "in_feature_list", "in_index_list", "kvm", "qemu_writes", "written_by": [{"version", "cpu"}],
"refused_behind", "guest": {"qemu", "cpu"}, "taken", "evidence", "rule", "same", "prediction": {"cpu", "outcome",
"evidence", "msr", "value", "rule", "reason", "said", "warnings", "text"}, "instead": [predictions]}; of an unknown
message "mentioned": [{"msr", "names", "value"}]. In a VMX control MSR bit 32 + n says that control n may be 1.

A text without a message that is known ends with 1."""


def parser() -> Parser:
    """The command's options."""
    made = command_parser("explain", "What an error message means, why, and what to do.", _EPILOG)
    made.add_argument("message", metavar="MESSAGE", nargs="?", help="the message, a log's path, or -")
    made.add_argument("source", metavar="SOURCE", nargs="?", help="a host to hold it against (default: none)")
    made.add_argument("--on", metavar="SOURCE", help="the same as SOURCE")
    add_json(made)
    made.add_argument("--cpu", metavar="MODEL", default="host", help="the guest's -cpu (default host)")
    add_profile(made)
    return made


def run(arguments: list[str]) -> int:
    """Explain; 1 where no message is known. Raises MsrtuiError where the text or the source cannot be read."""
    options = parser().parse_args(arguments)
    if options.on is not None and options.source is not None:
        raise BadRequest("SOURCE and --on are the same: give one of them.")
    wanted = options.on if options.on is not None else options.source
    text = _text(options.message)
    if not text.strip():
        raise BadRequest(f"There is no text to explain. {_GIVE}")
    profile = profile_from(options)

    from msrtui.explain.diagnosis import explain
    from msrtui.explain.on_host import Host
    from msrtui.qemu.cpu_request import parse
    from msrtui.report.explain import explain_document, explain_text

    parse(options.cpu, profile)
    watching = None if wanted is None else _watching(wanted)
    host = None if watching is None else Host(watching.source, profile, options.cpu)
    found = explain(text, profile, host)
    if options.json:
        say_json(explain_document(text, found, profile))
    else:
        say(explain_text(text, found, profile))
    status = 0 if found.decisive is not None else 1
    return status if watching is None else watching.status(status)


def _watching(wanted: str) -> Watching | None:
    """The host to hold it against; None, and a sentence on standard error, where its KVM does not answer."""
    from msrtui.snapshot.sources import open_source, require_kvm

    source = open_source(wanted)
    try:
        require_kvm(source)
    except KvmUnusable as unusable:
        note(f"{unusable}\nSo the message is explained without that host.")
        return None
    return Watching(source)


def _text(message: str | None) -> str:
    """The text to explain. Raises BadRequest and BadSource."""
    if message is None and (sys.stdin is None or sys.stdin.isatty()):
        raise BadRequest(_GIVE)
    if message in (None, "-"):
        data = _read(None)
    elif message is not None and len(message) < 4096 and "\n" not in message and os.path.isfile(message):  # noqa: PTH113
        data = _read(message)
    else:
        return message or ""
    text = data.decode("utf-8", "replace")
    if text.count("\0") > len(text) // 8:
        text = data.decode("utf-16", "replace")  # as PowerShell writes a log
    return text


def _read(path: str | None) -> bytes:
    """All of a log. Raises BadSource where it cannot be read or is too long."""
    name = "Standard input" if path is None else path
    try:
        if path is None:
            data = sys.stdin.buffer.read(SIZE_LIMIT + 1)
        else:
            with open(path, "rb") as file:  # noqa: PTH123
                data = file.read(SIZE_LIMIT + 1)
    except (OSError, ValueError, AttributeError):
        raise BadSource(f"{plain(name, 80)} cannot be read: give the message in quotes, or another log.") from None
    if len(data) > SIZE_LIMIT:
        raise BadSource(
            f"{plain(name, 80)} is over {SIZE_LIMIT >> 20} MiB: give its end, tail -c 20M LOG | msrtui explain -"
        )
    return data
