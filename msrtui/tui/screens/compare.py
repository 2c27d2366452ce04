"""The compare screen: verdicts on top, the words that differ, both lineages beside each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import Reactive, reactive
from textual.widget import Widget

from msrtui.compare.later import Turn
from msrtui.compare.pair import Common, Pair, common
from msrtui.compare.side import Side
from msrtui.compare.verdict import MoveVerdict
from msrtui.errors import BadRequest, MsrtuiError
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import Source
from msrtui.tui.comparing import Comparing, verdicts_of
from msrtui.tui.comparison import Comparison
from msrtui.tui.keymap import COMPARE_KEYS, Key
from msrtui.tui.permits import permits_of
from msrtui.tui.screens.compare_errands import CompareErrands
from msrtui.tui.view.compare.picture import LINES, WIDE, compare_picture
from msrtui.tui.view.compare.rows import VMX
from msrtui.tui.view.frame import Box
from msrtui.tui.widgets.detail_pane import DetailPane
from msrtui.tui.widgets.line_view import LineList, LineView

_MOVES = ("down", "up", "j", "k", "pagedown", "pageup", "home", "end")
_LISTS = ("hosts", "rows")


class OtherRead(Message):
    """Another host was read beside the reference: its verdicts, or ``refused``, why it cannot be compared."""

    def __init__(
        self,
        reference: Side,
        place: int,
        side: Side | None,
        verdicts: tuple[MoveVerdict, MoveVerdict] | None,
        refused: str = "",
    ) -> None:
        super().__init__()
        self.reference = reference
        self.place = place
        self.side = side
        self.verdicts = verdicts
        self.refused = refused


class CommonFound(Message):
    """What the two of a ``pair`` have in common."""

    def __init__(self, pair: Pair, found: Common) -> None:
        super().__init__()
        self.pair = pair
        self.found = found


class NewerRead(Message):
    """What newer QEMUs make of a ``pair``."""

    def __init__(self, pair: Pair, turns: Mapping[str, Turn]) -> None:
        super().__init__()
        self.pair = pair
        self.turns = turns


class CompareScreen(CompareErrands):
    """Two hosts, or one against others. Raises BadRequest where a QEMU of these has no such ``-cpu``."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(key.keys, key.action, key.hint or key.help, show=False, priority=True)
            for key in COMPARE_KEYS
            if key.owner == "screen"
        ),
        *(Binding(key, f"press('{key}')", "move", show=False, priority=True) for key in _MOVES),
    ]
    KEYS: ClassVar[Sequence[Key]] = COMPARE_KEYS

    AUTO_FOCUS = "#rows"
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)
    comparison: reactive[Comparison | None] = reactive(None, init=False, layout=False, repaint=False)

    def __init__(
        self,
        sources: Sequence[Source],
        qemus: Sequence[QemuProfile],
        glyphs: Mapping[int, str],
        *,
        cpu: str = "host",
    ) -> None:
        super().__init__()
        self._glyphs = glyphs
        self.comparing = Comparing(sources, qemus, cpu)
        self._boxes: dict[str, Box] = {}
        self._pictured: tuple[Comparison, Size] | None = None
        self._detailed: object = None
        self._common_asked: Pair | None = None
        self._newer_asked: Pair | None = None

    def compose(self) -> ComposeResult:
        """All widgets are there from the start; the picture says where."""
        for name in LINES:
            yield LineView(self._glyphs, id=name)
        for name in _LISTS:
            yield LineList(self._glyphs, id=name)
        yield DetailPane(self._glyphs, id="detail")

    def on_mount(self) -> None:
        """Show the first pair; what takes longer comes after the first paint."""
        self._follow()

    # --- what takes longer -----------------------------------------------------------------------------------
    def _look_further(self) -> None:
        now = self.comparing.comparison
        if now.common is None and not now.many and self._common_asked is not now.pair:
            self._common_asked = now.pair
            self.call_after_refresh(self._find_common, now.pair)
        if now.turns is None and self._newer_asked is not now.pair:
            self._newer_asked = now.pair
            self.call_after_refresh(self._ask_newer, now.pair, self.comparing.newer())
        missing = self.comparing.missing()
        if missing:
            self.call_after_refresh(self._read_other, now.pair.a, now.sources[missing[0]], missing[0])

    @work(thread=True, exclusive=True, group="common", exit_on_error=False)
    def _find_common(self, pair: Pair) -> None:
        self.post_message(CommonFound(pair, common(pair.a, pair.b)))

    @on(CommonFound)
    def _common_found(self, message: CommonFound) -> None:
        if message.pair is self.comparing.comparison.pair:
            self.comparing.in_common(message.found)
            self._follow()

    @work(thread=True, exclusive=True, group="newer", exit_on_error=False)
    def _ask_newer(self, pair: Pair, newer: Callable[[], Mapping[str, Turn]]) -> None:
        self.post_message(NewerRead(pair, newer()))

    @on(NewerRead)
    def _newer_read(self, message: NewerRead) -> None:
        if message.pair is self.comparing.comparison.pair:
            self.comparing.newer_read(message.turns)
            self._follow()

    @work(thread=True, exclusive=True, group="others", exit_on_error=False)
    def _read_other(self, reference: Side, source: Source, place: int) -> None:
        try:
            side = self.comparing.read(source, place)
        except MsrtuiError as refused:
            self.post_message(OtherRead(reference, place, None, None, str(refused)))
        else:
            self.post_message(OtherRead(reference, place, side, verdicts_of(reference, side)))

    @on(OtherRead)
    def _other_read(self, message: OtherRead) -> None:
        if message.reference is self.comparing.comparison.pair.a:  # else A is another by now
            if message.side is None or message.verdicts is None:
                self.comparing.cannot(message.place, message.refused)
            else:
                self.comparing.learned(message.place, message.side, message.verdicts)
        self._follow()

    # --- showing ---------------------------------------------------------------------------------------------
    def on_resize(self) -> None:
        """Everything has another place."""
        self._show()

    def watch_comparison(self) -> None:
        """Every change of state ends here."""
        self._show()

    def _follow(self) -> None:
        """Show what the comparing came to."""
        self.comparison = self.comparing.comparison
        self._look_further()

    def _show(self) -> None:
        shown, size = self.comparison, self.size
        if shown is None or not size.width:
            return
        if self._pictured is not None and self._pictured[0] is shown and self._pictured[1] == size:
            return
        self._pictured = shown, size
        keymap = permits_of(self.app).offered(COMPARE_KEYS)
        drawn = compare_picture(shown, self.comparing.cpu, size.width, size.height, keymap)
        with self.app.batch_update():
            for name, box in drawn.boxes.items():
                self._place(name, box)
            for name in LINES:
                self.query_one(f"#{name}", LineView).show(drawn.fixed.get(name, ()))
            self.query_one("#hosts", LineList).show_list(*drawn.hosts, ("host", shown.alike(shown.other)[0]))
            self.query_one("#rows", LineList).show_list(*drawn.rows, shown.subject)
            what = (shown.subject, shown.pair)
            self.query_one(DetailPane).show_text(drawn.detail, keep=what == self._detailed)
            self._detailed = what

    def _place(self, name: str, box: Box) -> None:
        if self._boxes.get(name) == box:
            return
        self._boxes[name] = box
        widget = self.query_one(f"#{name}")
        widget.styles.offset = (box.x, box.y)
        widget.styles.width = box.width
        widget.styles.height = box.height
        widget.display = box.width > 0 and box.height > 0

    def _do(self, move: Callable[[], object]) -> None:
        """Make a move; what cannot be done says so at the foot."""
        try:
            move()
        except BadRequest as refused:
            self.comparing.note(str(refused))
        self._follow()

    # --- moving ----------------------------------------------------------------------------------------------
    def action_press(self, key: str) -> None:
        """A key that moves in the list with the focus."""
        pane = self.focused
        if isinstance(pane, LineList):
            before = pane.selected
            with pane.prevent(LineList.Highlighted):
                pane.press(key)
            if pane.id in _LISTS and pane.selected != before:
                self._look_at(pane.selected)

    @on(LineList.Highlighted)
    def _highlighted(self, message: LineList.Highlighted) -> None:
        if not isinstance(message, LineList.Opened) and message.pane.id in _LISTS:
            self._look_at(message.key)

    def _look_at(self, key: object) -> None:
        match key:
            case ("host", int(place)):
                self._do(lambda: self.comparing.to_host(place))
            case tuple() if key != self.comparing.comparison.subject:
                subject = key
                self._do(lambda: self.comparing.look_at(subject))

    @on(LineList.Opened)
    def _opened(self, message: LineList.Opened) -> None:
        if message.pane.id in _LISTS:
            self._open_row(message.key)

    def action_open(self) -> None:
        """Enter: what is folded opens; else both lineages."""
        pane = self.focused
        if isinstance(pane, LineList) and pane.id in _LISTS:
            self._open_row(pane.selected)

    def _open_row(self, key: object) -> None:
        now = self.comparing.comparison
        match key:
            case ("group", str(kind)) if key != VMX:
                self._do(lambda: self.comparing.fold(("group", kind)))
            case ("group", _):
                vmx = next((each for each in now.differing if each.name.startswith("FEAT_VMX_")), None)
                subject = now.subject if vmx is None else ("word", vmx.name)
                self._do(lambda: self.comparing.change(opened=now.opened | {key}, subject=subject))
            case ("host", _):
                self._focus("rows")
            case tuple():
                self._focus("detail")

    def action_next_host(self, by: int) -> None:
        """Another host is B; with two hosts the detail has the keys, or the rows again."""
        now = self.comparing.comparison
        if now.many:
            self._do(lambda: self.comparing.next_host(by))
        else:
            self._focus("rows" if now.focus == "detail" else "detail")

    def action_every(self) -> None:
        """All words, or only those that differ."""
        self._do(lambda: self.comparing.change(every=not self.comparing.comparison.every))

    def action_swap(self) -> None:
        """A is B, B is A."""
        self._do(self.comparing.swap)

    def action_migratable(self) -> None:
        """migratable on or off, on both sides."""
        self._do(self.comparing.migratable)

    def action_again(self) -> None:
        """Ask live hosts again."""
        self._do(self.comparing.again)

    # --- focus -----------------------------------------------------------------------------------------------
    def _focus(self, pane: str) -> None:
        if pane != self.comparing.comparison.focus:
            self._do(lambda: self.comparing.change(focus=pane))
        widget = self.query_one(f"#{pane}")
        self.set_focus(widget)
        if pane == "detail" and self.size.width >= WIDE:
            self.call_after_refresh(self.query_one(DetailPane).reveal, "why on A")

    def on_descendant_focus(self) -> None:
        """A click moved the focus."""
        name = self.focused.id if self.focused is not None else None
        if name in (*_LISTS, "detail") and name != self.comparing.comparison.focus:
            self._do(lambda: self.comparing.change(focus=name))

    def action_level(self) -> None:
        """One level back: the detail, the list of hosts, the screen that was there before."""
        if self.comparing.comparison.focus != "rows":
            self._focus("rows")
        elif len(self.app.screen_stack) > 1:
            self.dismiss()
        else:
            self._do(lambda: self.comparing.note("Nothing is open that Esc could leave:  q  quits."))
