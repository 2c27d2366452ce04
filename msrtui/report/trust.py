"""What a guest that goes on elsewhere would trust in vain: what it read of the CPU's flaws when it booted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msrtui.compare.meaning import Lost
from msrtui.compare.polarity import Because
from msrtui.report.sentences import bit_label

_SAID: dict[Because, str] = {
    "immune": "It left out defences that {here} said it does not need; {there} does not say so: {names}.",
    "defence": "It may defend itself with what {there} does not say it has: {names}.",
    "spared": "It leaves out work that {there} does not say is needless: {names}.",
    "exposed": "It does not know what {there} says of itself, and may defend itself too little: {names}.",
}


def trust_sentences(trusts: Sequence[Lost], here: str, there: str) -> Iterator[str]:
    """A sentence for each kind of trust; none where the guest would trust nothing that is not so."""
    for because, said in _SAID.items():
        names = [bit_label(each.word, each.bit) for each in trusts if each.polarity.because == because]
        if names:
            yield said.format(here=here, there=there, names=", ".join(names))


def trust_document(trusts: Sequence[Lost]) -> list[dict[str, Any]]:
    """The same bit by bit: word, bit, name, and why it matters."""
    return [
        {
            "word": each.word.name,
            "bit": each.bit,
            "name": bit_label(each.word, each.bit),
            "because": each.polarity.because,
        }
        for each in trusts
    ]
