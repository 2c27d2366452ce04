"""Brace initializers, functions and switches, found by name and cut into trees of tokens.

Nothing is skipped: what does not fit the grammar is an UnknownShape. It works out no value and knows nothing of QEMU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msrtui.values import dataclass

from .ctext import Token, UnknownShape, closing, spelled


@dataclass(frozen=True)
class Braces:
    """``{ ... }``, with or without a cast before it."""

    items: tuple[Item, ...]
    where: str


@dataclass(frozen=True)
class Expression:
    """What stands between two commas."""

    tokens: tuple[Token, ...]


@dataclass(frozen=True)
class Item:
    """One entry of an initializer: ``.field[index] = value`` has both, a bare value has neither."""

    field: str | None
    index: tuple[Token, ...] | None
    value: Braces | Expression
    where: str


def array(tokens: Sequence[Token], name: str) -> Braces:
    """The initializer of the array ``name``, of which there must be exactly one."""
    found = list(_initializers(tokens, name))
    if len(found) != 1:
        raise UnknownShape(f"{name}[] = {{...}} is there {len(found)} times; it must be there once.")
    return found[0]


def has_array(tokens: Sequence[Token], name: str) -> bool:
    """Whether there is an initialized array ``name``."""
    return any(True for _ in _initializers(tokens, name))


def _initializers(tokens: Sequence[Token], name: str) -> Iterator[Braces]:
    for at in range(len(tokens) - 2):
        if tokens[at].text != name or tokens[at].kind != "name" or not tokens[at + 1].is_mark("["):
            continue
        end = closing(tokens, at + 1)
        if end + 1 < len(tokens) and tokens[end].is_mark("=") and tokens[end + 1].is_mark("{"):
            closing(tokens, end + 1)  # it has an end, so the walk below has one
            braces, after = _braces(tokens, end + 1)
            if not (after < len(tokens) and tokens[after].is_mark(";")):
                raise UnknownShape(f"{braces.where}: no semicolon after {name}[].")
            yield braces


def _braces(tokens: Sequence[Token], at: int) -> tuple[Braces, int]:
    where = tokens[at].where
    items = []
    at += 1
    while not tokens[at].is_mark("}"):
        item, at = _item(tokens, at)
        items.append(item)
        if tokens[at].is_mark(","):
            at += 1
        elif not tokens[at].is_mark("}"):
            raise UnknownShape(f"{tokens[at].where}: {tokens[at].text} where a comma or a brace should be.")
    return Braces(tuple(items), where), at + 1


def _item(tokens: Sequence[Token], at: int) -> tuple[Item, int]:
    where = tokens[at].where
    field: str | None = None
    index: tuple[Token, ...] | None = None
    if tokens[at].is_mark("."):
        field = tokens[at + 1].text
        at += 2
    if tokens[at].is_mark("["):
        end = closing(tokens, at)
        index = tuple(tokens[at + 1 : end - 1])
        at = end
    if field is not None or index is not None:
        if not tokens[at].is_mark("="):
            raise UnknownShape(f"{where}: a designator that is not one field and one index.")
        at += 1
    cast = closing(tokens, at) if tokens[at].is_mark("(") else at
    if tokens[cast].is_mark("{"):
        braces, at = _braces(tokens, cast)
        return Item(field, index, braces, where), at
    begin = at
    while not tokens[at].is_mark(",", "}"):
        if tokens[at].kind == "undecided" or tokens[at].is_mark(";", "{"):
            raise UnknownShape(f"{tokens[at].where}: {tokens[at].text} in the middle of a table.")
        at = closing(tokens, at) if tokens[at].is_mark("(", "[") else at + 1
    if begin == at:
        raise UnknownShape(f"{where}: an entry of a table is empty.")
    return Item(field, index, Expression(tuple(tokens[begin:at])), where), at


def fields(braces: Braces, known: Sequence[str]) -> dict[str, Item]:
    """The entries by field, each of which must be among ``known`` and be there once, without an index."""
    result: dict[str, Item] = {}
    for item in braces.items:
        if item.field is None or item.index is not None or item.field not in known:
            raise UnknownShape(f"{item.where}: the field {item.field or '(none)'} is not one that is known here.")
        if item.field in result:
            raise UnknownShape(f"{item.where}: {item.field} is there twice.")
        result[item.field] = item
    return result


def expression(item: Item) -> tuple[Token, ...]:
    """The tokens of an entry that is no brace."""
    if isinstance(item.value, Braces):
        raise UnknownShape(f"{item.where}: braces where a value should be.")
    return item.value.tokens


def braces_of(item: Item) -> Braces:
    """The braces of an entry."""
    if isinstance(item.value, Expression):
        raise UnknownShape(f"{item.where}: {spelled(item.value.tokens)[:60]} where braces should be.")
    return item.value


def only_name(tokens: Sequence[Token]) -> str:
    """The name that an expression is nothing but."""
    if len(tokens) != 1 or tokens[0].kind != "name":
        raise UnknownShape(f"{tokens[0].where}: {spelled(tokens)[:60]} where one name should be.")
    return tokens[0].text


# --- functions -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Function:
    """A function's definition: its parameters' tokens and its body's, without the braces."""

    name: str
    parameters: tuple[Token, ...]
    body: tuple[Token, ...]


def functions(tokens: Sequence[Token]) -> dict[str, Function]:
    """All functions that are defined in a file, by name, in its order."""
    result: dict[str, Function] = {}
    at = 0
    while at + 1 < len(tokens):
        if tokens[at].kind == "name" and tokens[at + 1].is_mark("("):
            end = closing(tokens, at + 1)
            if end < len(tokens) and tokens[end].is_mark("{"):
                after = closing(tokens, end)
                name = tokens[at].text
                result[name] = Function(name, tuple(tokens[at + 2 : end - 1]), tuple(tokens[end + 1 : after - 1]))
                at = after
                continue
            at = end
        else:
            at = closing(tokens, at) if tokens[at].is_mark("{", "[") else at + 1
    return result


@dataclass(frozen=True)
class Case:
    """``case first:``, ``case first ... last:`` or, with neither, ``default:``."""

    first: tuple[Token, ...] | None
    last: tuple[Token, ...] | None


@dataclass(frozen=True)
class Switch:
    """A switch: the groups of labels with what stands behind each, up to the next label."""

    subject: tuple[Token, ...]
    groups: tuple[tuple[tuple[Case, ...], tuple[Token, ...]], ...]


def switches(body: Sequence[Token]) -> list[Switch]:
    """The outermost switches in a function's body."""
    result = []
    at = 0
    while at < len(body):
        if body[at].text == "switch" and body[at].kind == "name":
            begin = closing(body, at + 1)
            end = closing(body, begin)
            result.append(Switch(tuple(body[at + 2 : begin - 1]), _groups(body[begin + 1 : end - 1])))
            at = end
        else:
            at += 1
    return result


def _groups(body: Sequence[Token]) -> tuple[tuple[tuple[Case, ...], tuple[Token, ...]], ...]:
    groups: list[tuple[tuple[Case, ...], tuple[Token, ...]]] = []
    at = 0
    while at < len(body):
        cases = []
        while at < len(body) and body[at].text in ("case", "default") and body[at].kind == "name":
            case, at = _case(body, at)
            cases.append(case)
        if not cases:
            raise UnknownShape(f"{body[at].where}: {body[at].text} where a case should be.")
        begin = at
        while at < len(body) and body[at].text not in ("case", "default"):
            at = closing(body, at) if body[at].is_mark("{", "(") else at + 1
        groups.append((tuple(cases), tuple(body[begin:at])))
    return tuple(groups)


def _case(body: Sequence[Token], at: int) -> tuple[Case, int]:
    default = body[at].text == "default"
    begin = at = at + 1
    while not (at < len(body) and body[at].is_mark(":")):
        if at >= len(body) or body[at].is_mark(";"):
            raise UnknownShape(f"{body[begin - 1].where}: a case without its colon.")
        at += 1
    said = tuple(body[begin:at])
    dots = next((place for place, token in enumerate(said) if token.is_mark("...")), None)
    if default:
        return Case(None, None), at + 1
    if dots is None:
        return Case(said, None), at + 1
    return Case(said[:dots], said[dots + 1 :]), at + 1


def statements(tokens: Sequence[Token]) -> list[tuple[Token, ...]]:
    """A run of simple statements, each without its semicolon."""
    result = []
    at = begin = 0
    while at < len(tokens):
        if tokens[at].is_mark(";"):
            result.append(tuple(tokens[begin:at]))
            at = begin = at + 1
        else:
            at = closing(tokens, at) if tokens[at].is_mark("(", "[") else at + 1
    if begin != len(tokens):
        raise UnknownShape(f"{tokens[begin].where}: {spelled(tokens[begin:])[:60]} is no simple statement.")
    return result
