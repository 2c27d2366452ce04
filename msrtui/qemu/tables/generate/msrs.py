"""target/i386/kvm/kvm.c: what it looks for in the index list, which MSRs it transfers, what it requires of KVM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msrtui.values import dataclass, field

from .constants import Constants
from .ctext import Token, UnknownShape, closing, spelled
from .initializer import Case, Function, Switch, array, expression, functions, only_name, statements, switches
from .tree import Tree

_TRANSFERS = ("kvm_msr_entry_add", "kvm_put_one_msr", "kvm_get_one_msr")
# how many there are of what a loop counts at run time, where QEMU's own bound says nothing useful
_LIMITS = {
    "MSR_P6_PERFCTR0": 8,  # KVM's; QEMU's bound of 18 would run over 0xce and 0xcf, which are no counters
    "MSR_P6_EVNTSEL0": 8,
    "MSR_MC0_CTL": 40,  # MCE_BANKS_DEF: QEMU gives a vCPU 10 banks of 4 registers
}


def index_flags(tree: Tree) -> list[list[str]]:
    """The switch of kvm_get_supported_msrs: index, symbol and the has_msr_* flag that it sets, by index."""
    function = _function(functions(tree.kvm_c), "kvm_get_supported_msrs")
    found = switches(function.body)
    if len(found) != 1:
        raise UnknownShape(f"kvm_get_supported_msrs has {len(found)} switches; it must have one.")
    rows: dict[int, list[str]] = {}
    falling: list[Case] = []
    sets = 0
    for cases, body in found[0].groups:
        flags, ends = _sets(body)
        sets += len(flags)
        for case in (*falling, *cases):
            if case.first is None or case.last is not None:
                raise UnknownShape("kvm_get_supported_msrs has a case that is not one MSR.")
            index = tree.constants.mask(case.first, 32)
            for flag in flags:
                if index in rows:
                    raise UnknownShape(f"kvm_get_supported_msrs sets two flags for {spelled(case.first)}.")
                rows[index] = [hex(index), only_name(case.first), flag]
        falling = [] if ends else [*falling, *cases]
    if sum(token.text == "true" for token in function.body) != sets:
        raise UnknownShape("kvm_get_supported_msrs sets a flag outside of its switch.")
    return [rows[index] for index in sorted(rows)]


def _sets(body: Sequence[Token]) -> tuple[list[str], bool]:
    """The flags that a case sets, and whether it ends with a break."""
    said = statements(body)
    ends = bool(said) and spelled(said[-1]) == "break"
    flags = []
    for one in said[:-1] if ends else said:
        if len(one) != 3 or one[0].kind != "name" or not one[1].is_mark("=") or one[2].text != "true":
            raise UnknownShape(f"{body[0].where}: {spelled(one)[:60]} where a flag should be set.")
        flags.append(one[0].text)
    return flags, ends


def required_caps(tree: Tree) -> list[str]:
    """The capabilities without which QEMU does not start, from kvm_arch_required_capabilities[]."""
    items = array(tree.kvm_c, "kvm_arch_required_capabilities").items
    said = [expression(item) for item in items]
    if not said or spelled(said[-1]) != "KVM_CAP_LAST_INFO":
        raise UnknownShape("kvm_arch_required_capabilities[] does not end with KVM_CAP_LAST_INFO.")
    caps = []
    for tokens in said[:-1]:
        if len(tokens) != 4 or tokens[0].text != "KVM_CAP_INFO" or tokens[2].kind != "name":
            raise UnknownShape(f"{tokens[0].where}: {spelled(tokens)[:60]} is no KVM_CAP_INFO.")
        caps.append(f"KVM_CAP_{tokens[2].text}")
    return caps


def vmx_default1(tree: Tree, words: list[dict[str, Any]]) -> dict[str, str]:
    """The bits of each VMX control that are always 1, from make_vmx_msr_value; none before the VMX words."""
    known = functions(tree.kvm_c)
    if "make_vmx_msr_value" not in known:
        if any(row["name"].startswith("FEAT_VMX_") for row in words):
            raise UnknownShape("there are VMX words and no make_vmx_msr_value.")
        return {}
    found = switches(known["make_vmx_msr_value"].body)
    if len(found) != 1:
        raise UnknownShape("make_vmx_msr_value has not one switch.")
    values: dict[str, str] = {}
    for cases, body in found[0].groups:
        said = statements(body)
        if cases[0].first is None and len(cases) == 1 and [spelled(part) for part in said] == ["abort()"]:
            continue
        if len(said) != 2 or spelled(said[0][:2]) != "default1 =" or spelled(said[1]) != "break":
            raise UnknownShape("make_vmx_msr_value has a case that does not set default1 and end.")
        for case in cases:
            if case.first is None or case.last is not None:
                raise UnknownShape("make_vmx_msr_value has a case that is not one MSR.")
            values[only_name(case.first)] = hex(tree.constants.mask(said[0][2:], 32))
    return values


# --- what is transferred -------------------------------------------------------------------------------------------
@dataclass
class _Transfers:
    """What is found while going through the functions."""

    singles: dict[int, str] = field(default_factory=dict)
    ranges: dict[int, list[Any]] = field(default_factory=dict)
    spans: dict[int, int] = field(default_factory=dict)
    """First → last of what is said as a whole: ``case A ... B`` or a loop from A to B."""

    def check(self) -> None:
        """Whether single MSRs and runs make up the spans: else some would be left out."""
        covered = set(self.singles)
        for first, (count, stride, _) in self.ranges.items():
            covered |= {first + step * stride for step in range(count)}
        for first, last in self.spans.items():
            if self.singles[first] not in _LIMITS and not covered >= set(range(first, last + 1)):
                raise UnknownShape(f"kvm.c goes from {self.singles[first]} to {last:#x}, but not all are transferred.")

    def single(self, index: int, symbol: str) -> None:
        self.singles.setdefault(index, symbol)


def transferred(tree: Tree, flags: list[list[str]]) -> tuple[list[list[str]], list[list[Any]]]:
    """MSRs that are written to or read from a vCPU: single ones, and runs (first, count, stride, symbol).

    Every call that takes an MSR's index is looked at, and the switch that takes apart what was read. What
    kvm_init_msrs itself writes only under a flag of the index list is left to the flags.
    """
    known = functions(tree.kvm_c)
    flagged = {int(row[0], 16) for row in flags}
    result = _Transfers()
    reader = _function(known, "kvm_get_msrs")
    found = [each for each in switches(reader.body) if spelled(each.subject) == "index"]
    if len(found) != 1:
        raise UnknownShape("kvm_get_msrs has not one switch over the index.")
    _read_switch(found[0], tree.constants, result)
    for needed in ("kvm_put_msrs", "kvm_msr_entry_add"):
        _function(known, needed)
    for function in known.values():
        calls = list(_calls(function))
        if calls and any(token.kind == "undecided" for token in function.body):
            raise UnknownShape(f"{function.name} transfers MSRs and has a #if that cannot be decided.")
        for at, said in calls:
            if function.name == "kvm_init_msrs" and tree.constants.number(said).value in flagged:
                continue
            _call(function, at, said, tree, result)
    result.check()
    return (
        [[hex(index), result.singles[index]] for index in sorted(result.singles)],
        [[hex(index), *result.ranges[index]] for index in sorted(result.ranges)],
    )


def _function(known: dict[str, Function], name: str) -> Function:
    if name not in known:
        raise UnknownShape(f"kvm.c has no function {name}.")
    return known[name]


def _calls(function: Function) -> Iterator[tuple[int, tuple[Token, ...]]]:
    """(place in the body, the MSR argument) of each call that transfers an MSR named by the caller."""
    body = function.body
    for at, token in enumerate(body):
        if token.kind != "name" or token.text not in _TRANSFERS or spelled(body[at + 1 : at + 2]) != "(":
            continue
        inside = body[at + 2 : closing(body, at + 1) - 1]
        commas = [place for place, part in enumerate(inside) if part.is_mark(",") and not _depth(inside[:place])]
        if len(commas) < 2:
            raise UnknownShape(f"{token.where}: {token.text} without an MSR and a value.")
        said = inside[commas[0] + 1 : commas[1]]
        if len(said) == 1 and said[0].text in {part.text for part in function.parameters}:
            continue  # a helper hands on what it was given
        yield at, said


def _depth(tokens: Sequence[Token]) -> int:
    return sum(token.is_mark("(", "[") - token.is_mark(")", "]") for token in tokens)


def _call(function: Function, at: int, said: tuple[Token, ...], tree: Tree, result: _Transfers) -> None:
    constants = tree.constants
    loop = _loop(function.body, at, said)
    if loop is None:
        result.single(constants.mask(said, 32), only_name(said))
    elif len(said) == 1:
        if loop.relation != "<=":
            raise UnknownShape(f"{said[0].where}: a loop from one MSR to another that leaves out the last.")
        first, last = (constants.mask(end, 32) for end in (loop.start, loop.end))
        result.single(first, only_name(loop.start))
        result.single(last, only_name(loop.end))
        result.spans.setdefault(first, last)
    else:
        _run(said, loop, tree, result)


@dataclass(frozen=True)
class _Loop:
    variable: str
    start: tuple[Token, ...]
    relation: str
    end: tuple[Token, ...]


def _loop(body: Sequence[Token], at: int, said: Sequence[Token]) -> _Loop | None:
    """The nearest ``for`` before the call whose variable is in the MSR's expression."""
    names = {token.text for token in said if token.kind == "name"}
    for place in range(at - 1, -1, -1):
        if body[place].text != "for" or body[place].kind != "name":
            continue
        parts = statements([*body[place + 2 : closing(body, place + 1) - 1], Token("mark", ";")])
        if len(parts) == 3 and len(parts[0]) >= 3 and parts[0][1].is_mark("=") and parts[0][0].text in names:
            start, test, step = parts
            variable = start[0].text
            if len(test) < 3 or test[0].text != variable or not test[1].is_mark("<", "<="):
                raise UnknownShape(f"{body[place].where}: a loop over MSRs with another test than < or <=.")
            if spelled(step) != f"{variable} ++":
                raise UnknownShape(f"{body[place].where}: a loop over MSRs with another step than one.")
            return _Loop(variable, start[2:], test[1].text, test[2:])
    return None


def _with(said: Sequence[Token], variable: str, value: int) -> tuple[Token, ...]:
    number = Token("number", str(value))
    return tuple(number if token.kind == "name" and token.text == variable else token for token in said)


def _run(said: tuple[Token, ...], loop: _Loop, tree: Tree, result: _Transfers) -> None:
    """An MSR that a loop counts on from: ``BASE + i``, ``BASE + i * 2`` or ``MACRO(i)``."""
    constants = tree.constants
    if constants.number(loop.start).value != 0 or loop.relation != "<":
        raise UnknownShape(f"{said[0].where}: a loop over MSRs that does not count from 0.")
    first, second, third = (constants.mask(_with(said, loop.variable, step), 32) for step in range(3))
    stride = second - first
    if stride < 1 or third - second != stride:
        raise UnknownShape(f"{said[0].where}: {spelled(said)} does not go on in even steps.")
    symbol = only_name(said[:1]) if said[1].is_mark("+") else spelled(_with(said, loop.variable, 0))
    count = _count(symbol, first, stride, loop, tree, result)
    result.single(first, symbol)
    row = [count, stride, symbol]
    if result.ranges.setdefault(first, row) != row:
        raise UnknownShape(f"{said[0].where}: {symbol} is counted in two ways that differ.")


def _count(symbol: str, first: int, stride: int, loop: _Loop, tree: Tree, result: _Transfers) -> int:
    if symbol in _LIMITS:
        return _LIMITS[symbol]
    elements = _elements(loop.end, tree)
    if elements is not None:
        return elements
    try:
        return tree.constants.number(loop.end).value
    except UnknownShape:
        if first in result.spans:  # known only at run time: as many as the switch over what was read has room for
            return (result.spans[first] - first) // stride + 1
        raise


def _elements(end: Sequence[Token], tree: Tree) -> int | None:
    """The length of the array in CPUX86State that ``ARRAY_SIZE(env->NAME)`` asks for."""
    if spelled(end[:4]) != "ARRAY_SIZE(env ->" or len(end) != 6:
        return None
    tokens, lengths = tree.cpu_h, set()
    for at in range(len(tokens) - 1):
        if tokens[at].text == end[4].text and tokens[at + 1].is_mark("["):
            after = closing(tokens, at + 1)
            if tokens[after].is_mark(";"):
                lengths.add(tree.constants.number(tokens[at + 2 : after - 1]).value)
    if len(lengths) != 1:
        raise UnknownShape(f"{end[0].where}: the length of {end[4].text} is not to be found in cpu.h.")
    return lengths.pop()


def _read_switch(switch: Switch, constants: Constants, result: _Transfers) -> None:
    for cases, _ in switch.groups:
        for case in cases:
            if case.first is None:
                continue  # the machine check banks: kvm_put_msrs names them too
            first = constants.mask(case.first, 32)
            result.single(first, spelled(case.first))
            if case.last is not None:
                last = constants.mask(case.last, 32)
                result.spans[first] = last
                if len(case.last) == 1:
                    result.single(last, spelled(case.last))
