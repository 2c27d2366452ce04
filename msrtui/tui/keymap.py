"""One keymap: the key line, the help, the palette and the bindings are all made from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from msrtui.tui.view.frame import PANE_TITLES

Owner = Literal["screen", "pane", "list", "app", "textual"]
"""Who binds a key: the explorer, the explorer with one pane's number each, the list with the focus, the app; Textual
binds the palette's by itself."""


class Key(NamedTuple):
    """``keys`` as Textual names them; ``shown`` and ``hint`` as the key line and the help show them.

    ``rank``: the lower, the sooner it gets a place in the key line; None is for the help only.
    """

    keys: str
    action: str
    shown: str
    hint: str
    help: str
    rank: int | None = None
    owner: Owner = "screen"


_NUMBERS = ",".join(str(number) for number in range(1, len(PANE_TITLES) + 1))

KEYMAP = (
    Key("n", "step(1)", "n", "next", "next event; on a live host a question that was not put yet is put now", 0),
    Key("p", "step(-1)", "p", "back", "previous event; nothing is undone, nothing is asked twice", 1),
    Key("N", "phase(1)", "N", "phase", "next phase", 11),
    Key("P", "phase(-1)", "P", "", "previous phase"),
    Key("less_than_sign", "ends(-1)", "<", "start", "before the first question", 9),
    Key("greater_than_sign", "ends(1)", ">", "end", "the end of the conversation", 8),
    Key("", "", "Arrows", "", "move in a list; j and k, PgUp and PgDn, Home and End as well", owner="list"),
    Key("enter", "open", "Enter", "why", "open what is selected: its bits, or why it is so", 2),
    Key(
        "backspace,left_square_bracket", "back", "Backspace", "", "back along the links; [ as well, and ] forward again"
    ),
    Key("left", "fold(0)", "Left", "", "put the bits of a word away in the tree"),
    Key("right", "fold(1)", "Right", "", "show the bits of a word in the tree"),
    Key("right_square_bracket", "forward", "]", "", "forward again"),
    Key("colon", "ask", ":", "ask an MSR", "ask KVM for one MSR now, by number or name", 3),
    Key("slash", "find", "/", "find", "find anything: a number, a name, a property, a bit, a capability", 6),
    Key("v", "what_if", "v", "what if", "another QEMU, machine, irqchip, -cpu: worked out again from what KVM said", 4),
    Key("m", "migratable", "m", "migratable", "migratable on or off", 12),
    Key("x", "only", "x", "only changed", "in this list only what matters (flags, differences), or all again", 10),
    Key("g", "grid", "g", "", "the 64-bit grid in place of the ladder, and back"),
    Key("D", "probe", "D", "probe", "try this guest on a scratch vCPU: makes a VM for a moment, asks first", 14),
    Key("l", "lint", "l", "", "what does not fit together on this host, what hides something, what surprises"),
    Key("e", "explain", "e", "explain", "what an error message means on this host: pasted or typed", 15),
    Key("r", "again", "r", "", "ask KVM everything again, step by step"),
    Key("o", "open_source", "o", "open", "another host: live, bundled, a file, over ssh", 6),
    Key("s", "save", "s", "save", "save the snapshot, the screen (SVG, text), or what is selected (JSON)", 7),
    Key("c", "compare", "c", "compare", "this host beside another one: what differs, whether a guest can move", 5),
    Key("u", "running", "u", "", "the QEMUs that run on this host, and what each one's -cpu gets"),
    Key(
        "ctrl+p",
        "command_palette",
        "Ctrl+P",
        "",
        "every command, every bundled host, QEMU version and theme",
        owner="textual",
    ),
    Key("tab", "next_pane(1)", "Tab", "", "next pane"),
    Key("shift+tab", "next_pane(-1)", "Shift+Tab", "", "previous pane"),
    Key(_NUMBERS, "pane", f"1-{len(PANE_TITLES)}", "", ", ".join(PANE_TITLES.values()), owner="pane"),
    Key("z", "zoom", "z", "", "the focused pane alone, and back"),
    Key("y", "copy", "y", "", "copy the selected value"),
    Key("Y", "copy_row", "Y", "", "copy the row under the cursor"),
    Key("ctrl+l", "redraw", "Ctrl+L", "", "draw everything anew", owner="app"),
    Key("question_mark", "help", "?", "keys", "this list", 20),
    Key("escape", "level", "Esc", "", "one level back"),
    Key("ctrl+z", "suspend_process", "Ctrl+Z", "", "suspend; fg comes back", owner="app"),
    Key("q", "quit", "q", "quit", "quit", 21, owner="app"),
)


COMPARE_KEYS = (
    Key(
        "tab",
        "next_host(1)",
        "Tab",
        "next host",
        "the next of the other hosts is B; with two, to the detail and back",
        0,
    ),
    Key("shift+tab", "next_host(-1)", "Shift+Tab", "", "the host before is B"),
    Key("", "", "Arrows", "", "move in the list; j and k, PgUp and PgDn, Home and End as well", owner="list"),
    Key("enter", "open", "Enter", "why", "both lineages of the word under the cursor; what is folded opens", 1),
    Key("x", "every", "x", "all rows", "all words, or only those that differ", 2),
    Key("w", "swap", "w", "swap", "A is B and B is A", 3),
    Key("v", "what_if(0)", "v", "what if", "another QEMU, machine, -cpu, for both sides", 4),
    Key("V", "what_if(1)", "V", "", "another QEMU for B alone: does a guest see the same CPU after an upgrade"),
    Key("b", "baseline", "b", "baseline", "the richest CPU that all these hosts can run, and why", 5),
    Key("m", "migratable", "m", "migratable", "migratable on or off, on both sides", 9),
    Key("o", "add", "o", "add a host", "one more host: live, bundled, a file, over ssh", 6),
    Key("e", "explore(0)", "e", "explore A", "explore A, at this word; Esc comes back", 7),
    Key("E", "explore(1)", "E", "", "explore B, at this word"),
    Key("r", "again", "r", "", "ask live hosts again"),
    Key("slash", "find", "/", "find", "find a word or a bit by number or name", 8),
    Key("s", "save", "s", "save", "save the comparison (text, JSON, Markdown) or the screen (SVG, text)", 10),
    Key("y", "copy", "y", "", "copy the sentence of the selected row"),
    Key("Y", "copy_row", "Y", "", "copy the row under the cursor"),
    Key("ctrl+p", "command_palette", "Ctrl+P", "", "every command and theme", owner="textual"),
    Key("ctrl+l", "redraw", "Ctrl+L", "", "draw everything anew", owner="app"),
    Key("question_mark", "help", "?", "keys", "this list", 20),
    Key("escape", "level", "Esc", "", "one level back"),
    Key("ctrl+z", "suspend_process", "Ctrl+Z", "", "suspend; fg comes back", owner="app"),
    Key("q", "quit", "q", "quit", "quit", 21, owner="app"),
)
"""The compare screen's own keys; those of the app mean the same on both."""

TALK_KEYS = (
    Key("pagedown,right,space,n,N", "scene(1)", "PgDn", "next", "next scene; Right, Space, n as well", 0),
    Key("pageup,left,p,P", "scene(-1)", "PgUp", "back", "previous scene; Left and p as well", 1),
    Key("less_than_sign,home", "ends(-1)", "<", "", "the first scene; Home as well"),
    Key("greater_than_sign,end", "ends(1)", ">", "", "the last scene; End as well"),
    Key("", "", "0-9", "", "the number of a scene; Enter goes there", owner="list"),
    Key("slash", "jump", "/", "", "to a scene by its number, as well"),
    Key("enter", "open", "Enter", "explore", "this scene's event in the explorer; q there comes back to the scene", 2),
    Key("colon", "ask", ":", "", "ask KVM for one MSR: in the explorer, at this scene's event"),
    Key("m", "migratable", "m", "", "migratable on or off: the article's second argument"),
    Key("full_stop,b", "black", ".", "black", "a black screen, and back; b as well", 3),
    Key("a", "auto", "a", "auto-play", "go on by itself, or stop doing so", 4),
    Key("l", "language", "l", "language", "the talk's next language", 5),
    Key("ctrl+l", "redraw", "Ctrl+L", "", "draw everything anew", owner="app"),
    Key("question_mark", "help", "?", "keys", "this list", 20),
    Key("escape", "level", "Esc", "", "what is half typed goes, black ends"),
    Key("ctrl+z", "suspend_process", "Ctrl+Z", "", "suspend; fg comes back", owner="app"),
    Key("q", "quit", "q", "end", "end", 21, owner="app"),
)
"""The stage's own keys: those that a presenter's remote sends among them."""


def key_line(width: int, limit: int = 8, keymap: Sequence[Key] = KEYMAP) -> str:
    """As many hints as fit, at most ``limit``, in the keymap's order; keys and quit always among them."""
    ranked = sorted((key for key in keymap if key.rank is not None), key=lambda key: key.rank or 0)
    always = [key for key in ranked if key.action in ("help", "quit")]
    chosen = list(always)
    for key in ranked:
        if key not in chosen and len(chosen) < (limit if width < 110 else len(ranked)):
            wider = [*chosen, key]
            if len(_hints(wider, ranked)) <= width - 2:
                chosen = wider
    return " " + _hints(chosen, ranked)


def _hints(chosen: list[Key], order: list[Key]) -> str:
    return "  ".join(f"{key.shown} {key.hint}" for key in order if key in chosen)
