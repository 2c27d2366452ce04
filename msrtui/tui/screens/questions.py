"""The user's own question to KVM: a line where an MSR is named, one GetMsrs in a thread, and what came of it."""

from __future__ import annotations

import time

from textual import on, work
from textual.message import Message

from msrtui.kvm.requests import GetMsrs, MsrsReply
from msrtui.snapshot.sources import Source
from msrtui.tui.screens.part import Part
from msrtui.tui.widgets.ask_line import AskLine


class Asked(Message):
    """KVM answered a question of the user's."""

    def __init__(self, index: int, reply: MsrsReply, seconds: float, listed: bool) -> None:
        super().__init__()
        self.index = index
        self.reply = reply
        self.seconds = seconds
        self.listed = listed


class Questions(Part):
    """The part of the explorer that asks; the AskLine that it opens is composed by who derives from it."""

    def _focus(self, pane: str) -> None:
        raise NotImplementedError

    def _show(self) -> None:
        raise NotImplementedError

    @property
    def _asking(self) -> bool:
        return self.has_class("-asking")

    def action_ask(self) -> None:
        """Open the line where an MSR is named."""
        state = self.exploration.session.state
        self.add_class("-asking")
        # a null pointer holds nothing; a list that the source does not hold is taken for one that lists nothing
        listed = () if state.feature_null or state.feature_unknown else state.feature_list
        self.query_one(AskLine).open(listed, live=self.exploration.session.source.live)
        self._show()

    @on(AskLine.Left)
    def _close_ask(self) -> None:
        self.remove_class("-asking")
        self.query_one(AskLine).close()
        self._show()
        self._focus(self.exploration.session.focus)

    @on(AskLine.Noticed)
    def _ask_noticed(self, message: AskLine.Noticed) -> None:
        self._note(message.text)

    @on(AskLine.Named)
    def _named(self, message: AskLine.Named) -> None:
        self._close_ask()
        self._put_question(self.exploration.session.source, message.index, message.listed)

    @work(thread=True, exclusive=True, group="ask", exit_on_error=False)
    def _put_question(self, source: Source, index: int, listed: bool) -> None:
        started = time.perf_counter()
        reply = source.answerer.ask(GetMsrs((index,)))
        self.post_message(Asked(index, reply, time.perf_counter() - started, listed))

    @on(Asked)
    def _asked(self, message: Asked) -> None:
        self._do(lambda: self.exploration.answered(message.index, message.reply, message.seconds, message.listed))
