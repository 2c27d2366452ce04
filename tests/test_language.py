"""Sentences in other languages: the catalogues, what talks ask of them, and that a language ends where it is left."""

from __future__ import annotations

import ast
import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

import polib
import pytest

from msrtui import language
from msrtui.language import CATALOGUES, N_, of_locale, say, speaking
from msrtui.stage.figures import dialogue
from msrtui.stage.figures.parts import Room
from msrtui.stage.page import page
from msrtui.stage.talk import bundled_talks, open_talk, read_talk
from msrtui.stage.telling import Teller
from msrtui.values import replace

ONE = "{count} words"
"""A sentence that has a translation."""


# --- the catalogues ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("letters", CATALOGUES)
def test_the_compiled_catalogue_is_what_the_written_one_says(root: Path, letters: str) -> None:
    folder = root / "msrtui" / "locale"
    written = polib.pofile(str(folder / f"{letters}.po"))
    compiled = polib.mofile(str(folder / f"{letters}.mo"))
    assert {entry.msgid: entry.msgstr for entry in compiled} == {entry.msgid: entry.msgstr for entry in written}
    assert compiled.metadata == written.metadata
    assert len(written) > 100
    assert not written.fuzzy_entries()
    assert not written.untranslated_entries()
    assert not written.obsolete_entries()


@pytest.mark.parametrize("letters", CATALOGUES)
def test_a_translation_has_the_same_places_to_fill_in(root: Path, letters: str) -> None:
    for entry in polib.pofile(str(root / "msrtui" / "locale" / f"{letters}.po")):
        assert _places(entry.msgid) == _places(entry.msgstr), entry.msgid
        assert not re.search(r"[\x00-\x1f\x7f]", entry.msgstr)


def _places(text: str) -> set[str]:
    return set(re.findall(r"\{[^{}]*\}", text))


@pytest.mark.parametrize("letters", CATALOGUES)
def test_every_sentence_that_has_a_translation_is_still_said_somewhere(root: Path, letters: str) -> None:
    said = set()
    for path in (root / "msrtui").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                said.add(node.value)
    written = polib.pofile(str(root / "msrtui" / "locale" / f"{letters}.po"))
    assert [entry.msgid for entry in written if entry.msgid not in said] == []


# --- what talks ask for ------------------------------------------------------------------------------------------
class Asked(NullTranslations):
    """Comes after a catalogue and keeps what that does not have."""

    def __init__(self) -> None:
        super().__init__()
        self.missing: list[str] = []

    def gettext(self, message: str) -> str:
        self.missing.append(message)
        return message


@pytest.fixture(name="asked")
def _asked() -> Iterator[Asked]:
    made = Asked()
    language._catalogue.cache_clear()
    language._catalogue("zh").add_fallback(made)
    yield made
    language._catalogue.cache_clear()


def test_the_pages_of_all_bundled_talks_are_chinese_all_through(asked: Asked) -> None:
    for name in bundled_talks():
        talk = open_talk(name)
        for migratable in (True, False):
            teller = Teller(talk)
            teller.migratable = migratable
            for number in range(1, len(talk.scenes) + 1):
                for columns, rows in ((39, 11), (80, 24), (120, 40)):
                    page(talk, teller, number, columns, rows, "zh")
    assert sorted(set(asked.missing)) == []
    with speaking("zh"):
        assert say("nobody says this") == "nobody says this"
    assert asked.missing == ["nobody says this"], "what is missing is noticed"


ANY_TALK = """
host = "{host}"
qemu = "{qemu}"
cpu = "{cpu}"
[zh]
title = "标题"
[[scene]]
figure = "dialogue"
[scene.zh]
title = "标题"
"""


@pytest.mark.parametrize("cpu", ["host", "EPYC", "max,-avx"])
@pytest.mark.parametrize("qemu", ["3.1", "7.2", "10.2"])
def test_a_talk_of_ones_own_may_stand_at_any_event(asked: Asked, qemu: str, cpu: str) -> None:
    for host in ("amd-pvm-linux6.18", "intel-skylake-bochs-linux6.12", "amd-opteron-g3-tcg-linux5.10"):
        talk = read_talk(ANY_TALK.format(host=host, qemu=qemu, cpu=cpu).encode(), "mine.toml")
        told = Teller(talk).tell(talk.scenes[0])
        room = Room(74, 4)
        with speaking("zh"):
            for event in told[0].events:
                dialogue.draw(talk.scenes[0], (replace(told[0], at=event.n),), room)
    assert sorted(set(asked.missing)) == []


# --- who speaks which --------------------------------------------------------------------------------------------
def test_a_language_is_spoken_inside_and_the_one_before_it_afterwards() -> None:
    chinese = "{count} 个 word"
    assert say(ONE) == ONE
    with speaking("zh"):
        assert say(ONE) == chinese
        with speaking("en"):
            assert say(ONE) == ONE
        assert say(ONE) == chinese
        with pytest.raises(ZeroDivisionError), speaking("en"):
            raise ZeroDivisionError
        assert say(ONE) == chinese
    assert say(ONE) == ONE


def test_without_a_catalogue_english_is_spoken() -> None:
    with speaking("zh"), speaking("fr"):
        assert say(ONE) == ONE
    with speaking("../../etc"):
        assert say(ONE) == ONE


def test_a_marked_sentence_is_english_until_it_is_said() -> None:
    with speaking("zh"):
        assert N_(ONE) == ONE
        assert say(N_(ONE)) != ONE


async def test_two_who_speak_at_once_do_not_hear_each_other() -> None:
    heard: dict[str, str] = {}
    other_speaks = asyncio.Event()

    async def first() -> None:
        with speaking("zh"):
            await other_speaks.wait()
            heard["zh"] = say(ONE)

    async def second() -> None:
        with speaking("en"):
            other_speaks.set()
            heard["en"] = say(ONE)

    await asyncio.gather(first(), second())
    assert heard == {"zh": "{count} 个 word", "en": ONE}


@pytest.mark.parametrize(
    ("environment", "letters"),
    [
        ({}, "en"),
        ({"LANG": "C"}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "POSIX"}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh"}, "zh"),
        ({"LANG": "ZH_tw"}, "zh"),
        ({"LANG": "de_DE.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8", "LC_ALL": "de_DE@euro"}, "de"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, "zh"),
        ({"LANG": "12_34"}, "en"),
        ({"LANG": "../../x"}, "en"),
        ({"LANG": "文字"}, "en"),
    ],
)
def test_the_language_is_the_locales(environment: dict[str, str], letters: str) -> None:
    assert of_locale(environment) == letters


# --- sentences are made where they are shown ---------------------------------------------------------------------
def test_no_module_says_a_sentence_while_it_is_read(root: Path) -> None:
    """It would be in the language of whoever was first; N_ marks such a sentence."""
    found = []
    for path in sorted((root / "msrtui").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "msrtui.language"
            for alias in node.names
            if alias.name == "say"
        }
        found += [f"{path.relative_to(root)}:{call.lineno}" for call in _said_at_reading(tree, names)]
    assert found == []


@pytest.mark.parametrize(
    "text", ["A = {'a': _('b')}", "class A:\n b = _('b')", "def f(a=_('b')): ...", "@f(_('b'))\ndef g(): ..."]
)
def test_a_sentence_that_a_module_says_is_found(text: str) -> None:
    assert len(list(_said_at_reading(ast.parse(text), {"_"}))) == 1
    assert not list(_said_at_reading(ast.parse(f"def f():\n return lambda: _('{len(text)}')"), {"_"}))


def _said_at_reading(tree: ast.AST, names: set[str]) -> Iterator[ast.Call]:
    for node in _at_reading(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            yield node


def _at_reading(node: ast.AST) -> Iterator[ast.AST]:
    """What is worked out when a module is read: all but the bodies of its functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            given = [*child.args.defaults, *(each for each in child.args.kw_defaults if each is not None)]
            for each in [*given, *getattr(child, "decorator_list", ())]:
                yield each
                yield from _at_reading(each)
            continue
        yield child
        yield from _at_reading(child)


READ_IN_CHINESE = """
import importlib, pkgutil, sys
from msrtui.language import speaking
with speaking("zh"):
    import msrtui.report, msrtui.stage
    for package in (msrtui.report, msrtui.stage):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            importlib.import_module(module.name)
from msrtui.cli import play, trace
assert play.run(["article", "--lang", "zh", "--export", sys.argv[1]]) == 0
assert play.run(["article", "--lang", "en", "--export", "-"]) == 0
assert trace.run(["amd-pvm-linux6.18", "--qemu", "7.2"]) == 0
"""


def test_what_was_first_read_in_chinese_is_english_for_others(root: Path, tmp_path: Path) -> None:
    made = tmp_path / "zh.txt"
    command = [sys.executable, "-c", READ_IN_CHINESE, str(made)]
    child = subprocess.run(command, cwd=root, capture_output=True, check=False, timeout=60)
    assert child.returncode == 0, child.stderr.decode()
    assert "个 index" in made.read_text(encoding="utf-8")
    said = child.stdout.decode()
    assert "40 indices in" in said
    assert "KVM_GET_MSR_FEATURE_INDEX_LIST" in said
    assert not re.findall("[\u3000-\u9fff]+", said)


def test_a_catalogue_is_gettexts() -> None:
    assert isinstance(language._catalogue("zh"), GNUTranslations)
