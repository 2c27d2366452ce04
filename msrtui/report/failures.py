"""The sentence on questions that KVM did not answer, where what is printed was worked out without them."""

from __future__ import annotations

from collections.abc import Sequence

from msrtui.kvm import abi
from msrtui.kvm.collector import plain
from msrtui.kvm.requests import AnyRequest, Reply
from msrtui.report.sentences import question_text


def captured_sentence(failures: Sequence[tuple[AnyRequest, Reply]]) -> str:
    """The same of a capture, which holds the errno in the place of each answer."""
    return f"{_what(failures)}: the snapshot says so in that place. Capture again where that was a passing fault."


def failures_sentence(failures: Sequence[tuple[AnyRequest, Reply]], *, live: bool, name: str | None = None) -> str:
    """What failed first, how many more, what that means, and what to do; of which source, where it is named."""
    again = "run it again" if live else "take that snapshot again"
    of = "" if name is None else f"{plain(name, 200)}: "
    return f"{of}{_what(failures)}; what is printed is what QEMU would make of that, not what this KVM can: {again}."


def shown_sentence(failures: Sequence[tuple[AnyRequest, Reply]], *, live: bool, name: str | None = None) -> str:
    """The same at the foot of the app, where one key asks again."""
    again = "r  asks everything again" if live else "take that snapshot again"
    of = "" if name is None else f"{plain(name, 60)}: "
    return f"{of}{_what(failures)}; what is shown is what QEMU would make of that, not what this KVM can:  {again}."


def errno_said(number: int) -> str:
    """``EIO, Input/output error``: what stands where an answer would."""
    return f"{abi.errno_name(number)}, {abi.errno_text(number)}"


def asked_text(request: AnyRequest) -> str:
    """A question, without how much room it was given."""
    return question_text(request).partition(",")[0]


def _what(failures: Sequence[tuple[AnyRequest, Reply]]) -> str:
    request, reply = failures[0]
    # one question is often put again for another reason
    number, more = reply.errno or 0, len({asked_text(each) for each, _ in failures}) - 1
    others = "" if not more else " (and another question)" if more == 1 else f" (and {more} more questions)"
    return f"KVM did not answer {asked_text(request)}: {errno_said(number)}{others}"
