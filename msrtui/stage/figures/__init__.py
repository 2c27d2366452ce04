"""What a scene shows. A figure is a function of the scene, of what it is told of and of the room; it knows no rule.

One room a figure; each is imported when a talk comes to it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from msrtui.lines import Line
from msrtui.stage.figures.parts import Room
from msrtui.stage.talk import Scene
from msrtui.stage.telling import Told


class _Figure(Protocol):
    def draw(self, scene: Scene, told: tuple[Told, ...], room: Room) -> list[Line]: ...


def draw(scene: Scene, told: tuple[Told, ...], room: Room) -> list[Line]:
    """The scene's figure; raises BadRequest where it needs what the scene does not say."""
    figure = cast(_Figure, import_module(f"{__name__}.{scene.figure}"))
    return figure.draw(scene, told, room)
