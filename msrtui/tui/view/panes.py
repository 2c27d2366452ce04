"""The rows of the three lists: KVM's index list, kvm_feature_msrs, the feature words."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msrtui.catalog import place, short_name
from msrtui.kvm.abi import errno_name
from msrtui.kvm.requests import MsrReading, reading_of
from msrtui.lines import Line, cut, dim, ends, head, line, mark, short_value, wrap
from msrtui.qemu.tables import FeatureWord, Tables
from msrtui.qemu.words import bits_of
from msrtui.report.sentences import bit_label
from msrtui.transcript.state import State, differs


def heading(title: str, right: str, width: int, focused: bool, *, only: bool = False) -> Line:
    """A pane's heading: its name, what it counts, and whether it shows only what matters."""
    return ends([" ", head(title) if focused else title, mark(" ≠") if only else ""], [dim(f"{right} ")], width)


def lit(row: Line) -> Line:
    """A row that the last step changed."""
    return Line(tuple((text, "mark" if role == "" else role) for text, role in row.spans), row.key)


ALL = "x  shows all"
"""How a list that a filter has emptied is filled again."""


# --- KVM's index list ------------------------------------------------------------------------------------------
def index_heading(state: State) -> tuple[str, str]:
    """Name and count of the first pane: how many of KVM's indices mean something to QEMU."""
    if state.index_list is None:
        return "KVM index list", f"{state.index_wanted}" if state.index_wanted is not None else ""
    return "KVM index list", f"{len(state.flags)} of {len(state.index_list)}"


def index_rows(state: State, width: int, *, only: bool = False) -> list[Line]:
    """One row an index in KVM's order; ✓ where it sets a has_msr_* flag, ``only`` those. Empty: why."""
    if state.index_list is None:
        if state.index_wanted is not None:
            return [line(dim(" not fetched yet"))]
        return [line(dim(" " + _not_asked(state)))]
    if not state.index_list:
        return [line(dim(" KVM lists no MSR"))]
    if only and not state.flags:
        return [line(dim(f" none sets a flag:  {ALL}"))]
    rows: list[Line] = []
    array = ""
    counts: dict[str, int] = {}
    placements = place(state.index_list)
    for found in placements:
        counts[found.array or "?"] = counts.get(found.array or "?", 0) + 1
    for index, found in zip(state.index_list, placements, strict=True):
        if only and index not in state.flags:
            continue
        name = found.array or "?"
        if name != array and width >= 32:
            array = name
            rows.append(ends([dim(f"   {name}")], [dim(f"{counts[name]} ")], width))
        kept = index in state.flags
        spans = [mark(" ✓ ") if kept else "   ", f"{index:>8x} ", short_name(index)]
        rows.append(Line(cut(line(*spans).spans, width - 1), ("msr", index)))
    return rows


def _not_asked(state: State) -> str:
    if state.end is not None:
        return "never asked"
    return "not asked yet"


# --- kvm_feature_msrs ------------------------------------------------------------------------------------------
def feature_heading(state: State) -> tuple[str, str]:
    """Name and count of the second pane."""
    if state.feature_list is not None:
        return "kvm_feature_msrs", str(len(state.feature_list))
    return "kvm_feature_msrs", "null" if state.feature_null else "?" if state.feature_unknown else ""


def feature_rows(
    state: State, values_read: Mapping[int, MsrReading], tables: Tables, width: int, *, only: bool = False
) -> list[Line]:
    """One row a feature MSR in KVM's order, with the value; ≠ where a guest gets something else, ``only`` those.

    ``values_read`` is what msrtui read of values that QEMU has not asked for; they stand in the background.
    """
    if state.feature_list is None:
        text = _not_asked(state)
        if state.feature_errno is not None:
            text = f"KVM did not answer: {errno_name(state.feature_errno)}"
        elif state.feature_null:
            text = "null: KVM has no feature MSRs"
        elif state.feature_unknown:
            text = "not known: the source does not say"
        return [line(" ", *part.spans) for part in wrap(text, width - 2, "dim")]
    rows = []
    for index in state.feature_list:
        word = tables.word_by_msr.get(index)
        changed = word is not None and differs(state, word)
        if only and not changed:
            continue
        sign = mark(" ≠ ") if changed else "   "
        reply = state.msrs.get(index)
        asked = reply is not None and bool(reply.values)
        read = reading_of(reply) if reply is not None and reply.values else values_read.get(index)
        shown = short_value(read.value if read is not None else None)
        rows.append(
            ends(
                [sign, f"{index:03x}"],
                [shown if asked else dim(shown), "  " if width > 28 else " "],
                width,
                ("msr", index),
            )
        )
    return rows or [line(dim(f" a guest gets all as it is:  {ALL}" if only else " KVM lists no feature MSR"))]


# --- feature words -----------------------------------------------------------------------------------------------
def words_heading(state: State, tables: Tables) -> tuple[str, str]:
    """Name of the third pane, and how many of QEMU's names are on for a guest."""
    if not state.words:
        return "FeatureWords", ""
    names = tables.bits_of_property
    on = sum(all(_has(state, word, bit) for word, bit in places) for places in names.values())
    return "FeatureWords", f"{on} of {len(names)}"


def _value(state: State, word: str) -> int | None:
    guest = state.guest.get(word)
    if guest is not None:
        return guest.value
    found = state.words.get(word)
    return found.migratable if found is not None else None


def _has(state: State, word: str, bit: int) -> bool:
    return bool((_value(state, word) or 0) >> bit & 1)


def word_rows(
    state: State, tables: Tables, opened: Collection[object], width: int, *, only: bool = False
) -> list[Line]:
    """A tree: MSR words first, CPUID words after; bits below a word that is open. ``only`` those that differ."""
    if not state.words:
        return [line(dim(" " + _not_asked(state)))]
    rows: list[Line] = []
    for kind, title in (("msr", "MSR words"), ("cpuid", "CPUID words")):
        words = [word for word in tables.words if word.kind == kind and (not only or differs(state, word))]
        shut = ("group", kind) in opened
        rows.append(ends([" ▸ " if shut else " ▾ ", title], [dim(f"{len(words)} ")], width, ("group", kind)))
        if not shut:
            for word in words:
                rows.extend(_word_row(state, word, opened, width))
    return rows


def _word_row(state: State, word: FeatureWord, opened: Collection[object], width: int) -> list[Line]:
    if word.name not in state.words:
        return [ends([dim(f"    {word.short}")], [], width, ("word", word.name))]
    value = _value(state, word.name)
    some = "?" if state.words[word.name].unknown else ""
    count = "?" if value is None else f"{value.bit_count()}{some}" if value or some else "·"
    sign = mark("  ≠ ") if differs(state, word) else "    "
    rows = [ends([sign, word.short], [count if value or some else dim(count), " "], width, ("word", word.name))]
    if ("word", word.name) in opened:
        found = state.words[word.name]
        seen = (found.supported or 0) | (value or 0) | found.unknown
        for bit in bits_of(seen):
            on = (value or 0) >> bit & 1
            text = f"       {bit:>2} {bit_label(word, bit)}"
            sign = mark("? ") if found.unknown >> bit & 1 else "1 " if on else dim("- ")
            rows.append(ends([text if on else dim(text)], [sign], width, ("bit", word.name, bit)))
    return rows
