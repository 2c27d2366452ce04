"""In which language sentences are said: English as they are written, others through gettext's catalogues.

A leaf. Who shows something says ``with speaking("zh")`` around it; what is made in there is made in that language.
What has no translation yet is said in English. The catalogues are ``locale/LANGUAGE.po``, and the ``.mo`` made of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING

from msrtui.resources import package_file, read

if TYPE_CHECKING:
    from gettext import NullTranslations

ENGLISH = "en"
CATALOGUES = ("zh",)
"""The languages that there is a catalogue of."""

_speaking: ContextVar[str] = ContextVar("speaking", default=ENGLISH)


def say(text: str) -> str:
    """``text``, which is an English sentence or a template of one, in the language that is spoken."""
    language = _speaking.get()
    return text if language == ENGLISH else _catalogue(language).gettext(text)


def N_(text: str) -> str:  # noqa: N802 - gettext's own name for it
    """Marks a sentence that is made once, when its module is read, and said in a language where it is shown."""
    return text


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Say everything in that language; English where there is no catalogue of it."""
    token = _speaking.set(language if language in CATALOGUES else ENGLISH)
    try:
        yield
    finally:
        _speaking.reset(token)


def of_locale(environment: Mapping[str, str]) -> str:
    """The language of the user's locale, as two letters: ``zh`` of ``zh_CN.UTF-8``; ``en`` where it names none."""
    locale = environment.get("LC_ALL") or environment.get("LC_MESSAGES") or environment.get("LANG") or ""
    letters = locale.split(".")[0].split("_")[0].lower()
    return letters if len(letters) == 2 and letters.isascii() and letters.isalpha() else ENGLISH


@lru_cache
def _catalogue(language: str) -> NullTranslations:
    from gettext import GNUTranslations  # for English there is nothing to look up
    from io import BytesIO

    return GNUTranslations(BytesIO(read(package_file(f"locale/{language}.mo"))))
