"""One difference as JSON: how far it reaches, and the bits, controls and fields that it is made of."""

from __future__ import annotations

from typing import Any

from msrtui.compare.differences import Difference
from msrtui.compare.meaning import Control, meaning
from msrtui.compare.polarity import Polarity
from msrtui.report.shape import hexed

_POLARITIES = {"good": "good when set", "bad": "bad when set", "neutral": "neutral"}


def difference_document(each: Difference, cause: str | None) -> dict[str, Any]:
    """One difference; ``bits``, ``controls``, ``fields`` and ``worth`` where they are known."""
    means = meaning(each)
    shown: dict[str, Any] = {
        "kind": each.kind,
        "subject": each.subject,
        "values": [value_document(value) for value in each.values],
        "cause": cause,
        "reach": each.reach,
    }
    if means.worth is not None:
        shown["worth"] = means.worth
    if means.bits:
        shown["bits"] = [
            {
                "bit": bit.bit,
                "name": bit.name,
                "values": [None if value is None else int(value) for value in bit.values],
                **({} if bit.polarity is None else {"polarity": polarity_name(bit.polarity)}),
            }
            for bit in means.bits
        ]
    if means.controls:
        shown["controls"] = [
            {
                "bit": control.bit,
                "name": control.name,
                "values": [_control_document(value) for value in control.values],
            }
            for control in means.controls
        ]
    if means.fields:
        shown["fields"] = [
            {"bits": field.bits, "name": field.name, "values": [hexed(value) for value in field.values]}
            for field in means.fields
        ]
    return shown


def value_document(value: object) -> object:
    """A value as JSON has it: registers as hex."""
    return hexed(value) if isinstance(value, int) and not isinstance(value, bool) else value


def polarity_name(polarity: Polarity) -> str:
    """``good when set``, ``bad when set`` or ``neutral``."""
    return _POLARITIES[polarity.sign]


def _control_document(value: Control | None) -> dict[str, Any] | None:
    if value is None:
        return None
    return {"must_be_1": value.must, "may_be_1": value.may, "freedom": value.freedom}
