"""What is asked beside the conversation: by any answerer alike, and a reply from before an ``r`` is none after it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
from settling import settled
from textual.pilot import Pilot

from msrtui.kvm.heard import Heard
from msrtui.kvm.readings import HostLeaf
from msrtui.kvm.requests import AnyRequest, GetEmulatedCpuid, HostCpuid, R, Request
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import Source, open_source
from msrtui.tui.app import MsrtuiApp
from msrtui.tui.screens.background import LeafRead, OthersRead
from msrtui.tui.screens.explorer import ExplorerScreen
from msrtui.tui.session import Session
from msrtui.values import replace

EPYC = "amd-pvm-linux6.18"


class SomeKvm:
    """Answers as a recorded host does and is none; it remembers what it was asked."""

    def __init__(self) -> None:
        self._answerer = open_source(EPYC).answerer
        self.asked: list[AnyRequest] = []

    def ask(self, request: Request[R]) -> R:
        self.asked.append(request)
        return self._answerer.ask(request)

    def held(self) -> AbstractContextManager[object]:
        return nullcontext()


def app(kvm: SomeKvm) -> tuple[MsrtuiApp, Source]:
    source = replace(open_source(EPYC), answerer=kvm)
    return MsrtuiApp(source, QemuProfile("7.2"), theme="msrtui-dark", tier="full"), source


def screen_of(pilot: Pilot[Any]) -> ExplorerScreen:
    assert isinstance(pilot.app.screen, ExplorerScreen)
    return pilot.app.screen


def session_of(pilot: Pilot[Any]) -> Session:
    return screen_of(pilot).exploration.session


def look(screen: ExplorerScreen, subject: tuple[object, ...]) -> None:
    screen._do(lambda: screen.exploration.look_at(subject))


async def test_a_leaf_shows_the_cpu_whoever_answers_and_is_asked_for_when_it_is_looked_at_once() -> None:
    kvm = SomeKvm()
    running, _ = app(kvm)
    beside = (HostCpuid(7, 0), GetEmulatedCpuid)
    async with running.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        kvm.asked.clear()
        for _ in range(2):
            look(screen_of(pilot), ("leaf", 7, 0))
            await settled(pilot)
            text = " ".join(strip.text for strip in running.screen._compositor.render_strips())
            assert "the CPU" in text
            assert "KVM adds bits 29" in " ".join(text.split())
            look(screen_of(pilot), ("word", "FEAT_1_EDX"))
            await settled(pilot)
        asked = [request for request in kvm.asked if request == beside[0] or isinstance(request, GetEmulatedCpuid)]
        assert len(asked) == 2


async def test_what_the_cpu_said_before_everything_was_forgotten_is_not_shown_after_it() -> None:
    running, _ = app(SomeKvm())
    async with running.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        screen, before = screen_of(pilot), screen_of(pilot).exploration.hearing
        look(screen, ("leaf", 7, 0))
        await settled(pilot)
        assert session_of(pilot).leaves
        await pilot.press("r")
        assert not session_of(pilot).leaves
        screen.post_message(LeafRead(before, (7, 0), HostLeaf((1, 2, 3, 4))))
        await settled(pilot)
        assert not session_of(pilot).leaves


async def test_other_qemus_readings_from_before_everything_was_forgotten_are_ignored() -> None:
    running, _ = app(SomeKvm())
    async with running.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        screen, before = screen_of(pilot), session_of(pilot)
        heard_before = screen.exploration.hearing
        assert before.others
        await pilot.press("r")
        await settled(pilot)
        screen.post_message(OthersRead(before, heard_before, before.others))
        await settled(pilot)
        assert not session_of(pilot).others


async def test_other_qemus_are_read_from_what_was_heard_when_they_were_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    kvm = SomeKvm()
    running, _ = app(kvm)
    held_back: list[Callable[[], object]] = []
    ask = ExplorerScreen._ask_the_others

    def later(screen: ExplorerScreen, session: Session, hearing: object, heard: Heard) -> None:
        held_back.append(lambda: ask(screen, session, hearing, heard))

    monkeypatch.setattr(ExplorerScreen, "_ask_the_others", later)
    async with running.run_test(size=(120, 40)) as pilot:
        for _ in range(300):
            await pilot.pause()
            if held_back:
                break
        screen, before = screen_of(pilot), set(kvm.asked)
        screen.exploration.again()
        kvm.asked.clear()
        for go in held_back:
            go()  # the threads come late: by now everything is forgotten
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()
        assert not set(kvm.asked) & before
        assert not session_of(pilot).others
