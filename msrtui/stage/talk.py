"""A talk as people write it: TOML with a scene after the other; read strictly, every mistake named with its place."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from msrtui.errors import BadRequest, BadSource
from msrtui.kvm.collector import plain
from msrtui.language import ENGLISH
from msrtui.resources import names, package_file
from msrtui.snapshot.files import read_file
from msrtui.values import dataclass, field

if sys.version_info >= (3, 11):
    import tomllib
else:
    try:
        import tomli as tomllib
    except ModuleNotFoundError:  # the one file, made where nothing needed it
        raise BadRequest("Talks need Python 3.11 or later, or the Python package tomli.") from None

FIGURES = ("words", "calls", "lists", "dialogue", "branch", "ways", "values", "kernels", "start")
"""What a scene can show; ``figures/`` has a room for each."""
SCENE_LIMIT = 200
TEXT_LIMIT = 4000

_TALK_KEYS = {"host", "qemu", "cpu", "scene", "pace"}
_SCENE_KEYS = {"figure", "host", "hosts", "qemu", "cpu", "at", "look", "rdmsr", "message"}
_SAID_KEYS = {"title", "words", "notes"}
_LANGUAGE = re.compile("[a-z]{2}")
PACE = 8.0
"""Seconds that a scene stands in auto-play, where the talk says nothing else."""


@dataclass(frozen=True)
class Said:
    """What is said with a scene in one language: its title, the words under the figure, the speaker's notes."""

    title: str
    words: str = ""
    notes: str = ""


@dataclass(frozen=True)
class Scene:
    """One idea on one page.

    ``hosts`` are SOURCEs, more than one only where a figure compares; ``at`` says at which event of the conversation
    the scene stands (``telling.find_event``), ``look`` what is looked at: an MSR, a word, a list. ``rdmsr`` is what
    the CPU itself has in that MSR, which no ioctl of KVM's says; ``message`` what QEMU printed there.
    """

    figure: str
    said: Mapping[str, Said]
    hosts: tuple[str, ...]
    qemu: str
    cpu: str = "host"
    at: str | None = None
    look: tuple[str, ...] = ()
    rdmsr: int | None = None
    message: str | None = None

    def speak(self, language: str) -> Said:
        """In that language, else in English, else in the first that there is."""
        return self.said.get(language) or self.said.get(ENGLISH) or next(iter(self.said.values()))


@dataclass(frozen=True)
class Talk:
    """A talk: its titles by language, its scenes in order, the seconds that auto-play gives a scene."""

    name: str
    titles: Mapping[str, str]
    scenes: tuple[Scene, ...]
    pace: float = PACE
    own_host: str = field(default="")
    """The SOURCE of scenes that name none."""

    def title(self, language: str) -> str:
        """In that language, else in English, else in the first that there is."""
        return self.titles.get(language) or self.titles.get(ENGLISH) or next(iter(self.titles.values()))

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that the talk is told in."""
        return tuple(self.titles)


def bundled_talks() -> tuple[str, ...]:
    """The names of the talks that are brought along, the article's first."""
    return tuple(sorted(names(package_file("stage/talks"), ".toml"), key=lambda name: name != ARTICLE))


ARTICLE = "article"
"""The talk that msrtui grew from."""


def open_talk(text: str) -> Talk:
    """A bundled talk by its name, or a file. Raises BadSource where it cannot be read or is not a talk."""
    if text in bundled_talks():
        return read_talk(read_file(package_file(f"stage/talks/{text}.toml")), text)
    if not os.path.exists(text) and os.sep not in text and not text.endswith(".toml"):  # noqa: PTH110
        known = ", ".join(bundled_talks())
        raise BadSource(f"There is no talk {plain(text, 80)}; bundled are {known}, and msrtui play --new makes one.")
    return read_talk(read_file(text, "that is no talk"), text)


def read_talk(data: bytes, shown_as: str) -> Talk:
    """A talk out of its file. Raises BadSource with the place of what is wrong."""
    name = plain(shown_as, 400)
    try:
        document = tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise BadSource(f"{name} is not a talk: it is not UTF-8 text.") from None
    except (tomllib.TOMLDecodeError, RecursionError) as wrong:
        raise BadSource(f"{name} is not a talk that can be read: {plain(str(wrong), 200)}.") from None
    except ValueError:  # Python reads no integer of more than 4300 digits
        raise BadSource(f"{name} is not a talk that can be read: a number in it is too long.") from None
    try:
        return _talk(document, name)
    except _Wrong as wrong:
        raise BadSource(f"{name} is not a talk that can be played: {wrong}.") from None


class _Wrong(Exception):
    """What is wrong with a talk, and where, without the file's name and a full stop."""


def _talk(document: Mapping[str, Any], name: str) -> Talk:
    own = {key: value for key, value in document.items() if key in _TALK_KEYS or not isinstance(value, dict)}
    titles = dict(_titles({key: value for key, value in document.items() if key not in own}))
    _known(own, _TALK_KEYS, "the talk")
    host, qemu, cpu = (_text(own, key, "the talk") for key in ("host", "qemu", "cpu"))
    scenes = own.get("scene")
    if not isinstance(scenes, list) or not scenes:
        raise _Wrong("it has no [[scene]]")
    if len(scenes) > SCENE_LIMIT:
        raise _Wrong(f"it has {len(scenes)} scenes, and {SCENE_LIMIT} are the most that are taken")
    if not titles:
        raise _Wrong('it has no title: [en] with title = "…" says it')
    pace = own.get("pace", PACE)
    if isinstance(pace, bool) or not isinstance(pace, (int, float)) or not 0.1 <= pace <= 3600:
        raise _Wrong("its pace is not a number of seconds from 0.1 to 3600")
    made = tuple(_scene(scene, f"scene {place}", host, qemu, cpu, set(titles)) for place, scene in enumerate(scenes, 1))
    return Talk(name, titles, made, float(pace), host or "")


def _titles(languages: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for language, said in languages.items():
        if not _LANGUAGE.fullmatch(language):
            raise _Wrong(f"[{plain(language, 40)}] is no language of two letters")
        _known(said, {"title"}, f"[{language}]")
        yield language, _title(said, f"[{language}]")


def _scene(
    scene: object, where: str, host: str | None, qemu: str | None, cpu: str | None, languages: set[str]
) -> Scene:
    if not isinstance(scene, dict):
        raise _Wrong(f"{where} is not a table")
    told = {key: value for key, value in scene.items() if not isinstance(value, dict)}
    for language in scene.keys() - told.keys() - languages:
        raise _Wrong(f"{where} speaks {plain(language, 20)}, which the talk has no title in")
    said = {key: _said(value, f"{where}.{key}") for key, value in scene.items() if key not in told}
    missing = sorted(languages - set(said))
    if missing:
        raise _Wrong(f"{where} says nothing in {missing[0]}, which the talk has a title in")
    _known(told, _SCENE_KEYS, where)
    figure = _text(told, "figure", where)
    if figure not in FIGURES:
        raise _Wrong(f"{where} has no figure; one of {', '.join(FIGURES)} is wanted")
    own = _text(told, "host", where) or host
    hosts = _texts(told, "hosts", where) or ((own,) if own else ())
    if not hosts:
        raise _Wrong(f"{where} names no host, and the talk has none for all")
    version = _text(told, "qemu", where) or qemu
    if version is None:
        raise _Wrong(f"{where} names no qemu, and the talk has none for all")
    return Scene(
        figure,
        said,
        hosts,
        version,
        _text(told, "cpu", where) or cpu or "host",
        _text(told, "at", where),
        _texts(told, "look", where),
        _number(told, "rdmsr", where),
        _text(told, "message", where),
    )


def _said(table: Mapping[str, Any], where: str) -> Said:
    _known(table, _SAID_KEYS, where)
    return Said(
        _title(table, where),
        (_text(table, "words", where) or "").strip(),
        (_text(table, "notes", where) or "").strip(),
    )


def _title(table: Mapping[str, Any], where: str) -> str:
    title = " ".join((_text(table, "title", where) or "").split())
    if not title:
        raise _Wrong(f"{where} has no title")
    return title


def _known(table: Mapping[str, Any], keys: set[str], where: str) -> None:
    for key in table:
        if key not in keys:
            raise _Wrong(f"{where} has {plain(key, 40)}, which is not known; known are {', '.join(sorted(keys))}")


def _text(table: Mapping[str, Any], key: str, where: str) -> str | None:
    value = table.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value or len(value) > TEXT_LIMIT:
        raise _Wrong(f"{where}.{key} is not a text of 1 to {TEXT_LIMIT} characters")
    if any(not (character.isprintable() or character == "\n") for character in value):
        raise _Wrong(f"{where}.{key} has a character that cannot be printed")
    return value


def _texts(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = table.get(key)
    if value is None:
        return ()
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not 0 < len(value) <= 12:
        raise _Wrong(f"{where}.{key} is not a text nor a list of 1 to 12")
    made = tuple(_text({key: each}, key, where) for each in value)
    return tuple(each for each in made if each is not None)


def _number(table: Mapping[str, Any], key: str, where: str) -> int | None:
    text = _text(table, key, where)
    if text is None:
        return None
    try:
        value = int(text, 16)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 64:
        raise _Wrong(f'{where}.{key} is not a register of 64 bits: "0x69"')
    return value
