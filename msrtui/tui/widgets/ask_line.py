"""The line where an MSR is named, for a question of the user's own."""

from __future__ import annotations

from collections.abc import Collection

from textual import on
from textual.message import Message
from textual.widgets import Input

from msrtui.catalog import UnknownMsr, find_msr
from msrtui.report.unlisted import unlisted_note


class AskLine(Input):
    """Takes a name or a number; asks back before a question whose answer would say nothing.

    It is given what it must know by ``open``: the feature list, None while it is not known, and whether the
    question would go to a live KVM.
    """

    class Named(Message):
        """An MSR to ask for; ``listed``: whether it is in kvm_feature_msrs."""

        def __init__(self, index: int, listed: bool) -> None:
            super().__init__()
            self.index = index
            self.listed = listed

    class Noticed(Message):
        """Something to say; the line stays open."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Left(Message):
        """Entered with nothing in it."""

    def __init__(self, name: str) -> None:
        super().__init__(placeholder="0x10a, 48b, ARCH_CAPABILITIES", id=name, select_on_focus=False)
        self._confirm: int | None = None
        self._listed: Collection[int] | None = None
        self._live = False

    def on_mount(self) -> None:
        """Nothing blinks."""
        self.cursor_blink = False

    def open(self, listed: Collection[int] | None, *, live: bool) -> None:
        """Show it, empty, and take the keys."""
        self._listed, self._live, self._confirm = listed, live, None
        self.display = True
        self.value = ""
        self.screen.set_focus(self)  # at once: what is typed ahead belongs here

    def close(self) -> None:
        """Hide it."""
        self.display = False

    @on(Input.Changed)
    def _typed(self, message: Input.Changed) -> None:
        message.stop()
        self._confirm = None

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        message.stop()
        text = message.value.strip()
        if not text:
            self.post_message(self.Left())
            return
        try:
            index = find_msr(text)
        except UnknownMsr as unknown:
            said = str(unknown)
            self.post_message(self.Noticed(f"{said[:1].upper()}{said[1:]}"))
            return
        listed = self._listed is not None and index in self._listed
        if not listed and (self._live or text.isdigit()) and self._confirm != index:
            self._confirm = index
            said = unlisted_note(index, text, self._listed is not None)
            self.post_message(self.Noticed(f"{said} Enter again asks all the same."))
            return
        self.post_message(self.Named(index, listed))
