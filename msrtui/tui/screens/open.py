"""Open another source: this machine, a bundled host, a file, a host over ssh."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from msrtui import resources
from msrtui.errors import BadSource
from msrtui.lines import Line, dim, head, line
from msrtui.tui.permits import ALL, Permits
from msrtui.tui.screens.choices import ChoiceList, ChoiceScreen, QuietInput
from msrtui.tui.view.opening import Folder, closed_rows, completed, folder_of, is_path, open_rows, unwound
from msrtui.tui.widgets.line_view import LineView

_MOST_READ = 20_000  # of a folder with more than these only so many are looked at


class FolderRead(Message):
    """What a folder holds is known."""

    def __init__(self, folder: Folder) -> None:
        super().__init__()
        self.folder = folder


class HostsRead(Message):
    """Where the bundled hosts are from is known."""

    def __init__(self, origins: Mapping[str, str]) -> None:
        super().__init__()
        self.origins = origins


class OpenScreen(ChoiceScreen["str | None"]):
    """Gives the text of a SOURCE, for ``snapshot.sources.open_source``; None after Escape. Opens nothing itself."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "complete", show=False, priority=True),
    ]

    def __init__(
        self, glyphs: Mapping[int, str], hosts: Sequence[str] | None = None, *, permits: Permits = ALL
    ) -> None:
        super().__init__()
        self._permits = permits
        self._glyphs = glyphs
        self._hosts = tuple(resources.bundled_hosts() if hosts is None else hosts)
        self._origins: Mapping[str, str] = {}
        self._folder: Folder | None = None
        self._reading = ""
        self._notice: str | None = None

    def compose(self) -> ComposeResult:
        """Heading, line, what it can mean, keys."""
        yield LineView(self._glyphs, id="open-title")
        placeholder = "a saved host" if self._permits.served else "a saved host, a file, or ssh://host"
        yield QuietInput(placeholder=placeholder, id="open-input")
        yield ChoiceList(self._glyphs, id="open-list")
        yield LineView(self._glyphs, id="open-keys")

    def on_mount(self) -> None:
        """Take the keys; what must be read is read beside."""
        self.query_one("#open-input").focus()
        self._read_hosts()

    def on_resize(self) -> None:
        """Rows are cut to the width."""
        self._show()

    # --- what is read ----------------------------------------------------------------------------------------
    @work(thread=True, exclusive=True, group="hosts", exit_on_error=False)
    def _read_hosts(self) -> None:
        """Each bundled host's line on where it is from; a file that cannot be read has none."""
        from msrtui.report.snapshots import captured_line
        from msrtui.snapshot.codec import load
        from msrtui.snapshot.files import read_file

        origins: dict[str, str] = {}
        for name in self._hosts:
            try:
                host = load(read_file(resources.data_path("snapshots", f"{name}.json")), name)
            except (BadSource, OSError):
                continue
            origins[name] = host.about.origin or captured_line(host)
        self.post_message(HostsRead(origins))

    @work(thread=True, exclusive=True, group="folder", exit_on_error=False)
    def _read_folder(self, path: str) -> None:
        """A folder may be on a disk that is slow or gone."""
        try:
            with os.scandir(os.path.expanduser(path)) as found:  # noqa: PTH111 - only ~ is to be replaced
                entries = tuple((entry.name, _is_folder(entry)) for entry in islice(found, _MOST_READ))
            folder = Folder(path, entries)
        except (OSError, ValueError) as error:
            folder = Folder(path, error=getattr(error, "strerror", None) or "not a path")
        self.post_message(FolderRead(folder))

    @on(HostsRead)
    def _hosts_read(self, message: HostsRead) -> None:
        self._origins = message.origins
        self._show(keep=True)

    @on(FolderRead)
    def _folder_read(self, message: FolderRead) -> None:
        if message.folder.path == self._reading:
            self._folder = message.folder
            self._show(keep=True)

    # --- showing ---------------------------------------------------------------------------------------------
    @property
    def _typed(self) -> str:
        return self.query_one("#open-input", Input).value

    def _show(self, *, keep: bool = False) -> None:
        width = self.size.width
        if not width:
            return
        heading, rows = self._rows(width)
        if self._notice is not None:
            heading = line(f" {self._notice}")
        self.query_one("#open-title", LineView).show([line(" ", head("Open"), dim("   whose KVM to look at"))])
        keys = " Enter opens  Tab completes  Up Down move  Esc back"
        self.query_one("#open-keys", LineView).show([line(dim(keys))])
        chosen = self.choices.selected if keep else None
        keys_there = [row.key for row in rows if row.key is not None]
        self.choices.show_list(heading, rows, chosen if chosen in keys_there else _first(rows))

    def _rows(self, width: int) -> tuple[Line, list[Line]]:
        typed, permits = self._typed, self._permits
        if permits.served:
            named = [name for name in permits.named if name.isprintable()]
            return closed_rows(typed, named, self._hosts, self._origins, permits.closed(typed) or "", width)
        wanted = folder_of(typed.strip()) if is_path(typed.strip()) else "."
        if wanted != self._reading:
            self._reading = wanted
            self._read_folder(wanted)
        return open_rows(typed, self._hosts, self._origins, self._folder, width)

    @on(Input.Changed)
    def _changed(self, message: Input.Changed) -> None:
        message.stop()
        self._notice = None
        self._show()

    # --- choosing --------------------------------------------------------------------------------------------
    def action_complete(self) -> None:
        """What the row under the cursor stands for, into the line."""
        self._into_the_line(completed(self.choices.selected))

    def _into_the_line(self, text: str | None) -> None:
        if text is None:
            self._notice = "That name has characters that cannot be written here."
            self._show(keep=True)
            return
        field = self.query_one("#open-input", Input)
        field.value = unwound(text) if text.endswith("/") else text
        field.cursor_position = len(field.value)

    def choose(self, key: object) -> None:
        """Open it; of a folder, go into it."""
        if not isinstance(key, tuple):
            return
        kind, text = key
        if kind == "folder":
            self._into_the_line(completed(key))
        elif isinstance(text, str):
            self.dismiss(text if self._permits.served else os.path.expanduser(text))  # noqa: PTH111


def _first(rows: Sequence[Line]) -> object:
    """The first row that can be chosen and is no way up, for Enter alone; else the first."""
    keys = [row.key for row in rows if row.key is not None]
    down = [key for key in keys if not (isinstance(key, tuple) and str(key[1]).endswith("../"))]
    return (down or keys or [None])[0]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
