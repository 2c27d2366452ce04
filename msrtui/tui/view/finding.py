"""Find anything by number or name: what there is to be found, and what a query means most likely.

Everything that ``rank`` needs for a key is worked out when the entries are made, so that a keystroke costs a
few comparisons an entry. Nothing here is random or depends on the order of a dict: the same query gives the
same answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from msrtui.catalog import known_msrs, names_of, short_name
from msrtui.kvm.abi import REGISTERS, Cap, cap_symbol
from msrtui.kvm.requests import GetMsrs
from msrtui.lines import Line, cut, dim, line
from msrtui.qemu.tables import FeatureWord, Tables
from msrtui.report.sentences import question_text
from msrtui.subjects import Subject
from msrtui.transcript.events import Event
from msrtui.transcript.state import State
from msrtui.values import dataclass, field

WORD, MSR, FEATURE, FLAG, LEAF, CAPABILITY, PARAMETER, QUESTION = (
    "word",
    "MSR",
    "feature",
    "flag",
    "CPUID",
    "capability",
    "parameter",
    "question",
)
"""The kinds of things, as they are shown."""

_WIDEST_KIND = len(CAPABILITY)

_MOST_TYPED = 80
_INDEX_LIMIT = 1 << 32
_LETTERS = {letter: 1 << place for place, letter in enumerate("abcdefghijklmnopqrstuvwxyz0123456789")}
_OTHER = 1 << len(_LETTERS)
"""A letter of no name in here: who types it finds nothing."""


class Name(NamedTuple):
    """A name folded for comparison: small letters and digits alone.

    ``starts`` has bit n set where a word begins at place n of ``text``; ``letters`` a bit for each letter in it.
    """

    text: str
    starts: int
    letters: int


@dataclass(frozen=True)
class Entry:
    """Something that can be gone to.

    ``subject`` is what the explorer looks at then. ``order``: among entries that match equally well the lower one
    comes first.
    """

    label: str
    kind: str
    detail: str
    subject: Subject
    order: int = 0
    names: tuple[Name, ...] = field(default=(), compare=False, repr=False)
    numbers: tuple[int, ...] = field(default=(), compare=False, repr=False)


# --- what there is -----------------------------------------------------------------------------------------------
def entries(
    tables: Tables,
    state: State,
    events: Sequence[Event] = (),
    parameters: Mapping[str, Mapping[str, str]] | None = None,
) -> tuple[Entry, ...]:
    """Everything that has a name or a number, in an order of its own; what is ``listed`` on this host goes first."""
    return (
        *_words(tables, state),
        *_msrs(tables, state),
        *_features(tables, state),
        *_flags(tables, state),
        *_leaves(tables, state),
        *_capabilities(tables, state),
        *_parameters(parameters or {}),
        *_questions(events[: state.count]),
    )


def _entry(
    kind: str, order: int, label: str, detail: str, subject: Subject, names: Iterable[str], *numbers: int
) -> Entry:
    folded = tuple(dict.fromkeys(fold(name) for name in (label, *names)))
    return Entry(label, kind, detail, subject, order, folded, numbers)


def _words(tables: Tables, state: State) -> Iterator[Entry]:
    for word in tables.words:
        guest = state.guest.get(word.name)
        value = "" if guest is None or guest.value is None else f", a guest gets {guest.value:#x}"
        where = f"MSR {word.index:#x}" if word.kind == "msr" else word.where
        numbers = (word.index,) if word.kind == "msr" else ()
        yield _entry(WORD, 0, word.name, f"{where}{value}", ("word", word.name), (word.short, word.symbol), *numbers)


def _msrs(tables: Tables, state: State) -> Iterator[Entry]:
    known = known_msrs()
    in_index, in_features = frozenset(state.index_list or ()), frozenset(state.feature_list or ())
    others = {*in_index, *in_features, *tables.transferred, *tables.flag_by_index} - set(known)
    asked = state.index_list is not None
    for index in (*known, *sorted(others)):
        symbols = known.get(index, ())
        listed = index in in_index or index in in_features
        where = ", not listed here" if asked else ""
        if listed:
            both = index in in_index and index in in_features
            where = f", in {'both lists' if both else 'the index list' if index in in_index else 'kvm_feature_msrs'}"
        spelled = [*symbols, *(symbol.replace("IA32_", "") for symbol in symbols), tables.transferred.get(index, "")]
        label = short_name(index)
        yield _entry(MSR, 1 if listed else 5, label, f"{index:#x}{where}", ("msr", index), filter(None, spelled), index)


def _features(tables: Tables, state: State) -> Iterator[Entry]:
    aliases: dict[str, list[str]] = {}
    for alias, name in tables.aliases.items():
        aliases.setdefault(name, []).append(alias)
    for word in tables.words:
        for bit, name in sorted(word.bits.items()):
            others = aliases.get(name, [])
            also = f", also {' '.join(others)}" if others else ""
            detail = f"bit {bit} of {word.short}{_on(state, word, bit)}{also}"
            yield _entry(FEATURE, 2, name, detail, ("bit", word.name, bit), others)


def _on(state: State, word: FeatureWord, bit: int) -> str:
    guest = state.guest.get(word.name)
    found = state.words.get(word.name)
    if guest is None or guest.value is None or (found is not None and found.unknown >> bit & 1):
        return ""
    return ", on" if guest.value >> bit & 1 else ", off"


def _flags(tables: Tables, state: State) -> Iterator[Entry]:
    indices: dict[str, list[int]] = {}
    for row in tables.msr_flags:
        indices.setdefault(row.flag, []).append(row.index)
    for flag, where in indices.items():
        set_by = f"set by {' or '.join(f'{index:#x}' for index in where)}"
        known = "" if state.index_list is None else "true, " if flag in state.flags.values() else "false, "
        yield _entry(FLAG, 3, flag, f"{known}{set_by}", ("flag", flag), (), *where)


def _leaves(tables: Tables, state: State) -> Iterator[Entry]:
    given = {(entry.function, entry.index): entry for entry in state.cpuid or ()}
    read: dict[tuple[int, int], list[str]] = {}
    for word in tables.words:
        if word.kind == "cpuid":
            read.setdefault((word.leaf, word.subleaf or 0), []).append(word.register)
    for function, index in sorted({*given, *read}):
        entry = given.get((function, index))
        values = "not in KVM's table" if state.cpuid is not None else ""
        if entry is not None:
            values = " ".join(f"{name.lower()} {entry.register(name):x}" for name in REGISTERS)
        subleaf = f".{index:x}" if index else ""
        label = f"CPUID {function:#x}{subleaf}"
        names = (f"leaf {function:x} {index:x}", f"cpuid {function:x} {index:x}")
        yield _entry(LEAF, 4, label, values, ("leaf", function, index), names, function)


def _capabilities(tables: Tables, state: State) -> Iterator[Entry]:
    names = ("capabilities", "KVM_CHECK_EXTENSION")
    label = f"capabilities QEMU {tables.label} checks"
    yield _entry(CAPABILITY, 6, label, "what each is for, and KVM's answer", ("list", "capabilities"), names)
    for number in sorted({*(int(cap) for cap in Cap), *state.capabilities}):
        symbol = cap_symbol(number)
        answer = state.capabilities.get(number)
        said = f", KVM answers {answer}" if answer is not None else ""
        short = symbol.removeprefix("KVM_CAP_")
        yield _entry(CAPABILITY, 6, symbol, f"number {number}{said}", ("cap", number), (short,), number)


def _parameters(parameters: Mapping[str, Mapping[str, str]]) -> Iterator[Entry]:
    for module, values in parameters.items():
        for name, value in values.items():
            subject = ("parameter", module, name)
            yield _entry(PARAMETER, 7, f"{module}.{name}", f"is {value}", subject, (name,))


def _questions(events: Sequence[Event]) -> Iterator[Entry]:
    for event in events:
        if event.ioctl is None:
            continue
        label = event.ioctl if event.request is None else question_text(event.request)
        numbers = event.request.indices if isinstance(event.request, GetMsrs) else ()
        names = [short_name(index) for index in numbers[:1]]
        detail = f"step {event.n}, in {event.function}"
        yield _entry(QUESTION, 7, label, detail, ("event", event.n), names, *numbers)


# --- names folded ------------------------------------------------------------------------------------------------
@lru_cache(maxsize=1 << 14)
def fold(text: str) -> Name:
    """A name without what people leave out or write otherwise: case, ``-``, ``_``, ``.``, blanks."""
    kept: list[str] = []
    starts = letters = 0
    before = ""
    for character in text[:_MOST_TYPED]:
        if character.isalnum():
            new_word = not before.isalnum() or (before.islower() and character.isupper())
            if new_word or (before.isalpha() and character.isdigit()):
                starts |= 1 << len(kept)
            small = character.lower()[:1]
            kept.append(small)
            letters |= _LETTERS.get(small, _OTHER)
        before = character
    return Name("".join(kept), starts, letters)


def readings(query: str) -> tuple[tuple[int, int], ...]:
    """The numbers that a query may be, the likeliest first, each with its base: ``266`` is 266, then 0x266."""
    digits = query.strip().lower().replace("_", "")[:_MOST_TYPED]
    prefixed = digits.startswith("0x")
    digits = digits.removeprefix("0x")
    if not digits or not set(digits) <= set("0123456789abcdef") or len(digits.lstrip("0")) > 10:
        return ()
    found = [] if prefixed or not digits.isdecimal() else [(int(digits), 10)]
    found.append((int(digits, 16), 16))
    return tuple((number, base) for number, base in found if number < _INDEX_LIMIT)


# --- what a query means ------------------------------------------------------------------------------------------
_EXACT = (1, 0, 0)


def rank(query: str, known: Sequence[Entry], limit: int) -> list[Entry]:
    """The entries that a query can mean, the likeliest first, at most ``limit``.

    Exact numbers, names spelt exactly so, exact names, names that begin so, a word of a name that begins so, names
    that hold it; and last names that hold its letters in order, the better the fewer pieces they are in and the more
    of these begin words.
    A number written as one (``0xabc``) that no entry has is an MSR without a name.
    """
    wanted = fold(query)
    if not wanted.text:
        return []
    numbers = readings(query)
    sure = any(character.isdigit() for character in wanted.text)
    only_numbers = bool(numbers) and _prefixed(query)
    found: list[tuple[tuple[int, int, int, int, int], Entry]] = []
    # each letter is taken at its first place, so a name that has not all of them is tried once, not in every way
    scattered = re.compile("".join(f"[^{letter}]*{letter}" for letter in map(re.escape, wanted.text)))
    for place, entry in enumerate(known):
        best: tuple[int, int, int] | None = None
        if numbers and entry.numbers:
            best = _by_number(entry, numbers, sure)
        for name in () if only_numbers else entry.names:
            if wanted.letters & ~name.letters:
                continue
            match = _match(wanted.text, name, scattered)
            if match is not None and (best is None or match < best):
                best = match
        if best == _EXACT and entry.label.lower() == query.strip().lower():
            best = (1, -1, 0)  # arch-capabilities is the property, ARCH_CAPABILITIES the MSR
        if best is not None:
            found.append(((*best, entry.order, place), entry))
    found.sort(key=lambda each: each[0])
    ranked = [entry for _, entry in found[:limit]]
    return [*_unnamed(query, numbers, ranked), *ranked][:limit]


def _by_number(entry: Entry, numbers: Sequence[tuple[int, int]], sure: bool) -> tuple[int, int, int] | None:
    for place, (number, base) in enumerate(numbers):
        if number in entry.numbers and (base == 10 or entry.kind != CAPABILITY):
            return (0 if sure else 2, place, 0)
    return None


def _match(text: str, name: Name, scattered: re.Pattern[str]) -> tuple[int, int, int] | None:
    """How well ``text`` matches, the lower the better; None where it does not."""
    length = len(name.text)
    at = name.text.find(text)
    if at == 0:
        return _EXACT if len(text) == length else (3, length, 0)
    while at > 0:
        if name.starts >> at & 1:
            return (4, length, at)
        following = name.text.find(text, at + 1)
        if following < 0:
            return (5, length, at)
        at = following
    if scattered.match(name.text) is None:
        return None
    pieces = _pieces(text, name)
    return None if pieces is None else (6, pieces, length)


def _pieces(text: str, name: Name) -> int | None:
    """What it costs to find the letters in order: 3 a piece, 2 less where it begins a word; None: too far apart.

    The first letter begins a word. At each letter the piece goes on where it can, else the next word that begins
    with the letter is taken, else its next place; where that runs into a dead end, simply the next place.
    """
    for jump in (True, False):
        cost = 0
        at = -1
        for letter in text:
            following = at + 1
            if name.text[following : following + 1] == letter and at >= 0:
                at = following
                continue
            place = _next_start(letter, name, following) if jump or at < 0 else -1
            if place < 0 and at >= 0:
                place = name.text.find(letter, following)
            if place < 0:
                break
            cost += 1 if name.starts >> place & 1 else 3
            at = place
        else:
            return cost if cost <= 1 + len(text) else None
    return None


def _next_start(letter: str, name: Name, begin: int) -> int:
    at = name.text.find(letter, begin)
    while at >= 0 and not name.starts >> at & 1:
        at = name.text.find(letter, at + 1)
    return at


def _unnamed(query: str, numbers: Sequence[tuple[int, int]], ranked: Sequence[Entry]) -> Iterator[Entry]:
    """MSRs that nobody has a name for, where a number was typed as one, or what was typed is nothing else."""
    if not _prefixed(query) and (ranked or not any(character.isdigit() for character in query)):
        return
    for number, _ in numbers:
        if not any(number in entry.numbers and entry.kind == MSR for entry in ranked) and not names_of(number):
            yield Entry(f"{number:#x}", MSR, "no list holds it, and it has no name here", ("msr", number), 5)


def _prefixed(query: str) -> bool:
    return query.strip().lower().startswith("0x")


def nearest(query: str, known: Sequence[Entry], limit: int = 3) -> list[Entry]:
    """Where nothing is called so: what is spelt most like it, for who mistyped."""
    from difflib import SequenceMatcher  # only a mistake needs it

    wanted = fold(query)
    if len(wanted.text) < 2:
        return []
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(wanted.text)
    found: list[tuple[float, int, int, Entry]] = []
    for place, entry in enumerate(known):
        best = 0.0
        for name in entry.names:
            # a few letters more or less are a slip; comparing in earnest is dear
            if (wanted.letters ^ name.letters).bit_count() > 4 or abs(len(name.text) - len(wanted.text)) > 4:
                continue
            matcher.set_seq1(name.text)
            best = max(best, matcher.ratio())
        if best >= 0.6:
            found.append((-best, entry.order, place, entry))
    found.sort(key=lambda each: each[:3])
    return [entry for *_, entry in found[:limit]]


# --- as lines ----------------------------------------------------------------------------------------------------
def entry_lines(found: Sequence[Entry], width: int) -> list[Line]:
    """One row an entry: its name, what is known of it, its kind; a row's key is the subject."""
    name = max(18, min(30, width * 2 // 5))
    rows = []
    for entry in found:
        label = Line(cut(line(entry.label).spans, name))
        gap = " " * (name - label.width + 2)
        row = line("  ", *label.spans, gap, dim(f"{entry.kind:{_WIDEST_KIND}}  "), entry.detail)
        rows.append(Line(cut(row.spans, width), entry.subject))
    return rows
