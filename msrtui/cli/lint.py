"""``msrtui lint``: contradictions on one host, what hides something there, and what surprises."""

from __future__ import annotations

from msrtui.cli.options import Parser, add_json, add_profile, add_source, command_parser, profile_from, source_from
from msrtui.cli.output import say, say_json
from msrtui.cli.watching import Watching

_EPILOG = """Holds named rules against what a host says of itself: CPUID against the MSRs that its features are used
through, the two lists, the feature MSRs' values, VMX's controls among themselves, XSAVE's components, module
parameters. It only reads; what KVM refuses when it is written no reading tells (msrtui probe).
wrong: answers that exclude each other, or that QEMU dies of. odd: does not fit together, something may fail later.
hidden: a setting takes something away. note: nothing amiss, but it surprises people.

--json: {"source", "qemu", "wrong", "findings": [{"rule", "severity", "subjects": [["msr", "0x10a"], ["bit",
"FEAT_7_0_EDX", 29], ["word", …], ["parameter", module, name], ["cap", n], ["list", …], ["cpuid", leaf, subleaf]],
"text", "do"}], "unchecked": [rule, …]}; "do" is null where there is nothing to do; "unchecked" are rules that look
at what the source does not say.

exit status: 0 nothing is wrong, 1 something is wrong, 2 could not be done (one sentence on stderr), 130
on Ctrl+C"""


def parser() -> Parser:
    """The command's options."""
    made = command_parser("lint", "Contradictions on one host, and what hides something there.", _EPILOG)
    add_source(made)
    add_json(made)
    add_profile(made)
    return made


def run(arguments: list[str]) -> int:
    """Print the findings; 1 where something is wrong. Raises MsrtuiError where the host cannot be looked at."""
    options = parser().parse_args(arguments)
    profile = profile_from(options)
    opened = source_from(options)

    from msrtui.compare.lint import lint
    from msrtui.compare.side import side_of
    from msrtui.report.lint import lint_document, lint_text
    from msrtui.snapshot.capture import settled
    from msrtui.snapshot.sources import require_kvm

    require_kvm(opened)
    watching = Watching(settled(opened))
    source = watching.source
    found = lint(side_of(source, profile))
    if options.json:
        say_json(lint_document(source.name, profile, found))
    else:
        say(lint_text(source.name, source.about, profile, found))
    return watching.status(1 if found.wrong else 0)
