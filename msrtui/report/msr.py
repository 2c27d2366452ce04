"""One MSR on one host as one QEMU reads it, from KVM's lists to what a guest gets."""

from __future__ import annotations

from typing import NamedTuple

from msrtui.catalog.makers import Maker
from msrtui.explain.absent import Absence, absences
from msrtui.explain.evidence import evidence_at, evidence_of
from msrtui.kvm.readings import read_feature_msrs
from msrtui.kvm.requests import GetMsrs, MsrReading, reading_of
from msrtui.qemu.cpu_request import CpuRequest, parse
from msrtui.qemu.models import GuestWord
from msrtui.qemu.negotiation import Lineage, QemuExit
from msrtui.qemu.profile import QemuProfile
from msrtui.report.views import GuestView, HostView, WordView, view_guest, view_words
from msrtui.snapshot.model import About
from msrtui.transcript.heard_lists import HeardLists
from msrtui.transcript.state import State


class MsrView(NamedTuple):
    """One MSR on one host, as one QEMU reads it: ``lists`` are KVM's, ``ended`` is where that QEMU ends too early.

    ``branch`` is the way that kvm_arch_get_supported_msr_feature takes for it, None where that
    is not known. ``reading`` is what
    KVM_GET_MSRS gave, None where KVM does not list it as a feature MSR or that is not known. ``word`` is the
    feature word that stands on it, if one does. ``asked`` is the answer to a question that QEMU would not put.
    ``absent`` says for each list that lacks the MSR why. ``guest`` is what one ``-cpu`` gets, with no words where
    the MSR has none; ``maker`` whose kind of CPU it is, where KVM's CPUID says that.
    """

    msr: int
    lists: HeardLists
    branch: str | None
    reading: MsrReading | None
    word: WordView | None
    flag: str | None
    asked: MsrReading | None = None
    absent: tuple[Absence, ...] = ()
    ended: QemuExit | None = None
    guest: GuestView = GuestView()
    maker: Maker | None = None

    @property
    def status(self) -> str:
        """``ok``, ``refused``, ``error``, ``not listed`` or ``unknown``, of the feature list."""
        if self.reading is not None:
            return self.reading.status
        return "unknown" if self.lists.in_feature_list(self.msr) is None else "not listed"

    @property
    def kvm(self) -> int | None:
        """KVM's value of a listed MSR, None unless the status is ok."""
        return self.reading.value if self.reading is not None else None

    @property
    def lineage(self) -> Lineage:
        """What QEMU did to the value; nothing where it makes no word of the MSR."""
        return self.word.lineage if self.word is not None else ()

    @property
    def guest_word(self) -> GuestWord | None:
        """The word as the guest gets it; None where there is no word, or no guest so far."""
        return self.guest.words.get(self.word.word.name) if self.word is not None else None

    @property
    def guest_value(self) -> int | None:
        """What the guest gets, as a number to rely on: None where a bit of the word is not known."""
        found = self.guest_word
        return None if found is None or self.word is None or self.word.unknown else found.value


def view_msr(
    index: int,
    profile: QemuProfile,
    host: HostView,
    request: CpuRequest | None = None,
    *,
    ask: bool = False,
    about: About | None = None,
) -> MsrView:
    """Look at the MSR ``index``; KVM is asked for it only where it is in the feature list, or with ``ask``.

    Where it is a feature word's, the guest of ``request`` (``-cpu host``) is worked out too. ``about`` holds the
    facts that decide why a list lacks it: kernel, vendor module, parameters.
    """
    lists = host.lists
    listed = lists.in_feature_list(index)
    with host.answerer.held():
        reading = read_feature_msrs(host.answerer, (index,))[index] if listed else None
        word = profile.tables.word_by_msr.get(index)
        view = view_words(host, (word,))[0] if word is not None else None
        request = request if request is not None else parse("host", profile)
        guest = view_guest(host, request) if word is not None else GuestView(request.text)
        asked = reading_of(host.answerer.ask(GetMsrs((index,)))) if ask and not listed else None
        found = evidence_of(about or About(), lists, host.state, host.answerer, index)
    made = _msr_view(index, profile, lists, reading, view, asked, absences(index, found), host.ended, guest)
    return made._replace(maker=found.cpu_vendor)


def view_heard_msr(
    index: int,
    profile: QemuProfile,
    state: State,
    lists: HeardLists,
    reading: MsrReading | None,
    *,
    cpu: str = "host",
    asked: MsrReading | None = None,
    about: About | None = None,
) -> MsrView:
    """Look at the MSR ``index`` as far as a conversation has come: nothing is asked.

    ``reading`` is what was heard of it, None where nothing was; ``asked`` what KVM said where it does not list it;
    ``cpu`` the ``-cpu`` that the conversation is for.
    """
    if reading is None and lists.in_feature_list(index):
        reading = MsrReading("unknown")
    word = profile.tables.word_by_msr.get(index)
    view = WordView(word, state.words.get(word.name), None) if word is not None else None
    absent = absences(index, evidence_at(state, about or About()))
    return _msr_view(index, profile, lists, reading, view, asked, absent, state.end, GuestView(cpu, state.guest))


def _msr_view(
    index: int,
    profile: QemuProfile,
    lists: HeardLists,
    reading: MsrReading | None,
    word: WordView | None,
    asked: MsrReading | None,
    absent: tuple[Absence, ...],
    ended: QemuExit | None,
    guest: GuestView,
) -> MsrView:
    listed = lists.in_feature_list(index)
    branch = None
    if listed is not None:
        branch = "cache null" if lists.feature_msrs is None else "asked" if listed else "not listed"
    row = profile.tables.flag_by_index.get(index)
    flag = row.flag if row is not None else None
    return MsrView(index, lists, branch, reading, word, flag, asked, absent, ended, guest)
