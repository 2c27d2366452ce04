"""Hosts for tests: a capture with something changed, so that rare answers can be told."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from msrtui.kvm.recorded import RecordedHost, Recording
from msrtui.kvm.requests import AnyRequest, R, Request
from msrtui.snapshot.model import About
from msrtui.snapshot.sources import open_source
from msrtui.values import replace

HOSTS = Path(__file__).resolve().parents[1] / "data" / "hosts"
EPYC = "amd-pvm-linux6.18"
SKYLAKE = "intel-skylake-bochs-linux6.12"
NOWHERE = About()


def recording(name: str, **changes: Any) -> Recording:
    """What a capture holds, with some of its fields replaced."""
    answerer = open_source(str(HOSTS / f"{name}.json")).answerer
    assert isinstance(answerer, RecordedHost)
    return replace(answerer.recording, **changes)


class Listening:
    """A recorded host that remembers what it was asked."""

    def __init__(self, said: Recording) -> None:
        self._host = RecordedHost(said)
        self.asked: list[AnyRequest] = []

    def ask(self, request: Request[R]) -> R:
        self.asked.append(request)
        return self._host.ask(request)

    def held(self) -> AbstractContextManager[object]:
        return nullcontext()
