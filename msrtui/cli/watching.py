"""What a command that prints values does where KVM failed a question: it says so, and ends with 2.

A value that was worked out from a failure is QEMU's, not this KVM's, and a program that reads it must be able to tell.
"""

from __future__ import annotations

from msrtui.cli.output import note
from msrtui.kvm.watched import Failures, Watched
from msrtui.snapshot.sources import Source
from msrtui.values import replace


class Watching:
    """A ``source`` whose answers are watched."""

    def __init__(self, source: Source) -> None:
        self._watched = Watched(source.answerer)
        self.source = replace(source, answerer=self._watched)

    def status(self, otherwise: int, *, named: bool = False) -> int:
        """The exit status: 2 and a sentence where a question failed, else ``otherwise``.

        ``named``: the sentence begins with the source's name, where a command reads several.
        """
        return status_of(self._watched.failures, self.source, otherwise, named=named)


def status_of(failures: Failures, source: Source, otherwise: int, *, named: bool = False) -> int:
    """The same for questions that are known to have failed."""
    if not failures:
        return otherwise
    from msrtui.report.failures import failures_sentence

    note(failures_sentence(failures, live=source.live, name=source.name if named else None))
    return 2
