"""Pages: exactly as large as the stage, in both languages, with the numbers that the conversation has.

``MSRTUI_WRITE_PICTURES=1 python -m pytest tests/stage/test_stage_pages.py`` writes the goldens anew; look before you
keep them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from rich.cells import cell_len

from msrtui.errors import BadSource
from msrtui.language import speaking
from msrtui.snapshot.sources import open_source
from msrtui.stage.digits import HEIGHT, big, width_of
from msrtui.stage.exports import text_of_lines
from msrtui.stage.figures import draw
from msrtui.stage.figures.parts import Room
from msrtui.stage.page import LEAST, numbers, page, with_numbers
from msrtui.stage.talk import Scene, bundled_talks, open_talk, read_talk
from msrtui.stage.telling import Teller, Told
from msrtui.transcript.events import Event

GOLDENS = Path(__file__).parent / "goldens"
SIZES = (LEAST, (80, 24), (120, 40), (200, 60), (39, 11), (7, 3), (1, 1))
TALKS = {name: open_talk(name) for name in bundled_talks()}
TELLERS = {name: Teller(talk) for name, talk in TALKS.items()}
SCENES = tuple(
    (name, number, language)
    for name, talk in TALKS.items()
    for number in range(1, len(talk.scenes) + 1)
    for language in talk.languages
)
KEPT = (
    ("article", 3, "en", 80, 24),
    ("article", 5, "en", 80, 24),
    ("article", 5, "zh", 80, 24),
    ("five-values", 2, "en", 120, 40),
    ("kernels", 1, "en", 80, 24),
    ("abort", 4, "en", 80, 24),
)
WHOLE_IN_THEMSELVES = ("c0000084 c0000082 …", "KVM_GET_MSRS, …)")
"""An ellipsis that cuts nothing off: of a list whose length is said, of a C call."""


def shown(name: str, number: int, language: str, columns: int = 80, rows: int = 24) -> str:
    return text_of_lines(page(TALKS[name], TELLERS[name], number, columns, rows, language), {})


def tell(text: str, number: int = 1, columns: int = 80, rows: int = 24) -> list[str]:
    talk = read_talk(text.encode(), "mine.toml")
    return [entry.text.rstrip() for entry in page(talk, Teller(talk), number, columns, rows, "en")]


@pytest.mark.parametrize(("name", "number", "language"), SCENES)
def test_a_page_is_exactly_as_large_as_the_stage(name: str, number: int, language: str) -> None:
    for columns, rows in SIZES:
        lines = page(TALKS[name], TELLERS[name], number, columns, rows, language)
        assert len(lines) == rows
        for entry in lines:
            assert cell_len(entry.text) <= columns, f"{columns}x{rows}: {entry.text}"
            assert entry.text.isprintable()


@pytest.mark.parametrize(("name", "number", "language"), SCENES)
def test_from_80_columns_on_nothing_is_cut_off(name: str, number: int, language: str) -> None:
    talk, teller = TALKS[name], TELLERS[name]
    scene = talk.scenes[number - 1]
    told = teller.tell(scene)
    for columns, rows in ((80, 24), (120, 40), (200, 60)):
        text = shown(name, number, language, columns, rows)
        for sign in WHOLE_IN_THEMSELVES:
            text = text.replace(sign, "")
        assert "…" not in text, text
        lines = text.splitlines()
        said = scene.speak(language)
        assert lines[0].split() == [*said.title.split(), str(number), "/", str(len(talk.scenes))]
        assert _joined(with_numbers(said.words, told)) in _joined(text)
        assert f"QEMU {told[0].qemu.label}" in lines[-1]
        assert _whole_figure(
            scene, told, columns, rows, language, _joined(shown(name, number, language, columns, rows))
        )


def _whole_figure(scene: Scene, told: tuple[Told, ...], columns: int, rows: int, language: str, text: str) -> bool:
    """Whether the figure stands in the text as it is drawn for some height in which it has room."""
    width = columns - (6 if columns < 100 else 8)
    for height in range(1, rows):
        with speaking(language):
            figure = draw(scene, told, Room(width, height))
        if len(figure) <= height and _joined("".join(entry.text for entry in figure)) in text:
            return True
    return False


def _joined(text: str) -> str:
    """Without blanks and ends of lines, which say nothing."""
    return "".join(text.split())


@pytest.mark.parametrize(("name", "number", "language", "columns", "rows"), KEPT)
def test_the_page_is_the_one_that_was_looked_at(name: str, number: int, language: str, columns: int, rows: int) -> None:
    path = GOLDENS / f"{name}-{number}-{language}-{columns}x{rows}.txt"
    text = shown(name, number, language, columns, rows)
    if os.environ.get("MSRTUI_WRITE_PICTURES"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


def test_no_page_is_left_over() -> None:
    wanted = {f"{name}-{number}-{language}-{columns}x{rows}.txt" for name, number, language, columns, rows in KEPT}
    assert {path.name for path in GOLDENS.iterdir()} == wanted


# --- numbers -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "number", "language"), SCENES)
def test_what_words_and_figures_say_is_what_the_conversation_says(name: str, number: int, language: str) -> None:
    scene = TALKS[name].scenes[number - 1]
    told = TELLERS[name].tell(scene)
    here, text = told[0], shown(name, number, language)
    replies = [event.reply for event in here.events if event.reply is not None]
    assert replies
    lists = [event for event in here.events if event.ioctl == "KVM_GET_MSR_INDEX_LIST"]
    features = [event for event in here.events if event.ioctl == "KVM_GET_MSR_FEATURE_INDEX_LIST"]
    known = numbers(here)
    assert known["listed"] == _last_count(lists)
    assert known["kept"] == _last_count(features)
    flags = [event for event in here.events if event.decision is not None and event.decision.rule == "has-msr-flag"]
    assert known["flags"] == len({event.decision.params["flag"] for event in flags if event.decision is not None})
    assert known["listed"] == sum(int(str(known[part])) for part in ("flags", "transferred", "never"))
    for part in re.findall(r"\{([a-z_]+)\}", scene.speak(language).words):
        assert str(known[part]) in text
    if scene.figure == "kernels":
        for each in told:
            kernel = re.split(r"[-+]", str(numbers(each)["kernel"]))[0]
            row = next(row for row in text.splitlines() if f"Linux {kernel} " in row)
            found = [int(part) for part in re.findall(r"[█·] +(\d+)\b", row)]
            guest = sum((word.value or 0).bit_count() for word in each.end.guest.values())
            assert found == [numbers(each)["listed"], numbers(each)["kept"], guest]


def _last_count(events: list[Event]) -> int:
    reply = events[-1].reply
    assert reply is not None
    return len(getattr(reply, "indices"))  # noqa: B009 - of either list


def test_the_article_in_numbers_40_become_10_and_4_stay_4() -> None:
    for language in ("en", "zh"):
        digits = shown("article", 5, language).splitlines()[4 : 4 + HEIGHT]
        for number, start in ((40, 4), (10, 24), (4, 41), (4, 54)):
            width = width_of(number)
            assert big(number) == [row[start : start + width].ljust(width) for row in digits]
    text = shown("article", 5, "en")
    assert "40 indices in                        4 indices in" in text
    assert "10 has_msr_* flags out               4 kept in kvm_feature_msrs" in text
    assert "30 set no flag" in text
    assert "Of the 30, QEMU 7.2 saves and restores 18 without" in text
    assert "\n 12 it never names" in text


def test_one_register_has_five_values() -> None:
    for language in ("en", "zh"):
        values = re.findall(r"\b(?:[0-9a-f]{4}_){3}[0-9a-f]{4}\b", shown("five-values", 2, language, 120, 40))
        assert values == [
            "407f_ffff_0003_6dfb",
            "007f_ffff_0003_6dfb",
            "0000_0000_007c_9204",
            "0000_0000_007c_9004",
            "007f_ffff_0003_6dfb",
        ]


def test_the_bits_that_are_drawn_are_those_of_the_value() -> None:
    rows = shown("five-values", 2, "en").splitlines()
    for row in rows:
        found = re.search(r"((?:[0-9a-f]{4}_){3}[0-9a-f]{4})   ([·1 -]+)$", row)
        if found:
            value, drawn = int(found[1].replace("_", ""), 16), found[2].replace(" ", "")
            half = value & 0xFFFFFFFF if row.split()[0] in ("QEMU", "migratable") else value >> 32
            assert drawn.replace("·", "0").replace("-", "0") == f"{half:032b}", row
    assert sum("_" in row and "·" in row for row in rows) == 5


def test_every_number_has_its_big_digits() -> None:
    assert {len(set(big(number))) > 1 for number in range(10)} == {True}
    assert len({tuple(big(number)) for number in range(100)}) == 100
    for number in (0, 7, 40, 1234567890):
        for scale in (1, 2, 3):
            rows = big(number, scale)
            assert len(rows) == HEIGHT * scale
            assert {len(row) for row in rows} == {width_of(number, scale)}


# --- what people write -------------------------------------------------------------------------------------------
HEAD = """\
host = "{host}"
qemu = "{qemu}"
[en]
title = "T"
[[scene]]
figure = "{figure}"
{more}
[scene.en]
title = "{title}"
"""


def one_scene(
    figure: str, more: str = "", title: str = "T", words: str = "", host: str = "amd-pvm-linux6.18", qemu: str = "7.2"
) -> str:
    made = HEAD.format(host=host, qemu=qemu, figure=figure, more=more, title=title)
    return made + (f'words = """{words}"""\n' if words else "")


def test_a_name_in_words_that_no_host_has_is_refused() -> None:
    with pytest.raises(BadSource, match=r"The words of a scene have \{bits\}; known are cpu, flags, host"):
        tell(one_scene("words", words="{bits} of them"))


def test_braces_that_hold_no_name_are_words() -> None:
    assert any(".msr = { .index } {} {A}" in row for row in tell(one_scene("words", words=".msr = { .index } {} {A}")))


def test_a_paragraph_begins_after_an_empty_line() -> None:
    rows = tell(one_scene("words", words="One.\n\nTwo,\nand three."))
    at = rows.index(" One.")
    assert rows[at + 1 : at + 3] == ["", " Two, and three."]


def test_words_that_leave_no_room_for_the_figure_leave_the_page_its_size() -> None:
    for figure in ("words", "calls", "lists", "dialogue", "ways", "start", "kernels"):
        rows = tell(one_scene(figure, words="word " * 700, title="long title " * 30), columns=80, rows=24)
        assert len(rows) == 24, figure
        assert max(map(cell_len, rows)) <= 80
        assert rows[0].endswith("… 1 / 1")


@pytest.mark.parametrize("figure", ["calls", "lists", "dialogue", "ways", "start", "kernels", "branch", "values"])
@pytest.mark.parametrize(
    "host", ["amd-opteron-g3-tcg-linux5.10", "intel-penryn-bochs-linux5.10", "amd-nosvm-tcg-linux6.12"]
)
def test_each_figure_can_be_told_of_any_host(figure: str, host: str) -> None:
    """Of a KVM that cannot be opened as well: then the page says what is not known."""
    more = 'look = "FEAT_ARCH_CAPABILITIES"' if figure in ("branch", "values") else ""
    for qemu in ("3.1", "11.1"):
        for columns, rows in ((40, 12), (80, 24), (200, 60)):
            made = tell(one_scene(figure, more, host=host, qemu=qemu), columns=columns, rows=rows)
            assert len(made) == rows
            assert max(map(cell_len, made)) <= columns
            assert any(row.strip() for row in made[1:-1])


def test_a_host_whose_name_is_long_leaves_the_version_of_qemu_on_the_page() -> None:
    talk = TALKS["five-values"]
    for columns in (40, 60, 80):
        for name in ("intel-icelake-bochs-linux6.12", "amd-opteron-g3-tcg-linux5.10"):
            foot = page(talk, Teller(talk, open_source(name)), 1, columns, 24, "en")[-1].text
            assert ", QEMU 7.2" in foot
            assert foot.endswith("q end")
