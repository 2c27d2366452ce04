"""One page of a talk, exactly as large as the stage: a title, a figure, a few words, and whose numbers these are."""

from __future__ import annotations

import re

from rich.cells import cell_len

from msrtui.errors import BadRequest, BadSource, MsrtuiError
from msrtui.kvm.collector import plain
from msrtui.language import say as _
from msrtui.language import speaking
from msrtui.lines import Line, Span, cut, dim, ends, head, line, wrap
from msrtui.report.heading import qemu_of
from msrtui.stage.figures import draw
from msrtui.stage.figures.parts import Room
from msrtui.stage.talk import Said, Scene, Talk
from msrtui.stage.telling import Teller, Told

LEAST = (40, 12)
"""Columns and rows below which a page says no more than that it wants more."""
_WIDEST_WORDS = 110


def page(talk: Talk, teller: Teller, number: int, columns: int, rows: int, language: str) -> list[Line]:
    """Scene ``number`` (from 1) as ``rows`` lines, each of at most ``columns`` cells.

    Raises BadSource and BadRequest where the scene cannot be told.
    """
    scene = talk.scenes[number - 1]
    with speaking(language):
        if columns < LEAST[0] or rows < LEAST[1]:
            return _too_small(columns, rows)
        told = teller.tell(scene)
        place = f"{number} / {len(talk.scenes)}"
        return _laid_out(teller.of_its_host(scene), scene.speak(language), told, place, columns, rows)


def check(talk: Talk, teller: Teller) -> None:
    """Tell every scene once in every language. Raises BadRequest with the number of one that cannot be told."""
    for number in range(1, len(talk.scenes) + 1):
        for language in talk.languages:
            try:
                page(talk, teller, number, 80, 24, language)
            except MsrtuiError as wrong:
                raise BadRequest(f"Scene {number} cannot be told: {wrong}") from None


def _laid_out(scene: Scene, said: Said, told: tuple[Told, ...], place: str, columns: int, rows: int) -> list[Line]:
    margin = 1 if columns < 100 else 2
    inner = columns - 2 * margin
    spare = rows >= 30
    top = [
        _ends([head(said.title)], [dim(place)], margin, columns),
        *[line()] * (2 if spare else 1),
    ]
    words = _words(said.words, told, min(inner, _WIDEST_WORDS))
    most = rows - len(top) - 4 - spare
    if len(words) > most:
        words = [*words[: most - 1], Line(cut([*words[most - 1].spans, (" …", "")], inner - 1))]
    foot = [*words, *[line()] * (2 if spare else 1), _foot(told, margin, columns)]
    if words:
        foot.insert(0, line())
    room = Room(inner - 4, max(rows - len(top) - len(foot), 1))
    figure = draw(scene, told, room)[: room.height]
    above = (room.height - len(figure)) // (2 if spare else 3)
    body = [*[line()] * above, *(_set(entry, 3, inner) for entry in figure)]
    body += [line()] * (room.height - len(body))
    return (
        [_set(entry, margin, columns) if at >= len(top) else entry for at, entry in enumerate([*top, *body])]
        + [_set(entry, margin, columns) for entry in foot[:-1]]
        + foot[-1:]
    )


def _words(text: str, told: tuple[Told, ...], width: int) -> list[Line]:
    """The words, the numbers of the host put in; an empty line begins a paragraph, which fills its lines evenly."""
    made: list[Line] = []
    for part in with_numbers(text, told).split("\n\n"):
        flowing = _BREAK.sub("", part)
        made += [line()] if made else []
        made += _even(flowing, width)
    return made


_BREAK = re.compile(r"(?<=[\u2e80-\u9fff\uff00-\uffef])\n(?=[\u2e80-\u9fff\uff00-\uffef])|(?<=[。，；：！？）])\n")
"""A line's end in the file between two characters of a script without blanks is none in the text."""


def _even(text: str, width: int) -> list[Line]:
    """Broken into no more lines than need be, all about as long."""
    made = wrap(text, width)
    for narrower in range(width - 1, width // 2, -1):
        tried = wrap(text, narrower)
        if len(tried) > len(made):
            break
        made = tried
    return made


def with_numbers(text: str, told: tuple[Told, ...]) -> str:
    """``{kept}`` and the like are what this host's conversation says. Raises BadSource where a name is not known."""
    known = numbers(told[0])

    def put_in(found: re.Match[str]) -> str:
        if found[1] not in known:
            raise BadSource(f"The words of a scene have {{{found[1]}}}; known are {', '.join(sorted(known))}.")
        return str(known[found[1]])

    return re.sub(r"\{([a-z_]+)\}", put_in, text)


def numbers(told: Told) -> dict[str, object]:
    """What words may speak of, by name."""
    sorted_ = told.index_map
    features = told.end.feature_list or ()
    about = told.source.about
    return {
        "qemu": told.qemu.label,
        "cpu": told.request.text,
        "host": plain(told.source.name, 60),
        "kernel": plain(about.kernel or "?", 60),
        "module": plain(about.vendor_module or "?", 30),
        "listed": sorted_.total,
        "flags": len(sorted_.flags),
        "unflagged": sorted_.total - len(sorted_.flags),
        "transferred": len(sorted_.transferred),
        "never": len(sorted_.never),
        "kept": len(features),
        "words": len(told.end.words),
    }


def _foot(told: tuple[Told, ...], margin: int, columns: int) -> Line:
    hosts = "; ".join(dict.fromkeys(_host(each) for each in told)) if len(told) < 3 else _many(told)
    qemus = ", ".join(dict.fromkeys(qemu_of(each.qemu) for each in told))
    hints = [_("PgDn next"), _("PgUp back"), _(". black"), _("q end")]
    if columns < 100:
        hints.pop(1)
    inner = columns - 2 * margin
    while len(hints) > 1 and cell_len(f"{hosts}, {qemus}{_HINT_GAP.join(hints)}") >= inner:
        hints.pop(-2 if len(hints) > 2 else 0)  # whose numbers these are has to be said; the keys are in the help
    keys = _HINT_GAP.join(hints)
    ((kept, _role),) = cut([dim(hosts)], max(inner - cell_len(f", {qemus} {keys}"), 1))
    return _ends([dim(f"{kept}, {qemus}")], [dim(keys)], margin, columns)


_HINT_GAP = "   "


def _host(told: Told) -> str:
    """``AMD EPYC, Linux 6.18.44``; what emulated the CPU is said, for it is no silicon."""
    about = told.source.about
    name = _("this host") if told.source.live else plain(" ".join((about.cpu or told.source.name).split()), 48)
    for noise in ("(R)", "(TM)", "(tm)", "CPU ", "Intel ", " Processor"):
        name = name.replace(noise, "")
    name = _FREQUENCY.sub("", name).strip()
    if about.carried_by:
        name = _("{cpu} as {by} emulates it").format(cpu=name, by=plain(about.carried_by, 30))
    return f"{name}, Linux {_version(plain(about.kernel, 40))}" if about.kernel else name


_FREQUENCY = re.compile(r"( @|,)? [0-9.]+ ?[GM]Hz$")


def _version(release: str) -> str:
    """``6.12.107`` of ``6.12.107+deb13-amd64``."""
    return re.split(r"[-+]", release)[0]


def _many(told: tuple[Told, ...]) -> str:
    cpus = list(dict.fromkeys(_host(replaced).split(", Linux")[0] for replaced in told))
    return cpus[0] if len(cpus) == 1 else _("{count} hosts").format(count=len(told))


def _too_small(columns: int, rows: int) -> list[Line]:
    said = _("A talk needs {columns} columns and {rows} rows.").format(columns=LEAST[0], rows=LEAST[1])
    made = [Line(cut(entry.spans, columns)) for entry in wrap(said, max(columns, 1))[:rows]]
    return [*made, *[line()] * (rows - len(made))]


def _ends(left: list[Span], right: list[Span], margin: int, columns: int) -> Line:
    inner = ends(left, right, columns - 2 * margin)
    return Line(((" " * margin, ""), *inner.spans))


def _set(entry: Line, margin: int, columns: int) -> Line:
    """With a margin at the left, cut at the right."""
    if not entry.spans:
        return entry
    return Line(cut(((" " * margin, ""), *entry.spans), columns))
