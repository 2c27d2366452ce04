"""What the app may do on the machine that it runs on: all of it in a terminal, little where a browser shows it.

Who looks through a browser may be somebody else than who started msrtui, and the machine is not theirs. So the app
that is drawn there makes no vCPU, goes nowhere over ssh, writes no file, tells nobody's processes, and reads only what
is brought along and what was named when it was started. Whoever does one of these things asks here first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msrtui import resources
from msrtui.errors import BadRequest
from msrtui.snapshot.sources import Source
from msrtui.tui.keymap import Key
from msrtui.values import dataclass

_REFUSED = {
    "probe": "No vCPU is made from a browser:  msrtui probe  makes one, in a terminal on that machine.",
    "save": "Nothing is saved from a browser: it would be a file on the machine that serves this. msrtui's commands "
    "print the same there.",
    "running": "Whose QEMUs run there is not shown in a browser:  msrtui qemus  lists them, in a terminal on that "
    "machine.",
    "suspend_process": "There is no shell here to go back to.",
}
"""By the action of the keymap that does it."""
_CLOSED = "In a browser only the saved hosts that are brought along can be opened, and what msrtui serve was given."
_WATCHED = "TEXTUAL_DRIVER"
"""Set by who draws the app elsewhere than in a terminal: textual-serve, and whoever serves it by other means."""


@dataclass(frozen=True)
class Permits:
    """``served``: a browser shows the app; ``named``: the sources that it was started with, by their texts."""

    served: bool = False
    named: tuple[str, ...] = ()

    def refusal(self, action: str) -> str | None:
        """Why what an action of the keymap does is not done here, in a sentence; None where it may be done."""
        return _REFUSED.get(action.partition("(")[0]) if self.served else None

    def closed(self, text: str) -> str | None:
        """Why the source of this text is not opened here, in a sentence; None where it may be."""
        return _CLOSED if self.served and text not in self.named and text not in resources.bundled_hosts() else None

    @property
    def after_copying(self) -> str:
        """What is said behind "Copied"; only a terminal is there at the end to print on."""
        return ", if the browser lets this page" if self.served else "; it is printed at the end too"

    def offered(self, keymap: Sequence[Key]) -> tuple[Key, ...]:
        """The keys of a keymap that do something here."""
        return tuple(key for key in keymap if self.refusal(key.action) is None)


ALL = Permits()
"""In a terminal: who sits there may do these things without msrtui as well."""


def permits_for(environment: Mapping[str, str], sources: Iterable[Source]) -> Permits:
    """What an app that is started with these sources, in this environment, may do."""
    if not environment.get(_WATCHED):
        return ALL
    return Permits(True, tuple(source.name for source in sources if source.kind in ("live", "bundled", "file")))


def permits_of(app: object) -> Permits:
    """What this app may do; an app that says nothing of it is no msrtui, and has no errands either."""
    found = getattr(app, "permits", None)
    return found if isinstance(found, Permits) else ALL


def check_served(texts: Iterable[str]) -> None:
    """Raises BadRequest for a source that cannot be shown in a browser, whoever names it."""
    for text in texts:
        if text == "-":
            raise BadRequest("A pipe (-) can be read once, each window would read it: give serve a file.")
        if text.startswith("ssh://"):
            raise BadRequest("serve goes nowhere over ssh:  msrtui capture HOST -o FILE  first, then serve the file.")
