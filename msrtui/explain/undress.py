"""A log as it was pasted, made plain: no escape codes, one kind of quote, JSON's escapes undone.

Every step reads the text once, whatever is in it.
"""

from __future__ import annotations

import re

ROUNDS = 3
"""A log line may be JSON in JSON (a container's log of a program that logs JSON); deeper is not looked."""

_JSON = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"'/nrtbf\\]))")
_JSON_SIGNS = ('\\"', "\\n", "\\u00", "\\u20", "\\'", "\\t")
_PLAIN_OF = {"n": "\n", "r": "\n", "t": " ", "b": "", "f": "\n"}
# what a terminal takes for a command: CSI, OSC (with its end, or as far as the next escape), two characters;
# and a colour as syslog writes it
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]{0,64}[ -/]{0,16}[@-~]|\][^\x07\x1b\n]{0,4096}(?:\x07|\x1b\\)?|[ -/]{0,8}[0-Z\\^-~])"
    r"|#033\[[0-9;]{0,32}m|\x9b[0-?]{0,64}[ -/]{0,16}[@-~]"
)
_ENTITIES = {"&#39;": "'", "&apos;": "'", "&quot;": '"', "&#34;": '"', "&amp;": "&", "&gt;": ">", "&lt;": "<"}
_QUOTES = dict.fromkeys(map(ord, "`´‘’‚‛′＇"), "'") | dict.fromkeys(map(ord, "“”„‟″"), '"')
_SPACES = dict.fromkeys(map(ord, "\t\v\u00a0\u2007\u202f\u3000"), " ") | {0x2028: "\n", 0x2029: "\n", 0x0C: "\n"}
_NOTHING = dict.fromkeys((*range(0x09), *range(0x0E, 0x20), 0x7F, *range(0x80, 0xA0)), None) | dict.fromkeys(
    (0xAD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF), None
)
_TABLE: dict[int, str | None] = {**_NOTHING, **_QUOTES, **_SPACES}


def undress(text: str) -> str:
    """The text without what only dresses it. Line ends are ``\\n``; the positions in it are new ones."""
    for _ in range(ROUNDS):
        if not any(sign in text for sign in _JSON_SIGNS):
            break
        text = _JSON.sub(_unescaped, text)
    for entity, sign in _ENTITIES.items():
        text = text.replace(entity, sign)
    text = _ESCAPES.sub("", text)
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_TABLE)


def unwrapped(text: str) -> str:
    """The text without its line ends and what indents the lines, for a message that was cut within a word."""
    return re.sub(r"\n {0,40}", "", text)


def _unescaped(found: re.Match[str]) -> str:
    if found[1] is not None:
        code = int(found[1], 16)
        return "" if 0xD800 <= code < 0xE000 else chr(code)
    return _PLAIN_OF.get(found[2], found[2])
