"""The stage: one page of a talk at a time, over the whole screen; from each a door into the explorer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.timer import Timer

from msrtui.errors import MsrtuiError
from msrtui.language import say as _
from msrtui.language import speaking
from msrtui.lines import Line, cut, dim, ends, line, mark, wrap
from msrtui.stage.page import page
from msrtui.stage.talk import Talk
from msrtui.stage.telling import Teller
from msrtui.tui.keymap import KEYMAP, TALK_KEYS
from msrtui.tui.screens.explorer import ExplorerScreen
from msrtui.tui.widgets.line_view import LineView

_DIGITS = 3
_BACK = "back to the talk"


class SceneExplorer(ExplorerScreen):
    """The explorer at a scene's event; q goes back to the scene."""

    KEYS = tuple(key if key.action != "quit" else key._replace(hint=_BACK, help=_BACK) for key in KEYMAP)
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "to_scene", "back to the scene", show=False, priority=True)]

    def action_to_scene(self) -> None:
        """Back on stage."""
        self.dismiss()


class TalkScreen(Screen[None]):
    """A talk. ``scene`` counts from 1; ``pace`` are the seconds that auto-play gives each."""

    KEYS = TALK_KEYS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key.keys, key.action, key.hint or key.help, show=False)
        for key in TALK_KEYS
        if key.owner == "screen" and key.keys
    ]

    def __init__(
        self,
        talk: Talk,
        teller: Teller,
        language: str,
        glyphs: Mapping[int, str],
        *,
        scene: int = 1,
        pace: float,
        auto: bool = False,
    ) -> None:
        super().__init__()
        self._talk = talk
        self._teller = teller
        self._language = language
        self._glyphs = glyphs
        self.scene = scene
        self.black = False
        self._typed: str | None = None
        """The number that is being typed, None while none is."""
        self._pace = pace
        self._auto = auto
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """One page."""
        yield LineView(self._glyphs, id="page")

    def on_mount(self) -> None:
        """Begin, and play on by itself where that is wanted."""
        if self._auto:
            self._play()

    def on_resize(self) -> None:
        """Pages are made for the size."""
        self._show()

    # --- showing -------------------------------------------------------------------------------------------
    def _show(self) -> None:
        columns, rows = self.size
        if columns and rows:
            self.query_one("#page", LineView).show(self._page(columns, rows))

    def _page(self, columns: int, rows: int) -> list[Line]:
        if self.black:
            return [line()] * rows
        try:
            lines = page(self._talk, self._teller, self.scene, columns, rows, self._language)
        except MsrtuiError as wrong:
            with speaking(self._language):
                text = _("Scene {number} cannot be told: {wrong}").format(number=self.scene, wrong=wrong)
            said = wrap(text, max(columns - 2, 1), "bad")
            lines = [Line(cut(((" ", ""), *entry.spans), columns)) for entry in said[:rows]]
            lines += [line()] * (rows - len(lines))
        if self._typed is not None and rows > 1:
            typed = mark(f"▸ {self._typed} / {len(self._talk.scenes)} ")
            lines = [ends(lines[0].spans[:2], [typed], columns), *lines[1:]]
        elif self._timer is not None and rows > 1:
            lines = [*lines[:-2], ends([], [dim("▸▸ ")], columns), lines[-1]]
        return lines

    def _to(self, scene: int) -> None:
        self._typed = None
        self.black = False
        self.scene = max(1, min(scene, len(self._talk.scenes)))
        self._show()

    # --- keys ------------------------------------------------------------------------------------------------
    def action_scene(self, by: int) -> None:
        """Scenes on or back; while the screen is black the same scene comes up again."""
        self._stop()
        self._to(self.scene if self.black else self.scene + by)

    def action_ends(self, by: int) -> None:
        """The first scene or the last."""
        self._stop()
        self._to(1 if by < 0 else len(self._talk.scenes))

    def on_key(self, event: events.Key) -> None:
        """Digits are the number of a scene; Enter goes there."""
        if event.character is not None and event.character.isdecimal() and event.character.isascii():
            self._stop()  # or the next page would come up under the typing
            self._typed = ((self._typed or "") + event.character)[-_DIGITS:]
            event.stop()
            self._show()
        elif event.key == "backspace" and self._typed:
            self._typed = self._typed[:-1]
            event.stop()
            event.prevent_default()
            self._show()

    def action_jump(self) -> None:
        """A number is to be typed."""
        self._stop()
        self._typed = ""
        self._show()

    def action_open(self) -> None:
        """To the scene whose number was typed, else into the explorer at this scene's event."""
        self._stop()
        if self._typed is not None:
            self._to(int(self._typed or self.scene))
        elif self.black:
            self._to(self.scene)
        else:
            self._explore()

    def action_ask(self) -> None:
        """The user's own question to KVM, which the explorer puts."""
        self._stop()
        explorer = self._explore()
        if explorer is not None:
            explorer.call_after_refresh(explorer.action_ask)

    def action_migratable(self) -> None:
        """The mask on or off, in this scene and all others."""
        self._teller.migratable = not self._teller.migratable
        self._show()

    def _explore(self) -> SceneExplorer | None:
        """The explorer at this scene's event; None where the scene cannot be told, and the page says why."""
        scene = self._talk.scenes[self.scene - 1]
        try:
            here = self._teller.tell(scene)[0]
            explorer = SceneExplorer(here.source, here.qemu, self._glyphs, cpu=here.request.text)
        except MsrtuiError:
            return None
        if here.at is not None and here.at < len(explorer.exploration.session.events):
            explorer.exploration.stand_at(here.at)
        self.app.push_screen(explorer)
        return explorer

    def action_black(self) -> None:
        """Nothing on the screen, so that people look at the speaker; again, and it is back."""
        self._stop()
        self.black = not self.black
        self._show()

    def action_auto(self) -> None:
        """Go on by itself, or stop doing so."""
        if self._timer is None:
            self._play()
        else:
            self._stop()
        self._show()

    def action_language(self) -> None:
        """The talk's next language."""
        languages = self._talk.languages
        at = languages.index(self._language) if self._language in languages else -1
        self._language = languages[(at + 1) % len(languages)]
        self._show()

    def action_help(self) -> None:
        """All keys."""
        from msrtui.tui.screens.help import HelpScreen

        self._stop()
        self.app.push_screen(HelpScreen(self._glyphs, TALK_KEYS, ("talks",)))

    def action_level(self) -> None:
        """What is half typed goes; else black ends."""
        self._stop()
        self._to(self.scene)

    # --- auto-play -------------------------------------------------------------------------------------------
    def _play(self) -> None:
        self.black = False
        self._timer = self.set_interval(self._pace, self._on_by_itself)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
            self._show()  # without the sign of it, also where another screen comes over this one

    def _on_by_itself(self) -> None:
        if self.app.screen is not self:
            return
        if self.scene == len(self._talk.scenes):
            self._stop()
            self._show()
        else:
            self._to(self.scene + 1)
