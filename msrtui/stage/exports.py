"""Pages as files: text, a recording for asciinema (asciicast v2), the speaker's notes, JSON. No clock, no chance.

The same talk, hosts, size and language give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from msrtui.kvm.collector import plain
from msrtui.lines import Line, Role, printable
from msrtui.report.trace import event_document
from msrtui.stage.page import with_numbers
from msrtui.stage.talk import Talk
from msrtui.stage.telling import Teller

_SGR: Mapping[Role, str] = {"": "", "dim": "90", "head": "1", "mark": "1;33", "bad": "1;31"}
"""Colours by number, so that a recording is shown in the colours of whoever plays it."""
_HOLD = 2.0
"""Seconds that the last page of a recording stands longer."""


def text_of_lines(lines: Sequence[Line], glyphs: dict[int, str]) -> str:
    """A page as text, a line a row, without blanks at the ends."""
    return "".join(printable(entry.text).translate(glyphs).rstrip() + "\n" for entry in lines)


def cast_of_pages(
    pages: Sequence[Sequence[Line]], columns: int, rows: int, pace: float, title: str, glyphs: dict[int, str]
) -> str:
    """All pages as a recording, each for ``pace`` seconds: asciicast v2, which asciinema plays."""
    header = {"version": 2, "width": columns, "height": rows, "title": plain(title, 200), "env": {"TERM": "xterm"}}
    made = [json.dumps(header, ensure_ascii=False)]
    at = 0.0
    for lines in pages:
        made.append(json.dumps([round(at, 3), "o", drawn(lines, glyphs)], ensure_ascii=False))
        at += pace
    made.append(json.dumps([round(at + _HOLD, 3), "o", ""]))
    return "\n".join(made) + "\n"


def drawn(lines: Sequence[Line], glyphs: dict[int, str]) -> str:
    """A page as a terminal is told to show it: cleared, without a cursor, each row put where it belongs."""
    out = ["\x1b[?25l\x1b[0m\x1b[2J"]
    for y, entry in enumerate(lines, 1):
        text = "".join(_coloured(printable(said).translate(glyphs), role) for said, role in entry.spans)
        if text.strip():
            out.append(f"\x1b[{y};1H{text}")
    return "".join(out)


def _coloured(text: str, role: Role) -> str:
    return f"\x1b[{_SGR[role]}m{text}\x1b[0m" if _SGR[role] and text.strip() else text


def notes_of(talk: Talk, teller: Teller, language: str) -> str:
    """The speaker's notes as Markdown, scene by scene. Raises BadSource and BadRequest as ``page``."""
    total = len(talk.scenes)
    made = [f"# {talk.title(language)}", ""]
    for number, scene in enumerate(talk.scenes, 1):
        said, told = scene.speak(language), teller.tell(scene)
        made += [f"## {number} / {total}  {said.title}", ""]
        if said.words:
            made += [*(f"> {part}" for part in with_numbers(said.words, told).splitlines()), ""]
        if said.notes:
            made += [with_numbers(said.notes, told), ""]
    return "\n".join(made)


def talk_document(talk: Talk, teller: Teller, pages: Mapping[int, Sequence[Line]], language: str) -> dict[str, Any]:
    """``play --json``: each scene with what is said, where it stands, and its page as text. Scenes count from 1."""
    scenes = []
    for number, lines in pages.items():
        scene = talk.scenes[number - 1]
        said, told = scene.speak(language), teller.tell(scene)
        here = told[0]
        scenes.append(
            {
                "n": number,
                "title": said.title,
                "words": with_numbers(said.words, told),
                "notes": with_numbers(said.notes, told),
                "figure": scene.figure,
                "hosts": [each.source.name for each in told],
                "qemu": here.qemu.label,
                "cpu": here.request.text,
                "event": None if here.event is None else event_document(here.event, here.qemu),
                "text": [entry.text.rstrip() for entry in lines],
            }
        )
    return {"talk": talk.name, "title": talk.title(language), "language": language, "scenes": scenes}
