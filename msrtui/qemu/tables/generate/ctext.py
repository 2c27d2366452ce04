"""C text to tokens and macros: comments and conditionals go, every #define is kept.

It decides ``#if`` for the one build that the tables are about: x86_64, system emulation, KVM on Linux. A condition
that it cannot decide keeps both branches and leaves a token of kind ``undecided`` at each turn, which no reader of a
table accepts: a table with such a condition in it is refused, the thousand others do not matter.

It knows nothing of expressions or of QEMU.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from msrtui.errors import MsrtuiError
from msrtui.values import dataclass, field


class UnknownShape(MsrtuiError):
    """The source holds something that the generator does not know how to read."""


@dataclass(frozen=True)
class Token:
    """``kind`` is name, number, string, char, mark or undecided; ``text`` of a string is what is in the quotes."""

    kind: str
    text: str
    where: str = ""

    def is_mark(self, *marks: str) -> bool:
        """Whether it is one of these punctuators."""
        return self.kind == "mark" and self.text in marks


@dataclass(frozen=True)
class Macro:
    """One #define. ``parameters`` is None for one without an argument list."""

    parameters: tuple[str, ...] | None
    body: tuple[Token, ...]


@dataclass
class CText:
    """What a file says: its tokens without directives, and its macros; a name may have several bodies."""

    tokens: list[Token] = field(default_factory=list)
    macros: dict[str, list[Macro]] = field(default_factory=dict)

    def define(self, name: str, macro: Macro) -> None:
        """One more body for ``name``, unless it has this one."""
        bodies = self.macros.setdefault(name, [])
        if not any(_alike(macro, other) for other in bodies):
            bodies.append(macro)

    def add(self, other: CText) -> None:
        """What another file says, too."""
        self.tokens += other.tokens
        for name, bodies in other.macros.items():
            for macro in bodies:
                self.define(name, macro)


# the build that the tables are about
_DEFINED = {
    "TARGET_X86_64": True,
    "TARGET_I386": True,
    "CONFIG_KVM": True,
    "CONFIG_SOFTMMU": True,
    "CONFIG_LINUX": True,
    "CONFIG_TCG": True,
    "CONFIG_SYNDBG": True,
    "__x86_64__": True,
    "__linux__": True,
    "__KERNEL__": False,
    "__i386__": False,
    "__ASSEMBLY__": False,
    "__ASSEMBLER__": False,
    "CONFIG_USER_ONLY": False,
    "CONFIG_LINUX_USER": False,
    "CONFIG_BSD_USER": False,
    "CONFIG_HVF": False,
    "DEBUG_KVM": False,
    "HOST_BIG_ENDIAN": False,
    "HOST_WORDS_BIGENDIAN": False,
}

_COMMENT_OR_QUOTED = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)
_TOKEN = re.compile(
    r"(?P<name>[A-Za-z_]\w*)"
    r"|(?P<number>\.?\d(?:[\w.]|(?<=[eE])[+-])*)"
    r'|(?P<string>"(?:\\.|[^"\\])*")'
    r"|(?P<char>'(?:\\.|[^'\\])*')"
    r"|(?P<mark>\.\.\.|<<=|>>=|<<|>>|<=|>=|==|!=|&&|\|\||->|\+\+|--|##|[-+*/%&|^]=|[-+*/%&|^~!<>=?:;,.(){}\[\]#\\@$`])"
    r"|(?P<space>\s+)"
)
_DIRECTIVE = re.compile(r"\s*#\s*(\w*)\s*(.*)", re.DOTALL)
_DEFINE = re.compile(r"(\w+)(\([^)]*\))?(.*)", re.DOTALL)


def tokenize(text: str, where: str = "") -> list[Token]:
    """The tokens of ``text``, which has neither comments nor directives."""
    tokens = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise UnknownShape(f"{where}: cannot read {text[at : at + 20]!r} as C.")
        at = found.end()
        kind = found.lastgroup or ""
        if kind != "space":
            said = found.group()
            tokens.append(Token(kind, said[1:-1] if kind in ("string", "char") else said, where))
    return tokens


def _without_comments(text: str) -> str:
    def quiet(found: re.Match[str]) -> str:
        said = found.group()
        return said if said[0] in "\"'" else " " + "\n" * said.count("\n")

    return _COMMENT_OR_QUOTED.sub(quiet, text)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """(number of its first line, text) of each line, those that end in a backslash joined with the next."""
    joined, first = "", 1
    for number, line in enumerate(text.split("\n"), 1):
        if line.rstrip().endswith("\\"):
            joined += line.rstrip()[:-1] + " "
            continue
        yield first, joined + line
        joined, first = "", number + 1
    if joined:
        yield first, joined


# --- conditions, with "cannot tell" (None) as the third truth ----------------------------------------------------
class _Condition:
    def __init__(self, tokens: list[Token], known: dict[str, bool]) -> None:
        self.tokens, self.known, self.at = tokens, known, 0

    def decide(self) -> bool | None:
        try:
            truth = self.either()
        except (IndexError, ValueError):
            return None
        return truth if self.at == len(self.tokens) else None

    def either(self) -> bool | None:
        truth = self.both()
        while self.at < len(self.tokens) and self.tokens[self.at].is_mark("||"):
            self.at += 1
            other = self.both()
            truth = True if truth or other else None if truth is None or other is None else False
        return truth

    def both(self) -> bool | None:
        truth = self.single()
        while self.at < len(self.tokens) and self.tokens[self.at].is_mark("&&"):
            self.at += 1
            other = self.single()
            truth = False if truth is False or other is False else None if truth is None or other is None else True
        return truth

    def single(self) -> bool | None:
        token = self.tokens[self.at]
        self.at += 1
        if token.is_mark("!"):
            truth = self.single()
            return None if truth is None else not truth
        if token.is_mark("("):
            truth = self.either()
            if not self.tokens[self.at].is_mark(")"):
                raise ValueError
            self.at += 1
            return truth
        if token.kind == "number":
            return int(token.text.rstrip("uUlL"), 0) != 0
        if token.text == "defined":
            bare = not self.tokens[self.at].is_mark("(")
            name = self.tokens[self.at if bare else self.at + 1].text
            self.at += 1 if bare else 3
            return self.known.get(name)
        return self.known.get(token.text) if token.kind == "name" else None


@dataclass
class _Branch:
    live: bool
    undecided: bool
    taken: bool | None


class _Reader:
    """Goes through the logical lines of one file once."""

    def __init__(self, name: str, into: CText) -> None:
        self.name, self.into = name, into
        self.known = dict(_DEFINED)
        self.branches: list[_Branch] = []
        self.lines: list[tuple[int, str]] = []

    def read(self, text: str) -> None:
        self.lines = list(_logical_lines(_without_comments(text)))
        for number, (line, said) in enumerate(self.lines):
            where = f"{self.name}:{line}"
            directive = _DIRECTIVE.fullmatch(said)
            if directive is not None:
                self.directive(directive.group(1), directive.group(2).strip(), where, number)
            elif self.live() and said.strip():
                self.into.tokens += tokenize(said, where)
        if self.branches:
            raise UnknownShape(f"{self.name}: a #if has no #endif.")

    def live(self) -> bool:
        return all(branch.live for branch in self.branches)

    def directive(self, word: str, rest: str, where: str, number: int) -> None:
        if word in ("if", "ifdef", "ifndef"):
            self.begin(word, rest, where, number)
        elif word in ("elif", "else", "endif"):
            if not self.branches:
                raise UnknownShape(f"{where}: #{word} without #if.")
            self.turn(word, rest, where)
        elif word == "define" and self.live():
            self.define(rest, where)
        elif word == "undef" and self.live():
            self.into.macros.pop(rest, None)
            self.known[rest] = False

    def begin(self, word: str, rest: str, where: str, number: int) -> None:
        truth: bool | None
        if word == "if":
            truth = _Condition(tokenize(rest, where), self.known).decide()
        else:
            truth = self.known.get(rest)
            if truth is None and word == "ifndef" and self.guards(rest, number):
                truth = False
            if word == "ifndef" and truth is not None:
                truth = not truth
        self.branches.append(_Branch(truth is not False, truth is None, truth))
        self.mark(where)

    def guards(self, name: str, number: int) -> bool:
        """Whether the next line that says something defines ``name``: an include guard or a default."""
        following = next((said for _, said in self.lines[number + 1 :] if said.strip()), "")
        return re.match(rf"\s*#\s*define\s+{re.escape(name)}\b", following) is not None

    def turn(self, word: str, rest: str, where: str) -> None:
        self.mark(where)
        branch = self.branches[-1]
        if word == "endif":
            self.branches.pop()
        elif branch.taken is True:
            branch.live = False
        else:
            truth = True if word == "else" else _Condition(tokenize(rest, where), self.known).decide()
            branch.live = truth is not False
            branch.undecided = branch.undecided or truth is None
            branch.taken = True if truth and not branch.undecided else None if branch.undecided else branch.taken
        self.mark(where)

    def mark(self, where: str) -> None:
        if self.live() and self.branches and self.branches[-1].undecided:
            self.into.tokens.append(Token("undecided", "#if", where))

    def define(self, rest: str, where: str) -> None:
        found = _DEFINE.fullmatch(rest)
        if found is None:
            raise UnknownShape(f"{where}: cannot read this #define.")
        name, arguments, body = found.groups()
        parameters = None
        if arguments is not None:
            parameters = tuple(word.strip() for word in arguments[1:-1].split(",") if word.strip())
        try:
            macro = Macro(parameters, tuple(tokenize(body, where)))
        except UnknownShape:
            return  # assembler and the like: who uses it is told that it is not defined
        self.into.define(name, macro)
        if not any(branch.undecided for branch in self.branches):
            self.known[name] = True


def _alike(one: Macro, other: Macro) -> bool:
    return one.parameters == other.parameters and [t.text for t in one.body] == [t.text for t in other.body]


def read_c(text: str, name: str) -> CText:
    """Read the file ``name`` with this ``text``. Raises UnknownShape."""
    result = CText()
    _Reader(name, result).read(text)
    return result


def spelled(tokens: Iterable[Token]) -> str:
    """The tokens as text, for sentences and for the names of things."""
    text = " ".join(token.text for token in tokens)
    return re.sub(r" ?([()\[\]]) ?", r"\1", text)


def closing(tokens: Sequence[Token], at: int) -> int:
    """The place behind the bracket that closes the one at ``at``."""
    depth = 0
    for place in range(at, len(tokens)):
        depth += tokens[place].is_mark("(", "[", "{") - tokens[place].is_mark(")", "]", "}")
        if not depth:
            return place + 1
    raise UnknownShape(f"{tokens[at].where}: {tokens[at].text} is never closed.")
