"""What is read: this machine's KVM, a bundled host, a file, or standard input."""

from __future__ import annotations

import json
import os
import stat
import sys
from dataclasses import dataclass
from typing import Literal

from msrtui import resources
from msrtui.errors import BadSource, KvmUnusable
from msrtui.host.facts import host_facts
from msrtui.kvm.collector import DEVICE
from msrtui.kvm.live import LiveHost
from msrtui.kvm.recorded import RecordedHost
from msrtui.kvm.requests import Answerer, GetApiVersion, OpenDevice
from msrtui.snapshot.importers import kvmdump
from msrtui.snapshot.model import About, SavedHost

LIVE = "live"
SIZE_LIMIT = 16 * 1024 * 1024
"""Bytes. A capture of a large host is 0.1 MB; what is far over that is something else."""

_NO_WAIT = getattr(os, "O_NONBLOCK", 0)

Kind = Literal["live", "bundled", "file", "stdin"]


@dataclass(frozen=True)
class Source:
    """Who answers, and what is known about it.

    ``name`` is what outputs call it: ``live``, the path as given, a bundled name, ``-``. ``notice`` is a
    sentence for standard error where the source is not the one that was to be expected.
    """

    name: str
    kind: Kind
    answerer: Answerer
    about: About
    notice: str | None = None

    @property
    def live(self) -> bool:
        """Whether questions reach a kernel."""
        return self.kind == "live"


def open_source(text: str | None = None) -> Source:
    """The source called ``text``; None is this machine where its KVM can be used, else the first bundled host.

    Raises BadSource with one sentence where it cannot be read.
    """
    if text is None:
        return _default()
    if not text:
        raise BadSource("An empty source: give live, a capture's path, the name of a bundled host, or -.")
    if text == LIVE:
        return live_source()
    if text == "-":
        return _saved("-", "stdin", _read_stdin())
    if text.startswith("ssh://"):
        raise BadSource("Capturing over ssh is not in this version; give the path of a capture that was taken there.")
    if text in resources.bundled_hosts():
        return bundled_source(text)
    return _saved(text, "file", _read_file(text))


def live_source() -> Source:
    """This machine. Does not touch /dev/kvm yet."""
    facts = host_facts()
    about = About(facts.cpu, facts.kernel, facts.vendor_module, facts.parameters, None)
    return Source(LIVE, "live", LiveHost(), about)


def bundled_source(name: str, notice: str | None = None) -> Source:
    """A host that msrtui brings along."""
    path = resources.data_path("snapshots", f"{name}.json")
    return _saved(name, "bundled", _read_file(path), notice)


def require_kvm(source: Source) -> None:
    """Raises KvmUnusable, with what to do about it, where the source has no KVM that answers."""
    with source.answerer.held():
        opened = source.answerer.ask(OpenDevice())
        if opened.errno is None:
            if not source.live or source.answerer.ask(GetApiVersion()).errno is None:
                return
            raise KvmUnusable(f"{DEVICE} opens but does not answer as KVM: try  msrtui doctor", None)
    if source.live:
        # the diagnosis costs a short command more than its question: only who needs it pays
        from msrtui.host.access import open_error_sentence

        raise KvmUnusable(open_error_sentence(opened.errno), opened.errno)
    from msrtui.kvm.abi import errno_name, errno_text

    raise KvmUnusable(
        f"{source.name}: KVM could not be opened on that host ({errno_name(opened.errno)}: "
        f"{errno_text(opened.errno)}), so there is nothing to show of it.",
        opened.errno,
    )


def _default() -> Source:
    source = live_source()
    try:
        require_kvm(source)
    except KvmUnusable as unusable:
        name = resources.bundled_hosts()[0]
        return bundled_source(name, f"{unusable}\nShowing the saved host {name}; msrtui HOSTFILE opens yours.")
    return source


def _read_file(path: str) -> bytes:
    shown = kvmdump.plain(path)
    try:
        # a pipe with nobody at its other end must not keep us waiting
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NO_WAIT)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise BadSource(f"{shown} is not a regular file; a source is live, a capture's path, or - for a pipe.")
            data = file.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        names = ", ".join(resources.bundled_hosts())
        raise BadSource(f"There is no file {shown}, and no bundled host of that name ({names}).") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise BadSource(f"{shown} cannot be read: {reason}; a source is live, a capture's path, or -.") from None
    return _sized(data, shown)


def _read_stdin() -> bytes:
    try:
        data = sys.stdin.buffer.read(SIZE_LIMIT + 1)
    except (OSError, AttributeError):
        raise BadSource("Standard input cannot be read; give a path instead of -.") from None
    return _sized(data, "standard input")


def _sized(data: bytes, shown: str) -> bytes:
    if len(data) > SIZE_LIMIT:
        raise BadSource(f"{shown} is over {SIZE_LIMIT >> 20} MiB: that is no capture of a host.")
    return data


def _saved(name: str, kind: Kind, data: bytes, notice: str | None = None) -> Source:
    shown = "standard input" if name == "-" else kvmdump.plain(name)
    host = decode(data, shown)
    return Source(name, kind, RecordedHost(host.recording), host.about, notice)


def decode(data: bytes, shown: str) -> SavedHost:
    """The host in the bytes of a file; ``shown`` is what sentences call it. Raises BadSource."""
    if not data.strip():
        raise BadSource(f"{shown} is empty.")
    try:
        raw = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        raise BadSource(f"{shown} is not JSON, so it is not a capture of a host.") from None
    if kvmdump.is_kvmdump(raw):
        return kvmdump.load(raw, shown)
    raise BadSource(f"{shown} is JSON, but not a capture that msrtui knows.")
