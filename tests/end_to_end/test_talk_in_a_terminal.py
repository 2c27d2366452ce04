"""A talk in a real terminal: tmux runs it, a presenter's keys go in, the screen is the page."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest
from terminals import Terminal

from msrtui.glyphs import TABLES
from msrtui.stage.page import page
from msrtui.stage.talk import open_talk
from msrtui.stage.telling import Teller

ARTICLE = open_talk("article")
TELLER = Teller(ARTICLE)


@pytest.fixture(name="talk")
def _talk(need_tool: Callable[[str], str]) -> Iterator[Callable[..., Terminal]]:
    """Opens terminals in which a talk is played; they are gone afterwards."""
    need_tool("tmux")
    opened: list[Terminal] = []

    def play(columns: int, rows: int, arguments: str = "article --lang en") -> Terminal:
        opened.append(Terminal(columns, rows, f"{sys.executable} -m msrtui play {arguments} --glyphs full"))
        return opened[-1]

    yield play
    for each in opened:
        each.kill()


def rows_of(screen: str, rows: int) -> list[str]:
    """What tmux captured, as many rows as the terminal has, without blanks at their ends."""
    made = [row.rstrip() for row in screen.split("\n")]
    return [*made[:rows], *[""] * (rows - len(made))]


def scene(number: int, columns: int, rows: int, language: str = "en") -> Callable[[str], bool]:
    """Whether a screen is that scene's page, cell for cell."""
    lines = page(ARTICLE, TELLER, number, columns, rows, language)
    wanted = [entry.text.translate(TABLES["full"]).rstrip() for entry in lines]
    return lambda screen: rows_of(screen, rows) == wanted


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 40)])
def test_the_terminal_shows_the_page_whichever_key_led_there(
    talk: Callable[..., Terminal], columns: int, rows: int, language: str
) -> None:
    window = talk(columns, rows, f"article --lang {language}")
    window.wait_for(scene(1, columns, rows, language))
    window.keys("PPage")  # there is none before the first
    for key, number in (("NPage", 2), ("Right", 3), ("Space", 4), ("NPage", 5), ("PPage", 4), ("Left", 3)):
        window.keys(key)
        window.wait_for(scene(number, columns, rows, language))
    window.keys("9")
    window.wait_for(lambda text: text.split("\n")[0].endswith("▸ 9 / 9"))
    window.keys("Enter")
    window.wait_for(scene(9, columns, rows, language))
    window.keys(".")
    window.wait_for(lambda text: text.strip() == "")
    window.keys(".")
    window.wait_for(scene(9, columns, rows, language))
    window.keys("l")
    window.wait_for(scene(9, columns, rows, "zh" if language == "en" else "en"))
    window.keys("q")
    window.wait_for(lambda text: "status=0" in text)


def test_the_explorer_is_a_door_and_q_comes_back_to_the_scene(talk: Callable[..., Terminal]) -> None:
    window = talk(80, 24, "article --lang zh --scene 5")
    window.wait_for(scene(5, 80, 24, "zh"))
    window.keys("Enter")
    window.wait_for(lambda text: "keeps all 4 in kvm_feature_msrs" in text and "q back to the talk" in text)
    window.keys("n")
    window.wait_for(lambda text: "keeps all 4 in kvm_feature_msrs: indices" not in text and "back to the talk" in text)
    window.keys("q")
    window.wait_for(scene(5, 80, 24, "zh"))
    window.keys("NPage")
    window.wait_for(scene(6, 80, 24, "zh"))
    window.keys("q")
    window.wait_for(lambda text: "status=0" in text)


def test_a_resize_in_the_middle_of_a_talk_is_followed(talk: Callable[..., Terminal]) -> None:
    window = talk(80, 24, "article --lang zh --scene 8")
    window.wait_for(scene(8, 80, 24, "zh"))
    for columns, rows in ((120, 40), (60, 18), (38, 10), (80, 24)):
        window.resize(columns, rows)
        window.wait_for(scene(8, columns, rows, "zh"))
    window.keys("q")
    window.wait_for(lambda text: "status=0" in text)


def test_auto_play_goes_to_the_last_scene_and_stays(talk: Callable[..., Terminal]) -> None:
    window = talk(80, 24, "article --lang en --scene 8 --auto --pace 0.1")
    window.wait_for(scene(9, 80, 24))
    window.keys("PPage")
    window.wait_for(scene(8, 80, 24))
    window.keys("q")
    window.wait_for(lambda text: "status=0" in text)
