"""The screen that finds anything, by keys."""

from __future__ import annotations

import pytest
from asking import Asking
from textual.widgets import Input

from msrtui import glyphs
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source
from msrtui.tui.reader import Reader
from msrtui.tui.screens.find import FindScreen
from msrtui.tui.view.finding import Entry, entries, fold

QEMU = QemuProfile("7.2")


def find(tier: glyphs.Tier = "full") -> Asking:
    reader = Reader(open_source("amd-pvm-linux6.18"), QEMU)
    reader.ends(1)
    return Asking(FindScreen(entries(QEMU.tables, reader.state, reader.events), glyphs.TABLES[tier]))


def results(app: Asking) -> list[str]:
    return [row for row in app.shown[3:-1] if row.strip()]


@pytest.mark.parametrize("size", [(80, 24), (60, 20), (120, 40)])
async def test_it_opens_with_a_line_to_type_in_and_says_what_can_be_typed(size: tuple[int, int]) -> None:
    app = find()
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        assert app.shown[0].startswith(" Find")
        assert "an MSR by its number" in app.text
        assert "Enter goes there" in app.shown[-1]
        assert isinstance(app.screen.focused, Input)
        assert len(app.shown) == size[1]
        assert not set(app.text) & set("┌┐└┘│─╭╮╰╯")
        ink = sum(not character.isspace() for character in app.text)
        assert ink <= 0.6 * size[0] * size[1]


async def test_enter_gives_the_subject_of_the_first() -> None:
    app = find()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*"10a")
        assert results(app)[0].startswith("▸ FEAT_ARCH_CAPABILITIES")
        await pilot.press("enter")
        assert app.answers == [("word", "FEAT_ARCH_CAPABILITIES")]


async def test_arrows_move_while_one_types() -> None:
    app = find()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*"arch", "down", "down", "up")
        assert [row[0] for row in results(app)[:3]] == [" ", "▸", " "]
        await pilot.press("c", "a", "p")
        assert results(app)[0][0] == "▸", "another query begins at its best"
        await pilot.press("down", "enter")
        assert app.answers == [("msr", 0x10A)]


async def test_a_long_list_scrolls_by_pages_and_stays_in_view() -> None:
    app = find()
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.press("v", "m", "x", "pagedown", "pagedown")
        assert sum(row.startswith("▸") for row in results(app)) == 1
        await pilot.press("pageup", "pageup")
        assert results(app)[0].startswith("▸")


async def test_escape_gives_nothing() -> None:
    app = find()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("a", "escape")
        assert app.answers == [None]


async def test_what_nothing_is_called_is_said_with_the_nearest() -> None:
    app = find()
    async with app.run_test(size=(80, 24)) as pilot:
        app.screen.query_one(Input).value = "rdctl-on"
        await pilot.pause()
        assert "Nothing is called that. Nearest to it:" in app.text
        assert "rdctl-no" in results(app)[0]
        app.screen.query_one(Input).value = "qqqqqqqqqq"
        await pilot.pause()
        assert "Nothing is called that." in app.text
        assert results(app) == []
        await pilot.press("enter")
        assert app.answers == [], "there is nothing to go to"


async def test_a_click_goes_there() -> None:
    app = find()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*"0x10a")
        await pilot.click("#find-results", offset=(5, 2))
        assert app.answers == [("msr", 0x10A)]


async def test_names_that_look_like_markup_are_only_text() -> None:
    odd = Entry("[red]x[/] [/y", "word", "[b]\x1b[31m", ("word", "x"), names=(fold("redx"),))
    app = Asking(FindScreen((odd,), {}))
    async with app.run_test(size=(80, 24)) as pilot:
        app.screen.query_one(Input).value = "[red]x"
        await pilot.pause()
        assert "[red]x[/] [/y" in app.text
        assert "\x1b" not in app.text


async def test_the_ascii_tier_is_ascii() -> None:
    app = find("ascii")
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.press("t", "s", "c")
        assert app.text.isascii()
