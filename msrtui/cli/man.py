"""``msrtui man``: the manual page, made from all commands' parsers and the keymap, so that it is never behind."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import import_module

from msrtui.cli import roff
from msrtui.cli.commands import COMMANDS
from msrtui.cli.options import EXITS, Parser, command_parser
from msrtui.cli.output import say

ENVIRONMENT = (
    ("MSRTUI_THEME", "The app's theme, as --theme."),
    ("MSRTUI_GLYPHS", "Characters to draw with: full, narrow or ascii. With ascii commands print ASCII too."),
    ("MSRTUI_DIFF", "Whether the terminal is sent only the cells that changed: on, off or auto (over ssh)."),
    ("TEXTUAL_THEME", "As MSRTUI_THEME, where that is not set."),
    ("NO_COLOR", "Where it is set the app draws without colours."),
    ("COLORTERM, TERM", "What the terminal can do. In a terminal called dumb the app does not open."),
    ("LC_ALL, LC_CTYPE, LANG", "Without UTF-8 in them the app draws in ASCII."),
    ("LC_ALL, LC_MESSAGES, LANG", "In which language a talk is told."),
    ("SSH_CONNECTION, SSH_TTY", "Whether the app runs over ssh, for MSRTUI_DIFF=auto."),
    ("TMUX, KUBERNETES_SERVICE_HOST", "Whether it runs in tmux, in a container: doctor's advice depends on it."),
)
"""What msrtui reads from its environment."""

EXIT_STATUS = (
    ("0", "Done, or yes."),
    ("1", "No: answers differ, a guest cannot move, this QEMU would not start, something is wrong."),
    ("2", "It could not be done, or is not known; one sentence on standard error says why and what to do."),
    ("130", "Ended by Ctrl+C."),
)

FILES = (
    ("/dev/kvm", "Opened for reading, asked, and closed again."),
    ("/dev/cpu/N/cpuid", "What the CPUID instruction says; without it the instruction is run."),
    ("/sys/module, /sys/devices/system/cpu, /sys/class/dmi/id, /proc", "What a snapshot says of the host beside KVM."),
    ("~/.ssh/config", "Your OpenSSH's own, where a host is captured over ssh."),
)
"""What msrtui reads on this machine. It keeps no file of its own."""

PROFILE_GROUP = "which QEMU"
"""The group of options that many commands have in common, as ``options.add_profile`` calls it; told once."""

_DESCRIPTION = """\
When QEMU starts on KVM it asks the kernel which MSRs and CPU features a guest can have. msrtui puts the same questions
to this machine's KVM, or to a saved one, shows each question, each answer and what QEMU makes of them, and says for
every bit why it is what it is.

Without a command the app opens. A SOURCE is live (this machine), the path of a snapshot, the name of a bundled host,
ssh://[user@]host, or - for a pipe; without one it is live where KVM can be used, else a bundled host. The first word
is a command where there is one of that name; ./NAME opens a file that is called like one."""


_SEE_ALSO = """\
msrtui help lists the pages on how to read what msrtui shows: each screen, snapshots, fleets, exit statuses, and the
JSON of each command (msrtui help json). msrtui COMMAND --help has a command's part of this page."""


def parser() -> Parser:
    """The command's options."""
    return command_parser("man", "The manual page, for man:  msrtui man | man -l -")


def run(arguments: list[str]) -> int:
    """Print the page."""
    parser().parse_args(arguments)
    say(page())
    return 0


def page() -> str:
    """The manual page as roff."""
    from msrtui import __version__

    return roff.page("MSRTUI", 1, f"msrtui {__version__}", "User Commands", _lines())


def _lines() -> Iterator[str]:
    app: Parser = import_module("msrtui.cli.explore").parser()
    commands: list[Parser] = [import_module(f"msrtui.cli.{name}").parser() for name in COMMANDS]
    yield roff.heading("NAME")
    yield r"msrtui \- " + roff.escaped("see how QEMU negotiates MSRs and CPU features with KVM")
    yield roff.heading("SYNOPSIS")
    for place, each in enumerate((app, *commands)):
        if place:
            yield ".br"
        yield _usage(each)
    yield roff.heading("DESCRIPTION")
    yield from roff.paragraphs(_DESCRIPTION)
    yield roff.heading("OPTIONS OF THE APP")
    yield from _options(app)
    yield roff.heading(PROFILE_GROUP.upper())
    yield from roff.paragraphs("Options of every command that has [WHICH QEMU] in its line, and of the app:")
    for action in _actions(app, profile=True):
        yield from roff.tagged(_invocation(action), _meaning(app, action))
    yield roff.heading("COMMANDS")
    for each in commands:
        yield from _command(each, app)
    yield roff.heading("KEYS")
    yield from _keys()
    yield roff.heading("KEYS OF THE COMPARE SCREEN")
    yield from _keys(compare=True)
    yield roff.heading("ENVIRONMENT")
    for name, meaning in ENVIRONMENT:
        yield from roff.tagged(roff.bold(name), meaning)
    yield roff.heading("FILES")
    for name, meaning in FILES:
        yield from roff.tagged(roff.bold(name), meaning)
    yield roff.heading("EXIT STATUS")
    for status, meaning in EXIT_STATUS:
        yield from roff.tagged(roff.bold(status), meaning)
    yield roff.heading("SEE ALSO")
    yield from roff.paragraphs(_SEE_ALSO)


def _keys(*, compare: bool = False) -> Iterator[str]:
    from msrtui.tui.keymap import COMPARE_KEYS, KEYMAP

    for key in COMPARE_KEYS if compare else KEYMAP:
        yield from roff.tagged(roff.bold(key.shown), key.help)


def _command(made: Parser, app: Parser) -> Iterator[str]:
    yield roff.heading(made.prog, sub=True)
    yield from roff.paragraphs(made.description or "")
    yield ".PP"
    yield _usage(made)
    yield from _options(made)
    shared = {action.dest: action.help for action in _actions(app, profile=True)}
    for action in _actions(made, profile=True):
        if action.help != shared[action.dest]:  # what this command has otherwise, as another default
            yield from roff.tagged(_invocation(action), _meaning(made, action))
    # what every command says of its exit status stands once, at the end
    yield from roff.paragraphs((made.epilog or "").removesuffix(EXITS))


def _usage(made: Parser) -> str:
    pieces = [_bracketed(action) for action in _actions(made)]
    if _actions(made, profile=True):
        pieces.append(f"[{roff.italic(PROFILE_GROUP.upper())}]")
    return " ".join([roff.bold(made.prog), *pieces])


def _bracketed(action: argparse.Action) -> str:
    shown = _invocation(action, short=True)
    if action.option_strings:
        return shown if action.required else f"[{shown}]"
    if action.nargs in ("?", "*"):
        return f"[{shown}{' ...' if action.nargs == '*' else ''}]"
    return f"{shown} ..." if action.nargs == "+" else shown


def _options(made: Parser) -> Iterator[str]:
    for action in _actions(made):
        yield from roff.tagged(_invocation(action), _meaning(made, action))


def _actions(made: Parser, *, profile: bool = False) -> list[argparse.Action]:
    """All but --help: arguments, then options as they were added; or those that say which QEMU is meant."""
    of_profile = [
        action for group in made._action_groups if group.title == PROFILE_GROUP for action in group._group_actions
    ]
    if profile:
        return of_profile
    known = [each for each in made._actions if "--help" not in each.option_strings and each not in of_profile]
    return sorted(known, key=lambda action: bool(action.option_strings))


def _invocation(action: argparse.Action, *, short: bool = False) -> str:
    """``-o, --output PATH`` in roff; ``short``: with one of its names."""
    metavar = action.metavar if isinstance(action.metavar, str) else (action.dest or "").upper()
    if action.choices is not None:
        metavar = "|".join(map(str, action.choices))
    value = "" if action.nargs == 0 else roff.italic(metavar)
    if not action.option_strings:
        return value
    names = action.option_strings[-1:] if short else action.option_strings
    return ", ".join(roff.bold(name) for name in names) + (f" {value}" if value else "")


def _meaning(made: Parser, action: argparse.Action) -> str:
    text = " ".join((action.help or "").split())
    return text % {**vars(action), "prog": made.prog} if "%" in text else text
