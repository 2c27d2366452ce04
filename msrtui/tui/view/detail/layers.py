"""The layers of a feature word, and how far the 1 of each bit comes in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msrtui.qemu.tables import FeatureWord
from msrtui.qemu.words import SupportedWord, is_control_word
from msrtui.report.shape import marks
from msrtui.transcript.state import State

if TYPE_CHECKING:
    from msrtui.explain.probing import Probed


VCPU = "vCPU"
REFUSED = "x"


class Layer(NamedTuple):
    """One column: its name, its value (None: not known), or ``reached`` False where it has not come to that.

    ``unknown`` are single bits that could not be decided: 0 in the value, and no statement. ``refused`` are bits that
    were to be there and that KVM does not take.
    """

    name: str
    value: int | None
    reached: bool = True
    unknown: int = 0
    refused: int = 0


def layers_of(word: FeatureWord, found: SupportedWord | None, state: State) -> tuple[Layer, ...]:
    """KVM, QEMU, migratable, guest: the value of the word in each, as far as the conversation has come."""
    guest = state.guest.get(word.name)
    if found is None:
        return tuple(Layer(name, None, reached=False) for name in ("KVM", "QEMU", "migr", "guest"))
    kvm: int | None = found.kvm
    if kvm is not None and is_control_word(word):
        kvm >>= 32  # a control's bit is in the half that says what may be 1
    if kvm is None and found.supported is not None and not _unanswered(word, state):
        kvm = 0  # KVM does not list it
    return (
        Layer("KVM", kvm),
        Layer("QEMU", found.supported, unknown=found.unknown),
        Layer("migr", found.migratable, unknown=found.unknown),
        Layer("guest", guest.value if guest else None, reached=guest is not None, unknown=found.unknown),
    )


def _unanswered(word: FeatureWord, state: State) -> bool:
    """Whether KVM's part is not known because asking for its feature list failed."""
    return word.kind == "msr" and state.feature_errno is not None


def kvm_said(word: FeatureWord, found: SupportedWord, state: State) -> str:
    """What stands in place of KVM's value where there is none."""
    return "not listed" if found.supported is not None and not _unanswered(word, state) else "not known"


def vcpu_layer(word: FeatureWord, start: Probed | None, guest: int | None) -> Layer:
    """The word on a vCPU, as far as one was made for this guest: what KVM keeps of its CPUID, or of what is written.

    An MSR that QEMU does not write is as KVM makes it.
    """
    result = None if start is None else start.result
    if start is None or result is None or guest is None:
        return Layer(VCPU, None, reached=False)
    if word.kind == "cpuid":
        if result.got is None:
            return Layer(VCPU, None)
        entry = next(
            (each for each in result.got if (each.function, each.index) == (word.leaf, word.subleaf or 0)), None
        )
        return Layer(VCPU, 0 if entry is None else entry.register(word.register))
    write = next((each for each in start.prediction.verdicts if each.index == word.index), None)
    if write is not None:
        if write.taken is False:
            return Layer(VCPU, 0, refused=guest)
        return Layer(VCPU, guest if write.taken else None)
    kept = result.kept.get(word.index)
    value = None if kept is None else kept.value
    if value is not None and is_control_word(word):
        value >>= 32
    return Layer(VCPU, value, reached=kept is not None)


def cells_of(layers: tuple[Layer, ...], bit: int) -> list[str]:
    """One row: 1 = set, - = this layer took it away, · = never set, ? = not known, blank after it was taken."""
    reached = [layer for layer in layers if layer.reached]
    unknown = next((layer.unknown for layer in reached[::-1] if layer.name != VCPU), 0)
    row = marks([layer.value for layer in reached], bit, unknown)
    if reached and reached[-1].refused >> bit & 1:
        row[-1] = REFUSED
    return [cell.strip() for cell in row] + [""] * (len(layers) - len(reached))
