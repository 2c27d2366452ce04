"""Replies that were heard are repeated on a second run, and only what is new reaches who answers."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import cast

from msrtui.kvm.heard import Heard
from msrtui.kvm.recorded import RecordedHost, RecordedList, Recording
from msrtui.kvm.requests import AnyRequest, GetApiVersion, GetMsrIndexList, R, Request


class Counting:
    """A host that writes down what reached it."""

    def __init__(self) -> None:
        self.host = RecordedHost(Recording(api_version=12, index_list=RecordedList((0x10, 0x11))))
        self.asked: list[AnyRequest] = []
        self.holds = 0

    def ask(self, request: Request[R]) -> R:
        self.asked.append(request)
        return self.host.ask(request)

    def held(self) -> AbstractContextManager[object]:
        self.holds += 1
        return self.host.held()


def test_without_recall_every_question_is_asked() -> None:
    counting = Counting()
    heard = Heard(counting)
    first, second = heard.ask(GetApiVersion()), heard.ask(GetApiVersion())
    assert first == second
    assert counting.asked == [GetApiVersion(), GetApiVersion()]


def test_recalling_asks_only_what_is_new() -> None:
    counting = Counting()
    heard = Heard(counting)
    probe = heard.ask(GetMsrIndexList(0))
    heard.recall = True
    assert heard.ask(GetMsrIndexList(0)) == probe
    assert heard.ask(GetMsrIndexList(2)).indices == (0x10, 0x11)
    assert counting.asked == cast(list[AnyRequest], [GetMsrIndexList(0), GetMsrIndexList(2)])


def test_what_was_forgotten_is_asked_again() -> None:
    counting = Counting()
    heard = Heard(counting, recall=True)
    heard.ask(GetApiVersion())
    heard.forget()
    heard.ask(GetApiVersion())
    heard.ask(GetApiVersion())
    assert counting.asked == [GetApiVersion(), GetApiVersion()]


def test_the_later_reply_is_the_one_that_is_recalled() -> None:
    counting = Counting()
    heard = Heard(counting)
    heard.ask(GetApiVersion())
    counting.host = RecordedHost(Recording(api_version=13))
    assert heard.ask(GetApiVersion()).result == 13
    heard.recall = True
    assert heard.ask(GetApiVersion()).result == 13


def test_holding_is_the_hosts() -> None:
    counting = Counting()
    with Heard(counting).held():
        pass
    assert counting.holds == 1
