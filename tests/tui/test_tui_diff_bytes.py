"""How many bytes the app sends, counted exactly in a pseudo-terminal: 80x24, 24-bit colours, synchronized updates."""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator

import pytest
from floor import Floor
from in_a_pty import FENCED, Pty
from recording import SESSION, Terminal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs a Linux pseudo-terminal")

CURSOR = ("down", "up", "pagedown", "pageup", "home", "end")
STEP = ("n", "p", "N", "P")
FOCUS = ("tab", "shift+tab", "1", "2", "3", "4")


@pytest.fixture
def app() -> Iterator[Pty]:
    terminal = Pty([*FENCED, "amd-pvm-linux6.18", "on"])
    yield terminal
    terminal.close()


def test_the_start_and_then_nothing(app: Pty) -> None:
    start = app.until(b"FeatureWords") + app.drawn()
    assert 0 < len(start) <= 12_000
    assert app.drawn() == b""
    # there is no event to wait for where nothing happens: for a second nothing comes
    assert app.more(1) == b""


def test_each_key_stays_in_its_budget_and_a_session_near_the_floor(app: Pty) -> None:
    shown = Terminal(80, 24)
    floor = Floor(shown)
    shown.shows((app.until(b"FeatureWords") + b"FeatureWords" + app.drawn()).decode())
    floor.to(shown)
    floor.bytes = total = 0
    sizes: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for key in SESSION:
        app.press(key)
        answer = app.drawn()
        shown.shows(answer.decode())
        least = floor.to(shown)
        total += len(answer)
        for kind, budget in ((CURSOR, 400), (STEP, 1_000), (FOCUS, 5_000)):
            if key in kind:
                sizes[kind].append(len(answer))
                # a key that shows another word or MSR changes most of the detail view: that has its price anyhow
                assert len(answer) <= max(budget, 1.25 * least), (key, len(answer), least)
    assert statistics.median(sizes[CURSOR]) <= 400
    assert statistics.median(sizes[STEP]) <= 1_000
    assert max(sizes[FOCUS]) <= 5_000
    assert total <= 1.5 * floor.bytes


def test_ctrl_l_mends_a_screen_that_others_wrote_on(app: Pty) -> None:
    shown = Terminal(80, 24)
    shown.shows((app.until(b"FeatureWords") + b"FeatureWords" + app.drawn()).decode())
    right = shown.looks()
    shown.shows("\x1b[5;1H\x1b[41mBroadcast message from root: the system goes down\x1b[m\x1b[1;1H")
    app.press("question_mark")
    shown.shows(app.drawn().decode())
    app.press("escape")
    shown.shows(app.drawn().decode())
    assert shown.looks() != right
    app.press("ctrl+l")
    shown.shows(app.drawn().decode())
    assert shown.looks() == right
