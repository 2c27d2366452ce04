"""What the app does not do where a browser shows it: each of these things is tried, and refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from settling import settled
from textual.pilot import Pilot
from textual.widgets import Input

from msrtui.errors import BadRequest
from msrtui.qemu.profile import QemuProfile
from msrtui.resources import bundled_hosts
from msrtui.snapshot.sources import Source, open_source
from msrtui.tui.app import MsrtuiApp
from msrtui.tui.commands import Commands
from msrtui.tui.export import text_of
from msrtui.tui.permits import ALL, Permits, check_served, permits_for
from msrtui.tui.screens.compare import CompareScreen
from msrtui.tui.screens.explorer import ExplorerScreen
from msrtui.tui.screens.help import HelpScreen
from msrtui.tui.screens.open import OpenScreen
from msrtui.values import replace

EPYC, SKYLAKE = "amd-pvm-linux6.18", "intel-skylake-bochs-linux6.12"
REFUSED = ("probe", "save", "running", "suspend_process")
WATCHED = {"TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver"}


def served(*sources: Source | str) -> MsrtuiApp:
    opened = [open_source(each) if isinstance(each, str) else each for each in sources]
    permits = permits_for(WATCHED, opened)
    return MsrtuiApp(opened, QemuProfile("7.2"), theme="msrtui-dark", tier="full", permits=permits)


def said(app: MsrtuiApp) -> str:
    """The screen in one line: a sentence at the foot may be broken."""
    return " ".join(text_of(app).split())


async def is_refused(pilot: Pilot[None], app: MsrtuiApp, sentence: str | None) -> None:
    await settled(pilot)
    assert sentence is not None
    assert " ".join(sentence.split()) in said(app)
    assert len(app.screen_stack) == 1


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("live", [False, True])
async def test_no_vcpu_no_file_and_no_process_list_from_the_explorer(live: bool, here: Path) -> None:
    app = served(replace(open_source(EPYC), kind="live") if live else EPYC)
    async with app.run_test(size=(100, 40)) as pilot:
        await settled(pilot)
        for key, action in (("D", "probe"), ("s", "save"), ("u", "running")):
            await pilot.press(key)
            await is_refused(pilot, app, app.permits.refusal(action))
    assert not list(here.iterdir())


async def test_no_file_from_the_compare_screen(here: Path) -> None:
    app = served(EPYC, SKYLAKE)
    async with app.run_test(size=(100, 40)) as pilot:
        await settled(pilot)
        assert isinstance(app.screen, CompareScreen)
        await pilot.press("s")
        await is_refused(pilot, app, app.permits.refusal("save"))
    assert not list(here.iterdir())


@pytest.mark.parametrize("sources", [(EPYC,), (EPYC, SKYLAKE)])
async def test_what_was_not_named_is_not_opened_whoever_asks(
    sources: tuple[str, ...], here: Path, capture: Callable[[str], str]
) -> None:
    (here / "here.json").write_bytes(Path(capture(SKYLAKE)).read_bytes())
    app = served(*sources)
    async with app.run_test(size=(100, 40)) as pilot:
        await settled(pilot)
        assert isinstance(app.screen, (ExplorerScreen, CompareScreen))
        for text in ("ssh://host", "/etc/passwd", "live", "-", "", "here.json", "./here.json", "~"):
            await pilot.press("x")  # nothing is said at the foot
            await pilot.pause()
            assert "can be opened" not in said(app)
            app.screen.action_source(text)
            await is_refused(pilot, app, app.permits.closed(text))


@pytest.mark.parametrize("sources", [(EPYC,), (EPYC, SKYLAKE)])
async def test_the_open_screen_lists_no_folder_and_chooses_nothing_else(sources: tuple[str, ...], here: Path) -> None:
    (here / "here.json").write_text("{}")
    app = served(*sources)
    async with app.run_test(size=(100, 40)) as pilot:
        await settled(pilot)
        await pilot.press("o")
        await app.workers.wait_for_complete()
        screen = app.screen
        assert isinstance(screen, OpenScreen)
        assert "here.json" not in said(app)
        for typed in ("/etc/passwd", "ssh://host", "/", "./", "~", "live"):
            screen.query_one("#open-input", Input).value = typed
            await pilot.pause()
            await app.workers.wait_for_complete()
            assert "That is not opened here." in said(app)
            assert " ".join(str(app.permits.closed(typed)).split()) in said(app)
            await pilot.press("tab", "enter")
            assert isinstance(app.screen, OpenScreen)
            assert app.screen._folder is None


async def test_what_was_named_is_opened_again_and_what_is_brought_along_too(capture: Callable[[str], str]) -> None:
    file = capture(SKYLAKE)
    app = served(file)
    async with app.run_test(size=(100, 40)) as pilot:
        for typed, name in ((EPYC, EPYC), (Path(file).name, file)):
            await settled(pilot)
            await pilot.press("o")
            app.screen.query_one("#open-input", Input).value = typed
            await settled(pilot)
            await pilot.press("enter")
            await settled(pilot)
            assert isinstance(app.screen, ExplorerScreen)
            assert app.screen.exploration.session.source.name == name


async def test_keys_that_are_refused_are_not_offered() -> None:
    for sources in ((EPYC,), (EPYC, SKYLAKE)):
        app = served(*sources)
        async with app.run_test(size=(200, 60)) as pilot:
            await settled(pilot)
            foot = text_of(app).splitlines()[-1]
            assert "open" in foot or "add a host" in foot
            assert "save" not in foot
            assert "probe" not in foot
            about = [command.about for command in Commands(app.screen).commands()]
            assert "key q" in about
            assert not {"key D", "key s", "key u", "key Ctrl+Z"} & set(about)
            await pilot.press("question_mark")
            assert isinstance(app.screen, HelpScreen)
            assert not {key.action for key in app.screen._keymap} & set(REFUSED)


async def test_in_a_terminal_all_of_them_are() -> None:
    app = MsrtuiApp(open_source(EPYC), QemuProfile("7.2"), theme="msrtui-dark", tier="full")
    async with app.run_test(size=(200, 60)) as pilot:
        await settled(pilot)
        assert app.permits == ALL
        assert "s save" in text_of(app)
        assert {"key D", "key s", "key u", "key Ctrl+Z"} <= {each.about for each in Commands(app.screen).commands()}


async def test_what_is_copied_goes_to_the_browser_and_nothing_is_promised_for_the_end() -> None:
    app = served(EPYC)
    async with app.run_test(size=(100, 40)) as pilot:
        await settled(pilot)
        await pilot.press("y")
        await pilot.pause()
        assert app.clipboard == "0x69"
        assert "Copied 0x69, if the browser lets this page." in said(app)


def test_whoever_draws_it_elsewhere_than_in_a_terminal_serves_it(capture: Callable[[str], str]) -> None:
    file = open_source(capture(SKYLAKE))
    assert permits_for({}, [file]) == ALL
    assert permits_for(WATCHED, [file]) == Permits(True, (file.name,))
    over_ssh = replace(file, name="ssh://host", kind="ssh")
    assert permits_for(WATCHED, [over_ssh]).closed("ssh://host") is not None
    assert all(Permits(True).closed(name) is None for name in bundled_hosts())


@pytest.mark.parametrize("text", ["-", "ssh://host"])
def test_what_cannot_be_served_is_refused_before_it_is_opened(text: str) -> None:
    with pytest.raises(BadRequest, match="serve"):
        check_served([text])
