"""The help pages: ``msrtui/help/TOPIC.txt``, which the command line and the app's help screen show alike.

A page is plain text of at most 80 columns. Its first line is its title; what is indented stands as it is (a command is
alone in its line, and tests run it), the rest are paragraphs.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from msrtui import resources
from msrtui.errors import BadRequest
from msrtui.kvm.collector import plain
from msrtui.lines import Line, head, line, wrap

_WIDEST = 100
"""Columns of a paragraph: what is wider is hard to read."""
TOPICS = (
    "explorer", "ladder", "compare", "talks", "lint", "explain", "probe", "qemus", "fleet",
    "snapshot", "sources", "json", "exit",
)  # fmt: skip
"""The pages, in the order in which they are listed."""


class Page(NamedTuple):
    """A page: its title, and the text below it."""

    title: str
    text: str


@cache
def page(topic: str) -> Page:
    """The page of a topic. Raises BadRequest where there is none."""
    if topic not in TOPICS:
        raise BadRequest(f"There is no page on {plain(topic, 80)}; there are {', '.join(TOPICS)}.")
    text = resources.read(resources.package_file(f"help/{topic}.txt")).decode()
    title, _, rest = text.partition("\n")
    return Page(title, rest.strip("\n") + "\n")


def page_text(topic: str) -> str:
    """A page as it is printed. Raises BadRequest."""
    found = page(topic)
    return f"{found.title}\n\n{found.text}"


def topics_text() -> str:
    """The list of all pages."""
    width = max(map(len, TOPICS)) + 2
    rows = "".join(f"  {topic:{width}}{page(topic).title}\n" for topic in TOPICS)
    return f"msrtui help TOPIC shows a page; msrtui COMMAND --help has a command's options.\n\n{rows}"


def page_lines(topic: str, width: int) -> list[Line]:
    """A page as lines of that width: paragraphs are broken anew, what is indented is not."""
    found = page(topic)
    lines = [line(" ", head(found.title)), Line()]
    for part in found.text.strip("\n").split("\n\n"):
        lines += [*_block(part, width), Line()]
    return lines[:-1]


def _block(part: str, width: int) -> Iterator[Line]:
    rows = part.split("\n")
    if rows[0].startswith(" "):
        yield from (line(f" {row}") for row in rows)
    else:
        yield from (line(" ", *told.spans) for told in wrap(" ".join(rows), min(max(width - 2, 20), _WIDEST)))
