"""Feature words over many hosts: what was worked out once for a word is not worked out again.

A word follows from what QEMU asks KVM for it and from what it looks up in its own variables, in an order that depends
on the answers alone. So each word has a tree: a node is a question, an edge an answer, a leaf what came out. A host
whose answers were all given before walks from edge to edge; one that answers something new is worked out in full, its
looks into QEMU's variables listened to, and makes a new branch. No lineage is kept: who wants to know why asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast

from msrtui.kvm.requests import Answerer, AnyRequest, CpuidEntry, Request
from msrtui.qemu.negotiation import Negotiation, QemuExit, T
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.state import UNKNOWN, KvmState
from msrtui.qemu.tables import FeatureWord
from msrtui.qemu.words import SupportedWord, x86_cpu_get_supported_feature_word
from msrtui.values import replace


def answered(negotiation: Negotiation[T], answerer: Answerer) -> T:
    """What a negotiation comes to, its events passed over. Raises QemuExit where QEMU would end."""
    reply: Any = None
    while True:
        try:
            step = negotiation.send(reply)
        except StopIteration as stop:
            return cast(T, stop.value)
        reply = answerer.ask(step) if isinstance(step, Request) else None


class _Look(NamedTuple):
    """A look into QEMU's variables: what is looked at, and how to look."""

    what: tuple[object, ...]
    of: Callable[[KvmState], object]


class _Node:
    """A question with where each answer leads, or (``question`` None) what came out."""

    __slots__ = ("edges", "question", "result")

    def __init__(self) -> None:
        self.question: AnyRequest | _Look | None = None
        self.edges: dict[object, _Node] = {}
        self.result: SupportedWord | QemuExit | None = None


_Heard = list[tuple["AnyRequest | _Look", object]]


class WordMemo:
    """The words of any number of hosts under one QEMU. What ``read`` gives has an empty lineage."""

    def __init__(self) -> None:
        self._trees: dict[tuple[QemuProfile, bool, object], dict[str, _Node]] = {}
        self.worked_out = 0
        """Words that had to be worked out; all others were known."""

    def read(self, state: KvmState, names: Iterable[str] | None = None) -> Negotiation[dict[str, SupportedWord]]:
        """The same as ``words.supported_words``, without events and lineage. Raises QemuExit as that does."""
        # whether there is a table and a list at all is asked before anything that is listened to
        listed = state.feature_msrs if state.feature_msrs is None or state.feature_msrs is UNKNOWN else True
        trees = self._trees.setdefault((state.profile, state.cpuid is None, listed), {})
        wanted = None if names is None else set(names)
        words: dict[str, SupportedWord] = {}
        for word in state.profile.tables.words:
            if wanted is None or word.name in wanted:
                root = trees.setdefault(word.name, _Node())
                found = yield from _walk(root, state)
                if found is None:
                    self.worked_out += 1
                    found = yield from _learn(root, state, word)
                if isinstance(found, QemuExit):
                    raise QemuExit(found.text, found.status)
                words[word.name] = found
        return words


def _walk(node: _Node, state: KvmState) -> Negotiation[SupportedWord | QemuExit | None]:
    """What came out for a host that answered the same; None where none has."""
    while (question := node.question) is not None:
        answer = question.of(state) if isinstance(question, _Look) else (yield question)
        following = node.edges.get(answer)
        if following is None:
            return None
        node = following
    return node.result


def _learn(node: _Node, state: KvmState, word: FeatureWord) -> Negotiation[SupportedWord | QemuExit]:
    """Work the word out, and keep the way to it."""
    heard: _Heard = []
    negotiation = x86_cpu_get_supported_feature_word(_listened(state, heard), word)
    result: SupportedWord | QemuExit
    reply: Any = None
    try:
        while True:
            step = negotiation.send(reply)
            reply = None
            if isinstance(step, Request):
                reply = yield step
                heard.append((step, reply))
    except StopIteration as stop:
        result = replace(stop.value, lineage=())
    except QemuExit as end:
        result = QemuExit(end.text, end.status)
    for question, answer in heard:
        node.question = question
        node = node.edges.setdefault(answer, _Node())
    node.result = result
    return result


# --- QEMU's variables, listened to ---------------------------------------------------------------------------------
# Only the ways of looking that are listened to are there: any other is an error, not a wrong answer.
def _listened(state: KvmState, heard: _Heard) -> KvmState:
    cpuid = None if state.cpuid is None else _Table(state.cpuid, heard)
    listed = state.feature_msrs
    if isinstance(listed, tuple):
        listed = cast("tuple[int, ...]", _Members(listed, heard, _listed))
    flags = cast("frozenset[str]", _Members(state.flags, heard, _flag))
    return KvmState(state.profile, flags, listed, cpuid)


def _flag(name: object) -> _Look:
    return _Look(("flag", name), lambda state: name in state.flags)


def _listed(index: object) -> _Look:
    return _Look(("listed", index), lambda state: index in cast("tuple[int, ...]", state.feature_msrs))


def _entry(key: tuple[int, int]) -> _Look:
    return _Look(("entry", key), lambda state: key in (state.cpuid or {}))


def _register(key: tuple[int, int], place: int) -> _Look:
    return _Look(("register", key, place), lambda state: (state.cpuid or {})[key][place])


class _Members:
    """The has_msr_* flags, or kvm_feature_msrs: one can ask whether it holds something."""

    def __init__(self, members: Iterable[object], heard: _Heard, look: Callable[[object], _Look]) -> None:
        self._members = frozenset(members)
        self._heard = heard
        self._look = look

    def __contains__(self, member: object) -> bool:
        there = member in self._members
        self._heard.append((self._look(member), there))
        return there


class _Table(Mapping[tuple[int, int], CpuidEntry]):
    """KVM's CPUID table: one can ask for an entry, and that for its registers."""

    def __init__(self, table: Mapping[tuple[int, int], CpuidEntry], heard: _Heard) -> None:
        self._table = table
        self._heard = heard

    def __getitem__(self, key: tuple[int, int]) -> CpuidEntry:
        found = self._table.get(key)
        self._heard.append((_entry(key), found is not None))
        if found is None:
            raise KeyError(key)
        entry = _Entry(*found)
        entry.heard = self._heard
        return entry

    def __iter__(self) -> Iterator[tuple[int, int]]:
        raise TypeError("the table cannot be walked where its looks are listened to")

    def __len__(self) -> int:
        raise TypeError("the table cannot be counted where its looks are listened to")

    def __bool__(self) -> bool:
        # what is empty is asked like what is not: each look into it is listened to
        return True


def _heard_register(place: int) -> Any:
    def register(entry: _Entry) -> int:
        value = int(tuple.__getitem__(entry, place))
        entry.heard.append((_register((tuple.__getitem__(entry, 0), tuple.__getitem__(entry, 1)), place), value))
        return value

    return property(register)


class _Entry(CpuidEntry):
    """One entry, whose registers are listened to one by one: words share a leaf, not a register."""

    heard: _Heard
    eax = _heard_register(3)
    ebx = _heard_register(4)
    ecx = _heard_register(5)
    edx = _heard_register(6)
