"""The explorer: four panes, the phases, the dialogue. Keys go to the exploration, its session is what is shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.reactive import Reactive, reactive
from textual.widget import Widget

from msrtui.errors import BadRequest
from msrtui.host.reload import host_mark, reloaded
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import Source, live_source
from msrtui.tui.exploration import Exploration
from msrtui.tui.keymap import KEYMAP, Key
from msrtui.tui.permits import permits_of
from msrtui.tui.places import pane_of
from msrtui.tui.screens.background import Background
from msrtui.tui.screens.errands import Errands
from msrtui.tui.screens.questions import Questions
from msrtui.tui.session import Session, Subject
from msrtui.tui.view.frame import PANE_TITLES, PANES, Box
from msrtui.tui.view.picture import Picture, ask_keys, picture
from msrtui.tui.widgets.ask_line import AskLine
from msrtui.tui.widgets.detail_pane import DetailPane
from msrtui.tui.widgets.line_view import LineList, LineView

_LINES = ("title", "phases", "top", "bottom", "dialogue", "keys", "upright-0", "upright-1")
_LISTS = tuple(pane for pane in PANES if pane != "detail")
_MOVES = ("down", "up", "j", "k", "pagedown", "pageup", "home", "end")
_WHILE_ASKING = ("level", "next_pane")


class ExplorerScreen(Questions, Errands, Background):
    """One KVM, one QEMU, step by step. Raises BadRequest where that QEMU has no such ``-cpu``."""

    # all of them before the widget with the focus hears them: keys typed ahead, or that a slow line brings in one
    # piece, then mean what they would one by one
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(key.keys, key.action, key.hint or key.help, show=False, priority=True)
            for key in KEYMAP
            if key.owner == "screen"
        ),
        *(
            Binding(str(place), f"pane({place})", name, show=False, priority=True)
            for place, name in enumerate(PANE_TITLES.values(), 1)
        ),
        *(Binding(key, f"press('{key}')", "move", show=False, priority=True) for key in _MOVES),
    ]

    KEYS: ClassVar[tuple[Key, ...]] = KEYMAP
    """What the key line and the help tell."""

    AUTO_FOCUS = "#words"
    # Textual repaints the whole screen when the focus moves; here a row's look is all that changes
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)
    session: reactive[Session | None] = reactive(None, init=False, layout=False, repaint=False)

    def __init__(
        self,
        source: Source,
        qemu: QemuProfile,
        glyphs: Mapping[int, str],
        *,
        cpu: str = "host",
        at_start: bool = False,
    ) -> None:
        super().__init__()
        self._glyphs = glyphs
        self.exploration = Exploration(source, qemu, cpu, at_start=at_start)
        self._boxes: dict[str, Box] = {}
        self._pictured: tuple[Session, Size, bool] | None = None
        self._detailed: object = None
        self._mark = host_mark() if source.live else {}
        self._since = time.strftime("%H:%M")

    def compose(self) -> ComposeResult:
        """All widgets are there from the start; geometry() says where."""
        for name in _LINES:
            yield LineView(self._glyphs, id=name)
        for name in _LISTS:
            yield LineList(self._glyphs, cursor_column=1 if name == "words" else 0, id=name)
        yield DetailPane(self._glyphs, id="detail")
        yield AskLine("ask")

    def on_mount(self) -> None:
        """Show the first session; what takes longer comes after the first paint."""
        self._follow()
        if self.exploration.session.source.live:
            self._name_the_cpu()

    # --- showing -------------------------------------------------------------------------------------------
    def on_resize(self) -> None:
        """Everything has another place."""
        self._show()

    def watch_session(self) -> None:
        """Every change of state ends here."""
        self._show()

    def _follow(self) -> None:
        """Show what the exploration came to."""
        self.exploration.asked_since(self._since)
        self.session = session = self.exploration.session
        self._look_further(session)

    def _show(self) -> None:
        session, size = self.session, self.size
        if session is None or not size.width:
            return
        asking = self._asking
        if self._pictured is not None and self._pictured[0] is session and self._pictured[1:] == (size, asking):
            return  # Textual tells a screen that comes up its size three times
        self._pictured = session, size, asking
        shown = picture(session, size.width, size.height, permits_of(self.app).offered(self.KEYS))
        with self.app.batch_update():
            self._place(shown)
            for name in _LINES:
                lines = [ask_keys(size.width)] if asking and name == "keys" else shown.fixed.get(name, ())
                self.query_one(f"#{name}", LineView).show(lines)
            for name in _LISTS:
                heading, rows = shown.lists[name]
                here = pane_of(session.subject, session.state, self.exploration.event) == name
                self.query_one(f"#{name}", LineList).show_list(heading, rows, session.subject if here else None)
            what = (session.subject, session.grid)
            self.query_one("#detail", DetailPane).show_text(shown.detail, keep=what == self._detailed)
            self._detailed = what

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

    def _explore(self, exploration: Exploration) -> None:
        """Another source: everything begins anew, but for where the panes stand."""
        live = exploration.session.source.live
        self._mark, self._since = host_mark() if live else {}, time.strftime("%H:%M")
        exploration.focus_on(self.exploration.session.focus)
        self.exploration = exploration
        self._follow()
        if live:
            self._name_the_cpu()

    def _do(self, move: Callable[[], object]) -> None:
        """Make a move; what cannot be done says so at the foot, and so does a KVM that is another one now."""
        try:
            move()
        except BadRequest as refused:
            self.exploration.note(str(refused))
        if self._mark and (changed := reloaded(self._mark, host_mark())) is not None:
            self.exploration.changed_since(self._since, changed)
        self._follow()

    # --- moving in the conversation ------------------------------------------------------------------------
    def action_step(self, by: int) -> None:
        """One event on or back."""
        self._do(lambda: self.exploration.step(by))

    def action_phase(self, by: int) -> None:
        """One phase on or back."""
        self._do(lambda: self.exploration.phase(by))

    def action_ends(self, by: int) -> None:
        """To the start or to the end."""
        self._do(lambda: self.exploration.ends(by))

    def action_again(self) -> None:
        """Forget what KVM said and begin at the start: each step is a question again."""
        about = None
        if self.exploration.session.source.live:
            self._mark, self._since = host_mark(), time.strftime("%H:%M")
            about = live_source().about
        self._do(lambda: self.exploration.again(about))

    def action_migratable(self) -> None:
        """The second argument of x86_cpu_get_supported_feature_word, on or off; worked out from what was heard."""
        self._do(self.exploration.migratable)

    # --- selecting -----------------------------------------------------------------------------------------
    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While an MSR is being named its line has the keys."""
        return not self._asking or action in _WHILE_ASKING or not hasattr(ExplorerScreen, f"action_{action}")

    def action_press(self, key: str) -> None:
        """A key that moves in the pane with the focus."""
        pane = self.focused
        if isinstance(pane, LineList):
            before = pane.selected
            with pane.prevent(LineList.Highlighted):  # the next key may be there already: it must find this one done
                pane.press(key)
            if pane.id in _LISTS and pane.selected != before:
                self._look_at(pane.selected)

    @on(LineList.Highlighted)
    def _highlighted(self, message: LineList.Highlighted) -> None:
        if not isinstance(message, LineList.Opened):
            self._look_at(message.key)

    def _look_at(self, key: object) -> None:
        if isinstance(key, tuple) and key and key != self.exploration.session.subject:
            self._do(lambda: self.exploration.look_at(key))

    @on(LineList.Opened)
    def _row_opened(self, message: LineList.Opened) -> None:
        self._open_row(message.pane, message.key)

    def action_open(self) -> None:
        """Enter: what the cursor stands on, or why it is so."""
        if isinstance(self.focused, LineList):
            self._open_row(self.focused, self.focused.selected)

    def _open_row(self, pane: LineList, key: object) -> None:
        if not isinstance(key, tuple):
            if pane.id == "detail":
                self._do(lambda: self.exploration.note("No link is chosen: the arrows go from one to the next."))
            self._focus("detail")
        elif pane.id == "words" and key[0] in ("word", "group"):
            why = key[0] == "word"
            opened = self.exploration.session.opened
            opened = opened | {key} if why else opened ^ {key}
            focus = "detail" if why else "words"
            self._do(lambda: self.exploration.follow(key, opened=opened, focus=focus))
            if why:
                # Enter says why; the bits in the tree come with it, Left puts them away
                self._focus("detail")
                self.call_after_refresh(self.query_one(DetailPane).reveal, "why")
        else:
            self._do(lambda: self.exploration.follow(key))
            self._focus("detail")

    def action_back(self) -> None:
        """Back to what was looked at before."""
        if not self.exploration.back():
            self.exploration.note("There is nothing to go back to: links, Enter and / lead somewhere.")
        self._follow()

    def action_forward(self) -> None:
        """Forward again."""
        if not self.exploration.forward():
            self.exploration.note("There is nothing to go forward to.")
        self._follow()

    def action_fold(self, opened: int) -> None:
        """The bits of a word in the tree, or the words of a group: shown (1) or not (0)."""
        session = self.exploration.session
        key: Subject = ("word", session.subject[1]) if session.subject[0] == "bit" else session.subject
        if session.focus == "words" and key[0] in ("word", "group"):
            shown = opened == (1 if key[0] == "word" else 0)  # groups are listed where they are shut
            entries = session.opened | {key} if shown else session.opened - {key}
            self._do(lambda: self.exploration.look_at(key, opened=entries))

    def action_only(self) -> None:
        """In the list with the focus only what matters, or all again."""
        focus = self.exploration.session.focus
        self._do(lambda: self.exploration.only_changed(focus if focus in _LISTS else "words"))

    def action_grid(self) -> None:
        """The 64-bit grid in place of the ladder, and back."""
        self._do(lambda: self.exploration.change(grid=not self.exploration.session.grid))

    # --- panes ---------------------------------------------------------------------------------------------
    def action_next_pane(self, by: int) -> None:
        """To the next pane or the one before."""
        if not self._asking:
            self.action_pane((PANES.index(self.exploration.session.focus) + by) % len(PANES) + 1)

    def action_pane(self, place: int) -> None:
        """To a pane by its number."""
        self._focus(PANES[place - 1])

    def _focus(self, pane: str) -> None:
        self.set_focus(self.query_one(f"#{pane}"))  # at once: Widget.focus() would come after keys typed ahead
        self._grow()

    def on_descendant_focus(self) -> None:
        """A click moved the focus."""
        self._grow()

    def _grow(self) -> None:
        """The pane with the focus grows."""
        name = self.focused.id if self.focused is not None else None
        if name in PANES and name != self.exploration.session.focus:
            self.exploration.focus_on(name)
            self._follow()

    def action_zoom(self) -> None:
        """The focused pane alone, and back."""
        session = self.exploration.session
        self._do(lambda: self.exploration.change(zoomed=not session.zoomed, notice=session.notice))

    def action_level(self) -> None:
        """One level back: the question, the zoom, the detail view."""
        session = self.exploration.session
        if self._asking:
            self._close_ask()
            self._do(self.exploration.change)
        elif session.zoomed:
            self.action_zoom()
        elif session.focus == "detail":
            self._focus("words")
        elif len(self.app.screen_stack) > 1:
            self.dismiss()
        else:
            self._do(lambda: self.exploration.note("Nothing is open that Esc could leave:  q  quits."))

    def action_help(self) -> None:
        """All keys."""
        from msrtui.tui.screens.help import HelpScreen

        pages = ("explorer", "ladder", "lint", "explain", "probe", "qemus")
        self.app.push_screen(HelpScreen(self._glyphs, permits_of(self.app).offered(self.KEYS), pages))
