"""The sentence on questions that KVM did not answer, where what is printed was worked out without them."""

from __future__ import annotations

from collections.abc import Sequence

from msrtui.kvm import abi
from msrtui.kvm.requests import AnyRequest, Reply
from msrtui.report.sentences import question_text


def captured_sentence(failures: Sequence[tuple[AnyRequest, Reply]]) -> str:
    """The same of a capture, which holds the errno in the place of each answer."""
    return f"{_what(failures)}: the snapshot says so in that place. Capture again where that was a passing fault."


def failures_sentence(failures: Sequence[tuple[AnyRequest, Reply]], *, live: bool) -> str:
    """What failed first, how many more, what that means, and what to do."""
    again = "run it again" if live else "take that snapshot again"
    return f"{_what(failures)}; what is printed is what QEMU would make of that, not what this KVM can: {again}."


def _what(failures: Sequence[tuple[AnyRequest, Reply]]) -> str:
    request, reply = failures[0]
    number, more = reply.errno or 0, len(failures) - 1
    others = "" if not more else " (and another question)" if more == 1 else f" (and {more} more questions)"
    # not how much room it was given
    asked = question_text(request).partition(",")[0]
    return f"KVM did not answer {asked}: {abi.errno_name(number)}, {abi.errno_text(number)}{others}"
