"""``dataclass``, ``field`` and ``replace`` as the standard library has them, at a fraction of the cost at import.

A command such as ``msrtui get`` is over in less time than the standard library needs to make the classes of its
values: importing ``dataclasses`` brings inspect, ast and tokenize, and each frozen class is seven pieces of source that
are compiled. Here it is one, ``__init__``, and that once a class has had a few values; all else is shared. For the type
checker these are the standard library's own, and a test holds every class of the program to what the standard library
would have made of it.

Only what the program uses is here: ``dataclass`` bare or with ``frozen=True``; ``field`` with ``default``,
``default_factory``, ``repr`` and ``compare``; inheritance, ``ClassVar``, ``__post_init__``. Imports nothing of ours.

What is a ``ClassVar`` is known by its text, without importing what the text names. So a module that makes values has
``from __future__ import annotations`` and takes ``ClassVar`` by that name; any other way is a TypeError as it is read.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from dataclasses import dataclass, field, replace

__all__ = ["dataclass", "field", "replace"]

_MISSING: Any = object()
_UNCOMPILED = 12
"""So many values of a class are made before its ``__init__`` is compiled."""


class _Field(NamedTuple):
    """One field: how it comes to its value where none is given, and where it counts."""

    default: Any = _MISSING
    default_factory: Any = _MISSING
    repr: bool = True
    compare: bool = True


class FrozenInstanceError(AttributeError):
    """Somebody tried to change a frozen value."""


def _frozen_setattr(self: object, name: str, value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _frozen_delattr(self: object, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _repr(self: Any) -> str:
    shown = (f"{name}={getattr(self, name)!r}" for name, one in self.__value_fields__.items() if one.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _own_fields(cls: type) -> dict[str, _Field]:
    """The fields that the class itself annotates, in order; where one has a value in the class, that is its default.

    Raises TypeError where it cannot be told whether an annotation is a ClassVar.
    """
    found = {}
    for name, annotation in cls.__annotations__.items():
        if type(annotation) is not str:
            raise TypeError(f"{cls.__qualname__}.{name}: its module needs 'from __future__ import annotations'")
        if "ClassVar" in annotation:
            if annotation != "ClassVar" and not annotation.startswith("ClassVar["):
                raise TypeError(f"{cls.__qualname__}.{name}: write ClassVar[...], not {annotation}")
            continue
        given = cls.__dict__.get(name, _MISSING)
        one = given if isinstance(given, _Field) else _Field(given)
        if one.default is not _MISSING:
            setattr(cls, name, one.default)
        elif given is not _MISSING:
            delattr(cls, name)
        found[name] = one
    return found


def _init_of(cls: type, fields: dict[str, _Field], frozen: bool) -> Any:
    """``__init__``, compiled: values are made by the thousand, and no loop over fields is as quick."""
    # two underscores: no field is called so
    known: dict[str, Any] = {"__put": object.__setattr__, "__missing": _MISSING}
    arguments, body = [], []
    for name, one in fields.items():
        value = name
        if one.default is not _MISSING:
            known[f"__default_{name}"] = one.default
            arguments.append(f"{name}=__default_{name}")
        elif one.default_factory is not _MISSING:
            known[f"__make_{name}"] = one.default_factory
            arguments.append(f"{name}=__missing")
            value = f"__make_{name}() if {name} is __missing else {name}"
        else:
            arguments.append(name)
        body.append(f"__put(self, {name!r}, {value})" if frozen else f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    source = f"def __init__(self, {', '.join(arguments)}):\n " + "\n ".join(body or ["pass"])
    exec(source, known)
    made = known["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    made.__module__ = cls.__module__
    made.__annotations__ = _annotations(cls, fields)
    return made


def _first_init_of(cls: type, fields: dict[str, _Field], frozen: bool) -> Any:
    """``__init__`` for the first few values of the class: in a short command most classes have no more, and to put
    their fields one by one is cheaper than to compile. What does not fit goes to the compiled one too, which says why.
    """
    uncompiled = [_UNCOMPILED]

    def __init__(self: Any, *arguments: Any, **named: Any) -> None:  # noqa: N807
        uncompiled[0] -= 1
        if uncompiled[0] >= 0 and len(arguments) <= len(fields):
            values = dict(zip(fields, arguments, strict=False))
            if named and values.keys().isdisjoint(named):
                values |= named
            if len(values) == len(arguments) + len(named):
                for name, one in fields.items():
                    if name not in values:
                        if one.default is not _MISSING:
                            values[name] = one.default
                        elif one.default_factory is not _MISSING:
                            values[name] = one.default_factory()
                if values.keys() == fields.keys():
                    self.__dict__.update(values)
                    if hasattr(self, "__post_init__"):
                        self.__post_init__()
                    return
        made = _init_of(cls, fields, frozen)
        cls.__init__ = made  # type: ignore[misc]
        made(self, *arguments, **named)

    return __init__


def _annotations(cls: type, fields: dict[str, _Field]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in reversed(cls.__mro__):
        found.update(getattr(one, "__annotations__", {}))
    return {name: found[name] for name in fields} | {"return": None}


def _comparing(fields: dict[str, _Field], frozen: bool) -> dict[str, Any]:
    """``__eq__`` and ``__hash__`` by the fields that count; a value that can change has no hash."""
    names = [name for name, one in fields.items() if one.compare]
    key: Any = attrgetter(*names) if names else lambda _: ()

    def __eq__(self: Any, other: Any) -> Any:  # noqa: N807  # it becomes the class's
        if other.__class__ is not self.__class__:
            return NotImplemented
        return self is other or key(self) == key(other)

    def __hash__(self: Any) -> int:  # noqa: N807
        return hash(key(self))

    return {"__eq__": __eq__, "__hash__": __hash__ if frozen else None}


def _dataclass(cls: Any = None, /, *, frozen: bool = False) -> Any:
    if cls is None:
        return lambda one: _dataclass(one, frozen=frozen)
    fields: dict[str, _Field] = {}
    for base in reversed(cls.__mro__[1:]):
        fields.update(base.__dict__.get("__value_fields__", {}))
    fields.update(_own_fields(cls))
    made = {"__init__": _first_init_of(cls, fields, frozen), "__repr__": _repr, **_comparing(fields, frozen)}
    if frozen:
        made |= {"__setattr__": _frozen_setattr, "__delattr__": _frozen_delattr}
    for name, method in made.items():
        setattr(cls, name, method)
    cls.__value_fields__ = fields
    cls.__match_args__ = tuple(fields)  # type: ignore[misc]  # for mypy it has those of the standard library
    return cls


def _replace(value: Any, /, **changes: Any) -> Any:
    for name in type(value).__value_fields__:
        if name not in changes:
            changes[name] = getattr(value, name)
    return type(value)(**changes)


if not TYPE_CHECKING:
    dataclass, field, replace = _dataclass, _Field, _replace
