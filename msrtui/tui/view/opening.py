"""What can be opened: this machine, the bundled hosts, files, a host over ssh. Rows for what was typed so far."""

from __future__ import annotations

import os.path
from collections.abc import Mapping, Sequence

from msrtui.errors import MsrtuiError
from msrtui.lines import Line, cut, dim, line, printable, wrap
from msrtui.snapshot.destination import check_host
from msrtui.snapshot.sources import LIVE
from msrtui.values import dataclass

SSH = "ssh://"
_BEGINS_SSH = "ssh:"
MOST = 500
"""Files of one folder that are shown; a letter more finds the others."""


@dataclass(frozen=True)
class Folder:
    """What a folder holds: names and whether each is a folder; or ``error``, why that cannot be said."""

    path: str
    entries: tuple[tuple[str, bool], ...] = ()
    error: str | None = None


def is_path(text: str) -> bool:
    """Whether what was typed is on the way to a file's path."""
    return text.startswith((".", "~")) or ("/" in text and not text.startswith(_BEGINS_SSH))


def folder_of(text: str) -> str:
    """The folder that a typed path is in, as it was typed (``~`` too); ``.`` for a name without one."""
    if text == "~":
        return "~/"
    return text.rpartition("/")[0] + "/" if "/" in text else "."


def open_rows(
    typed: str, hosts: Sequence[str], origins: Mapping[str, str], folder: Folder | None, width: int
) -> tuple[Line, list[Line]]:
    """A heading, and a row for each thing that ``typed`` can mean.

    Keys: ("source", text) is what to open, ("folder", text) where to look on. ``folder`` is what is known of
    ``folder_of(typed)``, None while it is read; ``origins`` says of bundled hosts where they are from.
    """
    text = typed.strip()
    if text == "-":
        return line(" - is a pipe's end: it can be read only where msrtui is started (… | msrtui -)."), []
    if text.startswith(_BEGINS_SSH):
        return _ssh(text, width)
    if is_path(text):
        return _files(text, folder, width)
    return _named(text, hosts, origins, folder, width)


def closed_rows(
    typed: str, named: Sequence[str], hosts: Sequence[str], origins: Mapping[str, str], closed: str, width: int
) -> tuple[Line, list[Line]]:
    """As ``open_rows`` where only these can be opened; no folder is looked into. ``closed``: why nothing else can."""
    words = typed.lower().split()
    column = max(18, min(max(map(len, (*named, *hosts)), default=18), width // 2))
    told = {**origins, **{name: "named when msrtui serve was started" for name in named if name not in hosts}}
    every = [*(name for name in named if name not in hosts), *hosts]
    rows = [
        _row(name, told.get(name, ""), column, width, ("source", name))
        for name in every
        if all(word in f"{name} {told.get(name, '')}".lower() for word in words)
    ]
    if not rows:
        return line(" That is not opened here."), [Line(((" ", ""), *part.spans)) for part in wrap(closed, width - 2)]
    return line(dim(" a saved host that is brought along, or what msrtui serve was given")), rows


def _row(name: str, detail: str, column: int, width: int, key: object) -> Line:
    shown = Line(cut(line(printable(name)).spans, column))
    gap = " " * (column - shown.width + 2)
    return Line(cut(line("  ", *shown.spans, gap, dim(printable(detail))).spans, width), key)


def _ssh(text: str, width: int) -> tuple[Line, list[Line]]:
    host = text[len(SSH) :]
    if not host:
        return line(" ssh://[user@]host[:port], as your own ssh knows it"), []
    try:
        check_host(text)
    except MsrtuiError as refused:
        return line(" That cannot be a host."), [
            Line(((" ", ""), *part.spans)) for part in wrap(str(refused), width - 2)
        ]
    detail = "asked once over ssh; nothing is installed or changed there"
    return line(dim(" Over ssh")), [_row(text, detail, max(18, min(len(text), width // 2)), width, ("source", text))]


def _files(text: str, folder: Folder | None, width: int) -> tuple[Line, list[Line]]:
    where = folder_of(text)
    start = text if where == "." else text[len(where) :]
    if folder is None or folder.path != where:
        return line(dim(f" {printable(where)}")), []
    if folder.error is not None:
        return line(f" {printable(where)} cannot be listed: {printable(folder.error)}."), []
    rows: list[Line] = []
    prefix = "./" if where == "." else where
    if not start or start in (".", ".."):
        rows.append(_row("../", "", 30, width, ("folder", f"{prefix}../")))
        start = "" if start in (".", "..") else start
    rows += _folder_rows(folder, start, prefix, width)
    if not rows:
        return line(" There is no snapshot (*.json) and no folder that begins so."), []
    return line(dim(f" {printable(prefix)}")), rows


def _folder_rows(folder: Folder, start: str, prefix: str, width: int) -> list[Line]:
    """Folders, then snapshots; a file of another name is there once it is typed whole."""
    wanted = start.lower()
    found = [
        (name, inside)
        for name, inside in folder.entries
        if name.lower().startswith(wanted)
        and (inside or name.lower().endswith(".json") or name == start)
        and (not name.startswith(".") or start.startswith("."))
    ]
    found.sort(key=lambda each: (not each[1], each[0].lower(), each[0]))
    column = max(18, width - 4)
    return [
        _row(f"{name}/", "", column, width, ("folder", f"{prefix}{name}/"))
        if inside
        else _row(name, "", column, width, ("source", f"{prefix}{name}"))
        for name, inside in found[:MOST]
    ]


def _named(
    text: str, hosts: Sequence[str], origins: Mapping[str, str], folder: Folder | None, width: int
) -> tuple[Line, list[Line]]:
    """This machine, bundled hosts whose name or origin holds every word that was typed, files here."""
    words = text.lower().split()
    column = max(18, min(max(map(len, hosts), default=18), width // 2))
    rows: list[Line] = []
    this = "this machine's KVM"
    if all(word in f"{LIVE} {this}".lower() for word in words):
        rows.append(_row(LIVE, this, column, width, ("source", LIVE)))
    fitting = [name for name in hosts if all(word in f"{name} {origins.get(name, '')}".lower() for word in words)]
    if fitting:
        rows += [Line(), line(dim(" saved hosts that are brought along"))] if rows else []
        rows += [_row(name, origins.get(name, ""), column, width, ("source", name)) for name in fitting]
    files = _folder_rows(folder, text, "./", width) if folder is not None and folder.path == "." else []
    if files:
        rows += [Line()] if rows else []
        rows += [line(dim(" files here")), *files]
    if not rows:
        return line(" Nothing is called that. A path begins with / or ./, another machine with ssh://"), []
    return line(dim(" a name below, a path (/ or ./), or ssh://[user@]host")), rows


def completed(key: object) -> str | None:
    """What Tab puts into the line for a row; None for what cannot be written there."""
    if isinstance(key, tuple) and len(key) == 2 and isinstance(key[1], str) and key[1].isprintable():
        return key[1]
    return None


def unwound(path: str) -> str:
    """A folder's path without ``..`` behind a name: ``a/b/../`` is ``a/``; links are not looked at."""
    plain_path = os.path.normpath(path)
    if not path.startswith(("/", "~", "..")) and not plain_path.startswith(".."):
        plain_path = "./" if plain_path == "." else f"./{plain_path}"
    return plain_path if plain_path.endswith("/") else f"{plain_path}/"
