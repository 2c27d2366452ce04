"""How well the themes can be read, measured on the exported SVG; and that nothing is said by colour alone."""

from __future__ import annotations

import html
import re
from typing import Any, cast

import pytest
from settling import settled

from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source
from msrtui.tui import themes
from msrtui.tui.app import MsrtuiApp
from msrtui.tui.export import svg_of

LEAST = {"msrtui-dark": 4.5, "msrtui-light": 4.5, "msrtui-contrast": 7.0, "msrtui-projector": 7.0}


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def readings(svg: str) -> dict[tuple[str, str], str]:
    """(colour, colour behind it) of every text in an SVG, with one of the texts."""
    fills = dict(re.findall(r"\.(\S+-r\d+) \{ fill: (#[0-9a-f]{6})", svg))
    boxes = [
        (fill, *(float(number) for number in numbers))
        for fill, *numbers in re.findall(
            r'<rect fill="(#[0-9a-f]{6})" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', svg
        )
    ]
    found: dict[tuple[str, str], str] = {}
    for name, x, y, text in re.findall(r'<text class="(\S+)" x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)</text>', svg):
        said = html.unescape(text).replace("\xa0", " ").strip()
        if not said or name not in fills:
            continue
        behind = [
            fill
            for fill, left, top, width, height in boxes
            if left <= float(x) < left + width and top <= float(y) - 5 < top + height
        ]
        assert behind, said
        found[fills[name], behind[-1]] = said
    return found


@pytest.mark.parametrize("theme", [theme.name for theme in themes.THEMES])
async def test_every_text_stands_out_from_what_is_behind_it(theme: str) -> None:
    app = MsrtuiApp(open_source("amd-pvm-linux6.18"), QemuProfile("7.2"), theme=theme, tier="full")
    async with app.run_test(size=(120, 40)) as pilot:
        pictures = []
        for keys in ((), ("v",), ("escape", "question_mark"), ("escape", "less_than_sign", "n"), ("colon",)):
            await pilot.press(*keys)
            await settled(pilot)
            pictures.append(svg_of(cast("Any", app)))
    for picture in pictures:
        found = readings(picture)
        assert len(found) >= 2
        low = {text: round(contrast(*pair), 2) for pair, text in found.items() if contrast(*pair) < LEAST[theme]}
        assert not low, theme


async def test_without_colour_every_sign_is_still_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = MsrtuiApp(open_source("amd-pvm-linux6.18"), QemuProfile("7.2"), theme="msrtui-dark", tier="full")
    app.no_color = True
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        text = "\n".join(strip.text for strip in app.screen._compositor.render_strips())
    for sign in ("✓", "≠", "▸", "·", "26  GDS_NO                  1     1     -"):
        assert sign in text


def test_blue_and_amber_are_what_is_told_apart() -> None:
    for theme in themes.THEMES:
        blue, amber = theme.primary, theme.accent
        assert amber is not None
        assert int(blue[5:7], 16) > int(blue[1:3], 16), theme.name
        assert int(amber[1:3], 16) > int(amber[5:7], 16), theme.name
