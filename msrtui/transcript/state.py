"""The state of QEMU's variables at the cursor: a fold over the events before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msrtui.kvm.abi import Cap
from msrtui.kvm.requests import (
    CheckExtension,
    CpuidEntry,
    CpuidReply,
    GetMsrFeatureIndexList,
    GetMsrIndexList,
    GetSupportedCpuid,
    IndexListReply,
    MsrsReply,
)
from msrtui.qemu.models import GuestWord
from msrtui.qemu.negotiation import QemuExit
from msrtui.qemu.state import UNKNOWN
from msrtui.qemu.tables import FeatureWord
from msrtui.qemu.words import SupportedWord, is_control_word
from msrtui.transcript.events import Event
from msrtui.transcript.heard_lists import failure_of
from msrtui.values import dataclass, field


@dataclass(frozen=True)
class State:
    """What is known behind ``count`` events.

    ``index_list`` is the list as KVM gave it (QEMU frees its copy: ``index_freed``); ``flags`` are the has_msr_*
    flags by the index that set them. ``feature_null``: kvm_feature_msrs is known to be a null pointer;
    ``feature_unknown``: the source does not hold it; ``feature_errno``: asking for it failed, so that the null pointer
    says nothing of KVM. ``capabilities`` are None where asking failed too. ``msrs`` are the replies to QEMU's own
    KVM_GET_MSRS. None everywhere means: not yet.
    """

    count: int = 0
    event: Event | None = None
    opened: bool = False
    capabilities: Mapping[int, int | None] = field(default_factory=dict)
    index_wanted: int | None = None
    index_list: tuple[int, ...] | None = None
    index_freed: bool = False
    flags: Mapping[int, str] = field(default_factory=dict)
    feature_wanted: int | None = None
    feature_list: tuple[int, ...] | None = None
    feature_null: bool = False
    feature_errno: int | None = None
    feature_unknown: bool = False
    cpuid: tuple[CpuidEntry, ...] | None = None
    msrs: Mapping[int, MsrsReply] = field(default_factory=dict)
    words: Mapping[str, SupportedWord] = field(default_factory=dict)
    guest: Mapping[str, GuestWord] = field(default_factory=dict)
    end: QemuExit | None = None

    @property
    def without_feature_list(self) -> bool:
        """Whether this KVM is known to have no feature list: a null pointer that comes of a failure says nothing."""
        return self.feature_null and self.feature_errno is None


def state_at(events: Sequence[Event], count: int) -> State:
    """The state behind the first ``count`` events."""
    opened = index_freed = feature_null = feature_unknown = False
    feature_errno: int | None = None
    capabilities: dict[int, int | None] = {}
    index_wanted: int | None = None
    feature_wanted: int | None = None
    index_list: tuple[int, ...] | None = None
    feature_list: tuple[int, ...] | None = None
    cpuid: tuple[CpuidEntry, ...] | None = None
    flags: dict[int, str] = {}
    msrs: dict[int, MsrsReply] = {}
    words: dict[str, SupportedWord] = {}
    guest: dict[str, GuestWord] = {}
    end: QemuExit | None = None
    for event in events[:count]:
        reply = event.reply
        if event.kind == "open":
            opened = reply is not None and reply.errno is None
        elif isinstance(event.request, CheckExtension):
            capabilities[event.request.capability] = reply.result if reply and reply.errno is None else None
            if event.request.capability == Cap.GET_MSR_FEATURES and reply is not None:
                feature_errno = reply.errno
        elif isinstance(reply, IndexListReply):
            if isinstance(event.request, GetMsrIndexList):
                index_wanted = reply.nmsrs if index_wanted is None else index_wanted
                index_list = reply.indices if reply.known and reply.errno is None else index_list
            elif isinstance(event.request, GetMsrFeatureIndexList):
                feature_wanted = reply.nmsrs if feature_wanted is None else feature_wanted
                feature_errno = failure_of(event.request, reply)
        elif isinstance(event.request, GetSupportedCpuid):
            if isinstance(reply, CpuidReply) and reply.errno is None:
                cpuid = reply.entries
        elif isinstance(reply, MsrsReply) and event.request is not None:
            for index in getattr(event.request, "indices", ()):
                msrs[index] = reply
        elif event.end is not None:
            end = event.end
        if event.decision is not None:
            for variable, value in event.decision.sets.items():
                if variable == "kvm_msr_list":
                    index_freed = True
                elif variable == "kvm_feature_msrs":
                    feature_null, feature_unknown = value is None, value is UNKNOWN
                    feature_list = None if feature_unknown else value
                elif isinstance(value, SupportedWord):
                    words[variable] = value
                elif isinstance(value, GuestWord):
                    guest[variable.removeprefix("guest:")] = value
                elif "index" in event.decision.params:
                    flags[event.decision.params["index"]] = variable
    return State(
        count=count,
        event=events[count - 1] if count else None,
        opened=opened,
        capabilities=capabilities,
        index_wanted=index_wanted,
        index_list=index_list,
        index_freed=index_freed,
        flags=flags,
        feature_wanted=feature_wanted,
        feature_list=feature_list,
        feature_null=feature_null,
        feature_errno=feature_errno,
        feature_unknown=feature_unknown,
        cpuid=cpuid,
        msrs=msrs,
        words=words,
        guest=guest,
        end=end,
    )


def last_exchange(events: Sequence[Event], upto: int) -> tuple[Event, ...]:
    """The question, and what QEMU made of the answer, that end at event ``upto`` (an index into ``events``).

    A decision is led by the ioctl before it in the same function, if there is one; and an ioctl stands alone.
    """
    event = events[upto]
    if event.decision is None:
        return (event,)
    for before in range(upto - 1, -1, -1):
        earlier = events[before]
        if earlier.word != event.word or earlier.phase != event.phase:
            if event.phase != "guest" or event.word is None:
                break
            if earlier.word != event.word:
                continue  # what a guest gets of a word was asked for when the word was worked out
        if earlier.kind == "ioctl":
            return (earlier, event)
    return (event,)


def event_of_word(events: Sequence[Event], word: str, phase: str = "words") -> int | None:
    """The index of the last event about a word in a phase that changed its value; where none did, of the last."""
    last: int | None = None
    for place in range(len(events) - 1, -1, -1):
        event = events[place]
        if event.word == word and event.phase == phase:
            step = event.decision
            if step is not None and step.before is not None and step.before != step.after:
                return place
            last = place if last is None else last
    return last


def differs(state: State, word: FeatureWord) -> bool:
    """Whether a guest gets something else in this word than KVM answered.

    A leaf or MSR that KVM does not list counts as 0. Of VMX controls only those count that are a choice.
    """
    found, guest = state.words.get(word.name), state.guest.get(word.name)
    if found is None or found.supported is None:
        return False
    kvm = found.supported if is_control_word(word) else found.kvm or 0
    last = guest.value if guest is not None else found.migratable
    return last is not None and kvm != last
