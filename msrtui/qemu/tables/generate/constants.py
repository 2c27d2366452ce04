"""Constant expressions: macros and enums to numbers, with C's integer types.

The types matter: ``~0U`` has 32 bits and ``~0ULL`` 64, and ``1 << 31`` is negative. It knows nothing of QEMU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msrtui.values import dataclass

from .ctext import CText, Macro, Token, UnknownShape, closing, spelled


@dataclass(frozen=True)
class Number:
    """A value with the C type that it has: 32 or 64 ``bits``, ``signed`` or not."""

    value: int
    bits: int = 32
    signed: bool = True

    @classmethod
    def of(cls, value: int, bits: int, signed: bool) -> Number:
        """``value`` brought into the range of the type."""
        value &= (1 << bits) - 1
        if signed and value >> (bits - 1):
            value -= 1 << bits
        return cls(value, bits, signed)

    def unsigned(self, bits: int) -> int:
        """What a field of ``bits`` bits without a sign holds after it was assigned this."""
        return self.value & ((1 << bits) - 1)


_TYPES = {
    **{f"{sign}int{bits}_t": (bits, sign == "") for bits in (8, 16, 32, 64) for sign in ("", "u")},
    "__u32": (32, False),
    "__u64": (64, False),
    "int": (32, True),
    "unsigned": (32, False),
    "unsigned int": (32, False),
    "long": (64, True),
    "unsigned long": (64, False),
    "long long": (64, True),
    "unsigned long long": (64, False),
    "target_ulong": (64, False),
    "bool": (8, False),
}
_TYPE_WORDS = {word for name in _TYPES for word in name.split()}

_LEVELS: tuple[tuple[str, ...], ...] = (
    ("||",),
    ("&&",),
    ("|",),
    ("^",),
    ("&",),
    ("==", "!="),
    ("<", ">", "<=", ">="),
    ("<<", ">>"),
    ("+", "-"),
    ("*", "/", "%"),
)
_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
    "&": lambda a, b: a & b,
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
}
_TRUTHS: dict[str, Callable[[int, int], bool]] = {
    "||": lambda a, b: bool(a or b),
    "&&": lambda a, b: bool(a and b),
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


def literal(token: Token) -> Number:
    """The number that a literal stands for. Raises UnknownShape for a floating one."""
    digits = token.text.rstrip("uUlL")
    suffix = token.text[len(digits) :].lower()
    try:
        octal = len(digits) > 1 and digits[0] == "0" and digits.isdigit()
        value = int(digits, 8 if octal else 0)
    except ValueError:
        raise UnknownShape(f"{token.where}: {token.text} is no integer.") from None
    decimal = not digits.startswith("0") or digits == "0"
    for bits in (32, 64):
        for signed in (True, False):
            if ("u" in suffix and signed) or ("l" in suffix and bits == 32):
                continue
            if not signed and decimal and "u" not in suffix:
                continue
            if value < 1 << (bits - signed):
                return Number(value, bits, signed)
    raise UnknownShape(f"{token.where}: {token.text} has more than 64 bits.")


class Constants:
    """Everything that a name may stand for, from all files that were read."""

    def __init__(self, text: CText) -> None:
        self.macros: Mapping[str, Sequence[Macro]] = text.macros
        self.enums = _enums(text.tokens)
        self._values: dict[str, Number] = {}

    def number(self, tokens: Sequence[Token]) -> Number:
        """The value of an expression. Raises UnknownShape for what is no constant."""
        if len(tokens) == 1 and tokens[0].kind == "name":
            return self._named(tokens[0])
        return _Parser(self.expanded(tokens), self, tokens).value()

    def mask(self, tokens: Sequence[Token], bits: int) -> int:
        """The expression's value in an unsigned field of ``bits`` bits."""
        return self.number(tokens).unsigned(bits)

    def string(self, tokens: Sequence[Token]) -> str:
        """The text of string literals that stand side by side, or of macros for them."""
        expanded = self.expanded(tokens)
        if not expanded or any(token.kind != "string" for token in expanded):
            raise UnknownShape(f"{_where(tokens)}: {spelled(tokens)} is no string.")
        return "".join(_unescaped(token) for token in expanded)

    def expanded(self, tokens: Sequence[Token], hidden: frozenset[str] = frozenset()) -> list[Token]:
        """``tokens`` with every macro replaced by what it stands for."""
        result: list[Token] = []
        at = 0
        while at < len(tokens):
            token = tokens[at]
            at += 1
            bodies = self.macros.get(token.text, ()) if token.kind == "name" and token.text not in hidden else ()
            called = at < len(tokens) and tokens[at].is_mark("(")
            if not bodies or (bodies[0].parameters is not None and not called):
                result.append(token)
                continue
            macro = self._one(token, bodies, hidden)
            body: Sequence[Token] = macro.body
            if macro.parameters is not None:
                arguments, at = _arguments(tokens, at)
                if len(arguments) != len(macro.parameters):
                    raise UnknownShape(f"{token.where}: {token.text} wants {len(macro.parameters)} arguments.")
                given = {
                    name: self.expanded(said, hidden) for name, said in zip(macro.parameters, arguments, strict=True)
                }
                body = [part for word in macro.body for part in given.get(word.text, [word])]
            result += self.expanded(body, hidden | {token.text})
        return result

    def _one(self, token: Token, bodies: Sequence[Macro], hidden: frozenset[str]) -> Macro:
        if len(bodies) > 1:
            values = set()
            for macro in bodies:
                if macro.parameters is not None:
                    break
                values.add(_Parser(self.expanded(macro.body, hidden | {token.text}), self, macro.body).value())
            if len(values) != 1:
                raise UnknownShape(f"{token.where}: {token.text} is defined in two ways that differ.")
        return bodies[0]

    def _named(self, token: Token) -> Number:
        if token.text not in self._values:
            self._values[token.text] = _Parser(self.expanded([token]), self, [token]).value()
        return self._values[token.text]

    def enumerator(self, token: Token) -> Number:
        """The value of a name of an enum."""
        rows = self.enums.get(token.text)
        if rows is None:
            raise UnknownShape(f"{token.where}: {token.text} is not defined in the files that were read.")
        values = set()
        for said, steps in rows:
            start = Number(0) if said is None else self.number(said)
            values.add(Number(start.value + steps, start.bits, start.signed))
        if len(values) != 1:
            raise UnknownShape(f"{token.where}: {token.text} stands in two enums with values that differ.")
        return values.pop()


_EnumRow = tuple["Sequence[Token] | None", int]


def _enums(tokens: Sequence[Token]) -> dict[str, list[_EnumRow]]:
    """Name → where its value comes from: (the expression that its run starts with or None for 0, steps after it)."""
    rows: dict[str, list[_EnumRow]] = {}
    at = 0
    while at < len(tokens):
        at += 1
        if tokens[at - 1].text != "enum" or at >= len(tokens):
            continue
        if tokens[at].kind == "name":
            at += 1
        if at >= len(tokens) or not tokens[at].is_mark("{"):
            continue
        start: Sequence[Token] | None = None
        steps = 0
        closing(tokens, at)  # it has an end, so the walk below has one
        at += 1
        while not tokens[at].is_mark("}"):
            name = tokens[at]
            if name.kind != "name":
                break  # a condition in an enum: its names stay unknown from here on
            at += 1
            if tokens[at].is_mark("="):
                begin = at = at + 1
                depth = 0
                while depth or not tokens[at].is_mark(",", "}"):
                    depth += tokens[at].is_mark("(") - tokens[at].is_mark(")")
                    at += 1
                start, steps = tokens[begin:at], 0
            rows.setdefault(name.text, []).append((start, steps))
            steps += 1
            if tokens[at].is_mark(","):
                at += 1
            elif not tokens[at].is_mark("}"):
                break
    return rows


def _arguments(tokens: Sequence[Token], at: int) -> tuple[list[list[Token]], int]:
    """The arguments of a call whose ``(`` is at ``at``, and the place behind its ``)``."""
    arguments: list[list[Token]] = [[]]
    depth = 0
    for place in range(at, len(tokens)):
        token = tokens[place]
        depth += token.is_mark("(") - token.is_mark(")")
        if not depth:
            return ([] if arguments == [[]] else arguments), place + 1
        if depth == 1 and token.is_mark(","):
            arguments.append([])
        elif place != at:
            arguments[-1].append(token)
    raise UnknownShape(f"{tokens[at].where}: a call has no closing parenthesis.")


def _unescaped(token: Token) -> str:
    if "\\" in token.text:
        raise UnknownShape(f"{token.where}: a string with a backslash is not known.")
    return token.text


def _where(tokens: Sequence[Token]) -> str:
    return tokens[0].where if tokens else "nowhere"


class _Parser:
    """One expression, expanded already."""

    def __init__(self, tokens: Sequence[Token], names: Constants, written: Sequence[Token]) -> None:
        self.tokens, self.names, self.written, self.at = tokens, names, written, 0

    def value(self) -> Number:
        result = self.choice()
        if self.at != len(self.tokens):
            raise self.unknown()
        return result

    def unknown(self) -> UnknownShape:
        return UnknownShape(
            f"{_where(self.written)}: {spelled(self.written)[:80]} is no constant that can be worked out."
        )

    def here(self) -> Token:
        if self.at >= len(self.tokens):
            raise self.unknown()
        return self.tokens[self.at]

    def takes(self, *marks: str) -> str | None:
        if self.at < len(self.tokens) and self.tokens[self.at].is_mark(*marks):
            self.at += 1
            return self.tokens[self.at - 1].text
        return None

    def choice(self) -> Number:
        condition = self.binary(0)
        if not self.takes("?"):
            return condition
        yes = self.choice()
        if not self.takes(":"):
            raise self.unknown()
        no = self.choice()
        return yes if condition.value else no

    def binary(self, level: int) -> Number:
        if level == len(_LEVELS):
            return self.unary()
        left = self.binary(level + 1)
        while (mark := self.takes(*_LEVELS[level])) is not None:
            left = self.combined(mark, left, self.binary(level + 1))
        return left

    def combined(self, mark: str, left: Number, right: Number) -> Number:
        if mark in ("<<", ">>"):
            if not 0 <= right.value < left.bits:
                raise self.unknown()
            shifted = left.value << right.value if mark == "<<" else left.value >> right.value
            return Number.of(shifted, left.bits, left.signed)
        bits = max(left.bits, right.bits)
        signed = all(side.signed for side in (left, right) if side.bits == bits)
        a, b = (Number.of(side.value, bits, signed).value for side in (left, right))
        if mark in _TRUTHS:
            return Number(int(_TRUTHS[mark](a, b)))
        if mark in ("/", "%"):
            if not b:
                raise self.unknown()
            quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
            return Number.of(quotient if mark == "/" else a - quotient * b, bits, signed)
        return Number.of(_ARITHMETIC[mark](a, b), bits, signed)

    def unary(self) -> Number:
        mark = self.takes("~", "-", "+", "!")
        if mark is not None:
            operand = self.unary()
            if mark == "!":
                return Number(int(not operand.value))
            value = {"~": ~operand.value, "-": -operand.value, "+": operand.value}[mark]
            return Number.of(value, operand.bits, operand.signed)
        return self.primary()

    def primary(self) -> Number:
        token = self.here()
        self.at += 1
        if token.kind == "number":
            return literal(token)
        if token.kind == "name" and token.text in ("true", "false"):
            return Number(int(token.text == "true"))
        if token.kind == "name" and not self.is_call():
            return self.names.enumerator(token)
        if token.is_mark("("):
            cast = self.cast()
            if cast is not None:
                bits, signed = cast
                narrow = Number.of(self.unary().value, bits, signed)
                return narrow if bits >= 32 else Number(narrow.value)
            inner = self.choice()
            if self.takes(")"):
                return inner
        raise self.unknown()

    def is_call(self) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at].is_mark("(")

    def cast(self) -> tuple[int, bool] | None:
        words = []
        end = self.at
        while end < len(self.tokens) and self.tokens[end].text in _TYPE_WORDS:
            words.append(self.tokens[end].text)
            end += 1
        if not words or end >= len(self.tokens) or not self.tokens[end].is_mark(")"):
            return None
        if " ".join(words) not in _TYPES:
            raise self.unknown()
        self.at = end + 1
        return _TYPES[" ".join(words)]
