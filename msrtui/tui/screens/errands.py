"""Where the explorer leaves itself or the program: find, what if, open, save, copy, running QEMUs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on, work
from textual.message import Message

from msrtui.errors import MsrtuiError
from msrtui.lines import printable
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.files import write_whole
from msrtui.snapshot.sources import Source, open_source, require_kvm
from msrtui.tui.exploration import Exploration
from msrtui.tui.export import svg_of, text_of
from msrtui.tui.permits import permits_of
from msrtui.tui.screens.part import Part
from msrtui.tui.session import Session, Subject
from msrtui.tui.view.values import value_of
from msrtui.tui.widgets.line_view import LineList
from msrtui.values import replace

if TYPE_CHECKING:
    from msrtui.explain.probing import Probed
    from msrtui.tui.starting import Taken


class SourceOpened(Message):
    """Another source can be explored, or (``beside``) compared with; or ``refused`` says why not."""

    def __init__(self, source: Source | None, refused: str | None = None, *, beside: bool = False) -> None:
        super().__init__()
        self.source = source
        self.refused = refused
        self.beside = beside


class Saved(Message):
    """What came of saving, in a sentence."""

    def __init__(self, said: str) -> None:
        super().__init__()
        self.said = said


class Probing(Message):
    """A scratch vCPU was asked (``taken``; None: QEMU ends before it makes one), and what comes of a start."""

    def __init__(self, taken: Taken | None, start: Probed) -> None:
        super().__init__()
        self.taken = taken
        self.start = start


class QemusFound(Message):
    """The QEMUs that run here, with what each one's -cpu gets; or ``refused``."""

    def __init__(self, views: tuple[object, ...], refused: str | None = None) -> None:
        super().__init__()
        self.views = views
        self.refused = refused


class Errands(Part):
    """The part of the explorer that leaves it for a moment."""

    def _explore(self, exploration: Exploration) -> None:
        raise NotImplementedError

    # --- find ------------------------------------------------------------------------------------------------
    def action_find(self) -> None:
        """Anything by number, name, property or bit."""
        from msrtui.tui.screens.find import FindScreen
        from msrtui.tui.view.finding import entries

        session = self.exploration.session
        events = session.events[: session.state.count]
        found = entries(session.qemu.tables, session.state, events, session.source.about.parameters)
        self.app.push_screen(FindScreen(found, self._glyphs), self._found)

    def _found(self, subject: Subject | None) -> None:
        if subject is not None:
            self._do(lambda: self.exploration.follow(subject))

    # --- what if ---------------------------------------------------------------------------------------------
    def action_what_if(self) -> None:
        """Another QEMU, another machine, another -cpu."""
        from msrtui.tui.screens.what_if import WhatIfScreen

        session = self.exploration.session
        self.app.push_screen(WhatIfScreen(self.exploration.chosen, session.cpu, self._glyphs), self._what_if)

    def _what_if(self, chosen: tuple[QemuProfile, str] | None) -> None:
        if chosen is not None:
            self._do(lambda: self.exploration.what_if(*chosen))

    def action_qemu(self, label: str) -> None:
        """The same KVM as another QEMU version reads it."""
        self._what_if((replace(self.exploration.chosen, label=label), self.exploration.session.cpu))

    # --- another source --------------------------------------------------------------------------------------
    def action_open_source(self) -> None:
        """Another host: live, bundled, a file, over ssh."""
        from msrtui.tui.screens.open import OpenScreen

        self.app.push_screen(OpenScreen(self._glyphs, permits=permits_of(self.app)), self._open_chosen)

    def _open_chosen(self, text: str | None) -> None:
        if text is not None:
            self.action_source(text)

    def action_source(self, text: str) -> None:
        """Open the source of this text; what is shown stays until it is there."""
        self._begin_to_open(text)

    def action_compare(self) -> None:
        """This host beside another one."""
        from msrtui.tui.screens.open import OpenScreen

        def chosen(text: str | None) -> None:
            if text is not None:
                self._begin_to_open(text, beside=True)

        self.app.push_screen(OpenScreen(self._glyphs, permits=permits_of(self.app)), chosen)

    def _begin_to_open(self, text: str, *, beside: bool = False) -> None:
        closed = permits_of(self.app).closed(text)
        self._note(closed or f"Opening {printable(text)} …")
        if closed is None:
            self._open(text, beside=beside)

    def _compare(self, other: Source) -> None:
        from msrtui.tui.screens.compare import CompareScreen

        session = self.exploration.session
        qemu = self.exploration.chosen
        self._do(self.exploration.change)
        self.app.push_screen(CompareScreen((session.source, other), (qemu, qemu), self._glyphs, cpu=session.cpu))

    @work(thread=True, exclusive=True, group="open", exit_on_error=False)
    def _open(self, text: str, *, beside: bool = False) -> None:
        try:
            source = open_source(text)
            if source.live:
                require_kvm(source)
        except MsrtuiError as refused:
            self.post_message(SourceOpened(None, str(refused)))
        else:
            self.post_message(SourceOpened(source, beside=beside))

    @on(SourceOpened)
    def _source_opened(self, message: SourceOpened) -> None:
        if message.source is None:
            self._note(message.refused or "It cannot be opened.")
            return
        session = self.exploration.session
        try:
            if message.beside:
                self._compare(message.source)
                return
            self._explore(Exploration(message.source, self.exploration.chosen, session.cpu))
        except MsrtuiError as refused:
            self._note(str(refused))

    # --- saving ----------------------------------------------------------------------------------------------
    def action_save(self) -> None:
        """The snapshot, the screen, or what is selected, into a file."""
        if self._refused("save"):
            return
        from msrtui.tui.screens.save import SaveScreen

        session = self.exploration.session
        host = "this-host" if session.source.live else session.source.name.rpartition("/")[2].removesuffix(".json")
        what = "-".join(str(part) for part in session.subject[1:])
        stems = {"snapshot": host, "svg": f"{host}-{what}", "text": f"{host}-{what}", "json": f"{host}-{what}"}
        cannot = {}
        if not session.source.live and session.source.document is None:
            cannot["snapshot"] = "This source holds no snapshot to save."
        drawn = {"svg": svg_of(self.app), "text": text_of(self.app)}

        def save(chosen: tuple[str, str] | None) -> None:
            if chosen is not None:
                self._save(session, *chosen, drawn)

        self.app.push_screen(SaveScreen(self._glyphs, stems, cannot), save)

    @work(thread=True, exclusive=True, group="save", exit_on_error=False)
    def _save(self, session: Session, kind: str, path: str, drawn: Mapping[str, str]) -> None:
        from msrtui.tui.saving import selection_text, snapshot_text
        from msrtui.tui.view.detail import detail
        from msrtui.tui.view.frame import Box

        try:
            if kind in drawn:
                text = drawn[kind]
            elif kind == "snapshot":
                text = snapshot_text(session)
            else:
                text = selection_text(session, detail(session, Box(0, 0, 100, 1000)))
            write_whole(path, text)
        except MsrtuiError as refused:
            self.post_message(Saved(str(refused)))
        else:
            self.post_message(Saved(f"Saved {printable(str(Path(path).absolute()))}."))

    @on(Saved)
    def _saved(self, message: Saved) -> None:
        self._note(message.said)

    # --- copying ---------------------------------------------------------------------------------------------
    def action_copy(self) -> None:
        """The value under the eyes, to the clipboard; it is printed at the end too."""
        session = self.exploration.session
        value = value_of(session)
        if value is None and isinstance(self.focused, LineList) and isinstance(self.focused.selected, tuple):
            session = replace(session, subject=self.focused.selected)
            value = value_of(session)
        if value is None:
            self._note("Nothing here has a value to copy: select an MSR, a word or a bit.")
            return
        what = "" if session.subject[0] != "msr" or session.subject[1] in session.values_read else ", the index"
        self._copy(value, what)

    def action_copy_row(self) -> None:
        """The row under the cursor, to the clipboard; it is printed at the end too."""
        row = self.focused.row if isinstance(self.focused, LineList) else ""
        if row:
            self._copy(" ".join(row.split()), "")
        else:
            self._note("No row is chosen here: the arrows choose one.")

    def _copy(self, text: str, what: str) -> None:
        self.app.copy_to_clipboard(text)
        copied = getattr(self.app, "copied", None)
        if isinstance(copied, list):
            copied.append(text)
        self._note(f"Copied {text}{what}{permits_of(self.app).after_copying}.")

    # --- lint ------------------------------------------------------------------------------------------------
    def action_lint(self) -> None:
        """Contradictions, what hides something, what surprises, on this host."""
        from msrtui.report.lint import WIDTH, lint_text
        from msrtui.tui.screens.text import TextScreen

        session = self.exploration.session
        if session.linted is None:
            self._note("It is still being worked out.")
            return
        text = lint_text(session.source.name, session.source.about, session.qemu, session.linted)
        self.app.push_screen(TextScreen("Lint", text.splitlines(), self._glyphs, made_for=WIDTH))

    # --- an error message -----------------------------------------------------------------------------------
    def action_explain(self) -> None:
        """What an error message means on this host."""
        from msrtui.tui.screens.explain import ExplainScreen

        session, qemu = self.exploration.session, self.exploration.chosen

        def explained(text: str) -> list[str]:
            from msrtui.explain.diagnosis import explain
            from msrtui.explain.on_host import Host
            from msrtui.report.explain import explain_text
            from msrtui.tui.starting import with_probes

            source = with_probes(session.source, session.taken)
            host = None if session.outcome is None else Host(source, qemu, session.cpu)
            return explain_text(text, explain(text, qemu, host), qemu).splitlines()

        whose = "this host" if session.source.live else printable(session.source.name)
        self.app.push_screen(ExplainScreen(explained, whose, self._glyphs))

    # --- a vCPU ----------------------------------------------------------------------------------------------
    def action_probe(self) -> None:
        """Try this guest on a scratch vCPU; on a saved host what its snapshot says of one."""
        if self._refused("probe"):
            return
        session = self.exploration.session
        if not session.source.live:
            if session.start is None:
                self._note("It is still being worked out.")
            else:
                self._show_start()
            return
        from msrtui.report.probe import plan_sentence
        from msrtui.tui.screens.probe import ProbeScreen

        about, cpus = session.source.about, [session.cpu]
        look = plan_sentence(cpus, write=False, about=about, otherwise="t does")
        more = "t also writes feature MSRs of such vCPUs, one by one and bit by bit, and makes two more vCPUs for that."
        guest = f"QEMU {session.qemu.label}  -cpu {printable(session.cpu)}"

        def chosen(write: bool | None) -> None:
            if write is not None:
                self._note("Asking a scratch vCPU …")
                self._probe(session.source, self.exploration.chosen, session.cpu, write)

        self.app.push_screen(ProbeScreen(f"{look} All of it is gone at once.", more, guest, self._glyphs), chosen)

    @work(thread=True, exclusive=True, group="probe", exit_on_error=False)
    def _probe(self, source: Source, qemu: QemuProfile, cpu: str, write: bool) -> None:
        from msrtui.tui.starting import probe_here, start_of

        taken = probe_here(source.answerer, qemu, cpu, write=write)
        known = () if taken is None else (taken,)
        self.post_message(Probing(taken, start_of(source, source.answerer, qemu, cpu, known)))

    @on(Probing)
    def _probed(self, message: Probing) -> None:
        taken = message.taken
        if taken is not None:
            self._do(lambda: self.exploration.probed(taken))
        self.exploration.foretold(message.start, None)
        self._do(self.exploration.change)
        self._show_start()

    def _show_start(self) -> None:
        from msrtui.report.probe import probe_text
        from msrtui.report.refusals import outcome_text
        from msrtui.tui.screens.text import TextScreen

        session = self.exploration.session
        if session.start is not None:
            lines = probe_text(session.source.name, session.source.about, session.start).splitlines()
            first = [f"{outcome_text(session.start.prediction)}.", ""]
            self.app.push_screen(TextScreen("Would it start?", [*first, *lines], self._glyphs))

    # --- running QEMUs ---------------------------------------------------------------------------------------
    def action_running(self) -> None:
        """The QEMUs that run on this host, and what each one's -cpu gets here."""
        if self._refused("running"):
            return
        self._note("Looking for running QEMUs …")
        self._find_qemus(self.exploration.session.source)

    @work(thread=True, exclusive=True, group="running", exit_on_error=False)
    def _find_qemus(self, source: Source) -> None:
        from msrtui.host.running import running_qemus
        from msrtui.report.running import view_running

        try:
            views = view_running(running_qemus(), source.answerer)
        except MsrtuiError as refused:
            self.post_message(QemusFound((), str(refused)))
        else:
            self.post_message(QemusFound(views))

    @on(QemusFound)
    def _qemus_found(self, message: QemusFound) -> None:
        from msrtui.report.running import RunningView
        from msrtui.tui.screens.running import RunningScreen

        if message.refused is not None:
            self._note(message.refused)
            return
        self._do(self.exploration.change)
        views = [view for view in message.views if isinstance(view, RunningView)]

        def chosen(view: RunningView | None) -> None:
            if view is not None and view.profile is not None:
                self._what_if((view.profile, view.cpu))

        source = self.exploration.session.source
        whose = "this host" if source.live else source.name
        self.app.push_screen(RunningScreen(views, whose, self._glyphs), chosen)
