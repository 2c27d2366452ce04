"""Pages as files: pictures that stand alone, recordings that play to the very pages, the same bytes each time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pyte
import pytest
from rich.cells import cell_len
from svg_words import words_of

from msrtui.cli import play
from msrtui.colours import PALETTES
from msrtui.glyphs import TABLES
from msrtui.lines import Line, bad, dim, head, line, mark
from msrtui.stage.exports import cast_of_pages, drawn, notes_of, talk_document, text_of_lines
from msrtui.stage.page import page
from msrtui.stage.svg import svg_of_lines
from msrtui.stage.talk import bundled_talks, open_talk
from msrtui.stage.telling import Teller

SIZES = ((80, 24), (120, 40))
SVG = "{http://www.w3.org/2000/svg}"


def pages_of(name: str, language: str, columns: int = 80, rows: int = 24) -> list[list[Line]]:
    talk = open_talk(name)
    teller = Teller(talk)
    return [page(talk, teller, number, columns, rows, language) for number in range(1, len(talk.scenes) + 1)]


# --- pictures ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", bundled_talks())
def test_a_picture_is_xml_that_fetches_nothing_and_has_every_word(name: str, language: str) -> None:
    for lines in pages_of(name, language):
        svg = svg_of_lines(lines, 80, PALETTES[0], "T & <t>", {})
        tree = ElementTree.fromstring(svg)
        assert tree.tag == f"{SVG}svg"
        assert set(re.findall(r"https?://[^\s\"')]+", svg)) == {"http://www.w3.org/2000/svg"}
        assert not re.search(r"@import|@font-face|href|<image|<script", svg)
        shown = "".join("".join(words_of(svg)).split())
        for entry in lines:
            for word in entry.text.split():
                assert word in shown, word
        assert "T&<t>" in shown


def test_a_text_is_as_wide_in_a_picture_as_its_cells() -> None:
    for lines in pages_of("article", "zh"):
        tree = ElementTree.fromstring(svg_of_lines(lines, 80, PALETTES[0], "", {}))
        widths = set()
        for text in tree.iter(f"{SVG}text"):
            said = (text.text or "").rstrip("\n")  # Rich ends each row with one
            if "textLength" in text.attrib and said:
                widths.add(round(float(text.attrib["textLength"]) / cell_len(said), 2))
        assert len(widths) == 1, "the width of one cell"


def test_a_picture_has_the_colours_of_its_theme() -> None:
    lines = [line("plain ", dim("dim "), head("head "), mark("mark "), bad("bad"))]
    for palette in PALETTES:
        svg = svg_of_lines(lines, 40, palette, "", {}).lower()
        for colour in (palette.background, palette.foreground, palette.secondary, palette.accent, palette.error):
            assert colour.lower() in svg


def test_nothing_of_a_text_is_markup_or_drives_a_terminal() -> None:
    lines = [line("<b>[bold]&amp;\x1b[31m</b>")]
    svg = svg_of_lines(lines, 40, PALETTES[0], "<i>", {})
    ElementTree.fromstring(svg)
    assert "<b>[bold]&amp;?[31m</b>" in words_of(svg)
    assert text_of_lines(lines, {}) == "<b>[bold]&amp;?[31m</b>\n"
    assert "\x1b[31m" not in drawn(lines, {})


def test_other_glyphs_are_drawn_with_where_they_are_wanted() -> None:
    (first, *_rest) = pages_of("article", "en")
    text = text_of_lines(first, TABLES["ascii"])
    assert text.isascii()
    assert len(text.splitlines()) == 24
    assert all(said.isascii() for said in words_of(svg_of_lines(first, 80, PALETTES[0], "", TABLES["ascii"])))
    assert cast_of_pages([first], 80, 24, 1.0, "T", TABLES["ascii"]).isascii()


# --- recordings --------------------------------------------------------------------------------------------------
def screen_of(terminal: pyte.Screen) -> list[str]:
    """Its rows; behind a wide character pyte keeps a cell with nothing in it."""
    return [row.rstrip() for row in terminal.display]


@pytest.mark.parametrize(("columns", "rows"), SIZES, ids=["80x24", "120x40"])
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", bundled_talks())
def test_a_recording_is_an_asciicast_that_plays_to_the_very_pages(
    tmp_path: Path, name: str, language: str, columns: int, rows: int
) -> None:
    path = tmp_path / "talk.cast"
    size = f"{columns}x{rows}"
    arguments = [name, "--lang", language, "--size", size, "--pace", "2.5", "--glyphs", "full", "--export", str(path)]
    assert play.run(arguments) == 0
    first, *rest = path.read_text(encoding="utf-8").splitlines()
    header, events = json.loads(first), [json.loads(each) for each in rest]
    assert (header["version"], header["width"], header["height"]) == (2, columns, rows)
    assert header["title"] == open_talk(name).title(language)
    assert "timestamp" not in header
    assert all(len(event) == 3 and event[1] == "o" and isinstance(event[2], str) for event in events)
    pages = pages_of(name, language, columns, rows)
    assert [event[0] for event in events] == [*(2.5 * n for n in range(len(pages))), 2.5 * len(pages) + 2]
    terminal = pyte.Screen(columns, rows)
    stream = pyte.Stream(terminal)
    for event, lines in zip(events, pages, strict=False):
        stream.feed(event[2])
        assert screen_of(terminal) == [entry.text.rstrip() for entry in lines]
        assert terminal.cursor.hidden
    stream.feed(events[-1][2])
    assert screen_of(terminal) == [entry.text.rstrip() for entry in pages[-1]]


def looks_of(terminal: pyte.Screen) -> list[list[object]]:
    """What each cell shows: of a blank its background and nothing else."""
    cells = ([terminal.buffer[y][x] for x in range(terminal.columns)] for y in range(terminal.lines))
    return [[cell if cell.data.strip() else (cell.bg, cell.reverse) for cell in row] for row in cells]


def test_each_page_of_a_recording_is_drawn_whole_wherever_the_player_was() -> None:
    pages = pages_of("article", "zh")
    alone, after = pyte.Screen(80, 24), pyte.Screen(80, 24)
    pyte.Stream(after).feed("\x1b[31;7m" + "x" * 80 * 24 + drawn(pages[0], {}))
    pyte.Stream(after).feed(drawn(pages[4], {}))
    pyte.Stream(alone).feed(drawn(pages[4], {}))
    assert after.display == alone.display
    assert looks_of(after) == looks_of(alone)


def test_a_recording_has_the_roles_colours_by_number() -> None:
    terminal = pyte.Screen(40, 1)
    pyte.Stream(terminal).feed(drawn([line("p", dim("d"), head("h"), mark("m"), bad("b"))], {}))
    looks = [(terminal.buffer[0][x].fg, terminal.buffer[0][x].bold) for x in range(5)]
    assert looks == [
        ("default", False),
        ("brightblack", False),
        ("default", True),
        ("brown", True),
        ("red", True),
    ]


# --- notes and JSON ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("language", ["en", "zh"])
def test_notes_have_the_numbers_of_the_scenes_and_the_numbers_of_the_host(language: str) -> None:
    talk = open_talk("article")
    notes = notes_of(talk, Teller(talk), language)
    heads = [row for row in notes.splitlines() if row.startswith("#")]
    assert heads == [
        f"# {talk.title(language)}",
        *(f"## {n} / 9  {scene.speak(language).title}" for n, scene in enumerate(talk.scenes, 1)),
    ]
    assert "{" not in notes
    third = notes.split("## 3 / 9")[1].split("## 4 / 9")[0]
    assert ("12 of 40" if language == "en" else "40 个里有 12 个") in third
    assert third.count("\n> ") == 2


def test_the_document_has_each_page_and_where_it_stands() -> None:
    talk = open_talk("article")
    teller = Teller(talk)
    pages = {number: page(talk, teller, number, 80, 24, "zh") for number in (2, 5)}
    document = talk_document(talk, teller, pages, "zh")
    assert document.keys() == {"talk", "title", "language", "scenes"}
    assert [scene["n"] for scene in document["scenes"]] == [2, 5]
    second, fifth = document["scenes"]
    assert second["event"]["rule"] == "has-msr-flag"
    assert (fifth["figure"], fifth["qemu"], fifth["cpu"], fifth["hosts"]) == (
        "lists", "7.2", "host", ["amd-pvm-linux6.18"],
    )  # fmt: skip
    assert "\n".join(fifth["text"]) + "\n" == text_of_lines(pages[5], {})
    assert "30 个里" in fifth["words"]


# --- the same bytes ----------------------------------------------------------------------------------------------
EXPORT_ALL = """
import sys
from msrtui.cli import play
folder, languages = sys.argv[1], sys.argv[2:]
for language in languages:
    for talk in ("article", "kernels", "five-values", "abort"):
        name = f"{folder}/{talk}-{language}"
        chosen = [talk, "--lang", language, "--glyphs", "full"]
        for arguments in (
            ["--notes", name + ".md"],
            ["--export", name + ".txt"],
            ["--export", name + ".cast", "--size", "120x40"],
            ["--export", name + ".svg", "--scene", "2", "--theme", "msrtui-dark"],
        ):
            assert play.run(chosen + arguments) == 0
        sys.stdout.write(name[len(folder):])
        assert play.run(chosen + ["--json"]) == 0
"""


def exported(folder: Path, *languages: str, **environment: str) -> dict[str, bytes]:
    folder.mkdir()
    child = subprocess.run(
        [sys.executable, "-c", EXPORT_ALL, str(folder), *languages],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(Path(play.__file__).parents[2]), **environment},
        check=False,
        timeout=120,
    )
    assert child.returncode == 0, child.stderr.decode()
    made = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert len(made) == 4 * 4 * len(languages)
    parts = re.split(rb"/(?=[a-z-]+-(?:en|zh)\{)", child.stdout)[1:]
    return made | {part.split(b"{")[0].decode() + ".json": part for part in parts}


def test_the_same_talk_gives_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    """Also where the other language was spoken before, and with another clock, order of sets, terminal and locale."""
    one = exported(tmp_path / "one", "en", "zh", PYTHONHASHSEED="1", TZ="UTC", LANG="C.UTF-8", COLUMNS="80")
    terminal = {"LANG": "zh_CN.UTF-8", "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    two = exported(tmp_path / "two", "zh", "en", PYTHONHASHSEED="2", TZ="Asia/Shanghai", **terminal)
    assert one.keys() == two.keys()
    assert len(one) == 4 * 5 * 2
    assert [name for name in one if one[name] != two[name]] == []
    assert len(set(one.values())) == len(one)
