"""One host as one QEMU reads it, worked out for a report: the lists, and single feature words.

A QEMU that would end in the middle does not end a report: each word is worked out by itself, so that the
others can still be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from msrtui.catalog import decode
from msrtui.errors import KvmUnusable
from msrtui.kvm.heard import Heard
from msrtui.kvm.requests import Answerer
from msrtui.qemu import rules
from msrtui.qemu.conversation import kvm_cpu_realizefn, negotiate
from msrtui.qemu.cpu_request import CpuRequest
from msrtui.qemu.filtering import guest_cpu
from msrtui.qemu.models import Guest
from msrtui.qemu.negotiation import Lineage, QemuExit
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.state import UNKNOWN, KvmState
from msrtui.qemu.tables import FeatureWord
from msrtui.qemu.words import SupportedWord, is_control_word, supported_words
from msrtui.report.sentences import decision_text
from msrtui.report.shape import hexed
from msrtui.transcript.heard_lists import HeardLists, heard_lists
from msrtui.transcript.stepper import conclude, run


class HostView(NamedTuple):
    """Up to KVM's CPUID table: who answers (heard replies in front), the lists, QEMU's variables.

    ``ended`` is where QEMU would have ended before it came to the words; the lists are there all the same.
    """

    answerer: Heard
    lists: HeardLists
    state: KvmState
    ended: QemuExit | None


class WordView(NamedTuple):
    """One word: ``supported`` as worked out, or None where KVM's refusal would end QEMU, in its words ``ended``."""

    word: FeatureWord
    supported: SupportedWord | None
    ended: QemuExit | None

    @property
    def layers(self) -> tuple[int | None, int | None, int | None]:
        """KVM's raw value, what is supported, what is migratable; bits that are not known are 0."""
        done = self.supported
        return (None, None, None) if done is None else (done.kvm, done.supported, done.migratable)

    @property
    def unknown(self) -> int:
        """Bits that could not be decided, because the host's CPUID could not be had: 0 in the layers."""
        return 0 if self.supported is None else self.supported.unknown

    @property
    def known(self) -> tuple[int | None, int | None, int | None]:
        """The layers as numbers to rely on: None for those of QEMU where a bit of the word is not known."""
        kvm, supported, migratable = self.layers
        return (kvm, None, None) if self.unknown else (kvm, supported, migratable)

    @property
    def lineage(self) -> Lineage:
        """What was done to the value; nothing where QEMU would have ended."""
        return () if self.supported is None else self.supported.lineage


class GuestView(NamedTuple):
    """What a guest of one ``-cpu`` gets: ``cpu`` as it was written, ``words`` by FEAT_ name.

    ``last_words`` are QEMU's where it would end: without any word before there is a CPU, else because of this one.
    """

    cpu: str = "host"
    words: Guest = MappingProxyType({})
    last_words: str | None = None


def view_host(source_name: str, profile: QemuProfile, answerer: Answerer) -> HostView:
    """Hold the conversation up to the words.

    Raises KvmUnusable where QEMU would end before it knows both lists: then there is nothing to tell.
    """
    heard = Heard(answerer, recall=True)
    with answerer.held():
        stepper = run(negotiate(profile, words=()), heard)
    lists = heard_lists(stepper.events)
    if stepper.outcome is not None:
        return HostView(heard, lists, stepper.outcome.state, None)
    if lists.probe is None or not lists.feature_asked:
        words = " ".join(stepper.ended.text.split()) if stepper.ended else ""
        raise KvmUnusable(f"{source_name}: QEMU {profile.label} ends before it has the MSR lists: {words}")
    state = KvmState(profile, lists.flags, lists.feature_msrs if lists.feature_known else UNKNOWN)
    return HostView(heard, lists, state, stepper.ended)


def view_words(view: HostView, words: Sequence[FeatureWord]) -> list[WordView]:
    """These words, in their order, each worked out by itself."""
    with view.answerer.held():
        return [_view_word(view, word) for word in words]


def _view_word(view: HostView, word: FeatureWord) -> WordView:
    try:
        done = conclude(supported_words(view.state, (word.name,)), view.answerer)
    except QemuExit as end:
        return WordView(word, None, end)
    return WordView(word, done[word.name], None)


def view_guest(view: HostView, request: CpuRequest) -> GuestView:
    """The guest of ``request``; every word is read for it, as one may follow from another."""
    if view.ended is not None:
        return GuestView(request.text)
    try:
        every = conclude(supported_words(view.state), view.answerer)
    except QemuExit as end:
        return GuestView(request.text, last_words=end.text)
    cpu = guest_cpu(view.state, every, request)
    try:
        conclude(kvm_cpu_realizefn(view.state, every, cpu, None), view.answerer)
    except QemuExit as end:
        return GuestView(request.text, cpu.words, end.text)
    return GuestView(request.text, cpu.words, cpu.refused)


def kvm_bits(word: FeatureWord, kvm: int | None) -> int | None:
    """KVM's answer by the word's own bit numbers: of a control word the half that says what may be 1."""
    return kvm >> 32 if kvm is not None and is_control_word(word) else kvm


def number_bits(word: FeatureWord, kvm: int | None) -> int:
    """The bits of an MSR's fields of several bits that QEMU has no names for: they are numbers, no features."""
    if word.kind != "msr" or kvm is None or is_control_word(word):
        return 0
    mask = 0
    for part in decode(word.index, kvm):
        if part.field.width > 1:
            mask |= ((1 << part.field.width) - 1) << part.field.lo
    return mask & ~word.named_mask


def lineage_document(lineage: Lineage, profile: QemuProfile) -> list[dict[str, Any]]:
    """A lineage for programs, oldest first."""
    return [
        {
            "rule": step.rule,
            "before": hexed(step.before),
            "after": hexed(step.after),
            "source": rules.RULES[step.rule].source(profile.label),
            "text": decision_text(step, profile),
        }
        for step in lineage
    ]
