"""The explorer without a screen: stepping, what if, links, filters, and what other QEMUs make of the same KVM."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from msrtui.errors import BadRequest
from msrtui.kvm.heard import Heard
from msrtui.kvm.requests import AnyRequest, GetMsrs, R, Request
from msrtui.lines import Line
from msrtui.qemu.conversation import negotiate
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import labels
from msrtui.snapshot.model import About
from msrtui.snapshot.sources import open_source
from msrtui.transcript.stepper import run
from msrtui.tui.exploration import Exploration
from msrtui.tui.others import read_by_others
from msrtui.tui.session import Reading
from msrtui.tui.view.detail.others import others_lines
from msrtui.tui.view.picture import picture
from msrtui.tui.view.values import value_of
from msrtui.values import replace

QEMU = QemuProfile("7.2")
EPYC, SKYLAKE = "amd-pvm-linux6.18", "intel-skylake-bochs-linux6.12"
ARCH = ("word", "FEAT_ARCH_CAPABILITIES")


def text_of(lines: list[Line]) -> str:
    return "\n".join(entry.text for entry in lines)


@pytest.fixture
def epyc() -> Exploration:
    return Exploration(open_source(EPYC), QEMU)


@pytest.fixture
def walk() -> Exploration:
    return Exploration(open_source(EPYC), QEMU, at_start=True)


# --- stepping ----------------------------------------------------------------------------------------------------
def test_what_a_step_changed_is_lit_and_the_next_step_puts_it_out(walk: Exploration) -> None:
    while not walk.session.state.flags:
        walk.step(1)
    index = next(iter(walk.session.state.flags))
    assert walk.session.lit == {("msr", index)}
    walk.step(1)
    assert ("msr", index) not in walk.session.lit
    walk.step(-1)
    assert walk.session.state.flags == {index: walk.session.state.flags[index]}


def test_a_lit_row_looks_other_than_it_did(walk: Exploration) -> None:
    while not walk.session.state.flags:
        walk.step(1)
    index = next(iter(walk.session.state.flags))
    rows = {row.key: row for row in picture(walk.session, 120, 40).lists["index"][1]}
    walk.change()
    dark = {row.key: row for row in picture(walk.session, 120, 40).lists["index"][1]}
    assert rows["msr", index].text == dark["msr", index].text
    assert {role for _, role in rows["msr", index].spans} == {"mark"}
    assert {role for _, role in dark["msr", index].spans} == {"mark", ""}
    assert rows["msr", 0x174] == dark["msr", 0x174]


def test_each_list_is_lit_as_it_comes(walk: Exploration) -> None:
    walk.phase(1)
    while walk.session.state.feature_list is None:
        walk.step(1)
    assert walk.session.lit == {("msr", index) for index in walk.session.state.feature_list}
    while not walk.session.state.words:
        walk.step(1)
    assert walk.session.lit == {("word", next(iter(walk.session.state.words)))}


# --- beside the moves ------------------------------------------------------------------------------------------------
def test_the_session_has_one_owner(epyc: Exploration) -> None:
    with pytest.raises(AttributeError):
        epyc.session = replace(epyc.session, focus="detail")  # type: ignore[misc]


def test_what_is_learned_beside_a_move_ends_nothing_that_was_said(epyc: Exploration) -> None:
    epyc.note("said")
    epyc.focus_on("detail")
    epyc.cpu_named("A CPU")
    epyc.asked_since("12:00")
    assert (epyc.session.notice, epyc.session.focus) == ("said", "detail")
    assert epyc.session.source.about.cpu == "A CPU"
    assert epyc.session.asked_at is None, "a saved host has its own time"
    epyc.changed_since("12:00", "kvm_amd was reloaded")
    assert epyc.session.notice == "Since 12:00 kvm_amd was reloaded:  r  asks everything again."


def test_asked_again_what_was_known_of_the_machine_is_known_anew(epyc: Exploration) -> None:
    epyc.cpu_named("A CPU")
    now = About(kernel="7.0", parameters={"kvm_amd": {"nested": "0"}})
    epyc.again(now)
    about = epyc.session.source.about
    assert (about.cpu, about.kernel, about.parameters) == ("A CPU", "7.0", {"kvm_amd": {"nested": "0"}})
    epyc.again()
    assert epyc.session.source.about == about


def test_when_a_live_kvm_was_asked_is_said_once_until_it_is_asked_again() -> None:
    live = Exploration(replace(open_source(EPYC), kind="live"), QEMU)
    live.asked_since("12:00")
    live.asked_since("13:00")
    assert live.session.asked_at == "asked 12:00"
    live.again()
    live.asked_since("13:00")
    assert live.session.asked_at == "asked 13:00"


# --- what if -----------------------------------------------------------------------------------------------------
def test_another_qemu_is_worked_out_in_place_and_what_becomes_other_is_lit(epyc: Exploration) -> None:
    assert epyc.session.subject == ARCH
    before = epyc.session.state.guest["FEAT_ARCH_CAPABILITIES"].value
    epyc.what_if(replace(QEMU, label="8.2"), "host")
    after = epyc.session.state.guest["FEAT_ARCH_CAPABILITIES"].value
    assert (before, after) == (0x69, 0x4000069)
    assert epyc.session.subject == ARCH
    assert ARCH in epyc.session.lit
    unchanged = [name for name, word in epyc.session.state.guest.items() if ("word", name) not in epyc.session.lit]
    assert len(unchanged) > 10


def test_what_if_is_what_that_qemu_says_from_the_start(epyc: Exploration) -> None:
    for label in labels():
        for cpu in ("host", "max", "qemu64"):
            qemu = replace(QEMU, label=label, machine="q35")
            epyc.what_if(qemu, cpu)
            fresh = Exploration(open_source(EPYC), qemu, cpu)
            assert epyc.session.state.guest == fresh.session.state.guest
            assert epyc.session.state.words == fresh.session.state.words


def test_what_if_asks_nothing_that_was_heard() -> None:
    class Counting:
        def __init__(self) -> None:
            self.inner = open_source(SKYLAKE).answerer
            self.asked: list[AnyRequest] = []

        def ask(self, request: Request[R]) -> R:
            self.asked.append(request)
            return self.inner.ask(request)

        def held(self) -> object:
            return self.inner.held()

    counting = Counting()
    source = replace(open_source(SKYLAKE), answerer=counting)  # type: ignore[arg-type]
    exploration = Exploration(source, QEMU)
    asked = len(counting.asked)
    exploration.migratable()
    exploration.what_if(QEMU, "Skylake-Server")
    assert len(counting.asked) == asked
    assert any(isinstance(request, GetMsrs) for request in counting.asked)


def test_a_cpu_that_this_qemu_does_not_have_changes_nothing(epyc: Exploration) -> None:
    before = epyc.session
    with pytest.raises(BadRequest, match="SapphireRapids"):
        epyc.what_if(replace(QEMU, label="3.1"), "SapphireRapids")
    assert epyc.session == before
    epyc.step(-1)
    assert epyc.session.qemu == QEMU


def test_a_named_model_is_shown_as_what_it_is(epyc: Exploration) -> None:
    epyc.what_if(QEMU, "EPYC,-svm")
    shown = picture(epyc.session, 120, 40)
    assert "-cpu EPYC,-svm" in text_of(shown.fixed["title"])
    assert "-cpu EPYC,-svm" in text_of(shown.detail) or "filtered" in text_of(shown.detail)


# --- links -------------------------------------------------------------------------------------------------------
def test_links_go_back_and_forward_again(epyc: Exploration) -> None:
    seen: list[object] = []
    epyc.follow(("msr", 0x8B))
    epyc.follow(("msr", 0x345))
    for move in (epyc.back, epyc.back, epyc.back, epyc.forward):
        seen.append((move(), epyc.session.subject))
    assert seen == [(True, ("msr", 0x8B)), (True, ARCH), (False, ARCH), (True, ("msr", 0x8B))]
    epyc.follow(("msr", 0xCE))
    assert not epyc.forward(), "another way was taken"


# --- filters -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("host", [EPYC, SKYLAKE, "amd-epyc-tcg-linux6.12"])
def test_a_list_can_show_only_what_matters(host: str) -> None:
    exploration = Exploration(open_source(host), QEMU)
    full = picture(exploration.session, 120, 40)
    for pane in ("index", "feature", "words"):
        exploration.only_changed(pane)
    few = picture(exploration.session, 120, 40)
    for pane, sign in (("index", "✓"), ("feature", "≠"), ("words", "≠")):
        wanted = [row for row in full.lists[pane][1] if sign in row.text and row.key]
        shown = [row for row in few.lists[pane][1] if row.key and row.key[0] != "group"]  # type: ignore[index]
        assert [row.key for row in shown] == [row.key for row in wanted]
        assert "≠" in few.lists[pane][0].text
        exploration.only_changed(pane)
    assert picture(exploration.session, 120, 40) == full


def test_a_list_that_a_filter_emptied_says_how_to_fill_it(epyc: Exploration) -> None:
    epyc.what_if(replace(QEMU, migratable=False), "host")
    epyc.only_changed("feature")
    rows = picture(epyc.session, 120, 40).lists["feature"][1]
    assert [row.text for row in rows if "x  shows all" in row.text] or any("≠" in row.text for row in rows)


# --- the grid ----------------------------------------------------------------------------------------------------
def test_the_grid_says_the_same_as_the_ladder(epyc: Exploration) -> None:
    epyc.change(grid=True)
    shown = picture(epyc.session, 80, 24).detail
    cells = "".join(
        "".join(part for part in row.text[4:].split()[:4]) for row in shown if row.text[1:3] in ("63", "47", "31", "15")
    )
    assert len(cells) == 64
    bits = {63 - at: cell for at, cell in enumerate(cells) if cell != "·"}
    assert bits == {0: "1", 3: "1", 5: "1", 6: "1", 26: "q", 27: "q", 62: "q"}
    assert all(len(row.text) <= 51 for row in shown)


# --- other QEMUs -------------------------------------------------------------------------------------------------
def test_other_qemus_readings_are_theirs(capture: Callable[[str], str]) -> None:
    source = open_source(capture(EPYC))
    heard = Heard(source.answerer)
    run(negotiate(QEMU), heard)
    readings = read_by_others(heard.fork(), QEMU, "host")
    assert [reading.label for reading in readings] == list(labels())
    for reading in readings:
        outcome = run(negotiate(QemuProfile(reading.label)), source.answerer).outcome
        assert outcome is not None
        assert reading.words == {name: word.value for name, word in outcome.guest.items()}


def test_values_that_agree_stand_together_and_the_shown_one_is_marked(epyc: Exploration) -> None:
    readings = read_by_others(epyc.reader.heard.fork(), QEMU, "host")
    word = QEMU.tables.word_by_name["FEAT_ARCH_CAPABILITIES"]
    lines = others_lines(word, readings, "7.2", 57, 10)
    assert [row.text.split()[:2] for row in lines[1:]] == [
        ["3.1-4.0", "0x9"],
        ["▸", "4.2-7.2"],
        ["8.2", "0x4000069"],
        ["10.0", "0xc000069"],
        ["10.2-11.1", "0x0"],
    ]
    assert lines[-1].text.endswith("hidden: the guest is AMD ")
    few = others_lines(word, readings, "7.2", 51, 3)
    assert "10.0=0xc000069" in text_of(few)
    assert len(few) < len(lines)


@pytest.mark.parametrize(
    ("cpu", "lost"),
    [
        ("host", {"10.2": "hidden: the guest is AMD"}),
        # in 10.2 it was gone before anyone switched it off
        ("host,-arch-capabilities", {"7.2": "arch-capabilities off", "10.2": "hidden: the guest is AMD"}),
        ("EPYC", {"7.2": "-cpu EPYC", "10.2": "-cpu EPYC"}),
    ],
)
def test_what_took_all_of_a_word_is_said(capture: Callable[[str], str], cpu: str, lost: dict[str, str]) -> None:
    readings = read_by_others(Heard(open_source(capture(EPYC)).answerer), QEMU, cpu)
    word = "FEAT_ARCH_CAPABILITIES"
    asked = [reading for reading in readings if reading.label in ("7.2", "10.2")]
    assert {reading.label: reading.lost[word] for reading in asked if word in reading.lost} == lost


def test_a_version_without_the_word_or_the_cpu_says_so() -> None:
    word = QEMU.tables.word_by_name["FEAT_ARCH_CAPABILITIES"]
    readings = (Reading("3.1", {}, "has no -cpu X"), Reading("4.0", {}), Reading("7.2", {word.name: None}))
    lines = others_lines(word, readings, "9", 60, 10)
    assert [row.text.split()[1] for row in lines[1:]] == ["-", "-", "?"]
    assert "has no -cpu X" in lines[1].text


# --- copying -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("subject", "value"),
    [
        (ARCH, "0x69"),
        (("bit", "FEAT_ARCH_CAPABILITIES", 3), "0x69"),
        (("msr", 0x10A), "0x400000000c000069"),
        (("msr", 0x174), "0x174"),
        (("group", "msr"), None),
        (("event", 3), None),
    ],
)
def test_what_is_copied_is_the_value_of_what_is_selected(
    epyc: Exploration, subject: tuple[object, ...], value: str | None
) -> None:
    epyc.look_at(subject)
    assert value_of(epyc.session) == value


def test_another_qemu_leaves_the_reader_at_the_same_question(walk: Exploration) -> None:
    walk.ends(1)
    for _ in range(9):
        walk.step(-1)
    before = walk.session.events[walk.session.at or 0]
    walk.migratable()
    after = walk.session.events[walk.session.at or 0]
    assert (before.request, before.word, before.function) == (after.request, after.word, after.function)


def test_what_a_cpu_says_of_itself_goes_with_it(epyc: Exploration) -> None:
    epyc.what_if(QEMU, "host,migratable=off")
    assert not epyc.session.qemu.migratable
    epyc.what_if(epyc.chosen, "host")
    assert epyc.session.qemu == QEMU
