"""``msrtui capture``: a snapshot of this machine, or of others over ssh with nothing installed there."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from msrtui.cli.folders import is_folder, made_folder, safe_name
from msrtui.cli.options import Parser, add_json, command_parser
from msrtui.cli.output import note, say, say_json
from msrtui.errors import BadRequest, BadSource
from msrtui.kvm.collector import plain

if TYPE_CHECKING:
    from msrtui.snapshot.remote import Captured

_EPILOG = """A snapshot holds what KVM and the machine said: both MSR lists, every feature MSR, the CPUID tables, the
capabilities 0 to 255, the CPUID instruction's own leaves, kernel, CPU, microcode, BIOS, the parameters of the kvm
modules; of the kernel's command line only mitigations and KVM's switches; no serials and no addresses. It is worth
as much as the host itself for every command but a new live query. Nothing is changed and no VM is made.

Over ssh: your own OpenSSH is run, with its configuration, agents and jump hosts; a collector is fed to the python3
there (3.6 or later) through standard input. One host that fails costs only itself.

--json: {"captured": [{"host", "path", "error"}]}; a host that failed has an error and no path: exit status 2."""


def parser() -> Parser:
    """The command's options."""
    made = command_parser("capture", "A snapshot of this machine, or of others over ssh.", _EPILOG)
    made.add_argument("hosts", metavar="HOST", nargs="*", help="[user@]host or ssh://[user@]host[:port] (none: here)")
    made.add_argument("-o", "--output", metavar="PATH", help="a file, a folder for many hosts, or - (default: here)")
    made.add_argument("--name", action="store_true", help="keep the host's name; otherwise it is a hash")
    made.add_argument(
        "--without-kvm", action="store_true", help="save what the machine says where KVM cannot be opened"
    )
    made.add_argument("--sudo", action="store_true", help="over ssh: ask as root, through sudo -n")
    made.add_argument("--jobs", metavar="N", type=int, default=16, help="over ssh: hosts at once (default 16)")
    made.add_argument(
        "--timeout", metavar="SECONDS", type=float, default=60.0, help="over ssh: for each host (default 60)"
    )
    made.add_argument("--ssh-config", metavar="FILE", help="over ssh: as with ssh -F")
    add_json(made)
    return made


def run(arguments: list[str]) -> int:
    """Write the snapshots and say where; 2 where one of several could not be had. Raises MsrtuiError."""
    options = parser().parse_args(arguments)
    if options.hosts in ([], ["live"]):
        return _here(options)
    return _over_ssh(options)


def _here(options: Any) -> int:
    from msrtui.snapshot.capture import capture_here
    from msrtui.snapshot.codec import decode, encode
    from msrtui.snapshot.files import write_whole

    if options.sudo:
        raise BadRequest("--sudo is for hosts over ssh; for this one:  sudo msrtui capture -o FILE")
    document = capture_here(keep_name=options.name, without_kvm=options.without_kvm)
    if options.output == "-":
        say(encode(document))
        _say_failures(document)
        return 0
    path = _path_here(options.output, document)
    write_whole(path, encode(document))
    _say_failures(document)
    if options.json:
        say_json({"captured": [{"host": "live", "path": path, "error": None}]})
    else:
        from msrtui.report.snapshots import captured_line

        say(f"{plain(path)}: {captured_line(decode(document, path))}\n")
    return 0


def _say_failures(document: Mapping[str, Any]) -> None:
    """On standard error, what KVM did not answer: a snapshot keeps that as it keeps an answer."""
    from msrtui.kvm.watched import failures_of
    from msrtui.snapshot.codec import decode

    failures = failures_of(decode(document, "this host").recording)
    if failures:
        from msrtui.report.failures import captured_sentence

        note(captured_sentence(failures))


def _over_ssh(options: Any) -> int:
    from msrtui.snapshot.codec import encode
    from msrtui.snapshot.destination import check_host
    from msrtui.snapshot.files import CannotWrite, write_whole
    from msrtui.snapshot.remote import RemoteOptions, capture_hosts

    if options.jobs < 1 or not 0 < options.timeout < 86400:
        raise BadRequest("--jobs takes a number from 1, --timeout seconds from 0 to 86400.")
    hosts = list(dict.fromkeys(check_host(host) for host in options.hosts))
    if options.output == "-" and len(hosts) > 1:
        raise BadRequest("-o - takes one host; name a folder for many.")
    wanted = RemoteOptions(
        sudo=options.sudo,
        keep_name=options.name,
        timeout=options.timeout,
        jobs=options.jobs,
        ssh_config=options.ssh_config,
        without_kvm=options.without_kvm,
    )
    paths = _paths(hosts, options.output)
    if options.output == "-":
        (taken,) = capture_hosts(hosts, wanted)
        if taken.document is not None:
            say(encode(taken.document))
            return 0
        raise BadSource(f"{taken.host}: {taken.reason}")
    where = {plain(host): path for host, path in zip(hosts, paths, strict=True)}
    failed: dict[str, str] = {}
    with _progress(len(hosts)) as tick:

        def ended(captured: Captured) -> None:
            # as each one comes: who presses Ctrl+C because of one host keeps what the others gave
            if captured.document is not None:
                try:
                    write_whole(where[captured.host], encode(captured.document))
                except CannotWrite as error:
                    failed[captured.host] = str(error)
            tick(captured)

        every = capture_hosts(hosts, wanted, ended)
    rows: list[tuple[Captured, str | None, str | None]] = []
    for each, path in zip(every, paths, strict=True):
        error = each.reason or failed.get(each.host)
        rows.append((each, path if error is None else None, error))
    if options.json:
        say_json({"captured": [{"host": each.host, "path": path, "error": error} for each, path, error in rows]})
    else:
        _say_rows(rows)
    return 2 if any(error is not None for _, _, error in rows) else 0


def _say_rows(rows: Sequence[tuple[Captured, str | None, str | None]]) -> None:
    """A table of what came of each host; the reasons of those that failed go to standard error, a line each."""
    from msrtui.report.shape import aligned
    from msrtui.report.snapshots import captured_line
    from msrtui.snapshot.codec import decode

    table = []
    for each, path, _ in rows:
        told = captured_line(decode(each.document, each.host)) if path is not None and each.document else "not captured"
        table.append((each.host, plain(path or "-"), told))
    if len(rows) > 1 or rows[0][1] is not None:
        say("\n".join(aligned(table, "")) + "\n")
    for each, _, error in rows:
        if error is not None:
            note(f"{each.host}: {error}")
    failed = sum(path is None for _, path, _ in rows)
    if failed and len(rows) > 1:
        note(f"{len(rows) - failed} of {len(rows)} hosts captured.")


@contextmanager
def _progress(count: int) -> Iterator[Callable[[Captured], None]]:
    """A bar on standard error where that is a terminal and there is more than one host to wait for."""
    if count < 2 or sys.stderr is None or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(bar_width=30), MofNCompleteColumn(), TextColumn("hosts"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=count)
        yield lambda _: bar.advance(task)


# --- where to ------------------------------------------------------------------------------------------------------
def _path_here(output: str | None, document: Mapping[str, Any]) -> str:
    stamp = re.sub(r"[^0-9TZ]", "", str(document["made"]["when"]))
    name = safe_name(f"{document['host']['name']}-{stamp}.json")
    if output is None:
        return name
    return str(made_folder(output) / name) if is_folder(output) else output


def _paths(hosts: list[str], output: str | None) -> list[str]:
    """A file for each host: in the folder ``output`` (here by default), or ``output`` itself for a single one."""
    if output == "-" or (len(hosts) == 1 and output is not None and not is_folder(output)):
        return [str(output)]
    folder = made_folder(output or ".")
    short = [safe_name(_host_part(host)) for host in hosts]
    names: list[str] = []
    for host, name in zip(hosts, short, strict=True):
        full = name if short.count(name) == 1 else safe_name(host)
        names.append(full if full not in names else f"{full}-{len(names)}")
    return [str(folder / f"{name}.json") for name in names]


def _host_part(host: str) -> str:
    return re.sub(r"[][]", "", host.removeprefix("ssh://").rpartition("@")[2])
