"""Replies that were heard, kept in front of who gave them.

A half-run generator cannot be forked, so another QEMU version is run from the replies of the first run and
only what is new reaches the device. ``forget`` empties the memory: the next run asks everything again.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import cast

from msrtui.kvm.requests import Answerer, AnyRequest, R, Reply, Request


class Heard:
    """Stands in front of ``answerer``; ``recall`` says whether known replies are repeated or asked for anew."""

    def __init__(self, answerer: Answerer, *, recall: bool = False) -> None:
        self.answerer = answerer
        self.recall = recall
        self._replies: dict[AnyRequest, Reply] = {}

    def ask(self, request: Request[R]) -> R:
        """The reply that was heard, when recalling; else the answerer's, remembered."""
        if self.recall and request in self._replies:
            return cast(R, self._replies[request])
        reply = self.answerer.ask(request)
        self._replies[request] = reply
        return reply

    def fork(self) -> Heard:
        """Another memory with the same replies, for a run beside this one; it recalls."""
        other = Heard(self.answerer, recall=True)
        other._replies = dict(self._replies)
        return other

    def forget(self) -> None:
        """Empty the memory."""
        self._replies.clear()

    def held(self) -> AbstractContextManager[object]:
        """As the answerer's."""
        return self.answerer.held()
