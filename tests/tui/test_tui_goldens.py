"""Screens as text, at three sizes and in three glyph tiers: a change of a screen is a file's change that can be read.

``MSRTUI_WRITE_PICTURES=1 python -m pytest tests/tui/test_tui_goldens.py`` writes them anew; look before you keep them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from settling import settled

from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source
from msrtui.tui.app import MsrtuiApp

STYLES_AT_MOST = 6
"""As few as a calm screen needs: plain, dim, heading, mark, alarm, and what is typed."""
GOLDENS = Path(__file__).parent / "goldens"
SIZES = ((80, 24), (120, 40), (200, 60))
NESTED0, SKYLAKE_OLD = "intel-skylake-nested0-bochs-linux6.12", "intel-skylake-bochs-linux5.10"
EPYC, SKYLAKE, NO_KVM = "amd-pvm-linux6.18", "intel-skylake-bochs-linux6.12", "amd-nosvm-tcg-linux6.12"

# name, hosts, QEMUs, keys
SCREENS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("first", EPYC, "7.2", ()),
    ("first-intel", SKYLAKE, "10.0", ()),
    ("start", EPYC, "7.2", ("less_than_sign",)),
    ("index-list", EPYC, "7.2", ("less_than_sign", "N", "N", "N", "n", "n", "n", "n", "n", "n", "n", "n", "n", "n")),
    ("why", EPYC, "7.2", ("enter",)),
    ("grid", SKYLAKE, "7.2", ("g",)),
    ("only-changed", SKYLAKE, "7.2", ("x",)),
    ("msr", EPYC, "7.2", ("1", "home")),
    ("zoomed", SKYLAKE, "7.2", ("z",)),
    ("migratable-off", EPYC, "7.2", ("m",)),
    ("what-if", EPYC, "7.2", ("v", "right")),
    ("no-kvm", NO_KVM, "7.2", ()),
    ("help", EPYC, "7.2", ("question_mark",)),
    ("compare", f"{EPYC} {SKYLAKE}", "7.2", ()),
    ("compare-why", f"{EPYC} {SKYLAKE}", "7.2", ("enter",)),
    ("compare-parameter", f"{SKYLAKE} {NESTED0}", "7.2", ("end", "enter")),
    ("compare-every", f"{SKYLAKE} {NESTED0}", "10.0", ("x", "home")),
    ("compare-two-qemus", EPYC, "7.2 10.0", ()),
    ("compare-many", f"{SKYLAKE} {NESTED0} {EPYC} {NO_KVM} {SKYLAKE_OLD}", "7.2", ("tab",)),
    ("compare-help", f"{EPYC} {SKYLAKE}", "7.2", ("question_mark",)),
    ("ask", EPYC, "7.2", ("colon", "3", "4", "5", "enter")),
)


async def drawn(host: str, qemu: str, keys: tuple[str, ...], size: tuple[int, int], tier: str) -> str:
    hosts, qemus = [open_source(name) for name in host.split()], [QemuProfile(label) for label in qemu.split()]
    app = MsrtuiApp(hosts, qemus, theme="msrtui-dark", tier=tier)
    async with app.run_test(size=size) as pilot:
        for _ in range(2):
            await settled(pilot)
            await pilot.press(*keys)
            keys = ()
        strips = app.screen._compositor.render_strips()
        styles = [segment.style for strip in strips for segment in strip if segment.style and segment.text.strip()]
        assert len({(style.color, style.bold, style.dim, style.reverse) for style in styles}) <= STYLES_AT_MOST
        assert len({style.bgcolor for style in styles}) <= 2  # the row under the cursor, or a panel, has its own
        return "\n".join(strip.text.rstrip() for strip in strips) + "\n"


def same(name: str, text: str) -> None:
    path = GOLDENS / f"{name}.txt"
    if os.environ.get("MSRTUI_WRITE_PICTURES"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize(("name", "host", "qemu", "keys"), SCREENS, ids=[screen[0] for screen in SCREENS])
async def test_the_screen_is_the_one_that_was_looked_at(
    name: str, host: str, qemu: str, keys: tuple[str, ...], size: tuple[int, int]
) -> None:
    same(f"{name}-{size[0]}x{size[1]}", await drawn(host, qemu, keys, size, "full"))


@pytest.mark.parametrize("tier", ["narrow", "ascii"])
async def test_the_other_tiers(tier: str) -> None:
    same(f"first-80x24-{tier}", await drawn(EPYC, "7.2", (), (80, 24), tier))


@pytest.mark.parametrize("path", sorted(GOLDENS.glob("*.txt")), ids=lambda path: path.stem)
def test_each_screen_is_calm(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    width, height = (int(part) for part in re.findall(r"(\d+)x(\d+)", path.stem)[0])
    assert sum(not character.isspace() for line in lines for character in line) <= 0.6 * width * height
    assert not set("".join(lines)) & set("┌┐└┘├┤╭╮╰╯═║")
    if width == 80 and "  q quit" in lines[-1]:
        assert len([hint for hint in lines[-1].split("  ") if hint.strip()]) <= 8


def test_no_golden_is_left_over() -> None:
    wanted = {f"{screen[0]}-{width}x{height}" for screen in SCREENS for width, height in SIZES}
    wanted |= {"first-80x24-narrow", "first-80x24-ascii"}
    assert {path.stem for path in GOLDENS.glob("*.txt")} == wanted
