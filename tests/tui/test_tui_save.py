"""The screen that asks what to save and where to; refusals stand in place."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from asking import Asking
from textual.pilot import Pilot
from textual.widgets import Input

from msrtui.tui.screens.save import KINDS, SaveScreen, default_name, refusal

STEMS = {"snapshot": "amd-pvm", "svg": "amd-pvm FEAT_1_ECX"}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def saving(**cannot: str) -> Asking:
    return Asking(SaveScreen({}, STEMS, cannot))


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Wait for a condition, not for a time."""
    for _ in range(500):
        if condition():
            return
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()
    raise AssertionError("it never came to that")


def path_of(app: Asking) -> str:
    return app.screen.query_one(Input).value


@pytest.mark.parametrize("size", [(80, 24), (60, 20), (120, 40)])
async def test_enter_alone_saves_a_snapshot_under_a_sensible_name(size: tuple[int, int]) -> None:
    app = saving()
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        assert len(app.shown) == size[1]
        assert all(kind.title in app.text for kind in KINDS)
        assert path_of(app) == "amd-pvm.json"
        await pilot.press("enter")
        await until(pilot, lambda: bool(app.answers))
        assert app.answers == [("snapshot", "amd-pvm.json")]


async def test_what_is_saved_is_chosen_by_arrows_and_the_name_goes_with_it() -> None:
    app = saving()
    async with app.run_test(size=(80, 24)) as pilot:
        names = []
        for key in ("down", "down", "tab", "shift+tab", "up"):
            await pilot.press(key)
            names.append(path_of(app))
        assert names == [
            "amd-pvm-FEAT_1_ECX.svg",
            "amd-pvm.txt",
            "amd-pvm.selection.json",
            "amd-pvm.txt",
            "amd-pvm-FEAT_1_ECX.svg",
        ]
        await pilot.press("enter")
        await until(pilot, lambda: bool(app.answers))
        assert app.answers == [("svg", "amd-pvm-FEAT_1_ECX.svg")]


async def test_a_name_that_was_written_stays_but_for_its_ending() -> None:
    app = saving()
    async with app.run_test(size=(80, 24)) as pilot:
        field = app.screen.query_one(Input)
        field.value = "mine.json"
        await pilot.press("down")
        assert path_of(app) == "mine.svg"
        field.value = "mine.picture"
        await pilot.press("down")
        assert path_of(app) == "mine.picture"


async def test_a_refusal_stands_in_place_and_nothing_is_given(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    app = saving(json="What is selected has no JSON.")
    async with app.run_test(size=(80, 24)) as pilot:
        field = app.screen.query_one(Input)
        for path, said in (
            ("", "Name a file."),
            ("  ", "Name a file."),
            ("nowhere/x.json", "There is no folder nowhere."),
            ("folder", "folder is a folder"),
            ("pipe", "is no regular file"),
            ("-o", "./-o"),
        ):
            field.value = path
            await pilot.press("enter")
            await until(pilot, lambda said=said: said in app.text)  # type: ignore[misc]
        field.value = "x"
        await pilot.press("up", "down", "down", "down", "down", "enter")
        await until(pilot, lambda: app.text.count("What is selected has no JSON.") == 2)
        assert app.answers == []


async def test_a_file_that_is_there_is_asked_about_once(tmp_path: Path) -> None:
    (tmp_path / "amd-pvm.json").write_text("{}")
    app = saving()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        await until(pilot, lambda: "is there already. Enter again" in app.text)
        await pilot.press("backspace", "n", "enter")  # another one, that is asked about anew
        await until(pilot, lambda: "Enter again" in app.text)
        assert app.answers == []
        await pilot.press("enter")
        await until(pilot, lambda: bool(app.answers))
        assert app.answers == [("snapshot", "amd-pvm.json")]


async def test_a_folder_with_a_slash_takes_the_name_that_was_proposed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    app = saving()
    async with app.run_test(size=(80, 24)) as pilot:
        app.screen.query_one(Input).value = "folder/"
        await pilot.press("enter")
        await until(pilot, lambda: bool(app.answers))
        assert app.answers == [("snapshot", "folder/amd-pvm.json")]


async def test_escape_saves_nothing() -> None:
    app = saving()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("escape")
        assert app.answers == [None]


async def test_a_click_chooses_what_and_saves_nothing_yet() -> None:
    app = saving()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.click("#save-kinds", offset=(5, 3))
        await pilot.pause()
        assert path_of(app) == "amd-pvm.txt"
        assert app.answers == []


@pytest.mark.parametrize("stem", ["", "../..", "/etc/passwd", "-rf", "a b\x1b[2J", "live", "x" * 300, "[red]"])
def test_a_proposed_name_is_a_plain_file_here_whatever_the_host_is_called(stem: str) -> None:
    name = default_name(KINDS[0], stem)
    assert "/" not in name
    assert name[0] not in ".-"
    assert name.isascii()
    assert name.isprintable()
    assert len(name) < 120
    assert name.endswith(".json")


def test_what_may_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / "there"
    there.write_text("x")
    assert refusal(str(tmp_path / "new")) is None
    assert refusal(str(there)) == (f"{there} is there already. Enter again writes over it.", True)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    assert refusal(str(there)) == (f"You may not write to {there}.", False)
    assert refusal(str(tmp_path / "new")) == (f"You may not write into {tmp_path}.", False)
    assert refusal("a\0b") is not None
