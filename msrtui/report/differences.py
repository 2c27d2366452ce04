"""What differs, as rows: for guests first, then what QEMU alone sees, then what is KVM's own.

Bits by name, VMX controls by what can be chosen, numbers as numbers, lists folded. What a guest sees is not said
again for the register or MSR that it comes from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from msrtui.catalog import short_name
from msrtui.compare.differences import COMMAND_LINE, Difference
from msrtui.compare.meaning import BitDifference, Control, Meaning, meaning
from msrtui.compare.reach import Reach, passed_on
from msrtui.kvm.collector import plain
from msrtui.report.shape import wrapped

WIDTH = 80
"""Columns that a comparison keeps to."""
_NAMED = 8
_SUBJECT, _CAUSE, _TAG = 26, 36, 12
_TOGETHER = "\x1f"
"""Stands for a blank that no line is broken at; text from captures has no control characters."""
_LISTS = {"index_list": "index list", "feature_list": "feature list"}
_SIGNS = {"good": " (good)", "bad": " (bad)", "neutral": ""}
_FREEDOM = {"free": "0/1", "fixed 1": "1", "fixed 0": "0", "may be 1": "0/1", "may be 0": "0/1"}
_HEADINGS: dict[Reach, str] = {"guest": "A guest sees", "qemu": "QEMU sees", "kernel": "KVM alone"}
_LEAVES = {
    0x0: "vendor, highest leaf",
    0x1: "family, model, stepping",
    0x4: "caches",
    0xA: "PMU",
    0xD: "XSAVE areas",
    0x12: "SGX",
    0x14: "Intel PT",
    0x80000000: "highest extended leaf",
    0x80000002: "the CPU's name",
    0x80000003: "the CPU's name",
    0x80000004: "the CPU's name",
    0x80000005: "caches",
    0x80000006: "caches",
    0x80000008: "address bits",
    0x8000000A: "SVM",
    0x8000001D: "caches",
    0x8000001F: "SEV",
}
_IN_EAX = (0x1, 0x80000000)
"""Leaves whose other registers are about something else."""


class Labels(NamedTuple):
    """What the sides are called: ``names`` before a text of each, ``only`` before what one of two has alone."""

    names: tuple[str, ...]
    only: tuple[str, ...]

    def who(self, has: Sequence[bool | None]) -> str:
        """Who has something: ``only A``, ``only A C``, with ``?`` after who is not known to."""
        if len(has) == 2 and None not in has:
            return self.only[0] if has[0] else self.only[1]
        known = [name + ("?" if each is None else "") for name, each in zip(self.names, has, strict=True) if each != 0]
        return f"only {' '.join(known)}" if known else "none"

    @property
    def arrow(self) -> str:
        """Between the values of the sides."""
        return " → " if len(self.names) == 2 else " / "


def labelled(names: Sequence[str]) -> Labels:
    """Sides that are called by letters."""
    return Labels(tuple(names), tuple(f"only {name}" for name in names))


class Row(NamedTuple):
    """A subject and what is said of it, each with the sides that it is said of (empty: of all)."""

    subject: str
    said: tuple[tuple[str, str], ...]


# --- for people --------------------------------------------------------------------------------------------------
def difference_lines(found: Sequence[Difference], labels: Labels, indent: str = "") -> Iterator[str]:
    """The answers that differ, by how far they reach, each heading after a blank line."""
    seen = _guest_masks(found)
    for reach, heading in _HEADINGS.items():
        rows = list(_rows(found, seen, reach, labels))
        if rows:
            yield ""
            yield indent + heading
            yield from _laid_out(rows, indent + "  ")


def circumstance_lines(found: Sequence[Difference], labels: Labels) -> Iterator[str]:
    """Parameters, mitigations and facts that differ: what may be the cause."""
    of = {kind: [each for each in found if each.kind == kind] for kind in ("parameter", "mitigation", "fact")}
    for heading, rows in (
        ("Module parameters", list(_parameters(of["parameter"], labels))),
        ("Mitigations", list(_texts(of["mitigation"], labels))),
        ("The hosts", list(_texts(of["fact"], labels))),
    ):
        if rows:
            yield ""
            yield heading
            yield from _laid_out(rows, "  ", _CAUSE)


def told(found: Difference, labels: Labels) -> list[tuple[str, str]]:
    """One difference in words: (whose, what), as the rows say it; () where the values say it all."""
    rows = [row for reach in _HEADINGS for row in _rows([found], {}, reach, labels)]
    return [(tag, " ".join(text.replace(_TOGETHER, " ").split())) for row in rows for tag, text in row.said]


def _laid_out(rows: Sequence[Row], indent: str, widest: int = _SUBJECT) -> Iterator[str]:
    wide = min(max(len(row.subject) for row in rows), widest)
    tags = [len(tag) for row in rows for tag, _text in row.said]
    tag_wide = min(max(tags, default=0), _TAG)
    for row in rows:
        subject = row.subject
        if len(subject) > wide:
            yield f"{indent}{subject}"
            subject = ""
        for tag, text in row.said:
            start = f"{indent}{subject:{wide}}  " + (f"{tag:{tag_wide}}  " if tag else "")
            if len(start) + max(map(len, text.split(" "))) > WIDTH:
                yield f"{indent}{subject}".rstrip()
                start = f"{indent}  {tag}  "
            for line in wrapped(text, start, " " * len(start), WIDTH):
                yield line.replace(_TOGETHER, " ")
            subject = ""


def _rows(found: Sequence[Difference], seen: dict[str | int, int], reach: Reach, labels: Labels) -> Iterator[Row]:
    mine = [each for each in found if each.reach == reach]
    for each in mine:
        if each.kind == "guest":
            yield from _row(each, _word_name(each), meaning(each), labels)
    for each in found:
        if each.kind in ("kvm", "msr"):
            subject = _word_name(each) if each.word else _msr_name(each.subject)
            for how_far, means in _left(each, seen):
                if how_far == reach:
                    yield from _row(each, subject, means, labels)
    yield from _cpuid([each for each in mine if each.kind == "cpuid"], labels)
    yield from _capabilities([each for each in mine if each.kind == "capability"], labels)
    for kind, name in _LISTS.items():
        yield from _members(name, [each for each in mine if each.kind == kind], labels)
    for each in (each for each in mine if each.kind == "order"):
        first = labels.arrow.join(_number(value) for value in each.values)
        yield Row(_LISTS[each.subject], (("", f"in another order, from {first} on"),))


def _guest_masks(found: Iterable[Difference]) -> dict[str | int, int]:
    """The bits that differ for guests, by the word's name and, of an MSR's word, by the MSR."""
    masks: dict[str | int, int] = {}
    for each in found:
        if each.kind == "guest" and each.word is not None:
            mask = sum(1 << bit.bit for bit in meaning(each).bits)
            masks[each.subject] = mask
            if each.word.kind == "msr":
                masks[each.word.index] = mask
    return masks


def _left(each: Difference, seen: dict[str | int, int]) -> Iterator[tuple[Reach, Meaning]]:
    """What a register or MSR says beyond what was said of the guest's word, and how far that reaches.

    What no guest gets of a register that guests get something of, QEMU sees.
    """
    whole = meaning(each)
    where = each.subject if each.word is not None else int(each.subject, 16)
    through = passed_on(where) if isinstance(where, int) else 0
    if each.reach != "guest" or not (where in seen or through):
        yield each.reach, whole
        return
    unsaid = [bit for bit in whole.bits if not seen.get(where, 0) >> bit.bit & 1]
    fields = [field for field in whole.fields if not field.mask & seen.get(where, 0)]
    controls = tuple(control for control in whole.controls if not seen.get(where, 0) >> control.bit & 1)
    passed = Meaning(
        bits=tuple(bit for bit in unsaid if through >> bit.bit & 1),
        fields=tuple(field for field in fields if field.mask & through),
    )
    kept = Meaning(
        bits=tuple(bit for bit in unsaid if not through >> bit.bit & 1),
        controls=controls,
        fields=tuple(field for field in fields if not field.mask & through),
    )
    if passed != Meaning():
        yield "guest", passed
    if kept != Meaning():
        yield "qemu", kept


def _word_name(each: Difference) -> str:
    return each.word.short if each.word is not None else each.subject


def _msr_name(subject: str) -> str:
    name = short_name(int(subject, 16))
    return subject if name == subject else f"{subject} {name}"


def _together(text: str) -> str:
    return text.replace(" ", _TOGETHER)


def _row(each: Difference, subject: str, means: Meaning, labels: Labels) -> Iterator[Row]:
    said = [(tag, _joined(names)) for tag, names in _by_sides(means.bits, labels)]
    for control in means.controls:
        values = labels.arrow.join(_freedom(value) for value in control.values)
        said.append(("", f"{control.name or f'control {control.bit}'} {values}"))
    for field in means.fields:
        said.append(("", f"{field.name} {labels.arrow.join(_number(value) for value in field.values)}"))
    if not said:
        said.append(("", labels.arrow.join(_number(value) for value in each.values)))
    yield Row(subject, tuple(said))


def _by_sides(bits: Iterable[BitDifference], labels: Labels) -> Iterator[tuple[str, list[str]]]:
    """The names of bits, by who has them."""
    found: dict[str, list[str]] = {}
    unnamed: dict[str, list[int]] = {}
    for bit in bits:
        who = labels.who(bit.values)
        sign = _SIGNS[bit.polarity.sign] if bit.polarity else ""
        if bit.name or sign:
            found.setdefault(who, []).append((bit.name or f"bit {bit.bit}") + sign)
        else:
            found.setdefault(who, [])
            unnamed.setdefault(who, []).append(bit.bit)
    for who, names in found.items():
        numbers = [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in _runs(unnamed.get(who, ()))]
        lone = len(unnamed.get(who, ())) == 1
        yield who, [*names, *([f"bit{'' if lone else 's'} {' '.join(numbers)}"] if numbers else [])]


def _runs(numbers: Iterable[int]) -> Iterator[list[int]]:
    """Ascending numbers as runs of neighbours."""
    run: list[int] = []
    for number in numbers:
        if run and number != run[-1] + 1:
            yield run
            run = []
        run.append(number)
    if run:
        yield run


def _joined(names: Sequence[str]) -> str:
    shown = ", ".join(map(_together, names[:_NAMED]))
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"


def _freedom(value: Control | None) -> str:
    return "?" if value is None else _FREEDOM[value.freedom]


def _number(value: object) -> str:
    """A number as people read it there: registers in hex, the rest as it is."""
    if value is None:
        return "?"
    if isinstance(value, int):
        return str(value) if value < 10 else f"{value:#x}"
    return plain(str(value), 60)


# --- capabilities, CPUID and lists -------------------------------------------------------------------------------
def _capabilities(found: Iterable[Difference], labels: Labels) -> Iterator[Row]:
    there: dict[str, list[str]] = {}
    rows: list[Row] = []
    for each in found:
        means = meaning(each)
        name = each.subject.removeprefix("KVM_CAP_")
        if means.worth == "yes" and 0 in each.values and len(set(each.values)) == 2:
            there.setdefault(labels.who([bool(value) for value in each.values]), []).append(name)
        elif means.bits:
            rows.extend(_row(each, name, means, labels))
        else:
            unit = " bytes" if means.worth == "bytes" else ""
            rows.append(Row(name, (("", labels.arrow.join(str(value) for value in each.values) + unit),)))
    if there:
        yield Row("capabilities", tuple((tag, " ".join(names)) for tag, names in there.items()))
    yield from rows


def _cpuid(found: Sequence[Difference], labels: Labels) -> Iterator[Row]:
    """A row a leaf; the leaves that only some have in one, and the CPU's name in one."""
    leaves: dict[tuple[int, int], list[Difference]] = {}
    for each in found:
        if each.leaf is not None:
            leaves.setdefault(each.leaf, []).append(each)
    alone: dict[str, list[str]] = {}
    rows: list[Row] = []
    for (leaf, subleaf), registers in leaves.items():
        place = registers[0].subject.rpartition(" ")[0]
        has = [any(each.values[side] for each in registers) for side in range(len(labels.names))]
        if leaf in (0x80000002, 0x80000003, 0x80000004):
            if not any(row.subject == "CPUID 0x80000002-4" for row in rows):
                rows.append(Row("CPUID 0x80000002-4", (("", _LEAVES[leaf]),)))
        elif not all(has):
            names = [each.subject.rpartition(" ")[2] for each in registers]
            which = f" {' '.join(names)}" if len(names) < 4 else ""
            alone.setdefault(labels.who(has), []).append(place + which + _of(leaf, subleaf, names))
        else:
            names = [each.subject.rpartition(" ")[2] for each in registers]
            values = (
                f"{name} {labels.arrow.join(_number(value) for value in each.values)}"
                for name, each in zip(names, registers, strict=True)
            )
            rows.append(Row(f"CPUID {place}", (("", ", ".join(map(_together, values)) + _of(leaf, subleaf, names)),)))
    yield from rows
    if alone:
        yield Row("CPUID", tuple((tag, ", ".join(map(_together, places))) for tag, places in alone.items()))


def _of(leaf: int, subleaf: int, registers: Sequence[str]) -> str:
    about = leaf in _LEAVES and not subleaf and (leaf not in _IN_EAX or "EAX" in registers)
    return f" ({_LEAVES[leaf]})" if about else ""


def _members(name: str, found: Iterable[Difference], labels: Labels) -> Iterator[Row]:
    """Members of a list, by who lists them; neighbours are one entry."""
    by_sides: dict[str, list[int]] = {}
    for each in found:
        has = [None if value is None else bool(value) for value in each.values]
        by_sides.setdefault(labels.who(has), []).append(int(each.subject, 16))
    if by_sides:
        yield Row(name, tuple((tag, ", ".join(map(_together, _folded(indices)))) for tag, indices in by_sides.items()))


def _folded(indices: Sequence[int]) -> Iterator[str]:
    """``0xce PLATFORM_INFO``, or ``0x480-0x491 VMX_…`` for three neighbours and more."""
    for run in _runs(indices):
        if len(run) > 2:
            alike = _common([short_name(each) for each in run])
            yield f"{run[0]:#x}-{run[-1]:#x}" + (f" {alike}…" if len(alike) > 1 else "")
        else:
            yield from (_msr_name(hex(each)) for each in run)


def _common(names: Sequence[str]) -> str:
    """What all names begin with."""
    start = min(names)
    while start and not all(name.startswith(start) for name in names):
        start = start[:-1]
    return start


# --- what may be the cause ---------------------------------------------------------------------------------------
def _parameters(found: Iterable[Difference], labels: Labels) -> Iterator[Row]:
    """Values that differ, then by module the parameters that only some have or may show."""
    there: dict[str, dict[str, list[str]]] = {}
    for each in found:
        module, _, name = each.subject.partition(".")
        values = [value for value in each.values if value is not None]
        if len(set(values)) == 1:
            tag = labels.who([value is not None for value in each.values])
            there.setdefault(plain(module, 40), {}).setdefault(tag, []).append(plain(name, 60))
            continue
        shown = labels.arrow.join("?" if value is None else plain(str(value), 60) for value in each.values)
        yield Row(plain(each.subject, 60), (("", shown),))
    for module, names in there.items():
        yield Row(module, tuple((tag, " ".join(each)) for tag, each in names.items()))


def _texts(found: Iterable[Difference], labels: Labels) -> Iterator[Row]:
    """What each side says, side by side where it is short; what only some say anything of is one row."""
    there: dict[str, list[str]] = {}
    for each in found:
        name = plain(each.subject, 60).replace("_", " ") if each.subject == COMMAND_LINE else plain(each.subject, 60)
        values = [value for value in each.values if value is not None]
        if each.kind == "mitigation" and len(set(values)) == 1:
            there.setdefault(labels.who([value is not None for value in each.values]), []).append(name)
            continue
        texts = ["?" if value is None else plain(str(value), 200) or "none" for value in each.values]
        short = labels.arrow.join(texts)
        if len(short) + _SUBJECT + 4 <= WIDTH:
            yield Row(name, (("", short),))
        else:
            who: dict[str, list[str]] = {}
            for label, text in zip(labels.names, texts, strict=True):
                who.setdefault(text, []).append(label)
            yield Row(name, tuple((" ".join(names), text) for text, names in who.items()))
    if there:
        yield Row("said of", tuple((tag, " ".join(names)) for tag, names in there.items()))
