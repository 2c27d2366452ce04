"""What stands in an SVG."""

from __future__ import annotations

import html
import re


def words_of(svg: str) -> list[str]:
    """The texts of an SVG in order; how they are laid out is Textual's and Rich's affair."""
    return [html.unescape(text).replace("\xa0", " ").strip() for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]
