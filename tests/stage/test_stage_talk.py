"""Talks as people write them: every mistake is one sentence that names its place, and nothing else comes of a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msrtui.errors import BadSource
from msrtui.resources import package_file
from msrtui.stage.page import page
from msrtui.stage.talk import FIGURES, PACE, SCENE_LIMIT, TEXT_LIMIT, Talk, bundled_talks, open_talk, read_talk
from msrtui.stage.telling import Teller

WHOLE = """\
host = "amd-pvm-linux6.18"
qemu = "7.2"
[en]
title = "A  talk"
[[scene]]
figure = "lists"
look = "index"
[scene.en]
title = "First\\nscene"
words = "words\\n"
notes = "notes"
"""
"""A talk with nothing wrong in it; each mistake is made in it by replacing a piece."""


def refused(data: bytes | str) -> str:
    with pytest.raises(BadSource) as caught:
        read_talk(data if isinstance(data, bytes) else data.encode(), "mine.toml")
    said = str(caught.value)
    assert said.startswith("mine.toml is not a talk")
    assert said.endswith(".")
    assert said.isprintable()
    assert len(said) < 400
    return said


def test_a_talk_is_read_as_it_is_written() -> None:
    talk = read_talk(WHOLE.encode(), "mine.toml")
    (scene,) = talk.scenes
    assert (talk.name, talk.title("en"), talk.languages, talk.own_host) == (
        "mine.toml", "A talk", ("en",), "amd-pvm-linux6.18",
    )  # fmt: skip
    assert (scene.figure, scene.hosts, scene.qemu, scene.cpu) == ("lists", ("amd-pvm-linux6.18",), "7.2", "host")
    assert (scene.look, scene.at, scene.rdmsr, scene.message) == (("index",), None, None, None)
    said = scene.speak("en")
    assert (said.title, said.words, said.notes) == ("First scene", "words", "notes")
    assert talk.pace == PACE


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert read_talk(b"\xef\xbb\xbf" + WHOLE.encode(), "mine.toml").languages == ("en",)


def test_what_a_scene_says_itself_goes_before_what_the_talk_says() -> None:
    own = 'look = "index"\nhost = "amd-epyc-tcg-linux6.1"\nqemu = "10.2"\ncpu = "max"\nrdmsr = "0x69"\nmessage = "gone"'
    (scene,) = read_talk(WHOLE.replace('look = "index"', own).encode(), "mine.toml").scenes
    assert (scene.hosts, scene.qemu, scene.cpu) == (("amd-epyc-tcg-linux6.1",), "10.2", "max")
    assert (scene.rdmsr, scene.message) == (0x69, "gone")


def test_a_language_that_is_not_told_falls_back_to_english() -> None:
    talk = read_talk(WHOLE.encode(), "mine.toml")
    assert talk.title("zh") == "A talk"
    assert talk.scenes[0].speak("zh").title == "First scene"
    french = read_talk(WHOLE.replace("[en]", "[fr]").replace("scene.en", "scene.fr").encode(), "mine.toml")
    assert french.title("zh") == "A talk"
    assert french.scenes[0].speak("zh").title == "First scene"


MISTAKES = (
    ('qemu = "7.2"', 'qemu = "7.2"\nspeaker = "me"', "the talk has speaker, which is not known; known are cpu, host"),
    ('look = "index"', 'looks = "index"', "scene 1 has looks, which is not known; known are at, cpu, figure, host"),
    ('notes = "notes"', 'note = "notes"', "scene 1.en has note, which is not known; known are notes, title, words"),
    ('title = "A  talk"', 'title = "A"\nwords = "w"', "[en] has words, which is not known; known are title"),
    ('figure = "lists"', 'figure = "pie"', "scene 1 has no figure; one of words, calls, lists"),
    ('figure = "lists"\n', "", "scene 1 has no figure; one of words, calls, lists"),
    ('figure = "lists"', "figure = 3", f"scene 1.figure is not a text of 1 to {TEXT_LIMIT} characters"),
    ("[scene.en]", "[scene.fr]", "scene 1 speaks fr, which the talk has no title in"),
    ("[scene.en]", '[scene."\\u001b[31mfr"]', "scene 1 speaks "),
    ("[scene.en]", f'[scene."{"x" * 900}"]', "scene 1 speaks x"),
    ("[en]\n", '[fr]\ntitle = "Titre"\n[en]\n', "scene 1 says nothing in fr, which the talk has a title in"),
    ("[en]\n", "[french]\n", "[french] is no language of two letters"),
    ("[en]\n", '["\\u001b["]\n', "is no language of two letters"),
    ("[en]\n", "[EN]\n", "[EN] is no language of two letters"),
    ('[en]\ntitle = "A  talk"\n', "", "it has no title"),
    ('[en]\ntitle = "A  talk"\n', "[en]\n", "[en] has no title"),
    ('title = "A  talk"', 'title = "  "', "[en] has no title"),
    ('title = "First\\nscene"\n', "", "scene 1.en has no title"),
    ('title = "First\\nscene"', 'title = "\\n"', "scene 1.en has no title"),
    ('title = "First\\nscene"', 'title = ""', "scene 1.en.title is not a text of 1 to"),
    ('words = "words\\n"', "words = 7", "scene 1.en.words is not a text of 1 to"),
    ('words = "words\\n"', f'words = "{"w" * (TEXT_LIMIT + 1)}"', "scene 1.en.words is not a text of 1 to"),
    ('words = "words\\n"', 'words = "a\\u001b[31mb"', "scene 1.en.words has a character that cannot be printed"),
    ('words = "words\\n"', 'words = "a\\u202eb"', "scene 1.en.words has a character that cannot be printed"),
    ('notes = "notes"', 'notes = "a\\tb"', "scene 1.en.notes has a character that cannot be printed"),
    ('host = "amd-pvm-linux6.18"\n', "", "scene 1 names no host, and the talk has none for all"),
    ('host = "amd-pvm-linux6.18"', "host = []", "the talk.host is not a text of 1 to"),
    ('qemu = "7.2"\n', "", "scene 1 names no qemu, and the talk has none for all"),
    ('qemu = "7.2"', "qemu = 7.2", "the talk.qemu is not a text of 1 to"),
    ('look = "index"', "look = []", "scene 1.look is not a text nor a list of 1 to 12"),
    ('look = "index"', f"look = {json.dumps(['a'] * 13)}", "scene 1.look is not a text nor a list of 1 to 12"),
    ('look = "index"', "look = [1]", "scene 1.look is not a text of 1 to"),
    ('look = "index"', "hosts = 1", "scene 1.hosts is not a text nor a list of 1 to 12"),
    ('look = "index"', 'rdmsr = "sixty"', "scene 1.rdmsr is not a register of 64 bits"),
    ('look = "index"', 'rdmsr = "-1"', "scene 1.rdmsr is not a register of 64 bits"),
    ('look = "index"', 'rdmsr = "0x10000000000000000"', "scene 1.rdmsr is not a register of 64 bits"),
    ('look = "index"', "rdmsr = 0x69", "scene 1.rdmsr is not a text of 1 to"),
    ('qemu = "7.2"', 'qemu = "7.2"\npace = 0', "its pace is not a number of seconds from 0.1 to 3600"),
    ('qemu = "7.2"', 'qemu = "7.2"\npace = true', "its pace is not a number of seconds from 0.1 to 3600"),
    ('qemu = "7.2"', 'qemu = "7.2"\npace = nan', "its pace is not a number of seconds from 0.1 to 3600"),
    ('qemu = "7.2"', 'qemu = "7.2"\npace = "slow"', "its pace is not a number of seconds from 0.1 to 3600"),
    ('qemu = "7.2"', f'qemu = "7.2"\npace = {"9" * 5000}', "a number in it is too long"),
    ('qemu = "7.2"', 'qemu = "7.2', "is not a talk that can be read: "),
    ('qemu = "7.2"', f"qemu = {'[' * 5000}", "is not a talk that can be read: "),
    (WHOLE, "scene = [1]\n[en]\ntitle = 'A'", "scene 1 is not a table"),
    (WHOLE, "", "it has no [[scene]]"),
    (WHOLE, "scene = 4", "it has no [[scene]]"),
    (WHOLE, "[[scene]]\n" * (SCENE_LIMIT + 1), f"it has {SCENE_LIMIT + 1} scenes, and {SCENE_LIMIT} are the most"),
)  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "sentence"), MISTAKES, ids=[str(n) for n in range(len(MISTAKES))])
def test_each_mistake_is_a_sentence_with_its_place(right: str, wrong: str, sentence: str) -> None:
    assert WHOLE.count(right) == 1
    assert sentence in refused(WHOLE.replace(right, wrong))


def test_the_place_of_a_mistake_is_the_scene_that_has_it() -> None:
    second = WHOLE[WHOLE.index("[[scene]]") :].replace('"lists"', '"pie"')
    assert "scene 2 has no figure" in refused(WHOLE + second)


def test_as_many_scenes_as_are_allowed_are_read() -> None:
    scene = WHOLE[WHOLE.index("[[scene]]") :]
    assert len(read_talk((WHOLE + scene * (SCENE_LIMIT - 1)).encode(), "mine.toml").scenes) == SCENE_LIMIT


def test_what_is_not_utf_8_is_no_talk() -> None:
    assert "it is not UTF-8 text" in refused(WHOLE.replace("notes", "n\xf6tes").encode("latin-1"))


def test_the_name_of_a_file_reaches_no_terminal_as_it_is() -> None:
    with pytest.raises(BadSource) as caught:
        read_talk(b"", "\x1b[31mred.toml")
    assert "\x1b" not in str(caught.value)


def test_what_is_neither_a_file_nor_bundled_names_the_bundled_talks(tmp_path: Path) -> None:
    with pytest.raises(BadSource, match=r"There is no talk nosuch; bundled are article, abort, five-values, kernels, "):
        open_talk("nosuch")
    with pytest.raises(BadSource, match="cannot be read: No such file"):
        open_talk(str(tmp_path / "nosuch.toml"))
    with pytest.raises(BadSource, match="cannot be read: Is a directory"):
        open_talk(f"{tmp_path}/")


def test_a_file_that_is_far_too_large_is_no_talk(tmp_path: Path) -> None:
    path = tmp_path / "large.toml"
    with path.open("wb") as file:
        file.truncate(3 << 20)
    with pytest.raises(BadSource, match="is over 2 MiB: that is no talk"):
        open_talk(str(path))


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_bytes_give_a_talk_or_a_sentence(data: bytes) -> None:
    _talk_or_sentence(data)


NAMES = (
    "host",
    "qemu",
    "cpu",
    "pace",
    "en",
    "zh",
    "scene",
    "figure",
    "hosts",
    "at",
    "look",
    "rdmsr",
    "message",
    "title",
)
VALUES = st.one_of(
    st.sampled_from([*FIGURES, "amd-pvm-linux6.18", "7.2", "0x10a"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.integers(),
    st.floats(),
    st.booleans(),
)
KEYS = st.one_of(
    st.sampled_from([*NAMES, "words", "notes"]), st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
)
NESTED = st.recursive(
    VALUES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)
TELLING = st.fixed_dictionaries({"title": st.just("T")}, optional={"words": VALUES, "notes": VALUES})
OWN = {name: VALUES for name in NAMES if name not in ("figure", "en")}
SCENES = st.lists(
    st.fixed_dictionaries({"figure": st.sampled_from(FIGURES), "en": TELLING}, optional=OWN),
    max_size=3,
)
NEAR = st.fixed_dictionaries(
    {"host": st.just("amd-pvm-linux6.18"), "qemu": st.just("7.2"), "en": st.just({"title": "T"}), "scene": SCENES},
    optional={"pace": VALUES, "zh": NESTED},
)


def _toml(value: Any) -> str:
    """A value as TOML writes it on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(str(key))} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(character):08x}" for character in value) + '"'
    return str(value).lower()


@given(st.one_of(st.dictionaries(KEYS, NESTED, max_size=5), NEAR))
def test_any_document_gives_a_talk_or_a_sentence(document: dict[str, Any]) -> None:
    data = "".join(f"{_toml(key)} = {_toml(value)}\n" for key, value in document.items())
    assert "is not a talk that can be read" not in _talk_or_sentence(data.encode())


def _talk_or_sentence(data: bytes) -> str:
    try:
        talk = read_talk(data, "any.toml")
    except BadSource as wrong:
        said = str(wrong)
    else:
        assert isinstance(talk, Talk)
        assert talk.scenes
        assert all(scene.said.keys() == talk.titles.keys() and scene.hosts for scene in talk.scenes)
        return ""
    assert said.isprintable()
    return said


@pytest.mark.parametrize("name", bundled_talks())
def test_every_scene_of_a_bundled_talk_is_told_in_english_and_in_chinese(name: str) -> None:
    talk = open_talk(name)
    assert talk.languages == ("en", "zh")
    for scene in talk.scenes:
        english, chinese = scene.said["en"], scene.said["zh"]
        assert all((english.title, english.words, english.notes, chinese.title, chinese.words, chinese.notes))
        assert not _chinese(english.title + english.words + english.notes)
        assert _chinese(chinese.words)
        assert _chinese(chinese.notes)
        assert _numbers_asked(english.words) == _numbers_asked(chinese.words)


def _chinese(text: str) -> bool:
    return any("\u3000" <= character <= "\u9fff" for character in text)


def _numbers_asked(text: str) -> set[str]:
    return {part.split("}")[0] for part in text.split("{")[1:]}


def test_the_talks_that_are_brought_along_are_these() -> None:
    assert bundled_talks() == ("article", "abort", "five-values", "kernels")


def test_the_template_of_new_talks_reads_and_can_be_told() -> None:
    template = Path(package_file("stage/talks/new.template")).read_bytes()
    talk = read_talk(template.replace(b"THIS-FILE", b"mine.toml"), "mine.toml")
    teller = Teller(talk)
    pages = [page(talk, teller, number, 80, 24, "en") for number in (1, 2)]
    assert len(talk.scenes) == 2
    assert "{" not in "".join(entry.text for entry in pages[0])
    for figure in FIGURES:
        assert figure.encode() in template, "the template names every figure"
