"""The line where an MSR is named, for a question of the user's own."""

from __future__ import annotations

from collections.abc import Collection

from textual import on
from textual.message import Message
from textual.widgets import Input

from msrtui.catalog import UnknownMsr, find_msr


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
        super().__init__(
            placeholder="an MSR by number or name: 0x10a, 48b, ARCH_CAPABILITIES", id=name, select_on_focus=False
        )
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
            self.post_message(self.Noticed(str(unknown)))
            return
        if self._listed is None:
            said = "kvm_feature_msrs is not known yet:  n  steps on,  >  goes to the end. Then ask again."
            self.post_message(self.Noticed(said))
            return
        listed = index in self._listed
        if not listed and (self._live or text.isdigit()) and self._confirm != index:
            decimal = f" ({text} is decimal; 0x{text} is written with its 0x)" if text.isdigit() else ""
            self._confirm = index
            self.post_message(
                self.Noticed(
                    f"{index:#x}{decimal} is not in kvm_feature_msrs: an answer of 0 for it says nothing, for "
                    "kernels from 6.12 give it for any listed MSR. Enter again asks all the same."
                )
            )
            return
        self.post_message(self.Named(index, listed))
