"""What a conversation says about KVM's two MSR lists, read off its events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from msrtui.kvm.abi import E2BIG, Cap
from msrtui.kvm.requests import CheckExtension, GetMsrFeatureIndexList, GetMsrIndexList, IndexListReply, Reply
from msrtui.qemu.state import UNKNOWN
from msrtui.transcript.events import Event


class HeardLists(NamedTuple):
    """The lists as far as they were asked for.

    ``probe`` is the answer to the index list's first question, the one without room. ``index_list`` and
    ``feature_msrs`` are in the kernel's order; ``index_list`` is None where it was not had, ``feature_msrs`` (QEMU's
    kvm_feature_msrs) where it is a null pointer or not known. ``flags`` are the has_msr_* variables that are true.
    ``cap`` is what KVM_CHECK_EXTENSION said of KVM_CAP_GET_MSR_FEATURES, None where it failed. ``feature_known`` is
    False where the source does not say what KVM lists, ``feature_asked`` where QEMU ended before it got there.
    ``feature_errno``: asking for that capability or the list failed, so QEMU's null pointer says nothing of KVM.
    """

    probe: IndexListReply | None = None
    index_list: tuple[int, ...] | None = None
    flags: frozenset[str] = frozenset()
    cap: int | None = None
    feature_msrs: tuple[int, ...] | None = None
    feature_known: bool = False
    feature_asked: bool = False
    feature_errno: int | None = None

    def in_index_list(self, index: int) -> bool | None:
        """Whether KVM lists it; None where that is not known."""
        return None if self.index_list is None else index in self.index_list

    def in_feature_list(self, index: int) -> bool | None:
        """Whether kvm_feature_msrs holds it; a null pointer holds nothing; None where that is not known."""
        if not self.feature_known:
            return None
        return self.feature_msrs is not None and index in self.feature_msrs


def failure_of(request: GetMsrIndexList | GetMsrFeatureIndexList, reply: IndexListReply) -> int | None:
    """The errno of a list that could not be had; None also for the E2BIG with which a probe is told how many."""
    return None if reply.errno == E2BIG and (reply.nmsrs or 0) > request.nmsrs else reply.errno


def heard_lists(events: Iterable[Event]) -> HeardLists:
    """The lists after these events."""
    lists = HeardLists()
    for event in events:
        if event.phase == "index_list":
            lists = _index_list(lists, event)
        elif event.phase == "feature_list":
            lists = _feature_list(lists, event)
        elif lists.feature_asked:
            break
    return lists


def _index_list(lists: HeardLists, event: Event) -> HeardLists:
    if isinstance(event.request, GetMsrIndexList) and isinstance(event.reply, IndexListReply):
        if lists.probe is None:
            return lists._replace(probe=event.reply)
        if event.reply.known and event.reply.errno is None:
            return lists._replace(index_list=event.reply.indices)
    if event.decision is not None:
        found = {name for name, value in event.decision.sets.items() if value is True}
        return lists._replace(flags=lists.flags | found)
    return lists


def _feature_list(lists: HeardLists, event: Event) -> HeardLists:
    if isinstance(event.request, CheckExtension) and event.request.capability == Cap.GET_MSR_FEATURES:
        reply = event.reply or Reply(None)
        cap = reply.result if reply.errno is None else None
        # without the capability there is nothing to list; with it the list itself has to be known
        return lists._replace(cap=cap, feature_known=reply.known, feature_asked=True, feature_errno=reply.errno)
    if isinstance(event.request, GetMsrFeatureIndexList) and isinstance(event.reply, IndexListReply):
        return lists._replace(feature_known=event.reply.known, feature_errno=failure_of(event.request, event.reply))
    if event.decision is not None and "kvm_feature_msrs" in event.decision.sets:
        kept = event.decision.sets["kvm_feature_msrs"]
        if kept is UNKNOWN:
            return lists._replace(feature_known=False)
        return lists._replace(feature_msrs=kept)
    return lists
