"""Only words: the page has them already; in the middle stands nothing but the functions' names, where there are any."""

from __future__ import annotations

from msrtui.lines import Line, head, line, wrap
from msrtui.stage.figures.parts import Room, spread
from msrtui.stage.talk import Scene
from msrtui.stage.telling import Told


def draw(scene: Scene, told: tuple[Told, ...], room: Room) -> list[Line]:
    """What is looked at, a line each; a message of QEMU's as it was printed."""
    blocks = [[line(head(text))] for text in scene.look]
    if scene.message:
        blocks.append(wrap(scene.message, room.width, "bad"))
    return spread(blocks, room.height) if blocks else []
