"""The stage: every key of it, the door into the explorer and back, black, auto-play, scenes that cannot be told."""

from __future__ import annotations

from typing import Any

import pytest
from settling import settled
from textual.pilot import Pilot

from msrtui.stage.page import page
from msrtui.stage.talk import Talk, open_talk, read_talk
from msrtui.stage.telling import Teller
from msrtui.tui.app import MsrtuiApp
from msrtui.tui.commands import Commands
from msrtui.tui.keymap import TALK_KEYS
from msrtui.tui.screens.help import HelpScreen
from msrtui.tui.screens.talk import SceneExplorer, TalkScreen
from msrtui.tui.widgets.line_view import LineView

ARTICLE = open_talk("article")
PACE = 3600.0
"""Seconds: so long that nothing goes on by itself while a test looks."""


def app(
    talk: Talk = ARTICLE, teller: Teller | None = None, *, scene: int = 1, auto: bool = False, language: str = "en"
) -> MsrtuiApp:
    told = teller or Teller(talk)
    return MsrtuiApp(
        (), (), theme="msrtui-dark", tier="full",
        first=lambda table: TalkScreen(talk, told, language, table, scene=scene, pace=PACE, auto=auto),
    )  # fmt: skip


def stage(running: MsrtuiApp) -> TalkScreen:
    screen = running.screen
    assert isinstance(screen, TalkScreen)
    return screen


def shown(running: MsrtuiApp) -> list[str]:
    return [strip.text.rstrip() for strip in running.screen._compositor.render_strips()]


def page_of(number: int, columns: int = 80, rows: int = 24, language: str = "en", talk: Talk = ARTICLE) -> list[str]:
    return [entry.text.rstrip() for entry in page(talk, Teller(talk), number, columns, rows, language)]


def plays(screen: TalkScreen) -> bool:
    return screen._timer is not None


async def pressed(pilot: Pilot[Any], *keys: str) -> int:
    """The scene after these keys."""
    await pilot.press(*keys)
    assert isinstance(pilot.app, MsrtuiApp)
    return stage(pilot.app).scene


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (40, 12), (30, 8)])
@pytest.mark.parametrize("language", ["en", "zh"])
async def test_the_screen_is_the_page(size: tuple[int, int], language: str) -> None:
    running = app(scene=5, language=language)
    async with running.run_test(size=size) as pilot:
        await pilot.pause()
        assert shown(running) == page_of(5, *size, language)


async def test_scenes_go_on_and_back_and_stop_at_the_ends() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        assert await pressed(pilot, "pageup") == 1
        for at, key in enumerate(("pagedown", "right", "space", "n"), 2):
            assert await pressed(pilot, key) == at
        assert shown(running) == page_of(5)
        for at, key in zip((4, 3, 2), ("pageup", "left", "p"), strict=True):
            assert await pressed(pilot, key) == at
        assert shown(running) == page_of(2)
        assert await pressed(pilot, "greater_than_sign") == 9
        assert await pressed(pilot, "pagedown") == 9
        assert await pressed(pilot, "less_than_sign") == 1
        assert await pressed(pilot, "end") == 9
        assert await pressed(pilot, "home") == 1


async def test_a_number_and_enter_go_to_that_scene() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        assert await pressed(pilot, "7") == 1
        assert shown(running)[0].endswith("▸ 7 / 9")
        assert shown(running)[1:] == page_of(1)[1:]
        assert await pressed(pilot, "enter") == 7
        assert shown(running) == page_of(7)
        assert await pressed(pilot, "9", "9", "enter") == 9
        assert await pressed(pilot, "0", "enter") == 1
        assert await pressed(pilot, "1", "2", "backspace", "backspace", "4", "enter") == 4
        assert await pressed(pilot, "9", "9", "9", "9", "0", "0", "3", "enter") == 3
        assert await pressed(pilot, "slash", "6", "enter") == 6
        assert await pressed(pilot, "slash", "enter") == 6


async def test_escape_takes_back_what_is_typed() -> None:
    running = app(scene=3)
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("7", "escape")
        assert shown(running) == page_of(3)
        await pilot.press("8", "pagedown")
        assert shown(running) == page_of(4)


async def test_black_is_nothing_at_all_and_comes_back_to_the_same_scene() -> None:
    running = app(scene=5)
    async with running.run_test(size=(80, 24)) as pilot:
        for back in ("full_stop", "b", "escape", "enter", "pagedown", "pageup"):
            await pilot.press("full_stop")
            assert shown(running) == [""] * 24
            assert await pressed(pilot, back) == 5
            assert shown(running) == page_of(5)
        await pilot.press("full_stop", "7", "enter")
        assert shown(running) == page_of(7)


async def test_the_other_language_is_told_in_place() -> None:
    running = app(scene=5)
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("l")
        assert shown(running) == page_of(5, language="zh")
        await pilot.press("pagedown")
        assert shown(running) == page_of(6, language="zh")
        await pilot.press("l", "pageup")
        assert shown(running) == page_of(5)


async def test_the_second_argument_is_switched_on_stage() -> None:
    running = app(scene=8)
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("m")
        assert not any("have no name" in row for row in shown(running))
        await pilot.press("m")
        assert shown(running) == page_of(8)


async def test_a_resize_makes_the_page_anew() -> None:
    running = app(scene=5)
    async with running.run_test(size=(80, 24)) as pilot:
        for columns, rows in ((120, 40), (39, 11), (200, 60)):
            await pilot.resize_terminal(columns, rows)
            await pilot.pause()
            assert shown(running) == page_of(5, columns, rows)


async def test_the_help_has_every_key_and_goes_back() -> None:
    running = app(scene=2)
    async with running.run_test(size=(80, 40)) as pilot:
        await pilot.press("question_mark")
        assert isinstance(running.screen, HelpScreen)
        text = "\n".join(shown(running))
        for key in TALK_KEYS:
            assert key.shown in text
        await pilot.press("escape")
        assert shown(running) == page_of(2, 80, 40)


async def test_enter_opens_the_explorer_at_the_scenes_event_and_q_comes_back() -> None:
    running = app(scene=5)
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        await settled(pilot)
        explorer = running.screen
        assert isinstance(explorer, SceneExplorer)
        here = Teller(ARTICLE).tell(ARTICLE.scenes[4])[0]
        assert explorer.session is not None
        assert explorer.session.state.count == (here.at or 0) + 1
        text = "\n".join(shown(running))
        assert "keeps all 4 in kvm_feature_msrs" in text
        assert "back to the talk" in text
        await pilot.press("n")
        assert explorer.session.state.count == (here.at or 0) + 2
        await pilot.press("question_mark", "q")
        assert running.screen is explorer, "that q closed the help"
        await pilot.press("q")
        await pilot.pause()
        assert shown(running) == page_of(5)
        assert await pressed(pilot, "pagedown") == 6
        assert running.is_running
        await pilot.press("q")
        await pilot.pause()
    assert running.return_code == 0


async def test_a_q_that_is_typed_in_the_explorer_is_a_letter() -> None:
    running = app(scene=2)
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        await settled(pilot)
        explorer = running.screen
        await pilot.press("slash", "q")
        assert running.screen is not explorer
        assert isinstance(running.screen_stack[-2], SceneExplorer)
        assert "q" in "".join(shown(running))
        await pilot.press("escape", "q")
        await pilot.pause()
        assert stage(running).scene == 2


async def test_the_stage_has_the_size_that_the_terminal_got_meanwhile() -> None:
    running = app(scene=5)
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        await settled(pilot)
        await pilot.resize_terminal(120, 40)
        await settled(pilot)
        await pilot.press("q")
        await pilot.pause()
        assert shown(running) == page_of(5, 120, 40)


async def test_a_question_to_kvm_is_put_in_the_explorer() -> None:
    running = app(scene=5)
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("colon")
        await settled(pilot)
        explorer = running.screen
        assert isinstance(explorer, SceneExplorer)
        assert "keeps all 4 in kvm_feature_msrs" in "\n".join(shown(running))
        await pilot.press(*"0xq", "backspace")
        assert running.screen is explorer, "a q that is typed is a letter"
        await pilot.press(*"345", "enter")
        await settled(pilot)
        assert any("you   KVM_GET_MSRS 0x345" in row for row in shown(running))
        await pilot.press("q")
        await pilot.pause()
        assert stage(running).scene == 5


# --- auto-play ---------------------------------------------------------------------------------------------------
async def test_auto_play_goes_on_by_itself_and_stops_at_the_end() -> None:
    running = app(scene=7, auto=True)
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        screen = stage(running)
        assert shown(running)[-2].endswith("▸▸")
        for scene in (8, 9, 9, 9):
            screen._on_by_itself()
            await pilot.pause()
            assert screen.scene == scene
        assert not plays(screen)
        assert shown(running) == page_of(9)


@pytest.mark.parametrize(
    "key", ["a", "pagedown", "less_than_sign", "full_stop", "slash", "7", "escape", "question_mark"]
)
async def test_auto_play_stops_when_the_speaker_takes_over(key: str) -> None:
    running = app(scene=3)
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("a")
        screen = stage(running)
        assert plays(screen)
        await pilot.press(key)
        assert not plays(screen)
        assert not any(entry.text.endswith("▸▸ ") for entry in screen.query_one("#page", LineView).lines)


async def test_auto_play_waits_while_the_explorer_is_open() -> None:
    running = app(scene=3)
    async with running.run_test(size=(80, 24)) as pilot:
        screen = stage(running)
        await pilot.press("enter")
        await settled(pilot)
        screen._on_by_itself()
        assert screen.scene == 3


# --- what cannot be told -----------------------------------------------------------------------------------------
BROKEN = """
host = "nosuch-host"
qemu = "7.2"
[en]
title = "T"
[[scene]]
figure = "lists"
[scene.en]
title = "Broken"
[[scene]]
figure = "lists"
host = "amd-pvm-linux6.18"
[scene.en]
title = "Whole"
"""


@pytest.mark.parametrize("size", [(80, 24), (30, 8), (1, 1)])
async def test_a_scene_that_cannot_be_told_says_why_and_the_next_one_works(size: tuple[int, int]) -> None:
    talk = read_talk(BROKEN.encode(), "mine.toml")
    running = app(talk)
    async with running.run_test(size=size) as pilot:
        await pilot.pause()
        said = " ".join(" ".join(shown(running)).split())
        if size == (80, 24):
            assert said.startswith("Scene 1 cannot be told: There is no file and no bundled host called nosuch-host")
        assert len(shown(running)) == size[1]
        await pilot.press("enter", "colon")
        assert stage(running).scene == 1, "there is nothing to explore"
        await pilot.press("m", "m", "l", "pagedown")
        assert shown(running) == page_of(2, *size, talk=talk)


async def test_that_it_cannot_be_told_is_said_in_the_language_of_the_stage() -> None:
    chinese = BROKEN.replace("[[scene]]", '[zh]\ntitle = "T"\n[[scene]]', 1)
    chinese += '[scene.zh]\ntitle = "W"\n'
    talk = read_talk(chinese.replace('title = "Broken"', 'title = "B"\n[scene.zh]\ntitle = "B"').encode(), "mine.toml")
    running = app(talk)
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert " ".join(shown(running)).strip().startswith("Scene 1 cannot be told")
        await pilot.press("l")
        assert " ".join(shown(running)).strip().startswith("第 1 幕无法讲述：")


async def test_the_palette_has_the_stages_own_commands() -> None:
    running = app()
    async with running.run_test(size=(80, 24)):
        told = {command.about: command.text for command in Commands(stage(running)).commands()}
        assert told["key PgDn"] == "Next scene"
        assert told["key <"] == "The first scene"
        assert "key v" not in told
