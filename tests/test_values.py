"""What msrtui/values.py makes is what the standard library would have made, for every class of the program."""

from __future__ import annotations

import ast
import copy
import dataclasses
import importlib
import inspect
import pickle
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest

import msrtui
from msrtui.values import _MISSING, FrozenInstanceError, dataclass, field, replace

_RUN_AS_PROGRAMS = ("__main__", ".generate", "one_file.start")


def _classes() -> list[type]:
    """Every class of the program that values.py made."""
    found: dict[str, type] = {}
    for module in pkgutil.walk_packages(msrtui.__path__, "msrtui."):
        if not module.name.endswith(_RUN_AS_PROGRAMS) and "generate" not in module.name:
            for one in vars(importlib.import_module(module.name)).values():
                if isinstance(one, type) and one.__module__ == module.name and "__value_fields__" in vars(one):
                    found[f"{one.__module__}.{one.__qualname__}"] = one
    return [found[name] for name in sorted(found)]


def _as_the_standard_library_makes_it(cls: type) -> type:
    """The same fields, defaults and bases under dataclasses.dataclass."""
    body: dict[str, Any] = {"__annotations__": {}, "__qualname__": cls.__qualname__, "__module__": cls.__module__}
    for name, one in cls.__value_fields__.items():  # type: ignore[attr-defined]
        body["__annotations__"][name] = "Any"
        given = {"default": one.default, "default_factory": one.default_factory}
        known = {key: value for key, value in given.items() if value is not _MISSING}
        body[name] = dataclasses.field(repr=one.repr, compare=one.compare, **known)
    decorate: Any = dataclasses.dataclass
    made: type = decorate(type(cls.__name__, (), body), frozen=cls.__hash__ is not None)
    return made


def _made(cls: type, values: dict[str, Any]) -> Any:
    """A value without what the class does afterwards, which the other one lacks."""
    made: Any = object.__new__(cls)
    made.__dict__.update(values)
    return made


@pytest.fixture(scope="module")
def classes() -> list[type]:
    found = _classes()
    assert len(found) > 120
    return found


def test_every_class_has_the_parameters_the_repr_the_equality_and_the_hash_of_the_standard_library(
    classes: list[type],
) -> None:
    for cls in classes:
        other = _as_the_standard_library_makes_it(cls)
        names = [one.name for one in dataclasses.fields(other)]
        assert list(cls.__value_fields__) == names, cls  # type: ignore[attr-defined]
        assert cls.__match_args__ == other.__match_args__, cls  # type: ignore[attr-defined]
        ours, theirs = (
            {name: (each.kind, each.default is each.empty) for name, each in inspect.signature(one).parameters.items()}
            for one in (_with_its_init(cls), other)
        )
        assert ours == theirs, cls
        values = {name: ("a", name) for name in names}
        assert repr(_made(cls, values)) == repr(_made(other, values)), cls
        assert _made(cls, values) == _made(cls, values), cls
        for name in names:
            turned = values | {name: "another"}
            equal, expected = (_made(one, values) == _made(one, turned) for one in (cls, other))
            assert equal is expected, (cls, name)
            if cls.__hash__ is not None and expected:
                assert hash(_made(cls, values)) == hash(_made(cls, turned)), (cls, name)
        assert (cls.__hash__ is None) is (other.__hash__ is None), cls


def _with_its_init(cls: Any) -> Any:
    """The class once a value of it was asked for; until then its __init__ takes anything."""
    with pytest.raises(TypeError):
        cls(no_such_field=0)
    return cls


def test_values_can_be_copied_replaced_and_sent_to_another_process() -> None:
    from msrtui.kvm.requests import GetMsrs
    from msrtui.qemu.profile import QemuProfile

    one = GetMsrs((0x10A, 0x48B))
    assert copy.copy(one) == copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == one
    assert {one: 1}[GetMsrs((0x10A, 0x48B))] == 1
    assert one != GetMsrs((0x10A,))
    profile = QemuProfile("7.2")
    assert replace(profile, machine="q35") == QemuProfile("7.2", machine="q35") != profile
    with pytest.raises(TypeError, match="label_"):
        replace(profile, label_="8.2")  # type: ignore[call-arg]


def test_a_frozen_value_cannot_be_changed_and_one_that_can_has_no_hash() -> None:
    @dataclass(frozen=True)
    class Frozen:
        number: int
        kind: ClassVar[str] = "frozen"

    @dataclass
    class Open:
        number: int = 1
        seen: list[int] = field(default_factory=list)

    frozen, opened = Frozen(1), Open()
    with pytest.raises(FrozenInstanceError, match="number"):
        frozen.number = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError, match="number"):
        del frozen.number
    assert repr(frozen).endswith("Frozen(number=1)")
    opened.number = 3
    opened.seen.append(1)
    assert Open().seen == []
    assert opened == Open(3, [1])
    assert opened.__eq__(frozen) is NotImplemented
    with pytest.raises(TypeError, match="unhashable"):
        hash(opened)


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        (int, "Made.number: its module needs 'from __future__ import annotations'"),
        ("typing.ClassVar[int]", "Made.number: write ClassVar"),
        ("'ClassVar[int]'", "Made.number: write ClassVar"),
        ("Final[ClassVar[int]]", "Made.number: write ClassVar"),
    ],
)
def test_what_may_be_no_field_and_cannot_be_told_is_refused_as_the_class_is_made(annotation: Any, said: str) -> None:
    with pytest.raises(TypeError, match=re.escape(said)):
        dataclass(type("Made", (), {"__annotations__": {"number": annotation}}))


def test_a_class_variable_is_no_field_with_or_without_its_type() -> None:
    for annotation in ("ClassVar", "ClassVar[int]"):
        made: Any = dataclass(type("Made", (), {"__annotations__": {"kind": annotation, "number": "int"}, "kind": 7}))
        assert made(1).number == 1
        assert made.__match_args__ == ("number",)
        assert made.kind == 7


def test_the_first_values_of_a_class_are_as_those_that_come_when_it_is_compiled() -> None:
    @dataclass(frozen=True)
    class Made:
        number: int
        name: str = "none"
        seen: list[int] = field(default_factory=list)

    wrong: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...] = (
        ((), {}),
        ((1, "a", [], 2), {}),
        ((1,), {"number": 2}),
        ((1,), {"nothing": 2}),
        ((), {"name": "a"}),
    )
    first = Made.__init__
    before = [Made(1), Made(number=2, name="b"), Made(3, seen=[4]), Made(5, "c", [6])]
    assert Made.__init__ is first
    assert before[0].seen is not Made(1).seen
    said = []
    for _ in range(2):
        for arguments, named in wrong:
            with pytest.raises(TypeError) as refused:
                Made(*arguments, **named)
            said.append(str(refused.value))
    assert Made.__init__ is not first
    assert said[: len(wrong)] == said[len(wrong) :]
    assert before == [Made(1), Made(number=2, name="b"), Made(3, seen=[4]), Made(5, "c", [6])]


def test_no_name_of_a_field_means_anything_in_the_making() -> None:
    @dataclass(frozen=True)
    class Named:
        put: tuple[int, ...]
        missing: int = 2
        make_missing: int = 3
        default_missing: list[int] = field(default_factory=list)

    assert Named((1,)) == Named((1,), 2, 3, [])


def test_a_class_takes_the_fields_of_its_base_and_what_it_does_afterwards() -> None:
    @dataclass(frozen=True)
    class Base:
        number: int
        name: str = "base"

    @dataclass(frozen=True)
    class Derived(Base):
        name: str = "derived"
        twice: int = field(default=0, compare=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "twice", 2 * self.number)

    assert Derived(2).twice == 4
    assert Derived(2) == Derived(2, twice=1) != Base(2, "derived")
    assert (Base(1).name, Derived(1).name, Derived(1).number) == ("base", "derived", 1)
    with pytest.raises(TypeError, match="number"):
        Derived()  # type: ignore[call-arg]


def test_no_room_takes_the_standard_librarys(root: Path) -> None:
    for path in (root / "msrtui").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        taken = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "dataclasses"]
        taken_whole = [name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
        assert "dataclasses" not in {name.name for name in taken_whole}, path
        assert not taken or path.name == "values.py", path


def test_a_short_command_never_imports_it() -> None:
    code = (
        "import sys; from msrtui.cli.__main__ import main; status = main(['get', '0x10a', 'amd-pvm-linux6.18']);"
        "dear = {'dataclasses', 'inspect', 'pathlib', 'asyncio', 'subprocess', 'textual', 'rich', 'psutil'};"
        "sys.exit(' '.join(dear & set(sys.modules)) or status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_no_test_replaces_fields_of_values_the_standard_librarys_way(root: Path) -> None:
    for path in (root / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "dataclasses":
                assert "replace" not in {name.name for name in node.names}, path
