"""A dozen screens as pictures: colours, weights and places, as Textual draws them.

``python -m pytest tests/tui/test_tui_svg.py --snapshot-update`` draws them anew; look at its report first.
Textual is pinned for the tests: each of its releases draws an SVG in its own way.
"""

from __future__ import annotations

from typing import Any

import pytest
from settling import settled
from textual.pilot import Pilot

from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source
from msrtui.tui.app import MsrtuiApp

EPYC, SKYLAKE = "amd-pvm-linux6.18", "intel-skylake-bochs-linux6.12"
NESTED0 = "intel-skylake-nested0-bochs-linux6.12"

# name, hosts, keys, size, theme
PICTURES: tuple[tuple[str, str, tuple[str, ...], tuple[int, int], str], ...] = (
    ("first", EPYC, (), (80, 24), "msrtui-dark"),
    ("first-wide", EPYC, (), (120, 40), "msrtui-dark"),
    ("first-light", EPYC, (), (120, 40), "msrtui-light"),
    ("first-contrast", SKYLAKE, (), (80, 24), "msrtui-contrast"),
    ("first-projector", SKYLAKE, (), (80, 24), "msrtui-projector"),
    ("first-ansi", EPYC, (), (80, 24), "ansi-dark"),
    ("one-column", EPYC, (), (60, 20), "msrtui-dark"),
    ("a-step", EPYC, ("less_than_sign", "N", "N", "N", "n", "n", "n", "n", "n"), (120, 40), "msrtui-dark"),
    ("an-ioctl", EPYC, ("less_than_sign", "N", "N", "N"), (120, 40), "msrtui-dark"),
    ("grid", SKYLAKE, ("g",), (80, 24), "msrtui-dark"),
    ("what-if", EPYC, ("v", "right"), (120, 40), "msrtui-dark"),
    ("find", EPYC, ("slash", "x", "2"), (80, 24), "msrtui-dark"),
    ("compare", f"{EPYC} {SKYLAKE}", (), (120, 40), "msrtui-dark"),
    ("compare-light", f"{EPYC} {SKYLAKE}", (), (80, 24), "msrtui-light"),
    ("compare-many", f"{SKYLAKE} {EPYC} {NESTED0}", ("tab",), (120, 40), "msrtui-dark"),
)


@pytest.mark.parametrize(
    ("host", "keys", "size", "theme"), [picture[1:] for picture in PICTURES], ids=[picture[0] for picture in PICTURES]
)
def test_the_picture_is_the_one_that_was_looked_at(
    snap_compare: Any, host: str, keys: tuple[str, ...], size: tuple[int, int], theme: str
) -> None:
    async def settle(pilot: Pilot[None]) -> None:
        for wanted in ((), keys):
            await pilot.press(*wanted)
            await settled(pilot)

    app = MsrtuiApp([open_source(name) for name in host.split()], QemuProfile("7.2"), theme=theme, tier="full")
    assert snap_compare(app, terminal_size=size, run_before=settle)
