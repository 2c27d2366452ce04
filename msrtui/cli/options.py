"""What commands have in common: how usage errors are said, the options that make a profile, the source."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any, NoReturn

from msrtui.cli.output import note, say
from msrtui.cli.versions import versions_of
from msrtui.errors import BadRequest
from msrtui.kvm.collector import plain
from msrtui.qemu.profile import DEFAULT_VERSION, QemuProfile
from msrtui.report.between import Versions
from msrtui.snapshot.sources import Source, open_source


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one sentence, raised as BadRequest."""

    def error(self, message: str) -> NoReturn:
        """Raises BadRequest instead of printing the usage and leaving."""
        said = plain(message, 300)
        raise BadRequest(f"{said[:1].upper()}{said[1:]}; {self.prog} --help says what there is.")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Options may stand between and after the positional arguments: ``get 0x10a --json HOST``."""
        said = self.usage
        asked = sys.argv[1:] if args is None else args
        if said is None and not any("h" in word for word in asked if word.startswith("-")):
            self.usage = self.prog  # nobody will see it, and to lay it out is dear: argparse does it for its own errors
        try:
            return self.parse_intermixed_args(args, namespace)
        finally:
            self.usage = said

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """What is given as ``--option=--`` is that; Python up to 3.12 makes an empty list of it."""
        if arg_strings == ["--"] and action.option_strings and action.nargs is None:
            value = self._get_value(action, "--")
            self._check_value(action, value)
            return value
        return super()._get_values(action, arg_strings)

    def _print_message(self, message: str, file: object = None) -> None:
        """Help and version, as everything that is printed: argparse's own way says nothing of a full disk."""
        if message:
            say(message)


class Help(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal, up to 100 columns; asked here because argparse's own way is dear to import."""

    def __init__(self, prog: str) -> None:
        try:
            columns = os.get_terminal_size(1).columns
        except (OSError, ValueError):
            columns = 80
        super().__init__(prog, width=max(40, min(columns, 100)) - 2)


EXITS = "exit status: 0 done, 1 no or not possible, 2 could not be done (one sentence on stderr), 130 on Ctrl+C"


def command_parser(name: str, summary: str, epilog: str = "") -> Parser:
    """The parser of the command ``name``. What its epilog says of the exit status itself stands for all commands'."""
    told = "\nexit status: " in epilog
    return Parser(
        prog=f"msrtui {name}",
        description=summary,
        epilog=epilog if told else f"{epilog}\n\n{EXITS}".lstrip("\n"),
        formatter_class=Help,
        allow_abbrev=False,
    )


SOURCE_HELP = (
    "live, a capture's path, the name of a bundled host, ssh://[user@]host, or - (default: live, else a bundled host)"
)


def add_source(parser: argparse.ArgumentParser) -> None:
    """The optional SOURCE."""
    parser.add_argument("source", metavar="SOURCE", nargs="?", help=SOURCE_HELP)


def add_json(parser: argparse.ArgumentParser) -> None:
    """``--json``."""
    parser.add_argument("--json", action="store_true", help="for programs: JSON, stable, complete")


def add_profile(parser: argparse.ArgumentParser, *, several: bool = False, machine: str = "none") -> None:
    """The options that say which QEMU is meant.

    ``several``: ``--qemu`` may be given more than once. ``machine`` is the default of ``--machine``.
    """
    group = parser.add_argument_group("which QEMU")
    group.add_argument(
        "--qemu",
        metavar="VERSION",
        action="append" if several else "store",
        default=None if several else DEFAULT_VERSION,
        help=f"its version, or auto: that of a QEMU that runs or is installed here (default {DEFAULT_VERSION})",
    )
    types = "pc, q35, pc-q35-7.2 …" if machine != "none" else "none, pc, q35, pc-q35-7.2 …"
    group.add_argument("--machine", metavar="TYPE", default=machine, help=f"{types} (default {machine})")
    group.add_argument("--irqchip", choices=("on", "split", "off"), default="on", help="kernel-irqchip (default on)")
    group.add_argument("--cpu-pm", action="store_true", help="as with -overcommit cpu-pm=on")
    group.add_argument("--pmu", choices=("on", "off"), help="the CPU's pmu (default: as that QEMU sets it)")
    group.add_argument("--no-migratable", action="store_true", help="as with -cpu host,migratable=off")


def profile_from(options: argparse.Namespace) -> QemuProfile:
    """The one profile that the options describe. Raises BadRequest where there is none of that version."""
    versions = _versions_from(options)
    if not versions.sure:
        raise BadRequest(
            f"There is no profile for QEMU {versions.label}, and a conversation cannot be put together from two: name "
            f"one of its neighbours, {' or '.join(versions.profiles)}."
        )
    return _profile(options, versions.label)


def profiles_from(
    options: argparse.Namespace, *, side_by_side: bool = True
) -> tuple[Versions, tuple[QemuProfile, ...]]:
    """The version that the options name, and its profile, or those of both its neighbours.

    ``side_by_side``: whether the command's text has both then; its ``--json`` has what they agree on. Raises
    BadRequest where there is neither. That there are two is said on standard error.
    """
    versions = _versions_from(options)
    profiles = tuple(_profile(options, label) for label in versions.profiles)
    if not versions.sure:
        note(versions.warning(side_by_side=side_by_side and not options.json))
    return versions, profiles


def _versions_from(options: argparse.Namespace) -> Versions:
    if options.qemu != "auto":
        return versions_of(options.qemu)
    from msrtui.host.qemus import find_qemu

    found = find_qemu()
    note(found.sentence)
    return versions_of(found.version)


def _profile(options: argparse.Namespace, label: str) -> QemuProfile:
    if not _is_machine(options.machine):
        raise BadRequest("--machine takes none, pc, q35, microvm, isapc or a versioned type such as pc-q35-7.2.")
    return QemuProfile(
        label=label,
        machine=options.machine,
        irqchip=options.irqchip,
        cpu_pm=options.cpu_pm,
        pmu=None if options.pmu is None else options.pmu == "on",
        migratable=not options.no_migratable,
    )


def _is_machine(text: str) -> bool:
    versioned = text.startswith("pc-") and text.replace("-", "").replace(".", "").isalnum() and text.isascii()
    return versioned or text in ("none", "pc", "q35", "microvm", "isapc")


def msr_from(text: str) -> int:
    """The index of the MSR that is meant. Raises BadRequest, with the nearest names, where there is none."""
    from msrtui.catalog import UnknownMsr, find_msr

    try:
        return find_msr(text)
    except UnknownMsr as unknown:
        sentence = str(unknown)
        raise BadRequest(f"{sentence[:1].upper()}{sentence[1:]}.") from None


def source_from(options: argparse.Namespace) -> Source:
    """The source, and on standard error why it is another than was to be expected. Raises BadSource."""
    source = open_source(options.source)
    if source.notice is not None:
        note(source.notice)
    return source
