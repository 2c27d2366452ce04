"""One snapshot of a fleet after another: its fingerprint, its facts, and how it behaves for one QEMU and ``-cpu``.

Most hosts of a fleet answer what another answered before. So the answers are decoded and worked out once: a snapshot
whose ``kvm`` and ``cpuid`` are those of an earlier one is what that one was, to the strict decoder too; the rest of it
is checked as always. Nothing of a snapshot is kept but a hash of its answers.
"""

from __future__ import annotations

import hashlib
import marshal
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

from msrtui.compare.fingerprint import Item, fingerprint_of, items_of
from msrtui.errors import BadSource
from msrtui.kvm.recorded import RecordedHost, Recording
from msrtui.kvm.requests import AnyRequest, GetEmulatedCpuid, Registers, Reply
from msrtui.kvm.watched import failures_of
from msrtui.qemu.both_ways import BothWays, Guests
from msrtui.qemu.conversation import Outcome, negotiate
from msrtui.qemu.cpu_request import CpuRequest, parse, profile_for
from msrtui.qemu.memo import WordMemo, answered
from msrtui.qemu.models import XSAVE_BIT, set_behind_the_filter
from msrtui.qemu.negotiation import QemuExit
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import FeatureWord
from msrtui.snapshot.codec import VENDOR_LEAVES, decode, decode_about, read_document
from msrtui.snapshot.model import About
from msrtui.snapshot.parts import parts_of, rest_document, whole_document

Bits: TypeAlias = tuple[int, int]
"""Of one word: the bits that are there for sure, and those that may be."""
COMPONENTS = ("FEAT_XSAVE_XCR0", "FEAT_XSAVE_COMP", "FEAT_XSAVE_XSS")


VendorLeaves: TypeAlias = Mapping[tuple[int, int], Registers]
"""Of the host's CPUID, what reading the facts of a snapshot needs of its answers."""


class Facts(NamedTuple):
    """What is known of a host beside its answers; ``parameters`` are (``kvm_intel.nested``, value), sorted."""

    cpu: str | None
    vendor_module: str | None
    kernel: str | None
    microcode: str | None
    bios: str | None
    hypervisor: str | None
    carried_by: str | None
    parameters: tuple[tuple[str, str], ...]


class Behaviour(NamedTuple):
    """All that a verdict on moving depends on, of one host under one QEMU for one ``-cpu``.

    ``ends`` is QEMU's last line where it does not even start, else None; ``refused`` where ``enforce`` ends it.
    ``guest``: the words as the guest gets them. ``needs`` and ``offers``, by word in the order of QEMU's table: a
    move loses the bits that one side needs and the other does not offer. For host and max the source needs what its
    guest has and the target offers what its filter passes; for a named model the target needs what its filter takes
    and the source offers what its own took. ``clean``: nothing that the guest was to have is taken; None: not known.
    """

    vendor: str | None
    ends: str | None
    refused: str | None = None
    clean: bool | None = None
    guest: tuple[tuple[int | None, int | None], ...] = ()
    needs: tuple[Bits, ...] = ()
    offers: tuple[Bits, ...] = ()


class Learnt(NamedTuple):
    """What the first snapshot with some answers tells of all that have them."""

    fingerprint: str
    items: tuple[Item, ...]
    behaviour: Behaviour
    vendor_leaves: VendorLeaves
    failures: tuple[tuple[AnyRequest, Reply], ...] = ()
    """The questions that their KVM did not answer, of those that the fingerprint is made of."""


class Read(NamedTuple):
    """One snapshot. ``answers`` stands for its answers; ``learnt`` is there where its reader had not met them yet."""

    name: str
    answers: bytes
    facts: Facts
    learnt: Learnt | None


class Reader:
    """Reads snapshots for one QEMU and one ``-cpu``. Raises BadRequest where that QEMU has no such CPU."""

    def __init__(self, qemu: QemuProfile, cpu: str = "host") -> None:
        self.request = parse(cpu, qemu)
        self.profile = profile_for(self.request, qemu)
        self._words = WordMemo()
        self._vendor_leaves: dict[bytes, VendorLeaves] = {}
        self._facts: dict[Facts, Facts] = {}
        self._bits: dict[Any, Any] = {}

    def read(self, name: str, data: bytes) -> Read:
        """The snapshot in ``data``. Raises BadSource with one sentence."""
        parts = parts_of(data)
        document = None
        if parts is not None:
            answers = _hashed(parts.said)
            leaves = self._vendor_leaves.get(answers)
            document = whole_document(parts, name) if leaves is None else rest_document(parts, name)
            if document is not None and leaves is not None:
                return Read(name, answers, self._facts_of(decode_about(document, leaves, name)), None)
        if document is None:
            document = read_document(data, name)
            answers = _same_answers(document)
            leaves = self._vendor_leaves.get(answers)
            if leaves is not None:
                return Read(name, answers, self._facts_of(decode_about(document, leaves, name)), None)
        host = decode(document, name)
        said = host.recording
        items = items_of(said)
        leaves = {leaf: said.host_cpuid[leaf] for leaf in VENDOR_LEAVES if leaf in said.host_cpuid}
        self._vendor_leaves[answers] = leaves
        learnt = Learnt(fingerprint_of(items), items, self._behaviour(said), leaves, _failures(said))
        return Read(name, answers, self._facts_of(host.about), learnt)

    def know(self, learnt: Iterable[tuple[bytes, VendorLeaves]]) -> None:
        """Answers that another reader of the same fleet has learnt, and so this one need not."""
        self._vendor_leaves.update(learnt)

    def _facts_of(self, about: About) -> Facts:
        parameters = (
            (f"{module}.{key}", text) for module, known in about.parameters.items() for key, text in known.items()
        )
        facts = Facts(
            about.cpu,
            about.vendor_module,
            about.kernel,
            about.microcode,
            about.bios,
            about.hypervisor,
            about.carried_by,
            tuple(sorted(parameters)),
        )
        return self._facts.setdefault(facts, facts)

    def _behaviour(self, said: Recording) -> Behaviour:
        answerer = RecordedHost(said)
        try:
            outcome = answered(negotiate(self.profile, cpu=self.request, memo=self._words), answerer)
        except QemuExit as end:
            return Behaviour(None, " ".join(end.text.split()))
        return behaviour_of(outcome, self.request, self._bits)


def _failures(said: Recording) -> tuple[tuple[AnyRequest, Reply], ...]:
    return tuple(each for each in failures_of(said) if not isinstance(each[0], GetEmulatedCpuid))


def _same_answers(document: Mapping[str, Any]) -> bytes:
    """The same for snapshots whose KVM and CPU said the same, in the same order, however the text is laid out."""
    try:
        said = marshal.dumps((document.get("kvm"), document.get("cpuid")), 0)
    except ValueError:  # marshal has a limit on depth of its own; the decoder names what is wrong
        raise BadSource("its answers are nested too deep to be a snapshot's.") from None
    return _hashed(said)


def _hashed(said: bytes) -> bytes:
    return hashlib.sha256(said).digest()[:16]


def behaviour_of(outcome: Outcome, request: CpuRequest, kept: dict[Any, Any] | None = None) -> Behaviour:
    """What a verdict depends on; equal values are taken from ``kept``, so that many hosts share them."""
    kept = {} if kept is None else kept
    guest = _guest(outcome, request)
    words = outcome.state.profile.tables.words
    refused = guest.refused
    taken = [any(word.unavailable for word in cpu.words.values()) for cpu in guest]
    seen = _has(guest, outcome.state.profile.tables.word_by_name["FEAT_1_ECX"])[1] & XSAVE_BIT
    needs: list[Bits] = []
    offers: list[Bits] = []
    for word in words:
        unseen = word.name.startswith(COMPONENTS) and not seen
        if request.takes_all:
            # without XSAVE no guest sees which components there would be
            needs.append((0, 0) if unseen else _has(guest, word))
            offers.append(_passes(outcome, guest, word))
        else:
            needs.append(_taken(guest, word))
            offers.append((every(word), every(word)) if unseen else _taken(guest, word))
    values = tuple((guest.low.words[word.name].value, guest.high.words[word.name].value) for word in words)
    return Behaviour(
        vendor_of(outcome),
        None,
        refused,
        None if taken[0] != taken[1] else not taken[0],
        _kept(kept, values),
        _kept(kept, tuple(needs)),
        _kept(kept, tuple(offers)),
    )


def _kept(kept: dict[Any, Any], values: tuple[Any, ...]) -> tuple[Any, ...]:
    values = tuple(kept.setdefault(value, value) for value in values)
    found: tuple[Any, ...] = kept.setdefault(values, values)
    return found


def _guest(outcome: Outcome, request: CpuRequest) -> BothWays:
    cpu = outcome.cpu
    sure = all(word.supported is not None and not word.unknown for word in outcome.words.values())
    # where all is known the conversation made this very CPU
    return BothWays(cpu, cpu) if sure and cpu is not None else Guests(outcome.state, outcome.words).guest(request)


def vendor_of(outcome: Outcome) -> str | None:
    """The signature of KVM's leaf 0, None where it is not known."""
    entry = (outcome.state.cpuid or {}).get((0, 0))
    if entry is None:
        return None
    return b"".join(part.to_bytes(4, "little") for part in (entry.ebx, entry.edx, entry.ecx)).decode("ascii", "replace")


def every(word: FeatureWord) -> int:
    """All bits of a word."""
    return (1 << (64 if word.kind == "msr" else 32)) - 1


def _has(guest: BothWays, word: FeatureWord) -> Bits:
    values = [cpu.words[word.name].value for cpu in guest if word.name in cpu.words]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return 0, every(word)
    return (known[0] & known[-1], known[0] | known[-1]) if known else (0, 0)


def _taken(guest: BothWays, word: FeatureWord) -> Bits:
    low, high = (cpu.words[word.name].unavailable for cpu in guest)
    return low & high, low | high


def _passes(outcome: Outcome, guest: BothWays, word: FeatureWord) -> Bits:
    found = outcome.words[word.name]
    if found.supported is None:
        return 0, every(word)
    low, high = (set_behind_the_filter(cpu.words[word.name]) for cpu in guest)
    return found.supported & ~found.unknown | low & high, found.supported | found.unknown | low | high
