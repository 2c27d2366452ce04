"""The explorer: four panes, the phases, the dialogue. Owns the conversation; every change is a new session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from time import perf_counter
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import Reactive, reactive
from textual.screen import Screen
from textual.widget import Widget

from msrtui.kvm.requests import GetMsrs, HostCpuid, MsrsReply
from msrtui.qemu.profile import QemuProfile
from msrtui.report.readings import read_feature_msrs
from msrtui.snapshot.sources import Source
from msrtui.transcript.events import Event
from msrtui.tui.keymap import KEYMAP
from msrtui.tui.reader import Reader
from msrtui.tui.screens.help import HelpScreen
from msrtui.tui.session import Query, Session, Subject, event_of, first_subject, pane_of, subject_of
from msrtui.tui.view.brand import BRAND_LEAVES, brand, brand_of
from msrtui.tui.view.frame import PANES, Box
from msrtui.tui.view.picture import Picture, picture
from msrtui.tui.widgets.ask_line import AskLine
from msrtui.tui.widgets.line_view import DetailPane, LineList, LineView


class Asked(Message):
    """KVM answered a question of the user's."""

    def __init__(self, index: int, reply: MsrsReply, seconds: float, listed: bool) -> None:
        super().__init__()
        self.index = index
        self.reply = reply
        self.seconds = seconds
        self.listed = listed


class CpuNamed(Message):
    """The host's CPU is called ``name``."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class ExplorerScreen(Screen[None]):
    """One KVM, one QEMU, step by step."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(key.keys, key.action, key.hint or key.help, show=False, priority=key.keys in ("tab", "shift+tab"))
            for key in KEYMAP
            if key.keys and key.action not in ("pane", "quit", "suspend")
        ),
        *(Binding(str(place), f"pane({place})", name, show=False) for place, name in enumerate(PANES, 1)),
    ]

    # Textual repaints the whole screen when the focus moves; here a row's look is all that changes
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)
    session: reactive[Session | None] = reactive(None, init=False, layout=False, repaint=False)

    def __init__(self, source: Source, qemu: QemuProfile, glyphs: Mapping[int, str], *, at_start: bool = False) -> None:
        super().__init__()
        self._glyphs = glyphs
        self._reader = Reader(source, qemu)
        self._trail: list[Subject] = []
        self._boxes: dict[str, Box] = {}
        self._detailed: Subject | None = None
        if not at_start:
            self._reader.ends(1)
        events, state = self._reader.events, self._reader.state
        subject = ("event", 0) if at_start else first_subject(state, qemu, events)
        notice = source.notice.splitlines()[0] if source.notice else None
        self._first = Session(
            source,
            qemu,
            events,
            state,
            subject,
            event_of(subject, events, state.count),
            outcome=self._reader.outcome,
            notice=notice,
        )

    def compose(self) -> ComposeResult:
        """All widgets are there from the start; geometry() says where."""
        for name in ("title", "phases", "top", "bottom", "dialogue", "keys", "upright-0", "upright-1"):
            yield LineView(self._glyphs, id=name)
        yield LineList(self._glyphs, id="index")
        yield LineList(self._glyphs, id="feature")
        yield LineList(self._glyphs, cursor_column=1, id="words")
        yield DetailPane(self._glyphs, id="detail")
        yield AskLine("ask")

    def on_mount(self) -> None:
        """Show the first session."""
        self.session = self._with_readings(self._first)
        self.query_one("#words").focus()
        if self._first.source.live:
            self._name_the_cpu()

    @work(thread=True, exclusive=True, group="cpu", exit_on_error=False)
    def _name_the_cpu(self) -> None:
        """Some KVM give no brand string in their table; then the instruction is asked, after the first paint."""
        if brand(self._first.state.cpuid) is None:
            leaves = [self._reader.heard.answerer.ask(HostCpuid(leaf, 0)).registers for leaf in BRAND_LEAVES]
            name = brand_of([registers for registers in leaves if registers is not None])
            if name is not None:
                self.post_message(CpuNamed(name))

    @on(CpuNamed)
    def _cpu_named(self, message: CpuNamed) -> None:
        if self.session is not None:
            source = self.session.source
            self.session = replace(self.session, source=replace(source, about=replace(source.about, cpu=message.name)))

    def on_resize(self) -> None:
        """Everything has another place."""
        self._show()

    def watch_session(self) -> None:
        """Every change of state ends here."""
        self._show()

    # --- showing -----------------------------------------------------------------------------------------
    def _show(self) -> None:
        session = self.session
        if session is None or not self.size.width:
            return
        shown = picture(session, self.size.width, self.size.height)
        with self.app.batch_update():
            self._place(shown)
            for name in ("title", "phases", "top", "bottom", "dialogue", "keys", "upright-0", "upright-1"):
                self.query_one(f"#{name}", LineView).show(shown.fixed.get(name, ()))
            for name in ("index", "feature", "words"):
                heading, rows = shown.lists[name]
                selected = session.subject if pane_of(session.subject, session.state, self._event()) == name else None
                self.query_one(f"#{name}", LineList).show_list(heading, rows, selected)
            detail = self.query_one("#detail", DetailPane)
            detail.show_text(shown.detail, keep=session.subject == self._detailed)
            self._detailed = session.subject

    def _place(self, shown: Picture) -> None:
        for name, box in shown.boxes.items():
            widget = self.query_one(f"#{name}")
            if self._boxes.get(name) == box:
                continue
            self._boxes[name] = box
            widget.styles.offset = (box.x, box.y)
            widget.styles.width = box.width
            widget.styles.height = box.height
            widget.display = (box.width > 0 and box.height > 0 and name != "ask") or (name == "ask" and self._asking)

    @property
    def _asking(self) -> bool:
        return self.has_class("-asking")

    def _event(self) -> Event | None:
        session = self.session
        return session.events[session.at] if session is not None and session.at is not None else None

    # --- moving in the conversation ------------------------------------------------------------------------
    def _change(self, **changes: object) -> None:
        if self.session is not None:
            fresh = {"notice": None, "asked": None, "outcome": self._reader.outcome}
            self.session = self._with_readings(replace(self.session, **{**fresh, **changes}))  # type: ignore[arg-type]

    def _moved(self, **changes: object) -> None:
        """The reader stands elsewhere: the subject is what the event there is about."""
        event = self._reader.current
        subject: Subject = ("event", -1) if event is None else subject_of(event)
        at = None if event is None else event.n
        self._change(events=self._reader.events, state=self._reader.state, subject=subject, at=at, **changes)

    def _with_readings(self, session: Session) -> Session:
        """At the end, values of listed feature MSRs that QEMU did not ask for are asked once, all together.

        Not before: while one steps, each step is one question of QEMU's and nothing else.
        """
        wanted = set(session.state.feature_list or ()) - set(session.readings)
        if not wanted or not self._reader.at_end:
            return session
        read = read_feature_msrs(self._reader.heard, tuple(session.state.feature_list or ()))
        return replace(session, readings={index: reading.value for index, reading in read.items()})

    def action_step(self, by: int) -> None:
        """One event on or back."""
        if self.session is not None and self.session.at is not None:
            self._reader.stand_at(self.session.at)  # step from what is shown
        if self._reader.step(by) or by < 0:
            self._moved()
        else:
            self._change(notice="The conversation ends here:  p  goes back,  <  to the start.")

    def action_phase(self, by: int) -> None:
        """One phase on or back."""
        self._reader.phase(by)
        self._moved()

    def action_ends(self, by: int) -> None:
        """To the start or to the end."""
        self._reader.ends(by)
        self._moved()

    def action_again(self) -> None:
        """Forget what KVM said and begin at the start: each step is a question again."""
        self._reader.again()
        self._moved(readings={}, queries={})

    def action_migratable(self) -> None:
        """The second argument of x86_cpu_get_supported_feature_word, on or off; worked out from what was heard."""
        session = self.session
        if session is None:
            return
        qemu = replace(session.qemu, migratable=not session.qemu.migratable)
        self._reader.switch(qemu)
        events, state = self._reader.events, self._reader.state
        at = event_of(session.subject, events, state.count)
        self._change(qemu=qemu, events=events, state=state, at=at)

    # --- selecting -----------------------------------------------------------------------------------------
    @on(LineList.Highlighted)
    def _highlighted(self, message: LineList.Highlighted) -> None:
        session = self.session
        if session is None or isinstance(message, LineList.Opened) or message.key == session.subject:
            return
        subject = message.key
        if isinstance(subject, tuple) and subject:
            self._change(subject=subject, at=event_of(subject, session.events, session.state.count))

    @on(LineList.Opened)
    def _opened_row(self, message: LineList.Opened) -> None:
        session = self.session
        key = message.key
        if session is None or not isinstance(key, tuple):
            self.action_open()
            return
        if key != session.subject:
            self._trail.append(session.subject)
        if message.pane.id == "words" and key[0] in ("word", "group"):
            opened = session.opened ^ {key}
            if key[0] == "word" and key in opened:
                # the first Enter says why; the bits in the tree come with it
                self.query_one("#detail").focus()
            self._change(opened=opened, subject=key, at=event_of(key, session.events, session.state.count))
        else:
            self._change(subject=key, at=event_of(key, session.events, session.state.count))
            self.query_one("#detail").focus()

    def action_open(self) -> None:
        """Enter outside a list: to the detail view."""
        self.query_one("#detail").focus()

    def action_back(self) -> None:
        """Back to what was looked at before."""
        session = self.session
        if self._trail and session is not None:
            subject = self._trail.pop()
            self._change(subject=subject, at=event_of(subject, session.events, session.state.count))

    # --- panes ---------------------------------------------------------------------------------------------
    def action_next_pane(self, by: int) -> None:
        """To the next pane or the one before."""
        if self._asking:
            return
        at = PANES.index(self.session.focus) if self.session is not None else 0
        self.action_pane((at + by) % len(PANES) + 1)

    def action_pane(self, place: int) -> None:
        """To a pane by its number."""
        self.query_one(f"#{PANES[place - 1]}").focus()

    def on_descendant_focus(self) -> None:
        """The pane with the focus grows."""
        name = self.focused.id if self.focused is not None else None
        if name in PANES and self.session is not None and name != self.session.focus:
            self.session = replace(self.session, focus=name)

    def action_zoom(self) -> None:
        """The focused pane alone, and back."""
        if self.session is not None:
            self._change(zoomed=not self.session.zoomed, notice=self.session.notice)

    def action_level(self) -> None:
        """One level back: the question, the zoom, the detail view."""
        if self._asking:
            self._close_ask()
            self._change()
        elif self.session is not None and self.session.zoomed:
            self.action_zoom()
        elif self.session is not None and self.session.focus == "detail":
            self.query_one("#words").focus()

    def action_redraw(self) -> None:
        """Draw everything anew."""
        self.refresh(layout=True)
        for widget in self.query(LineView):
            widget.refresh()

    def action_help(self) -> None:
        """All keys."""
        self.app.push_screen(HelpScreen(self._glyphs))

    def action_copy(self) -> None:
        """The value under the eyes, to the clipboard; it is printed at the end too."""
        session = self.session
        if session is None:
            return
        value = self._value_of(session.subject)
        if value is not None:
            self.app.copy_to_clipboard(value)
            copied = getattr(self.app, "copied", None)
            if isinstance(copied, list):
                copied.append(value)
            what = "" if session.subject[0] != "msr" or session.subject[1] in session.readings else ", the index"
            self._change(notice=f"Copied {value}{what}; it is printed at the end too.")

    def _value_of(self, subject: Subject) -> str | None:
        session = self.session
        assert session is not None
        if subject[0] in ("word", "bit"):
            found, guest = session.state.words.get(str(subject[1])), session.state.guest.get(str(subject[1]))
            value = guest.value if guest is not None else found.migratable if found is not None else None
        elif subject[0] == "msr" and isinstance(subject[1], int):
            query = session.queries.get(subject[1])
            value = query.value if query is not None else session.readings.get(subject[1], subject[1])
        else:
            return None
        return None if value is None else f"{value:#x}"

    # --- asking KVM for one MSR ------------------------------------------------------------------------------
    def action_ask(self) -> None:
        """Open the line where an MSR is named."""
        session = self.session
        if session is None:
            return
        self.add_class("-asking")
        # a null pointer holds nothing; a list that the source does not hold is taken for one that lists nothing
        decided = session.state.feature_null or session.state.feature_unknown
        listed = () if decided else session.state.feature_list
        self.query_one(AskLine).open(listed, live=session.source.live)

    @on(AskLine.Left)
    def _close_ask(self) -> None:
        self.remove_class("-asking")
        self.query_one(AskLine).close()
        self.query_one(f"#{self.session.focus if self.session else 'words'}").focus()

    @on(AskLine.Noticed)
    def _ask_noticed(self, message: AskLine.Noticed) -> None:
        self._change(notice=message.text)

    @on(AskLine.Named)
    def _named(self, message: AskLine.Named) -> None:
        self._close_ask()
        if self.session is not None:
            self._trail.append(self.session.subject)
        self._put_question(message.index, message.listed)

    @work(thread=True, exclusive=True, group="ask", exit_on_error=False)
    def _put_question(self, index: int, listed: bool) -> None:
        session = self.session
        if session is None:
            return
        started = perf_counter()
        reply = session.source.answerer.ask(GetMsrs((index,)))
        self.post_message(Asked(index, reply, perf_counter() - started, listed))

    @on(Asked)
    def _asked(self, message: Asked) -> None:
        session = self.session
        if session is None:
            return
        earlier = session.queries.get(message.index)
        heard = session.state.msrs.get(message.index)
        before = (
            earlier.value
            if earlier
            else heard.values[0]
            if heard and heard.values
            else session.readings.get(message.index)
        )
        query = Query(message.reply, message.seconds, before, message.listed)
        word = session.qemu.tables.word_by_msr.get(message.index)
        subject: Subject = ("word", word.name) if word is not None else ("msr", message.index)
        self._change(
            queries={**session.queries, message.index: query},
            subject=subject,
            at=event_of(subject, session.events, session.state.count),
            asked=message.index,
        )
