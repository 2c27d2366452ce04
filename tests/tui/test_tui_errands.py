"""What the explorer goes elsewhere for: finding, opening, saving, running QEMUs, the palette; and back again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from settling import settled

from msrtui.kvm.heard import Heard
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.codec import load
from msrtui.snapshot.sources import Source, open_source
from msrtui.tui.app import MsrtuiApp
from msrtui.tui.export import text_of
from msrtui.tui.screens.explorer import ExplorerScreen
from msrtui.tui.session import Session

EPYC, SKYLAKE = "amd-pvm-linux6.18", "intel-skylake-bochs-linux6.12"


def app(source: Source | str = EPYC) -> MsrtuiApp:
    opened = open_source(source) if isinstance(source, str) else source
    return MsrtuiApp(opened, QemuProfile("7.2"), theme="msrtui-dark", tier="full")


def session_of(running: MsrtuiApp) -> Session:
    screen = running.screen
    assert isinstance(screen, ExplorerScreen)
    assert screen.session is not None
    return screen.session


@pytest.mark.parametrize(
    ("typed", "subject", "said"),
    [
        ("skip-l1", ("bit", "FEAT_ARCH_CAPABILITIES", 3), "skip-l1dfl-vmentry is on"),
        ("0x8b", ("msr", 0x8B), "UCODE_REV"),
        ("has_msr_star", ("flag", "has_msr_star"), "has_msr_star"),
        ("KVM_CAP_GET_MSR_FEATURES", ("cap", 153), "KVM_CAP_GET_MSR_FEATURES"),
    ],
)
async def test_what_is_found_is_looked_at_and_backspace_comes_back(
    typed: str, subject: tuple[object, ...], said: str
) -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash", *typed, "enter")
        assert session_of(running).subject == subject
        assert said in text_of(running)
        await pilot.press("backspace")
        assert session_of(running).subject == ("word", "FEAT_ARCH_CAPABILITIES")
        await pilot.press("right_square_bracket")
        assert session_of(running).subject == subject


async def test_links_in_the_detail_view_are_followed_by_keys() -> None:
    running = app()
    async with running.run_test(size=(120, 40)) as pilot:
        await pilot.press("slash", *"has_msr_star", "enter", "4", "down", "enter")
        assert session_of(running).subject != ("flag", "has_msr_star")
        await pilot.press("backspace")
        assert session_of(running).subject == ("flag", "has_msr_star")


async def test_another_host_is_opened_in_place_and_one_that_is_none_is_said(tmp_path: Path) -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("o", *SKYLAKE, "enter")
        await settled(pilot)
        assert session_of(running).source.name == SKYLAKE
        assert "21 of 94" in text_of(running)
        wrong = tmp_path / "wrong.json"
        wrong.write_text("{}")
        screen = running.screen
        assert isinstance(screen, ExplorerScreen)
        screen.action_source(str(wrong))
        await settled(pilot)
        assert "not a snapshot" in " ".join(text_of(running).split())
        assert session_of(running).source.name == SKYLAKE


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def test_the_snapshot_is_saved_as_it_was_read(here: Path) -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("s", "enter")
        await settled(pilot)
        said = "".join("".join(text_of(running).splitlines()[20:23]).split())  # a long path is broken
        assert f"Saved{here}/amd-pvm-linux6.18.json." in said
    answerer = open_source(EPYC).answerer
    saved = load((here / "amd-pvm-linux6.18.json").read_bytes(), "it")
    assert saved.recording == answerer.recording  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("downs", "name", "said"),
    [
        (1, "amd-pvm-linux6.18-FEAT_ARCH_CAPABILITIES.svg", "<svg"),
        (2, "amd-pvm-linux6.18-FEAT_ARCH_CAPABILITIES.txt", "skip-l1dfl-vmentry"),
        (3, "amd-pvm-linux6.18-FEAT_ARCH_CAPABILITIES.selection.json", '"0x69"'),
    ],
)
async def test_the_screen_and_the_selection_are_saved(here: Path, downs: int, name: str, said: str) -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        before = text_of(running)
        await pilot.press("s", *["down"] * downs, "enter")
        await settled(pilot)
    text = (here / name).read_text(encoding="utf-8")
    assert said in text
    if name.endswith(".txt"):
        assert text == before
    if name.endswith(".json"):
        word = json.loads(text)["words"]["FEAT_ARCH_CAPABILITIES"]
        assert (word["kvm"], word["migratable"]) == ("0x400000000c000069", "0x69")


@pytest.fixture
def qemu(need_tool: Callable[[str], str], tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A real QEMU that waits, started with a -cpu of its own."""
    path = need_tool("qemu-system-x86_64")
    options = ["-S", "-display", "none", "-nodefaults", "-machine", "q35,accel=tcg", "-cpu", "EPYC,-svm"]
    socket = tmp_path / "qmp"
    process = subprocess.Popen([path, *options, "-qmp", f"unix:{socket},server=on,wait=off"], stdin=subprocess.DEVNULL)
    while not socket.exists():
        assert process.poll() is None
    yield process
    process.kill()
    process.wait()


async def test_running_qemus_are_shown_and_one_can_be_read_as(qemu: subprocess.Popen[bytes]) -> None:
    running = app()
    async with running.run_test(size=(120, 40)) as pilot:
        await pilot.press("u")
        await settled(pilot)
        text = text_of(running)
        assert f"{qemu.pid}" in text
        assert "EPYC,-svm" in text
        await pilot.press("escape")
        assert isinstance(running.screen, ExplorerScreen)


async def test_the_palette_does_what_the_keys_do() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+p", *"QEMU 10.0")
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert session_of(running).qemu.label == "10.0"


async def test_other_qemus_are_asked_once_however_many_keys_come_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Session] = []
    ask = ExplorerScreen._ask_the_others

    def counted(screen: ExplorerScreen, session: Session, hearing: object, heard: Heard) -> object:
        asked.append(session)
        return ask(screen, session, hearing, heard)

    monkeypatch.setattr(ExplorerScreen, "_ask_the_others", counted)
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("down", "down", "up", "2", "3", "g", "g", "x")
        await settled(pilot)
        assert session_of(running).others
    assert len(asked) == 1


async def test_a_host_over_ssh_that_cannot_be_had_is_said_in_a_sentence(need_tool: Callable[[str], str]) -> None:
    need_tool("ssh")
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        screen = running.screen
        assert isinstance(screen, ExplorerScreen)
        screen.action_source("ssh://nobody@host.invalid")
        await settled(pilot)
        assert "Its name is not known here" in " ".join(text_of(running).split())
        assert session_of(running).source.name == EPYC


async def test_a_row_is_copied_and_where_none_is_chosen_that_is_said() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("1", "home", "Y")
        await pilot.pause()
        assert running.copied == ["174 SYSENTER_CS"]
        await pilot.press("4", "Y")
        await pilot.pause()
        assert len(running.copied) == 1
        assert "No row is chosen here" in text_of(running)
