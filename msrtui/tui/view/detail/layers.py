"""The layers of a feature word, and how far the 1 of each bit comes in them."""

from __future__ import annotations

from typing import NamedTuple

from msrtui.qemu.tables import FeatureWord
from msrtui.qemu.why import is_control_word
from msrtui.qemu.words import SupportedWord
from msrtui.report.shape import marks
from msrtui.transcript.state import State


class Layer(NamedTuple):
    """One column: its name, its value (None: not known), or ``reached`` False where it has not come to that.

    ``unknown`` are single bits that could not be decided: 0 in the value, and no statement.
    """

    name: str
    value: int | None
    reached: bool = True
    unknown: int = 0


def layers_of(word: FeatureWord, found: SupportedWord | None, state: State) -> tuple[Layer, ...]:
    """KVM, QEMU, migratable, guest: the value of the word in each, as far as the conversation has come."""
    guest = state.guest.get(word.name)
    if found is None:
        return tuple(Layer(name, None, reached=False) for name in ("KVM", "QEMU", "migr", "guest"))
    kvm: int | None = found.kvm
    if kvm is not None and is_control_word(word):
        kvm >>= 32  # a control's bit is in the half that says what may be 1
    if kvm is None and found.supported is not None:
        kvm = 0  # KVM does not list it
    return (
        Layer("KVM", kvm),
        Layer("QEMU", found.supported, unknown=found.unknown),
        Layer("migr", found.migratable, unknown=found.unknown),
        Layer("guest", guest.value if guest else None, reached=guest is not None, unknown=found.unknown),
    )


def cells_of(layers: tuple[Layer, ...], bit: int) -> list[str]:
    """One row: 1 = set, - = this layer took it away, · = never set, ? = not known, blank after it was taken."""
    reached = [layer for layer in layers if layer.reached]
    row = marks([layer.value for layer in reached], bit, layers[-1].unknown)
    return [cell.strip() for cell in row] + [""] * (len(layers) - len(reached))
