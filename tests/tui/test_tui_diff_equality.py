"""The terminal shows the same, cell for cell, whether it gets the app's frames or only what changed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st
from recording import SESSION, RecordingDriver, Terminal
from textual.pilot import Pilot

from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source
from msrtui.tui.app import MsrtuiApp
from msrtui.tui.diff.painter import Painter

# --- frames as the compositor writes them, of anything -----------------------------------------------------
_COLOURS = ("31", "94", "39", "38;5;77", "38;2;215;220;224", "38;2;1;2;3", "41", "103", "49", "48;2;20;24;28", "48;5;9")
_TEXTS = ("a", "b", " ", "    ", "                ", "0123456789", "───", "│", "▸ ✓", "漢字", "한", "é", "Ж", "1 漢 2")
_NARROW = tuple(text for text in _TEXTS if not any(character in text for character in "漢字한"))
_STRANGE = ("e\u0301", "\U0001f469\u200d\U0001f467", "\u200b", "☺\ufe0f", "\U0001f600", "\u1112\u1161")

_styles = st.lists(st.sampled_from((*_COLOURS, "1", "2", "3", "4", "7", "9")), max_size=4).map(";".join)


@st.composite
def _segments(draw: st.DrawFn) -> tuple[int, int, str]:
    texts = st.sampled_from(_TEXTS) if draw(st.integers(0, 30)) else st.sampled_from(_STRANGE)
    shown = ""
    for text, style in draw(st.lists(st.tuples(texts, _styles), min_size=1, max_size=4)):
        shown += f"\x1b[{style}m{text}\x1b[0m" if style else text
    return draw(st.integers(0, 29)), draw(st.integers(0, 5)), shown


_frames = st.lists(_segments(), min_size=1, max_size=8)
_steps = st.one_of(
    _frames,
    _frames,
    _frames,
    st.sampled_from(("forget", "shrink", "grow", "suspend", "mode", "sync", "unsync", "clear")),
    st.integers(1, 60),
)


def _width(text: str) -> int:
    return sum(2 if character in "漢字한" else 1 for character in re.sub("\x1b[^m]*m", "", text))


def _frame(spans: Sequence[tuple[int, int, str]], columns: int, rows: int) -> str:
    drawn = "".join(f"\x1b[{y + 1};{x + 1}H{text}" for x, y, text in spans if y < rows and x + _width(text) <= columns)
    return f"{drawn}\x1b[1;1H"


@given(st.lists(_steps, max_size=25), st.booleans())
@example([[(0, 0, "漢字")], [(1, 0, "a")], [(0, 0, "漢字")], [(2, 0, "bb")]], True)
@example([[(2, 1, "\x1b[7m    \x1b[0m                ")], 3, [(2, 1, "                    ")]], True)
def test_any_frames_leave_the_same_screen(steps: list[object], erase: bool) -> None:
    columns, rows = 30, 6
    stock, diff = Terminal(columns, rows), Terminal(columns, rows)
    painter = Painter(erase=erase)
    painter.forget(columns, rows)
    # as the shell leaves the style; nothing but that is known
    data = "\x1b[m\x1b[1;1H"
    split = 0
    for step in ["start", *steps]:
        if step == "forget":
            painter.forget(columns, rows)
        elif step in ("shrink", "grow"):
            columns, rows = (25, 5) if step == "shrink" else (30, 6)
            for terminal in (stock, diff):
                terminal.resize(rows, columns)
            painter.forget(columns, rows)
        elif step == "suspend":
            data = "\x1b[m\x1b[?1049l"
        elif isinstance(step, int):
            split = step  # the next frame comes in two writes
        elif isinstance(step, list):
            data = _frame(step, columns, rows)
        else:
            data = {
                "mode": "\x1b[?25h\x1b]52;c;YQ==\x07",
                "sync": "\x1b[?2026h",
                "unsync": "\x1b[?2026l",
                "clear": "\x1b[2J",
                "start": data,
            }[str(step)]
        for part in (data[:split], data[split:]) if split and isinstance(step, list) else (data,):
            stock.shows(part)
            diff.shows(painter.send(part, check=True))
            assert diff.looks() == stock.looks()
            assert (diff.cursor.x, diff.cursor.y) == (stock.cursor.x, stock.cursor.y)
        if isinstance(step, list):
            split = 0
        if step == "suspend":
            for terminal in (stock, diff):
                terminal.reset()
                terminal.shows("\x1b[41mothers\r\n\x1b[mdrew here")
            painter.lose(columns, rows)
            data = "\x1b[?1049h\x1b[m\x1b[1;1H"
            assert painter.send(data) == data
            stock.shows(data)
            diff.shows(data)
        data = ""


@given(st.lists(st.tuples(st.integers(0, 14), st.integers(0, 5), st.sampled_from(_NARROW), _styles), max_size=40))
def test_what_is_sent_is_never_longer_than_the_frame(spans: list[tuple[int, int, str, str]]) -> None:
    painter = Painter(erase=True)
    painter.forget(30, 6)
    painter.send("\x1b[m")
    for x, y, text, style in spans:
        frame = f"\x1b[{y + 1};{x + 1}H\x1b[{style}m{text}\x1b[0m\x1b[1;1H"
        sent = painter.send(frame)
        # the style that the last frame left in hand may have to be put back
        assert len(sent) <= len("\x1b[m") + len(frame)
        assert painter.send(frame) == ""


# --- a session of the app ----------------------------------------------------------------------------------
def _app(theme: str = "msrtui-dark") -> MsrtuiApp:
    return MsrtuiApp(
        open_source("amd-pvm-linux6.18"), QemuProfile("7.2"), theme=theme, tier="full", driver_class=RecordingDriver
    )


def _writes(app: MsrtuiApp) -> list[str]:
    """What was written since the last time."""
    assert isinstance(app._driver, RecordingDriver)
    written, app._driver.writes = app._driver.writes, []
    return written


async def _settled(pilot: Pilot[None]) -> None:
    await pilot.pause()
    while not all(worker.is_finished for worker in pilot.app.workers):
        await pilot.pause()
    await pilot.pause()


async def test_a_session_through_all_panes_leaves_the_same_screens() -> None:
    app = _app()
    stock, diff = Terminal(80, 24), Terminal(80, 24)
    painter, without_erasing = Painter(erase=True), Painter()
    for each in (painter, without_erasing):
        each.forget(80, 24)
    sent = drawn = 0
    async with app.run_test(headless=False, size=(80, 24)) as pilot:
        app._sync_available = True  # as with a terminal that knows it
        for key in (None, *SESSION):
            if key is not None:
                await pilot.press(key)
            await _settled(pilot)
            for write in _writes(app):
                bytes_ = painter.send(write, check=True)
                stock.shows(write)
                diff.shows(bytes_)
                without_erasing.send(write, check=True)
                drawn, sent = drawn + len(write.encode()), sent + len(bytes_.encode())
            assert diff.looks() == stock.looks(), key
            assert (diff.cursor.x, diff.cursor.y) == (stock.cursor.x, stock.cursor.y)
    assert len(SESSION) == 200
    assert drawn > 4 * sent
