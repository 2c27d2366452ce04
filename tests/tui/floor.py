"""The floor: the fewest bytes that turn one screen into the next, to measure an encoder against.

What it is, so that a figure "so many times the floor" means something: the screens are pyte's, before and after a key,
so what was drawn in between costs nothing. Rows are written from the top, each from left to right. All ways to do that
are tried (dynamic programming, no heuristics) with cursor moves of every kind, rewriting cells that stay, erasing
(ECH, EL) in the background in hand, and the shortest SGR from style to style. The cursor need not be put anywhere
afterwards, there are no synchronized updates, and the next screen starts from where this one ended.
"""

from __future__ import annotations

from pyte import graphics
from recording import Look, Terminal

from msrtui.tui.diff.encoder import move
from msrtui.tui.diff.style import Style, sgr

_NAMED = {
    **{name: str(code) for code, name in graphics.FG_AIXTERM.items()},
    **{name: str(code) for code, name in graphics.FG_ANSI.items()},
}
_CODES = (("bold", 1), ("dim", 2), ("italic", 3), ("underline", 4), ("reverse", 7), ("strike", 9))


def _colour(name: str, lead: int) -> str:
    if name in ("", "default"):
        return ""
    if name in _NAMED:
        return str(int(_NAMED[name]) + lead - 38)
    return f"{lead};2;" + ";".join(str(int(name[at : at + 2], 16)) for at in (0, 2, 4))


def _style(look: Look) -> Style:
    attributes = frozenset(code for name, code in _CODES if getattr(look, name))
    return Style(_colour(look.foreground, 38), _colour(look.background, 48), attributes)


class Floor:
    """Follows a terminal from screen to screen. ``bytes`` is what all of it would have cost."""

    def __init__(self, terminal: Terminal) -> None:
        self._shown = [[Look(" ", "", "default", *[False] * 6)] * terminal.columns for _ in range(terminal.lines)]
        self._pen: tuple[int | None, int | None, Style] = (0, 0, Style())
        self.bytes = 0

    def to(self, terminal: Terminal) -> int:
        """How many bytes the screen that the terminal shows now costs after the last one."""
        target = terminal.looks()
        x, y, style = self._pen
        states: dict[tuple[int | None, Style], int] = {(x, style): 0}
        for at, (old, new) in enumerate(zip(self._shown, target, strict=True)):
            changed = [x for x, (was, look) in enumerate(zip(old, new, strict=True)) if was != look and look.character]
            if changed:
                states = _Row(new, changed).after(states, y, at)
                y = at
        cost = min(states.values())
        x, style = next(state for state, value in states.items() if value == cost)
        self._pen, self._shown = (x, y, style), target
        self.bytes += cost
        return cost


class _Row:
    def __init__(self, new: list[Look], changed: list[int]) -> None:
        self._new = new
        self._width = len(new)
        self._changed = changed
        self._styles = [_style(look) for look in new]
        self._plain = [
            look.character == " " and style.plain_when_blank for look, style in zip(new, self._styles, strict=True)
        ]
        self._usable = set(self._styles)

    def _next(self, x: int) -> int | None:
        return next((place for place in self._changed if place >= x), None)

    def after(
        self, states: dict[tuple[int | None, Style], int], y: int | None, at: int
    ) -> dict[tuple[int | None, Style], int]:
        """What each place and style that this row can be left with costs at least."""
        best: list[dict[Style, int]] = [{} for _ in range(self._width + 1)]
        for (x, style), cost in states.items():
            for entry in range(self._changed[0] + 1):
                _lower(best[entry], style, cost + len(move(x, y, entry, at)))
        left: dict[tuple[int | None, Style], int] = {}
        for x in range(self._width + 1):
            target = self._next(x)
            for style, cost in best[x].items():
                if target is None:
                    _lower(left, (x if x < self._width else None, style), cost)
                    continue
                if target > x:
                    _lower(best[target], style, cost + len(move(x, 0, target, 0)))
                wide = x + 1 < self._width and not self._new[x + 1].character
                size = len(self._new[x].character.encode())
                for used in self._fitting(x, style):
                    inked = cost + len(sgr(style, used))
                    _lower(best[x + 1 + wide], used, inked + size)
                    if self._plain[x]:
                        self._erased(x, used, inked, best, left)
        return left

    def _fitting(self, x: int, style: Style) -> set[Style]:
        if not self._plain[x]:
            return {self._styles[x]}
        background = self._styles[x].background
        others = {used for used in self._usable if used.background == background and used.plain_when_blank}
        return {style.on(background), *others}

    def _erased(
        self,
        x: int,
        style: Style,
        cost: int,
        best: list[dict[Style, int]],
        left: dict[tuple[int | None, Style], int],
    ) -> None:
        end = x
        while end < self._width and self._plain[end] and self._styles[end] == self._styles[x]:
            end += 1
        cost += len("\x1b[K") if end == self._width else len(f"\x1b[{end - x}X")
        target = self._next(end)
        if target is None:
            _lower(left, (x, style), cost)
        else:
            _lower(best[target], style, cost + len(move(x, 0, target, 0)))


def _lower(costs: dict, key: object, cost: int) -> None:  # type: ignore[type-arg]
    if cost < costs.get(key, 1 << 60):
        costs[key] = cost
