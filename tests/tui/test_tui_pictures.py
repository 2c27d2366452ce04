"""The pictures in the README are what the app draws today.

``MSRTUI_WRITE_PICTURES=1 python -m pytest tests/tui/test_tui_pictures.py`` draws them anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

import pytest
from settling import settled
from svg_words import words_of

from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source
from msrtui.tui.app import MsrtuiApp
from msrtui.tui.export import svg_of


@pytest.mark.parametrize(
    ("name", "hosts"),
    [
        ("explorer", ("amd-pvm-linux6.18",)),
        ("compare", ("amd-pvm-linux6.18", "intel-skylake-bochs-linux6.12")),
    ],
)
async def test_the_readmes_pictures_show_what_the_app_shows(root: Path, name: str, hosts: tuple[str, ...]) -> None:
    path = root / "tests" / "pictures" / f"{name}.svg"
    sources = [open_source(host) for host in hosts]
    app = MsrtuiApp(sources, QemuProfile("7.2"), theme="msrtui-dark", tier="full")
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        drawn = svg_of(cast("Any", app))
    if os.environ.get("MSRTUI_WRITE_PICTURES"):
        path.write_text(drawn, encoding="utf-8")
    assert words_of(path.read_text(encoding="utf-8")) == words_of(drawn)
    assert "http" not in drawn.replace("http://www.w3.org", "")
    assert f"tests/pictures/{name}.svg" in (root / "README.md").read_text(encoding="utf-8")
