"""What is sent for what is written: differences for frames, all else as it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording import Terminal

from msrtui.errors import BadRequest
from msrtui.tui.diff import choice
from msrtui.tui.diff.encoder import move
from msrtui.tui.diff.painter import Mismatch, Painter
from msrtui.tui.diff.style import DEFAULT, Style, changed_by, sgr


def painter(erase: bool = True) -> Painter:
    """One whose terminal is known to write without colours, and to have nothing else known."""
    made = Painter(erase=erase)
    made.forget(40, 5)
    made.send("\x1b[m")
    return made


def row(text: str, y: int = 0) -> str:
    return f"\x1b[{y + 1};1H{text:40}\x1b[1;1H"


def test_only_cells_that_changed_are_sent() -> None:
    each = painter()
    each.send(row("the quick brown fox"))
    assert each.send(row("the quick brown fox")) == ""
    assert each.send(row("the quick brown cat")) == "\x1b[17Gcat\r"
    assert each.send(row("the quick brown")) == "\x1b[17G   \r"
    assert each.send(row("the")) == "the \x1b[K\r"  # as short as a move


def test_colours_are_sent_once_and_put_back_before_what_is_not_understood() -> None:
    each = painter()
    assert each.send("\x1b[2;1H\x1b[1;31mred\x1b[0m\x1b[1;1H") == "\x1b[2H\x1b[0;1;31mred\x1b[H"
    assert each.send("\x1b[2;4H\x1b[1;31mder\x1b[0m\x1b[1;1H") == "\x1b[2;4Hder\x1b[H"
    assert each.send("\x1b[2;7H\x1b[1;32mg\x1b[0m\x1b[1;1H") == "\x1b[2;7H\x1b[32mg\x1b[H"
    assert each.send("\x1b[?1049l") == "\x1b[m\x1b[?1049l"


def test_cells_are_erased_only_where_that_keeps_the_background() -> None:
    blank = "\x1b[1;1H\x1b[44m" + " " * 40 + "\x1b[0m\x1b[1;1H"
    for erase, sent in ((True, "\x1b[44m\x1b[K"), (False, "\x1b[44m" + " " * 40 + "\r")):
        each = painter(erase)
        each.send(row("\x1b[32mfull\x1b[0m" + "full" * 9))
        assert each.send(blank) == sent
    each = painter(erase=False)
    each.send(row("full" * 10))
    assert each.send(row("")) == "\x1b[K"  # the terminal's own background is kept everywhere


@pytest.mark.parametrize(
    "data",
    [
        "\x1b[?1000h",
        "\x1b[?25l",
        "\x1b[>25u",
        "\x1b[?2048$p",
        "\x07",
        "\x1b]52;c;aGk=\x07",
        "\x1b]2;title\x1b\\",
        "\x1b[2 q",
        "\x1b[?25h\x07",
    ],
)
def test_what_does_not_draw_goes_through_and_changes_nothing(data: str) -> None:
    each = painter()
    each.send(row("shown"))
    assert each.send(data) == data
    assert each.send(row("shown")) == ""


@pytest.mark.parametrize(
    "data",
    [
        "\x1b[2J",
        "\x1b[?1049h",
        "\x1b[3;1H\x1b[1L\x1b[0m\x1b[1;1H",
        "\x1bc",
        "\x1b[1;1H\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\\x1b[0m\x1b[1;1H",
        "\x1b[1;1Htab\there\x1b[0m\x1b[1;1H",
        "\x1b[1;1H\x1b[4:3mcurly\x1b[0m\x1b[1;1H",
        "\x1b[1;38Hover the edge\x1b[0m\x1b[1;1H",
        "\x1b[99;1Hbelow\x1b[0m\x1b[1;1H",
        "\x1b[1;1He\u0301\x1b[0m\x1b[1;1H",
        "\x1b[1;1H\U0001f600\x1b[0m\x1b[1;1H",
        "\x1b[1;30H\x1b[5",
    ],
)
def test_what_is_not_understood_is_sent_as_it_is_and_then_nothing_is_known(data: str) -> None:
    each = painter()
    each.send(row("shown"))
    assert each.send(data) == data
    assert "shown" in each.send("\x1b[0m" + row("shown"))


def test_a_frame_that_changes_nothing_sends_no_synchronized_update_either() -> None:
    each = painter()
    start, end = "\x1b[?2026h", "\x1b[?2026l"
    assert each.send(start) == ""
    assert each.send(row("a")).startswith(start)
    assert each.send(end) == end
    assert [each.send(data) for data in (start, row("a"), end)] == ["", "", ""]


def test_after_a_resize_all_is_sent_again() -> None:
    each = painter()
    each.send(row("shown"))
    each.forget(50, 5)
    assert "shown" in each.send(row("shown"))


def test_a_style_that_others_left_in_hand_does_not_colour_what_is_sent_again() -> None:
    each = painter()
    frame = "\x1b[1;1H\x1b[31mred\x1b[0m\x1b[1;1H"
    terminal = Terminal(40, 5).shows(each.send(frame))
    right = terminal.looks()
    terminal.shows("\x1b[1;1H\x1b[1;44mothers")
    each.forget(40, 5)
    terminal.shows(each.send(frame))
    assert terminal.looks()[0][:3] == right[0][:3]


def test_a_difference_that_is_wrong_is_found_and_the_frame_sent_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    each = painter()
    each.send(row("shown"))
    monkeypatch.setattr("msrtui.tui.diff.painter.difference", lambda *_, **__: ("\x1b[1;1Hwrong", DEFAULT))
    with pytest.raises(Mismatch) as found:
        each.send(row("other"), check=True)
    assert str(found.value) == row("other")
    assert "other" in each.send(row("other")), "nothing is known after that"


_STYLES = st.builds(
    Style,
    st.sampled_from(("", "31", "97", "38;5;9", "38;2;1;2;3")),
    st.sampled_from(("", "42", "101", "48;5;9", "48;2;3;2;1")),
    st.frozensets(st.sampled_from((1, 2, 3, 4, 7, 9))),
)


@given(_STYLES, _STYLES)
def test_an_sgr_makes_any_style_of_any_other(before: Style, after: Style) -> None:
    code = sgr(before, after)
    assert changed_by(before, code[2:-1]) == after if code else before == after
    one = Terminal(2, 1).shows(f"{sgr(None, before)}a{code}b").looks()[0][1]
    assert one == Terminal(2, 1).shows(f"a{sgr(None, after)}b").looks()[0][1]
    assert len(code) <= len(sgr(None, after))


@given(st.integers(0, 19), st.integers(0, 9), st.integers(0, 19), st.integers(0, 9))
def test_a_move_is_the_shortest_that_arrives(x: int, y: int, to_x: int, to_y: int) -> None:
    code = move(x, y, to_x, to_y)
    terminal = Terminal(20, 10).shows(f"\x1b[{y + 1};{x + 1}H{code}")
    assert (terminal.cursor.x, terminal.cursor.y) == (to_x, to_y)
    assert len(code) <= len(f"\x1b[{to_y + 1};{to_x + 1}H")


# --- when it is used -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("option", "environment", "expected"),
    [
        (None, {}, False),
        (None, {"SSH_CONNECTION": "10.0.0.1 5000 10.0.0.2 22"}, True),
        (None, {"SSH_TTY": "/dev/pts/3"}, True),
        (None, {"MSRTUI_DIFF": "on"}, True),
        (None, {"MSRTUI_DIFF": "off", "SSH_TTY": "/dev/pts/3"}, False),
        ("off", {"MSRTUI_DIFF": "on"}, False),
        ("on", {"MSRTUI_DIFF": "off"}, True),
        ("auto", {"MSRTUI_DIFF": "on"}, False),
    ],
)
def test_it_is_used_over_ssh_and_where_it_is_asked_for(
    option: str | None, environment: dict[str, str], expected: bool
) -> None:
    assert choice.wanted(option, environment) is expected
    assert (choice.driver_class(option, environment) is not None) is expected


def test_a_choice_that_there_is_not_is_refused() -> None:
    with pytest.raises(BadRequest, match="MSRTUI_DIFF is 'yes'; it can be auto, on or off"):
        choice.wanted(None, {"MSRTUI_DIFF": "yes"})


def test_a_driver_that_textual_was_told_to_use_is_left_alone() -> None:
    web = {"MSRTUI_DIFF": "on", "TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver"}
    assert choice.driver_class("on", web) is None


def test_only_terminals_that_erase_in_colour_are_asked_to() -> None:
    for term, erase in (
        ("xterm-256color", True),
        ("tmux-256color", True),
        ("screen-256color", False),
        ("vt220", False),
    ):
        made = choice.driver_class("on", {"TERM": term})
        assert made is not None
        assert made.erase is erase


def test_where_there_is_no_termios_textual_chooses_its_driver(root: Path) -> None:
    code = (
        "import sys; sys.modules['termios'] = None\n"
        "from msrtui.tui.diff import choice; print(choice.driver_class('on', {'TERM': 'xterm'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("None\n", "")


def test_all_of_it_but_the_driver_is_known_without_textual(root: Path) -> None:
    code = (
        "import sys\n"
        "from msrtui.tui.diff import cells, choice, encoder, painter, style\n"
        "print([name for name in sys.modules if name.startswith(('textual', 'rich', 'termios'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
