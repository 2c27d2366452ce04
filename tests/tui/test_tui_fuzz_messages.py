"""What reaches the app from outside, and what it sends to a terminal: any of it, without an error."""

from __future__ import annotations

from effort import few
from hypothesis import given
from hypothesis import strategies as st

from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source
from msrtui.tui.diff.painter import Mismatch, Painter
from msrtui.tui.exploration import Exploration
from msrtui.tui.reader import Reader
from msrtui.tui.view.finding import entries, entry_lines, nearest, rank, readings
from msrtui.tui.view.picture import picture
from msrtui.tui.web.visitors import url, visitors
from msrtui.tui.web.window import size_of

_SEQUENCES = st.builds(
    "\x1b[{}{}{}".format,
    st.sampled_from(("", "?", ">", "<")),
    st.lists(st.integers(0, 9999) | st.just(""), max_size=4).map(lambda numbers: ";".join(map(str, numbers))),
    st.sampled_from("HmJKhlABCDGdrstuXPpq @`"),
)
_DATA = st.lists(
    _SEQUENCES
    | st.text(max_size=12)
    | st.sampled_from(("\x1b", "\x1b]", "\x1b]8;;x\x07", "\r\n", "\x1b[?2026h", "\x1b[?2026l", "个", "a\u0301")),
    max_size=8,
).map("".join)


@given(frames=st.lists(_DATA, max_size=5), erase=st.booleans(), check=st.booleans())
@few(100)
def test_whatever_the_app_writes_is_sent_or_made_fit_to_be_sent(frames: list[str], erase: bool, check: bool) -> None:
    painter = Painter(erase=erase)
    painter.forget(20, 6)
    for data in frames:
        try:
            assert isinstance(painter.send(data, check=check), str)
        except Mismatch as mismatch:
            raise AssertionError(f"{data!r} would not show what was drawn, but {mismatch}") from mismatch
        assert painter.size == (20, 6)


@given(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.lists(st.integers(), max_size=2)
)
@few(60)
def test_a_size_that_a_browser_says_is_one_of_a_window(said: object) -> None:
    width, height = size_of(said, said)
    assert 1 <= width <= 1000
    assert 1 <= height <= 500


@given(host=st.text(max_size=30), origin=st.text(max_size=30), drives=st.booleans())
@few(100)
def test_a_request_of_anybody_else_is_refused(host: str, origin: str, drives: bool) -> None:
    known = visitors("127.0.0.1", 8000)
    refused = known.refusal({"Host": host, "Origin": origin}, drives=drives)
    mine = host.lower() in ("127.0.0.1:8000", "localhost:8000", "[::1]:8000")
    assert (refused is None) == (mine and origin.lower() == f"http://{host.lower()}")
    assert known.refusal({"Host": url("127.0.0.1", 8000)[7:-1]}, drives=False) is None


def _reader() -> Reader:
    made = Reader(open_source("amd-pvm-linux6.18"), QemuProfile("7.2"))
    made.ends(1)
    return made


READER = _reader()
KNOWN = entries(READER.qemu.tables, READER.state, READER.events)


@given(
    query=st.text(max_size=20) | st.sampled_from(("9" * 5000, "0x" + "f" * 5000, "a" * 100_000, "²", "٣", "\x1b[31m"))
)
@few(100)
def test_any_query_finds_something_or_nothing(query: str) -> None:
    for number, base in readings(query):
        assert 0 <= number < 1 << 32
        assert base in (10, 16)
    for line in entry_lines([*rank(query, KNOWN, 8), *nearest(query, KNOWN)], 60):
        assert line.text.isprintable()
        assert line.width <= 60


SUBJECT = st.tuples(
    st.sampled_from(("word", "bit", "msr", "event", "group", "cap", "flag", "leaf", "parameter", "list", "nonsense")),
    st.sampled_from(
        ("FEAT_1_ECX", "FEAT_ARCH_CAPABILITIES", "FEAT_NONE", "msr", "cpuid", "index", "feature", "kvm", "")
    )
    | st.integers(-1, 0xFFFFFFFF),
    st.integers(-1, 70) | st.sampled_from(("nested", "")),
)


@given(subject=SUBJECT, size=st.tuples(st.integers(1, 200), st.integers(1, 60)), short=st.booleans())
@few(60)
def test_a_picture_fits_its_terminal_whatever_it_is_of(
    subject: tuple[object, ...], size: tuple[int, int], short: bool
) -> None:
    explored = Exploration(open_source("intel-skylake-bochs-linux6.12"), QemuProfile("10.2"))
    explored.look_at(subject[:2] if short else subject)
    shown = picture(explored.session, *size)
    for lines in shown.fixed.values():
        assert all(line.text.isprintable() for line in lines)
    for line in shown.detail:
        assert line.text.isprintable()
