"""Where the compare screen leaves itself: find, what if, another host, one host alone, save, copy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from textual import on, work
from textual.message import Message
from textual.screen import Screen

from msrtui.compare.side import Side
from msrtui.errors import MsrtuiError
from msrtui.lines import printable
from msrtui.qemu.profile import QemuProfile
from msrtui.report.pair import telling
from msrtui.snapshot.files import write_whole
from msrtui.snapshot.sources import Source, open_source, require_kvm
from msrtui.tui.comparing import Comparing
from msrtui.tui.comparison import Comparison, letter
from msrtui.tui.export import svg_of, text_of
from msrtui.tui.permits import permits_of
from msrtui.tui.session import Subject
from msrtui.tui.view.compare.heads import host_name
from msrtui.tui.widgets.line_view import LineList
from msrtui.values import replace


class HostOpened(Message):
    """One more host, or ``refused``."""

    def __init__(self, source: Source | None, refused: str | None = None) -> None:
        super().__init__()
        self.source = source
        self.refused = refused


class ComparisonSaved(Message):
    """What came of saving, in a sentence."""

    def __init__(self, said: str) -> None:
        super().__init__()
        self.said = said


class BaselineFound(Message):
    """The CPU that all can run (``cpu``; None: there is none), in so many lines; or ``refused``."""

    def __init__(self, text: Sequence[str], cpu: str | None, refused: str | None = None) -> None:
        super().__init__()
        self.text = text
        self.cpu = cpu
        self.refused = refused


class CompareErrands(Screen[None]):
    """The part of the compare screen that leaves it for a moment."""

    comparing: Comparing
    _glyphs: Mapping[int, str]

    def _do(self, move: Callable[[], object]) -> None:
        raise NotImplementedError

    def _note(self, text: str) -> None:
        self._do(lambda: self.comparing.note(text))

    # --- find ------------------------------------------------------------------------------------------------
    def action_find(self) -> None:
        """A word or a bit, by number or name."""
        from msrtui.tui.screens.find import FindScreen
        from msrtui.tui.view.finding import entries

        side = max(
            (self.comparing.comparison.pair.a, self.comparing.comparison.pair.b), key=lambda each: each.profile.version
        )
        found = [each for each in entries(side.profile.tables, side.state) if each.subject[0] in ("word", "bit")]
        self.app.push_screen(FindScreen(found, self._glyphs), self._found)

    def _found(self, subject: Subject | None) -> None:
        if subject is None:
            return
        now = self.comparing.comparison
        word = next((each for each in now.pair.words if subject[1] in (each.name, each.word.name)), None)
        if word is not None:
            opened = now.opened | {("group", "vmx")}
            every = now.every or not word.differs
            self._do(lambda: self.comparing.change(subject=("word", word.name), every=every, opened=opened))

    # --- what if ---------------------------------------------------------------------------------------------
    def action_what_if(self, alone: int) -> None:
        """Another QEMU, machine or -cpu: for both sides, or (``alone``) for B."""
        from msrtui.tui.screens.what_if import WhatIfScreen

        one, other = self.comparing.qemus

        def chosen(said: tuple[QemuProfile, str] | None) -> None:
            if said is not None:
                qemus = (one, said[0]) if alone else (said[0], said[0])
                self._do(lambda: self.comparing.what_if(qemus, said[1]))

        self.app.push_screen(WhatIfScreen(other if alone else one, self.comparing.cpu, self._glyphs), chosen)

    def action_qemu(self, label: str) -> None:
        """Both sides as another QEMU version reads them."""
        one, other = self.comparing.qemus
        self._do(
            lambda: self.comparing.what_if((replace(one, label=label), replace(other, label=label)), self.comparing.cpu)
        )

    # --- baseline --------------------------------------------------------------------------------------------
    def action_baseline(self) -> None:
        """The richest CPU that all these hosts can run."""
        self._note("Working out the CPU that all these hosts can run …")
        self._find_baseline(self.comparing.everyone())

    @work(thread=True, exclusive=True, group="baseline", exit_on_error=False)
    def _find_baseline(self, everyone: Callable[[], list[Side]]) -> None:
        from msrtui.compare.baseline import baseline
        from msrtui.report.baseline import baseline_text

        sides = everyone()
        ended = next((side for side in sides if side.outcome is None), None)
        if ended is not None:
            said = f"There is no baseline with {printable(ended.name)}: QEMU does not start there."
            self.post_message(BaselineFound((), None, said))
            return
        found = baseline(sides)
        cpu = None if found.request is None else found.request.text
        self.post_message(BaselineFound(baseline_text(found).splitlines(), cpu))

    @on(BaselineFound)
    def _baseline_found(self, message: BaselineFound) -> None:
        from msrtui.tui.screens.text import TextScreen

        if message.refused is not None:
            self._note(message.refused)
            return
        self._do(self.comparing.change)

        def copy(cpu: str | None) -> None:
            if cpu is not None:
                self._copy(cpu)

        self.app.push_screen(TextScreen("Baseline", message.text, self._glyphs, message.cpu, made_for=80), copy)

    # --- hosts -----------------------------------------------------------------------------------------------
    def action_add(self) -> None:
        """One more host to compare with."""
        from msrtui.tui.screens.open import OpenScreen

        def chosen(text: str | None) -> None:
            if text is not None:
                self.action_source(text)

        self.app.push_screen(OpenScreen(self._glyphs, permits=permits_of(self.app)), chosen)

    def action_source(self, text: str) -> None:
        """Compare with the source of this text as well."""
        closed = permits_of(self.app).closed(text)
        self._note(closed or f"Opening {printable(text)} …")
        if closed is None:
            self._open(text)

    @work(thread=True, exclusive=True, group="open", exit_on_error=False)
    def _open(self, text: str) -> None:
        try:
            source = open_source(text)
            if source.live:
                require_kvm(source)
        except MsrtuiError as refused:
            self.post_message(HostOpened(None, str(refused)))
        else:
            self.post_message(HostOpened(source))

    @on(HostOpened)
    def _host_opened(self, message: HostOpened) -> None:
        source = message.source
        if source is None:
            self._note(message.refused or "It cannot be opened.")
        else:
            self._do(lambda: self.comparing.add(source))

    def action_explore(self, which: int) -> None:
        """One of the two alone, at the word that is looked at; Escape comes back."""
        from msrtui.tui.screens.explorer import ExplorerScreen

        now = self.comparing.comparison
        source = now.sources[now.other if which else 0]
        side = now.pair.b if which else now.pair.a
        screen = ExplorerScreen(source, self.comparing.qemus[which], self._glyphs, cpu=self.comparing.cpu)
        word = now.word
        if word is not None and word.name in side.words:
            screen.exploration.follow(("word", side.words[word.name].word.name))
        self.app.push_screen(screen)

    def action_help(self) -> None:
        """All keys."""
        from msrtui.tui.keymap import COMPARE_KEYS
        from msrtui.tui.screens.help import HelpScreen

        self.app.push_screen(
            HelpScreen(self._glyphs, permits_of(self.app).offered(COMPARE_KEYS), ("compare", "ladder"))
        )

    # --- saving and copying ----------------------------------------------------------------------------------
    def action_save(self) -> None:
        """The comparison, or the screen, into a file."""
        refused = permits_of(self.app).refusal("save")
        if refused is not None:
            self._note(refused)
            return
        from msrtui.tui.screens.save import COMPARE_KINDS, SaveScreen

        now = self.comparing.comparison
        stem = "-".join(["compare", *(host_name(now.sources[place]) for place in (0, now.other))])
        drawn = {"svg": svg_of(self.app), "screen": text_of(self.app)}

        def save(chosen: tuple[str, str] | None) -> None:
            if chosen is not None:
                self._save(now, *chosen, drawn)

        stems = {kind.id: stem for kind in COMPARE_KINDS}
        self.app.push_screen(SaveScreen(self._glyphs, stems, kinds=COMPARE_KINDS), save)

    @work(thread=True, exclusive=True, group="save", exit_on_error=False)
    def _save(self, now: Comparison, kind: str, path: str, drawn: Mapping[str, str]) -> None:
        from msrtui.tui.saving import comparison_text

        try:
            write_whole(path, drawn[kind] if kind in drawn else comparison_text(now, kind))
        except MsrtuiError as refused:
            self.post_message(ComparisonSaved(str(refused)))
        else:
            self.post_message(ComparisonSaved(f"Saved {printable(str(Path(path).absolute()))}."))

    @on(ComparisonSaved)
    def _saved(self, message: ComparisonSaved) -> None:
        self._note(message.said)

    def action_copy(self) -> None:
        """The sentence on the word that is looked at."""
        now = self.comparing.comparison
        if now.word is None:
            self._note("Nothing here has a sentence to copy: select a word.")
        else:
            self._copy(telling(now.word, now.pair, letter(now.other)))

    def action_copy_row(self) -> None:
        """The row under the cursor."""
        row = self.focused.row if isinstance(self.focused, LineList) else ""
        if row:
            self._copy(" ".join(row.split()))
        else:
            self._note("No row is chosen here: the arrows choose one.")

    def _copy(self, text: str) -> None:
        self.app.copy_to_clipboard(text)
        copied = getattr(self.app, "copied", None)
        if isinstance(copied, list):
            copied.append(text)
        self._note(f"Copied{permits_of(self.app).after_copying}.")
