"""KVM's two MSR lists: what QEMU does with each entry of the first, and what KVM answers for each of the second."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from msrtui.catalog import names_of, place, short_name
from msrtui.kvm import abi
from msrtui.kvm.readings import read_feature_msrs
from msrtui.kvm.requests import MsrReading
from msrtui.qemu.profile import QemuProfile
from msrtui.report.heading import heading_lines
from msrtui.report.shape import NEVER, aligned, grouped, hexed, wrapped
from msrtui.report.views import HostView
from msrtui.snapshot.model import About


class IndexEntry(NamedTuple):
    """One entry of the index list: the MSR, the kernel array that it is from, what this QEMU does with it.

    ``use`` is ``flag`` (it sets ``flag``), ``transferred`` (saved and restored without looking at the list)
    or ``never`` (this QEMU does not name it).
    """

    msr: int
    array: str | None
    array_sure: bool
    use: str
    flag: str | None


def index_entries(profile: QemuProfile, indices: tuple[int, ...]) -> list[IndexEntry]:
    """The whole index list, in the kernel's order."""
    return [
        IndexEntry(index, where.array, where.sure, *use_of(profile, index))
        for index, where in zip(indices, place(indices), strict=True)
    ]


def use_of(profile: QemuProfile, index: int) -> tuple[str, str | None]:
    """What this QEMU does with an MSR of the index list: (use, the flag that it sets or None)."""
    row = profile.tables.flag_by_index.get(index)
    if row is not None:
        return "flag", row.flag
    return ("transferred" if index in profile.tables.transferred else "never"), None


class IndexMap(NamedTuple):
    """What one QEMU does with the entries of an index list, each in KVM's order.

    ``flags`` set a has_msr_* flag, ``transferred`` are saved and restored without a look at the list, ``never``
    are not named by this QEMU.
    """

    flags: tuple[tuple[int, str], ...]
    transferred: tuple[int, ...]
    never: tuple[int, ...]

    @property
    def total(self) -> int:
        """How many entries the list has."""
        return len(self.flags) + len(self.transferred) + len(self.never)


def index_map(profile: QemuProfile, indices: Sequence[int]) -> IndexMap:
    """Sort an index list by what this QEMU does with each entry."""
    uses = [(index, *use_of(profile, index)) for index in indices]
    return IndexMap(
        tuple((index, flag) for index, _use, flag in uses if flag is not None),
        tuple(index for index, use, _flag in uses if use == "transferred"),
        tuple(index for index, use, _flag in uses if use == "never"),
    )


# --- for programs ------------------------------------------------------------------------------------------------
def lists_document(source_name: str, profile: QemuProfile, view: HostView) -> dict[str, Any]:
    """``lists --json``. The values of the feature MSRs are msrtui's own question."""
    heard = view.lists
    probe = heard.probe
    features = heard.feature_msrs or ()
    readings = read_feature_msrs(view.answerer, features)
    return {
        "source": source_name,
        "qemu": profile.label,
        "index_list": {
            "probe": {
                "errno": abi.errno_name(probe.errno) if probe and probe.errno is not None else None,
                "nmsrs": probe.nmsrs if probe else None,
            },
            "count": None if heard.index_list is None else len(heard.index_list),
            "freed": True,
            "entries": [
                {
                    "index": hex(entry.msr),
                    "names": list(names_of(entry.msr)),
                    "array": entry.array,
                    "array_sure": entry.array_sure,
                    "use": entry.use,
                    "flag": entry.flag,
                }
                for entry in index_entries(profile, heard.index_list or ())
            ],
        },
        "feature_list": {
            "cap": heard.cap,
            "null": heard.feature_msrs is None if heard.feature_known else None,
            "entries": [
                {
                    "index": hex(index),
                    "names": list(names_of(index)),
                    "status": readings[index].status,
                    "kvm": hexed(readings[index].value),
                }
                for index in features
            ],
        },
    }


# --- for people --------------------------------------------------------------------------------------------------
def lists_text(source_name: str, about: About, profile: QemuProfile, view: HostView) -> str:
    """Both lists, entry by entry."""
    lines = [*heading_lines(source_name, about, profile), "", *_index_list(profile, view), ""]
    lines += _feature_list(profile, view)
    if view.ended is not None:
        lines += ["", *wrapped(f"This QEMU would end after that, saying: {' '.join(view.ended.text.split())}")]
    return "\n".join(lines) + "\n"


def _index_list(profile: QemuProfile, view: HostView) -> Iterator[str]:
    indices = view.lists.index_list
    if indices is None:
        yield "KVM index list    not known: the source does not say"
        return
    entries = index_entries(profile, indices)
    uses = [entry.use for entry in entries]
    yield f"KVM index list    {len(entries)} MSRs, from KVM_GET_MSR_INDEX_LIST"
    yield f"  {uses.count('flag'):3}  set a has_msr_* flag; the flags are kept, the list is freed"
    yield f"  {uses.count('transferred'):3}  are transferred: saved and restored without a look at this list"
    yield f"  {uses.count('never'):3}  are never named by this QEMU"
    rows = [
        (hex(entry.msr), short_name(entry.msr), entry.flag or (entry.use if entry.use == "transferred" else NEVER))
        for entry in entries
    ]
    array: tuple[str | None] | None = None
    for entry, line in zip(entries, aligned(rows, "    ", right=frozenset({0})), strict=True):
        if array != (entry.array,):
            array = (entry.array,)
            yield ""
            yield f"  {entry.array or 'an array that is not known'}"
        yield line


def _feature_list(profile: QemuProfile, view: HostView) -> Iterator[str]:
    heard = view.lists
    if not heard.feature_known:
        yield "kvm_feature_msrs  not known: the source does not say what KVM lists"
        return
    if heard.feature_msrs is None:
        yield "kvm_feature_msrs  a null pointer: every feature MSR counts as 0, KVM is never asked"
        if heard.feature_errno is None:
            yield f"  KVM_CAP_GET_MSR_FEATURES is {heard.cap}"
        else:
            yield f"  asking for it failed: {abi.errno_name(heard.feature_errno)}, so what KVM lists is not known"
        return
    yield f"kvm_feature_msrs  {len(heard.feature_msrs)} MSRs, from KVM_GET_MSR_FEATURE_INDEX_LIST, all kept"
    yield "  The values are KVM_GET_MSRS's answers to msrtui; QEMU asks for each when it needs it."
    yield ""
    readings = read_feature_msrs(view.answerer, heard.feature_msrs)
    words = profile.tables.word_by_msr
    rows = [
        (hex(index), short_name(index), shown_reading(readings, index), words[index].name if index in words else "")
        for index in heard.feature_msrs
    ]
    yield from aligned(rows, "    ", right=frozenset({0}))


def shown_reading(readings: Mapping[int, MsrReading], index: int) -> str:
    """A value, or in words why there is none."""
    reading = readings[index]
    if reading.status == "ok":
        return grouped(reading.value)
    if reading.status == "refused":
        return "refused: 0 read"
    if reading.status == "error":
        return f"error: {abi.errno_name(reading.errno or 0)}"
    return "not known"
