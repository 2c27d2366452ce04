"""What is read: this machine's KVM, a bundled host, a file, or standard input."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Literal

from msrtui import resources
from msrtui.errors import BadSource, KvmUnusable
from msrtui.host.facts import host_facts
from msrtui.kvm.collector import DEVICE, plain
from msrtui.kvm.live import LiveHost
from msrtui.kvm.recorded import RecordedHost
from msrtui.kvm.requests import Answerer, GetApiVersion, OpenDevice
from msrtui.snapshot.files import read_file, read_standard_input
from msrtui.snapshot.model import About
from msrtui.values import dataclass, field

if TYPE_CHECKING:
    from msrtui.kvm.recorded_vcpu import RecordedProbe

LIVE = "live"
Kind = Literal["live", "bundled", "file", "stdin", "ssh"]


@dataclass(frozen=True)
class Source:
    """Who answers, and what is known about it.

    ``name`` is what outputs call it: ``live``, the path as given, a bundled name, ``-``, ``ssh://host``. ``notice``
    is a sentence for standard error where the source is not the one that was to be expected.
    """

    name: str
    kind: Kind
    answerer: Answerer
    about: About
    notice: str | None = None
    document: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)
    """The snapshot that it was read from, as it was read."""
    probes: tuple[RecordedProbe, ...] = field(default=(), repr=False, compare=False)
    """What its KVM said of scratch vCPUs, where it was probed and the snapshot holds that."""

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
        return _saved("-", "stdin", read_standard_input())
    if text.startswith("ssh://"):
        return _over_ssh(text)
    if text in resources.bundled_hosts():
        return bundled_source(text)
    if not _is_there(text):
        raise no_such_source(text)
    if os.path.isdir(text):  # noqa: PTH112
        raise BadSource(f"{plain(text)} is a folder: name one of its files, which  msrtui hosts FOLDER  lists.")
    return _saved(text, "file", read_file(text))


def may_be_source(text: str) -> bool:
    """Whether there is anything that ``open_source`` would try to open."""
    return (
        not text
        or text in (LIVE, "-")
        or text.startswith("ssh://")
        or text in resources.bundled_hosts()
        or _is_there(text)
    )


def _is_there(path: str) -> bool:
    return os.path.lexists(path) or resources.packed(path)


def no_such_source(text: str, commands: Collection[str] = ()) -> BadSource:
    """The sentence for a word that is nothing, with at most three names that may be meant.

    ``commands`` are the words that could have stood there as well.
    """
    from difflib import get_close_matches  # only a mistake needs it

    word = text.lower()[:80]
    names = [*commands, *resources.bundled_hosts()]
    holding = [name for name in names if len(word) > 2 and word in name]
    near = list(dict.fromkeys([*holding, *get_close_matches(word, names, 3, 0.5)]))[:3]
    if text.endswith("/"):
        return BadSource(f"There is no folder called {plain(text)}; msrtui hosts lists the bundled hosts.")
    instead = "msrtui --help lists the commands, msrtui hosts the hosts" if commands else "msrtui hosts lists them"
    hint = f"near it: {', '.join(near)}" if near else instead
    kinds = "no file, command or bundled host" if commands else "no file and no bundled host"
    return BadSource(f"There is {kinds} called {plain(text)}; {hint}.")


def live_source() -> Source:
    """This machine. Does not touch /dev/kvm yet."""
    facts = host_facts()
    about = About(facts.cpu, facts.kernel, facts.vendor_module, facts.parameters, None)
    return Source(LIVE, "live", LiveHost(), about)


def _over_ssh(text: str) -> Source:
    from msrtui.snapshot.codec import decode
    from msrtui.snapshot.remote import RemoteOptions, capture_hosts

    (taken,) = capture_hosts([text], RemoteOptions())
    if taken.document is None:
        raise BadSource(f"{taken.host}: {taken.reason}")
    host = decode(taken.document, taken.host)
    return Source(text, "ssh", RecordedHost(host.recording), host.about, None, host.document)


def bundled_source(name: str, notice: str | None = None) -> Source:
    """A host that msrtui brings along."""
    path = resources.data_path("snapshots", f"{name}.json")
    return _saved(name, "bundled", read_file(path), notice)


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


def _saved(name: str, kind: Kind, data: bytes, notice: str | None = None) -> Source:
    from msrtui.snapshot.codec import load  # the live host needs none of it

    host = load(data, "standard input" if name == "-" else plain(name))
    return Source(name, kind, RecordedHost(host.recording), host.about, notice, host.document, host.probes)
