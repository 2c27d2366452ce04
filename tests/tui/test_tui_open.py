"""The screen that chooses a source: by name, by path, over ssh; names of files are untrusted."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from asking import Asking
from textual.pilot import Pilot
from textual.widgets import Input

from msrtui.resources import bundled_hosts
from msrtui.tui.screens.open import OpenScreen
from msrtui.tui.view.opening import Folder, completed, folder_of, is_path, open_rows, unwound

HOSTS = ("amd-one", "intel-two")
ORIGINS = {"amd-one": "an EPYC, kvm_amd", "intel-two": "a Core i7 by Bochs"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Here: two snapshots, something else, a folder with one more."""
    for name in ("mine.json", "Other.JSON", "notes.txt", ".hidden.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "below.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Wait for a condition, not for a time."""
    for _ in range(500):
        if condition():
            return
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()
    raise AssertionError("it never came to that")


async def typed(app: Asking, pilot: Pilot[None], text: str) -> None:
    app.screen.query_one(Input).value = text
    await pilot.pause()


@pytest.mark.parametrize("size", [(80, 24), (60, 20), (120, 40)])
async def test_it_shows_this_machine_and_the_bundled_hosts_with_where_they_are_from(size: tuple[int, int]) -> None:
    app = Asking(OpenScreen({}))
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "virtual AMD EPYC" in app.text)
        assert "▸ live" in app.text
        assert bundled_hosts()[0] in app.text
        assert len(app.shown) == size[1]
        assert "Esc back" in app.shown[-1]


async def test_parts_of_a_name_or_of_an_origin_choose_a_host() -> None:
    app = Asking(OpenScreen({}))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "virtual AMD EPYC" in app.text)
        await typed(app, pilot, "skylake nested0")
        await pilot.press("enter")
        assert app.answers == ["intel-skylake-nested0-bochs-linux6.12"]


async def test_enter_alone_is_this_machine_and_escape_nothing() -> None:
    for key, answer in (("enter", "live"), ("escape", None)):
        app = Asking(OpenScreen({}))
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press(key)
            assert app.answers == [answer]


async def test_a_file_is_found_through_folders(folder: Path) -> None:
    app = Asking(OpenScreen({}, HOSTS))
    async with app.run_test(size=(80, 24)) as pilot:
        await typed(app, pilot, "./")
        await until(pilot, lambda: "deep/" in app.text)
        assert "mine.json" in app.text
        assert "Other.JSON" in app.text
        assert "notes.txt" not in app.text
        assert ".hidden" not in app.text
        await pilot.press("enter")  # the first is the folder
        await until(pilot, lambda: "below.json" in app.text)
        assert app.screen.query_one(Input).value == "./deep/"
        await pilot.press("enter")
        assert app.answers == ["./deep/below.json"]


async def test_tab_completes_and_the_way_up_is_there(folder: Path) -> None:
    app = Asking(OpenScreen({}, HOSTS))
    async with app.run_test(size=(80, 24)) as pilot:
        await typed(app, pilot, f"{folder}/de")
        await until(pilot, lambda: "▸ deep/" in app.text)
        await pilot.press("tab")
        await until(pilot, lambda: "below.json" in app.text)
        assert app.screen.query_one(Input).value == f"{folder}/deep/"
        await pilot.press("up", "tab")
        await until(pilot, lambda: "mine.json" in app.text)
        assert app.screen.query_one(Input).value == f"{folder}/"


async def test_a_file_of_any_name_opens_once_it_is_typed_whole(folder: Path) -> None:
    app = Asking(OpenScreen({}, HOSTS))
    async with app.run_test(size=(80, 24)) as pilot:
        await typed(app, pilot, "./notes.txt")
        await until(pilot, lambda: "▸ notes.txt" in app.text)
        await pilot.press("enter")
        assert app.answers == ["./notes.txt"]


async def test_files_here_are_found_by_their_name_and_cannot_be_taken_for_a_host(folder: Path) -> None:
    (folder / "amd-one").write_text("{}")
    app = Asking(OpenScreen({}, HOSTS))
    async with app.run_test(size=(80, 24)) as pilot:
        await typed(app, pilot, "mine")
        await until(pilot, lambda: "▸ mine.json" in app.text)
        await typed(app, pilot, "amd-one")
        await until(pilot, lambda: "files here" in app.text)
        await pilot.press("enter")
        assert app.answers == ["amd-one"]


async def test_what_cannot_be_opened_is_said_in_place(folder: Path) -> None:
    app = Asking(OpenScreen({}, HOSTS))
    async with app.run_test(size=(80, 24)) as pilot:
        for text, said in (
            ("nothing at all", "Nothing is called that."),
            ("./nowhere/", "cannot be listed: No such file or directory."),
            ("./zz", "There is no snapshot (*.json)"),
            ("ssh://-oProxyCommand=x", "That cannot be a host."),
            ("ssh://", "ssh://[user@]host[:port]"),
            ("-", "can be read only where msrtui is started"),
        ):
            await typed(app, pilot, text)
            await until(pilot, lambda said=said: said in app.text)  # type: ignore[misc]
            await pilot.press("enter")
            assert app.answers == []


async def test_a_host_over_ssh_is_given_as_it_was_typed() -> None:
    app = Asking(OpenScreen({}, HOSTS))
    async with app.run_test(size=(80, 24)) as pilot:
        await typed(app, pilot, "ssh://root@far:2222")
        await pilot.press("enter")
        assert app.answers == ["ssh://root@far:2222"]


async def test_a_files_name_is_never_markup_nor_an_escape_and_opens_all_the_same(folder: Path) -> None:
    names = ["[red]x[=y.json", "a\x1b[31m.json", "b\u202ec.json", os.fsdecode(b"\xff.json")]
    for name in names:
        (folder / name).write_text("{}")
    app = Asking(OpenScreen({}, HOSTS))
    async with app.run_test(size=(80, 24)) as pilot:
        await typed(app, pilot, "./")
        await until(pilot, lambda: "[red]x[=y.json" in app.text)
        assert "\x1b" not in app.text
        assert "\u202e" not in app.text
        await typed(app, pilot, "./a")
        await until(pilot, lambda: "▸ a?[31m.json" in app.text)
        await pilot.press("tab")
        assert "cannot be written here" in app.text
        assert app.screen.query_one(Input).value == "./a"
        await pilot.press("enter")
        assert app.answers == ["./a\x1b[31m.json"]


async def test_a_click_opens() -> None:
    app = Asking(OpenScreen({}, HOSTS))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.click("#open-list", offset=(5, 4))
        assert app.answers == ["amd-one"]


def test_a_letter_that_begins_ssh_is_a_letter() -> None:
    _, rows = open_rows("s", ("skylake",), {}, None, 80)
    assert ("source", "skylake") in [row.key for row in rows]


@pytest.mark.parametrize(
    ("text", "path", "where"),
    [
        ("~", True, "~/"),
        ("~/x", True, "~/"),
        ("a/b", True, "a/"),
        ("/etc", True, "/"),
        ("..", True, "."),
        ("amd", False, "."),
        ("ssh://h", False, "ssh://"),
    ],
)
def test_what_is_a_path_and_where_it_is(text: str, path: bool, where: str) -> None:
    assert is_path(text) is path
    assert folder_of(text) == where


def test_a_folder_that_is_still_read_shows_nothing_of_another() -> None:
    old = Folder("./a/", (("x.json", False),))
    assert open_rows("./b/", HOSTS, {}, old, 80)[1] == []
    assert [row.key for row in open_rows("./a/", HOSTS, {}, old, 80)[1]] == [
        ("folder", "./a/../"),
        ("source", "./a/x.json"),
    ]


def test_paths_are_put_straight() -> None:
    assert unwound("./a/../") == "./"
    assert unwound("./../") == "../"
    assert unwound("../../") == "../../"
    assert unwound("/a/b/../") == "/a/"
    assert unwound("/") == "/"
    assert unwound("~/a/") == "~/a/"
    assert completed(("source", "a\x1b")) is None
    assert completed(None) is None


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_rows_fit(width: int) -> None:
    folder = Folder(".", (("x" * 300 + ".json", False), ("日本" * 40, True)))
    for text in ("", "x", "./", "ssh://far"):
        _, rows = open_rows(text, HOSTS, ORIGINS, folder, width)
        assert max((row.width for row in rows), default=0) <= width
