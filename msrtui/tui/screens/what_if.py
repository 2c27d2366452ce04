"""What if: another QEMU, machine, irqchip, -cpu. One small panel; Enter works everything out again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Key
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input

from msrtui.errors import BadRequest
from msrtui.lines import Line, dim, ends, head, line, mark, wrap
from msrtui.qemu.cpu_request import definitions, parse
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import labels
from msrtui.tui.widgets.line_view import LineList, LineView
from msrtui.values import replace

WIDTH = 56
MACHINES = ("none", "pc", "q35", "pc-q35-5.2", "pc-q35-7.2", "pc-q35-9.2", "pc-q35-10.0")
_PMU = {"as usual": None, "on": True, "off": False}


class Choice(NamedTuple):
    """One thing that can be otherwise: what it is called, what it is, what it can be."""

    name: str
    value: str
    values: tuple[str, ...]


def _place(choice: Choice) -> str:
    return f"{choice.values.index(choice.value) + 1} of {len(choice.values)} " if choice.value in choice.values else ""


def choices(qemu: QemuProfile, cpu: str) -> list[Choice]:
    """Everything that can be otherwise, as it is in ``qemu`` and ``cpu``."""
    machines = MACHINES if qemu.machine in MACHINES else (*MACHINES, qemu.machine)
    pmu = next(name for name, value in _PMU.items() if value == qemu.pmu)
    models = ("host", "max", *(name for name in definitions(qemu.tables) if name not in ("host", "max")))
    return [
        Choice("QEMU", qemu.label, labels()),
        Choice("machine", qemu.machine, machines),
        Choice("kernel-irqchip", qemu.irqchip, ("on", "split", "off")),
        Choice("migratable", "on" if qemu.migratable else "off", ("on", "off")),
        Choice("cpu-pm", "on" if qemu.cpu_pm else "off", ("off", "on")),
        Choice("pmu", pmu, tuple(_PMU)),
        Choice("-cpu", cpu, models),
    ]


class Choices(LineList):
    """The list of what can be otherwise.

    It hears the arrows itself: a binding of the screen's takes a longer way than the list's own keys, and of two keys
    that arrive together the second would be first.
    """

    class Turned(Message):
        """The next value (``by`` 1) of what is called ``key``, or the one before (-1)."""

        def __init__(self, key: object, by: int) -> None:
            super().__init__()
            self.key = key
            self.by = by

    def on_key(self, event: Key) -> None:
        """Left and right turn; space turns too."""
        by = {"left": -1, "right": 1, "space": 1}.get(event.key)
        if by is not None:
            self.post_message(self.Turned(self.selected, by))
            event.stop()
            event.prevent_default()


class WhatIfScreen(ModalScreen["tuple[QemuProfile, str] | None"]):
    """Gives the profile and the ``-cpu`` that were chosen, None where nothing shall change."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "leave", show=False),
        Binding("tab,shift+tab", "type", "type a -cpu", show=False, priority=True),
    ]

    def __init__(self, qemu: QemuProfile, cpu: str, glyphs: Mapping[int, str]) -> None:
        super().__init__()
        self._glyphs = glyphs
        self._was = (qemu, cpu)
        self._qemu, self._cpu = qemu, cpu
        self._said: str | None = None

    def compose(self) -> ComposeResult:
        """A heading, the choices, the line for -cpu, a foot."""
        yield Choices(self._glyphs, id="choices")
        yield Input(self._cpu, id="cpu", select_on_focus=False)
        yield LineView(self._glyphs, id="foot")

    def on_mount(self) -> None:
        """Stand on the version."""
        typed = self.query_one("#cpu", Input)
        typed.cursor_blink = False
        typed.display = False
        self._show("QEMU")
        self.query_one("#choices").focus()

    # --- what there is to choose -----------------------------------------------------------------------------
    def _with(self, name: str, value: str) -> None:
        self._said = None
        if name == "-cpu":
            self._cpu = value
            return
        changes = {
            "QEMU": {"label": value},
            "machine": {"machine": value},
            "kernel-irqchip": {"irqchip": value},
            "migratable": {"migratable": value == "on"},
            "cpu-pm": {"cpu_pm": value == "on"},
            "pmu": {"pmu": _PMU.get(value)},
        }[name]
        self._qemu = replace(self._qemu, **changes)  # type: ignore[arg-type]

    # --- showing ---------------------------------------------------------------------------------------------
    def _show(self, selected: object = None) -> None:
        was = {choice.name: choice.value for choice in choices(*self._was)}
        rows = [
            ends(
                [mark(" ≠ ") if choice.value != was[choice.name] else "   ", f"{choice.name:<16}", head(choice.value)],
                [dim(_place(choice))],
                WIDTH - 2,
                choice.name,
            )
            for choice in choices(self._qemu, self._cpu)
        ]
        title = ends([" ", head("What if")], [dim("worked out from what KVM said ")], WIDTH - 2)
        self.query_one("#choices", LineList).show_list(title, [Line(), *rows], selected)
        cpu = self.query_one("#cpu", Input)
        if cpu.value != self._cpu and self.focused is not cpu:
            cpu.value = self._cpu
        self.query_one("#foot", LineView).show(self._foot())

    def _foot(self) -> list[Line]:
        if self._said is not None:
            return [line(" ", part.text) for part in wrap(self._said, WIDTH - 4, "mark")]
        return [
            line(dim(" ← → turn it   Enter work it out   Esc leave")),
            line(dim(" Tab: type a -cpu such as EPYC-v4,+x2apic,-svm")),
        ]

    # --- keys ------------------------------------------------------------------------------------------------
    @on(Choices.Turned)
    def _turned(self, message: Choices.Turned) -> None:
        by = message.by
        choice = next((choice for choice in choices(self._qemu, self._cpu) if choice.name == message.key), None)
        if choice is None:
            return
        at = choice.values.index(choice.value) if choice.value in choice.values else -by
        self._with(choice.name, choice.values[(at + by) % len(choice.values)])
        self._show(choice.name)

    @on(LineList.Opened)
    def _enter(self, message: LineList.Opened) -> None:
        message.stop()
        self._done()

    @on(LineList.Highlighted)
    def _highlighted(self, message: LineList.Highlighted) -> None:
        message.stop()

    @on(Input.Changed)
    def _typed(self, message: Input.Changed) -> None:
        message.stop()
        if self.focused is message.input:
            self._with("-cpu", message.value.strip())
            self._show()

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        message.stop()
        self._done()

    def _done(self) -> None:
        try:
            parse(self._cpu, self._qemu)
        except BadRequest as refused:
            self._said = str(refused)
            self._show()
            return
        self.dismiss((self._qemu, self._cpu))

    def action_type(self) -> None:
        """To the line where any -cpu can be typed, and back to the choices."""
        typed = self.query_one("#cpu", Input)
        typed.display = not typed.display
        (typed if typed.display else self.query_one("#choices")).focus()

    def action_leave(self) -> None:
        """Nothing shall change."""
        self.dismiss(None)
