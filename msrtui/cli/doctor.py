"""``msrtui doctor``: can KVM be used here, by you; if not, what to do."""

from __future__ import annotations

from msrtui.cli.options import Parser, add_json, command_parser
from msrtui.cli.output import say, say_json

_EPILOG = """Opens /dev/kvm for reading, asks its API version and closes it; changes nothing.
Exit status 0: usable, 1: not.

--json: {"usable", "situation", "sentence", "remedy", "device": {"path", "exists", "mode", "owner", "group",
"major", "minor"}, "api_version", "machine", "kernel", "vendor_module", "modules", "parameters", "in_container"};
situation is one of a fixed set of ids ("usable", "not-in-group", "root-only", "no-node-module-missing", ...)."""


def parser() -> Parser:
    """The command's options."""
    made = command_parser("doctor", "Can KVM be used here, by you; if not, what to do.", _EPILOG)
    add_json(made)
    return made


def run(arguments: list[str]) -> int:
    """Print the diagnosis; 0 where KVM can be used, 1 where not."""
    options = parser().parse_args(arguments)

    from msrtui.host.access import diagnose, look
    from msrtui.host.facts import host_facts
    from msrtui.report.doctor import doctor_document, doctor_text

    seen = look()
    found = diagnose(seen)
    if options.json:
        say_json(doctor_document(seen, found, host_facts()))
    else:
        say(doctor_text(seen, found, host_facts()))
    return 0 if found.usable else 1
