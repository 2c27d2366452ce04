"""How a cell looks, and the shortest SGR code from one look to another."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

_OFF = {1: 22, 2: 22, 3: 23, 4: 24, 5: 25, 7: 27, 8: 28, 9: 29, 53: 55}
_ON_AGAIN_AFTER = {22: (1, 2), 23: (3,), 24: (4,), 25: (5,), 27: (7,), 28: (8,), 29: (9,), 55: (53,)}
_SEEN_ON_BLANKS = frozenset((4, 5, 7, 9, 53))


class Style(NamedTuple):
    """Colours as their SGR parameters ("" is the terminal's own), attributes as the codes that switch them on."""

    foreground: str = ""
    background: str = ""
    attributes: frozenset[int] = frozenset()

    @property
    def plain_when_blank(self) -> bool:
        """Whether a space of this style is nothing but its background, so that erasing makes the same cell."""
        return not self.attributes & _SEEN_ON_BLANKS

    def on(self, background: str) -> Style:
        """This style, fit for a plain blank on that background."""
        if self.background == background and self.plain_when_blank:
            return self
        return Style(self.foreground, background, self.attributes - _SEEN_ON_BLANKS)


DEFAULT = Style()


@lru_cache(maxsize=4096)
def changed_by(style: Style | None, parameters: str) -> Style | None:
    """The style after an SGR with these parameters ("1;38;5;3"); None for an unknown style that stays unknown.

    Raises ValueError for parameters that are not understood: double underline, whose code switches bold off
    elsewhere, is one; underline colours are another.
    """
    codes = [int(part) if part else 0 for part in parameters.split(";")]
    place = 0
    while place < len(codes):
        code = codes[place]
        place += 1
        if code == 0:
            style = DEFAULT
        elif code in (38, 48):
            length = {5: 2, 2: 4}.get(codes[place] if place < len(codes) else -1, 0)
            if not length or place + length > len(codes):
                raise ValueError(parameters)
            colour = ";".join(str(part) for part in (code, *codes[place : place + length]))
            place += length
            style = style and (style._replace(foreground=colour) if code == 38 else style._replace(background=colour))
        elif 30 <= code <= 37 or 90 <= code <= 97 or code == 39:
            style = style and style._replace(foreground="" if code == 39 else str(code))
        elif 40 <= code <= 47 or 100 <= code <= 107 or code == 49:
            style = style and style._replace(background="" if code == 49 else str(code))
        elif code in _OFF:
            style = style and style._replace(attributes=style.attributes | {code})
        elif code in _ON_AGAIN_AFTER:
            style = style and style._replace(attributes=style.attributes.difference(_ON_AGAIN_AFTER[code]))
        else:
            raise ValueError(parameters)
    return style


@lru_cache(maxsize=4096)
def sgr(before: Style | None, after: Style) -> str:
    """The shortest SGR that makes ``after`` of ``before``, of which None is an unknown one; "" where they are one."""
    if before == after:
        return ""
    look = [
        *(str(code) for code in sorted(after.attributes)),
        *(colour for colour in (after.foreground, after.background) if colour),
    ]
    anew = f"\x1b[{';'.join(['0', *look])}m" if look else "\x1b[m"
    if before is None:
        return anew
    parts: list[str] = []
    lost = {_OFF[code] for code in before.attributes - after.attributes}
    kept = before.attributes.difference(*(_ON_AGAIN_AFTER[off] for off in lost))
    parts.extend(str(code) for code in (*sorted(lost), *sorted(after.attributes - kept)))
    if before.foreground != after.foreground:
        parts.append(after.foreground or "39")
    if before.background != after.background:
        parts.append(after.background or "49")
    return min(f"\x1b[{';'.join(parts)}m", anew, key=len)
