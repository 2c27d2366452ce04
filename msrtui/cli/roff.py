"""Text as roff with the man macros: escaped, so that no text is taken for a request. Plain ASCII comes out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_SIGNS = {
    "\\": r"\e",
    "-": r"\-",
    "'": r"\(aq",
    '"': r"\(dq",
    "`": r"\(ga",
    "^": r"\(ha",
    "~": r"\(ti",
    "…": "...",
}


def escaped(text: str) -> str:
    """``text`` as it is to be seen, in one line; other characters than ASCII by their number."""
    return "".join(_SIGNS.get(c) or (c if c.isascii() else rf"\[u{ord(c):04X}]") for c in text if c.isprintable())


def line(text: str) -> str:
    """A line of text: one that begins like a request is none."""
    shown = escaped(text)
    return rf"\&{shown}" if shown.startswith(".") else shown


def bold(text: str) -> str:
    """A piece in bold, to be put into a line."""
    return rf"\fB{escaped(text)}\fR"


def italic(text: str) -> str:
    """A piece in italics, to be put into a line."""
    return rf"\fI{escaped(text)}\fR"


def heading(text: str, *, sub: bool = False) -> str:
    """A section, or one within it."""
    return f'.{"SS" if sub else "SH"} "{escaped(text)}"'


def tagged(tag: str, text: str) -> Iterator[str]:
    """A tag (roff already) and the paragraph that it has."""
    yield ".TP"
    yield rf"\&{tag}"
    yield line(text)


def paragraphs(text: str) -> Iterator[str]:
    """Prose: paragraphs are parted by blank lines; lines that are indented stand as they are."""
    for paragraph in text.strip("\n").split("\n\n"):
        if not paragraph.strip():
            continue
        yield ".PP"
        as_is = False
        for each in paragraph.splitlines():
            if each.startswith(" ") != as_is:
                as_is = not as_is
                yield from (".RS 4", ".nf") if as_is else (".fi", ".RE")
            if each.strip():
                yield line(each.strip())
        if as_is:
            yield from (".fi", ".RE")


def page(title: str, section: int, source: str, manual: str, lines: Iterable[str]) -> str:
    """A whole page. It has no date: the same msrtui makes the same page."""
    head = f'.TH "{escaped(title)}" "{section}" "" "{escaped(source)}" "{escaped(manual)}"'
    return "\n".join((head, ".nh", ".ad l", *lines)) + "\n"
