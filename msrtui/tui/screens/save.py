"""Save: what (a snapshot, the screen, the selection), and where to."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input

from msrtui.lines import Line, cut, dim, head, line, printable, wrap
from msrtui.tui.screens.choices import ChoiceList, QuietInput
from msrtui.tui.widgets.line_view import LineList, LineView


class Kind(NamedTuple):
    """Something that can be saved: its id, what it is called, what it is, how its file's name ends."""

    id: str
    title: str
    meaning: str
    ending: str


KINDS = (
    Kind("snapshot", "snapshot", "what this KVM said, to be opened anywhere", ".json"),
    Kind("svg", "screen as SVG", "a picture that stands alone", ".svg"),
    Kind("text", "screen as text", "what is on the screen, without colours", ".txt"),
    Kind("json", "selection as JSON", "what is selected, for programs", ".selection.json"),
)

COMPARE_KINDS = (
    Kind("json", "comparison as JSON", "the verdicts and what differs, for programs", ".json"),
    Kind("text", "comparison as text", "as msrtui diff prints it", ".txt"),
    Kind("markdown", "comparison as Markdown", "for a ticket", ".md"),
    Kind("svg", "screen as SVG", "a picture that stands alone", ".svg"),
    Kind("screen", "screen as text", "what is on the screen, without colours", ".screen.txt"),
)
"""What there is to be saved of a comparison."""


def default_name(kind: Kind, stem: str) -> str:
    """A file's name for what is saved of ``stem`` (a host, or a host and what is selected)."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip(".-")[:80]
    return f"{safe or 'msrtui'}{kind.ending}"


def refusal(path: str) -> tuple[str, bool] | None:
    """Why nothing can be saved at a path, and whether that is meant as a question; None where it can be."""
    shown = printable(path)
    folder = os.path.dirname(path) or "."  # noqa: PTH120 - pathlib would drop a trailing slash
    try:
        if os.path.isdir(path):  # noqa: PTH112
            return f"{shown} is a folder: name a file in it.", False
        if not os.path.isdir(folder):  # noqa: PTH112
            return f"There is no folder {printable(folder)}.", False
        if os.path.lexists(path):
            if not os.path.isfile(path):  # noqa: PTH113
                return f"{shown} is there and is no regular file.", False
            if not os.access(path, os.W_OK):
                return f"You may not write to {shown}.", False
            return f"{shown} is there already. Enter again writes over it.", True
        if not os.access(folder, os.W_OK | os.X_OK):
            return f"You may not write into {printable(folder)}.", False
    except ValueError:
        return f"{shown} is not a path.", False
    return None


class Checked(Message):
    """Whether something can be saved there is known."""

    def __init__(self, path: str, refused: tuple[str, bool] | None) -> None:
        super().__init__()
        self.path = path
        self.refused = refused


class SaveScreen(ModalScreen["tuple[str, str] | None"]):
    """Gives (the kind's id, the path); None after Escape. Writes nothing itself.

    ``stems`` names the files by kind id (a kind without one takes that of ``snapshot``). ``cannot`` says of kinds
    why they cannot be saved now, in a sentence.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", show=False),
        Binding("down,tab,ctrl+n", "move(1)", "next", show=False, priority=True),
        Binding("up,shift+tab", "move(-1)", "previous", show=False, priority=True),
    ]

    def __init__(
        self,
        glyphs: Mapping[int, str],
        stems: Mapping[str, str],
        cannot: Mapping[str, str] | None = None,
        kinds: Sequence[Kind] = KINDS,
    ) -> None:
        super().__init__()
        self._glyphs = glyphs
        self._stems = stems
        self._cannot = cannot or {}
        self._kinds = kinds
        self._kind = kinds[0]
        self._said: str | None = None
        self._confirmed: str | None = None

    def compose(self) -> ComposeResult:
        """Heading, what, where to, what is to be said of it, keys."""
        yield LineView(self._glyphs, id="save-title")
        yield ChoiceList(self._glyphs, id="save-kinds")
        yield LineView(self._glyphs, id="save-where")
        yield QuietInput(self._default(), id="save-input")
        yield LineView(self._glyphs, id="save-said")
        yield LineView(self._glyphs, id="save-keys")

    def on_mount(self) -> None:
        """Take the keys."""
        field = self.query_one("#save-input", Input)
        field.focus()
        field.cursor_position = len(field.value)

    def on_resize(self) -> None:
        """Rows are cut to the width."""
        self._show()

    def _default(self) -> str:
        return default_name(self._kind, self._stems.get(self._kind.id) or self._stems.get("snapshot", ""))

    def _show(self) -> None:
        width = self.size.width
        if not width:
            return
        self.query_one("#save-title", LineView).show([line(" ", head("Save"))])
        wide = max(len(kind.title) for kind in self._kinds)
        rows = []
        for kind in self._kinds:
            cannot = self._cannot.get(kind.id)
            title = f"{kind.title:{wide}}   "
            pieces = line("  ", title, dim(cannot or kind.meaning)) if not cannot else line("  ", dim(title + cannot))
            rows.append(Line(cut(pieces.spans, width), kind))
        self.query_one("#save-kinds", ChoiceList).show_list(line(dim(" what")), rows, self._kind)
        self.query_one("#save-where", LineView).show([line(dim(" where to"))])
        said = wrap(self._said or "", width - 2, "bad")
        self.query_one("#save-said", LineView).show([line(" ", *part.spans) for part in said])
        self.query_one("#save-keys", LineView).show([line(dim(" Enter saves  Up Down choose what  Esc back"))])

    def action_move(self, by: int) -> None:
        """Another kind of thing; a name that nobody wrote changes with it."""
        self.query_one("#save-kinds", ChoiceList).move(by)

    @on(LineList.Highlighted)
    def _moved(self, message: LineList.Highlighted) -> None:
        message.stop()
        if isinstance(message.key, Kind) and message.key != self._kind:
            field = self.query_one("#save-input", Input)
            before, old = self._default(), self._kind
            self._kind = message.key
            folder, slash, name = field.value.rpartition("/")
            if name in (before, ""):
                field.value = f"{folder}{slash}{self._default()}"
            elif name.endswith(old.ending):
                field.value = f"{folder}{slash}{name.removesuffix(old.ending)}{self._kind.ending}"
            field.cursor_position = len(field.value)
            self._say(None)

    @on(LineList.Opened)
    def _clicked(self, message: LineList.Opened) -> None:
        """A click chooses what; where to is still to be seen."""
        self._moved(message)

    @on(Input.Changed)
    def _changed(self, message: Input.Changed) -> None:
        message.stop()
        self._say(None)

    def _say(self, sentence: str | None) -> None:
        self._said = sentence
        self._confirmed = None
        self._show()

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        message.stop()
        cannot = self._cannot.get(self._kind.id)
        typed = message.value.strip()
        if cannot is not None:
            self._say(cannot)
        elif not typed:
            self._say("Name a file.")
        elif typed.startswith("-"):
            self._say(f"A file that is called so is taken for an option by many programs: ./{printable(typed)}")
        else:
            self._check(os.path.expanduser(typed + self._default() if typed.endswith("/") else typed))  # noqa: PTH111

    @work(thread=True, exclusive=True, group="check", exit_on_error=False)
    def _check(self, path: str) -> None:
        """A folder may be on a disk that is slow or gone."""
        self.post_message(Checked(path, refusal(path)))

    @on(Checked)
    def _checked(self, message: Checked) -> None:
        if message.refused is None or (message.refused[1] and self._confirmed == message.path):
            self.dismiss((self._kind.id, message.path))
            return
        sentence, asks = message.refused
        self._say(sentence)
        self._confirmed = message.path if asks else None

    def action_leave(self) -> None:
        """Back, with nothing saved."""
        self.dismiss(None)
