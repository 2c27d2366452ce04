"""A window of a real, headless browser on ``msrtui serve``.

The page draws on a canvas, so there is no text in it to read. What it is told to draw is read instead, from its
websocket, by a terminal of our own (pyte); that it was drawn is seen in a picture of the window: each cell that holds
a sign has ink, each that holds none has not.
"""

from __future__ import annotations

import base64
import codecs
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyte
from playwright.sync_api import BrowserContext, WebSocket

_INK = """async ({png, columns, rows, left, top, width, height, scale}) => {
  const picture = await createImageBitmap(await (await fetch(png)).blob());
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0);
  const [wide, high] = [width / columns, height / rows];
  const found = [];
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      // a pixel less on each side: signs reach into the cell beside them
      const x = Math.ceil((left + column * wide) * scale) + 1, y = Math.ceil((top + row * high) * scale) + 1;
      const cell = context.getImageData(x, y, Math.floor(wide * scale) - 2, Math.floor(high * scale) - 2).data;
      let ink = 0;
      for (let at = 4; at < cell.length; at += 4)
        ink += Math.abs(cell[at] - cell[0]) + Math.abs(cell[at + 1] - cell[1]) + Math.abs(cell[at + 2] - cell[2]) > 60;
      found.push(ink);
    }
  return {ink: found, width: picture.width, height: picture.height};
}"""
_FRAMES = 50.0
"""Milliseconds between two looks at what came."""


class BrowserWindow:
    """One page. ``asked``: each address that it fetched or connected to; ``complaints``: what the browser minds."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self._context = context
        self._terminal = pyte.Screen(1, 1)
        self._stream = pyte.Stream(self._terminal)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page = context.new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("websocket", self._connected)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._console)
        self.page.goto(url)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _connected(self, websocket: WebSocket) -> None:
        self.asked.append(websocket.url)
        websocket.on("framesent", self._sent)
        websocket.on("framereceived", self._received)

    def _sent(self, frame: str | bytes) -> None:
        """The page says how large it is before anything is drawn."""
        found = re.fullmatch(r'\["resize",\{"width":(\d+),"height":(\d+)\}\]', str(frame))
        if found:
            self._terminal.resize(int(found[2]), int(found[1]))

    def _received(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            self._stream.feed(self._decode(frame))

    @property
    def text(self) -> str:
        return "\n".join(self._terminal.display)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        return self._terminal.columns, self._terminal.lines

    def wait_for(self, condition: Callable[[str], bool]) -> str:
        """The screen, once it is so; words are one blank apart in what ``condition`` gets."""
        for _ in range(int(60_000 / _FRAMES)):
            if condition(" ".join(self.text.split())):
                return self.text
            self.page.wait_for_timeout(_FRAMES)
        raise AssertionError(f"it never came to that:\n{self.text}")

    def wait_for_text(self, said: str) -> str:
        return self.wait_for(lambda text: said in text)

    def keys(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def types(self, text: str) -> None:
        self.page.keyboard.type(text)

    def where_ink_is_wrong(self, picture: Path) -> list[tuple[int, int, str]]:
        """Takes a picture; the cells (row, column, sign) that are drawn otherwise than they were told."""
        self.page.screenshot(path=picture)
        box = self.page.locator(".xterm-screen").bounding_box()
        assert box is not None
        columns, rows = self.size
        png = "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
        place: Mapping[str, float] = {"left": box["x"], "top": box["y"], "width": box["width"], "height": box["height"]}
        elsewhere = self._context.new_page()  # this page's own policy lets no picture be read
        found = elsewhere.evaluate(_INK, {"png": png, "columns": columns, "rows": rows, "scale": 1, **place})
        elsewhere.close()
        wrong = []
        for place_, ink in enumerate(found["ink"]):
            row, column = divmod(place_, columns)
            sign = self._terminal.buffer[row][column].data
            if (ink > 0) != (sign.strip() != ""):
                wrong.append((row, column, sign))
        return wrong
