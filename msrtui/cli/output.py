"""What is printed goes through here: text for any encoding, JSON one thing a line, and ends that are no accident.

A reader that has had enough (``| head``) is no error. A full disk or a closed standard output is one.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from msrtui.cleaning import printable
from msrtui.errors import MsrtuiError

LINE = 110
"""A value of JSON that fits in so many columns stands on one line."""


class OutputFailed(MsrtuiError):
    """Standard output cannot be written to; ``str()`` says why."""


class NobodyReads(Exception):
    """Whoever read standard output has gone."""


def say(text: str) -> None:
    """Print text for people. Raises OutputFailed, NobodyReads."""
    out = _standard_output()
    encoding = (out.encoding or "ascii").lower().replace("-", "")
    if encoding != "utf8" or os.environ.get("MSRTUI_GLYPHS") == "ascii":
        from msrtui.glyphs import IN_TEXT  # few terminals need it

        text = text.translate(IN_TEXT).encode(out.encoding or "ascii", "replace").decode(out.encoding or "ascii")
    _write(out, text)


def say_bytes(data: bytes) -> None:
    """Print a file as it is. Raises OutputFailed, NobodyReads."""
    _write(_standard_output(), data)


def say_json(document: Any) -> None:
    """Print a document for programs, in ASCII. Raises OutputFailed, NobodyReads."""
    # DEL is the one control character that JSON lets stand as it is
    _write(_standard_output(), laid_out(document).replace("\x7f", "\\u007f") + "\n")


def note(sentence: str) -> None:
    """Print a sentence to standard error, where there is one, without anything that could drive a terminal."""
    lines = (printable(line, " ") for line in sentence.splitlines())
    text = "".join(f"msrtui: {line}\n" for line in lines if line.strip())
    try:
        if sys.stderr is not None:
            sys.stderr.write(text)  # its error handler is backslashreplace: any text can be written
            sys.stderr.flush()
    except (OSError, ValueError):
        pass


def leave_standard_output() -> None:
    """Make the interpreter's own flush at exit harmless after a write failed."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
    except OSError:
        pass


def laid_out(value: Any, indent: str = "") -> str:
    """JSON whose short values stand on one line and whose long ones are opened, one member a line."""
    opens = isinstance(value, (dict, list)) and bool(value)
    if not opens or _room_left(value, LINE) >= 0:
        short = json.dumps(value)
        if not opens or len(short) + len(indent) <= LINE:
            return short
    first, last = "{}" if isinstance(value, dict) else "[]"
    members = ",\n".join(_members(value, indent + " "))
    return f"{first}\n{members}\n{indent}{last}"


def _room_left(value: Any, room: int) -> int:
    """What is left of so many characters behind the least that the value can take: what is long is not tried at all."""
    if isinstance(value, str):
        return room - len(value) - 2
    if isinstance(value, (dict, list)):
        for member in value:  # two each: one separator less than there are members, and the brackets
            room = _room_left(member, room - 2)
            if isinstance(value, dict):
                room = _room_left(value[member], room)
            if room < 0:
                return room
        return room
    return room - 1


def _members(value: Any, inner: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, member in value.items():
            yield f"{inner}{json.dumps(key)}: {laid_out(member, inner)}"
    else:
        for member in value:
            yield inner + laid_out(member, inner)


def _standard_output() -> TextIO:
    if sys.stdout is None:
        raise OutputFailed("Standard output is closed, so nothing can be printed.")
    return sys.stdout


def _write(out: TextIO, text: str | bytes) -> None:
    try:
        if isinstance(text, bytes):
            out.buffer.write(text)
        else:
            out.write(text)
        out.flush()
    except BrokenPipeError:
        leave_standard_output()
        raise NobodyReads from None
    except OSError as error:
        leave_standard_output()
        raise OutputFailed(f"Standard output cannot be written to: {error.strerror}.") from None
    except ValueError:
        raise OutputFailed("Standard output is closed, so nothing can be printed.") from None
