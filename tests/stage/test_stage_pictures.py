"""The README's pictures of talks and its recording are what ``msrtui play --export`` writes today.

``MSRTUI_WRITE_PICTURES=1 python -m pytest tests/stage/test_stage_pictures.py`` writes them anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from svg_words import words_of

from msrtui.cli import play

KEPT = {
    "talk.svg": ("article", "--scene", "5"),
    "five-values.svg": ("five-values", "--scene", "2", "--size", "120x40"),
    "article.cast": ("article",),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_the_readme_shows_of_talks_is_what_is_exported(root: Path, tmp_path: Path, name: str) -> None:
    kept, made = root / "tests" / "pictures" / name, tmp_path / name
    assert play.run([*KEPT[name], "--lang", "en", "--export", str(made)]) == 0
    if os.environ.get("MSRTUI_WRITE_PICTURES"):
        kept.write_bytes(made.read_bytes())
    assert f"tests/pictures/{name}" in (root / "README.md").read_text(encoding="utf-8")
    if name.endswith(".svg"):  # how the texts are laid out is Rich's affair
        assert words_of(kept.read_text(encoding="utf-8")) == words_of(made.read_text(encoding="utf-8"))
    else:
        assert kept.read_bytes() == made.read_bytes()
