"""``msrtui play``: the conversation as a talk on stage, or as pictures, text, a recording, notes."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import TYPE_CHECKING

from msrtui.cli.options import Parser, add_json, command_parser
from msrtui.cli.output import say, say_json
from msrtui.errors import BadRequest

if TYPE_CHECKING:
    from msrtui.lines import Line
    from msrtui.stage.talk import Talk
    from msrtui.stage.telling import Teller

_EPILOG = """TALK is a bundled talk (article, abort, five-values, kernels) or a file; --list names
them, --new makes one.
SOURCE is told of in place of the talk's own host; scenes that name another one keep it.

keys: PgDn, Right, Space, n on; PgUp, Left, p back; a number and Enter to that scene; < and > first and last;
. black; a auto-play; Enter opens the event in the explorer, q there comes back; : asks an MSR there; m migratable on or
off; l language; ? keys; q end

A talk is TOML: host, qemu, cpu, pace, a title for each language ([en] title = …), then scenes:
[[scene]] figure (words, calls, lists, dialogue, branch, ways, values, kernels, start), host or hosts, qemu, cpu,
at (the event: any of phase, function, rule, ioctl, FEAT_ name, MSR in hex; "last" in front for the last such),
look (an MSR, a FEAT_ word, functions, index or feature), rdmsr (what the CPU has there), message (what QEMU said);
[scene.en] title, words, notes. In words and notes {listed} {flags} {unflagged} {transferred} {never} {kept} {words}
{host} {kernel} {module} {qemu} {cpu} are what that host says.

--export PATH: by its ending a picture (.svg, with --scene), text (.txt), a recording for asciinema (.cast); a folder
gets a picture and a text of each scene; - prints text. The same input gives the same bytes.
--json: {"talk", "title", "language", "scenes": [{"n", "title", "words", "notes", "figure", "hosts", "qemu", "cpu",
"event" (as trace has it), "text": [line, …]}]}"""


def parser() -> Parser:
    """The command's options."""
    made = command_parser("play", "The conversation told as a talk, scene by scene.", _EPILOG)
    made.add_argument("talk", metavar="TALK", nargs="?", help="a bundled talk or a file (default article)")
    made.add_argument("source", metavar="SOURCE", nargs="?", help="told of in place of the talk's own host")
    made.add_argument("--list", action="store_true", help="the bundled talks, a line each")
    made.add_argument("--new", metavar="FILE", help="write a small talk to begin with; an existing file stays")
    made.add_argument("--lang", metavar="LANGUAGE", help="en, zh, or what the talk has (default: by locale)")
    made.add_argument("--scene", metavar="N", type=int, help="begin at this scene, or export it alone")
    made.add_argument("--auto", action="store_true", help="begin with auto-play")
    made.add_argument("--pace", metavar="SECONDS", type=float, help="how long a scene stands in auto-play")
    made.add_argument("--notes", metavar="FILE", help="write the speaker's notes, with scene numbers (- prints them)")
    made.add_argument("--export", metavar="PATH", help="write pages to a .svg, .txt or .cast file, or to a folder")
    made.add_argument("--check", action="store_true", help="tell every scene in every language once, show nothing")
    made.add_argument("--size", metavar="COLSxROWS", default="80x24", help="of what is exported (default 80x24)")
    made.add_argument("--theme", metavar="NAME", help="colours, as for msrtui itself")
    made.add_argument("--glyphs", choices=("full", "narrow", "ascii"), help="characters to draw with")
    made.add_argument("--diff", choices=("auto", "on", "off"), help="send only the cells that changed")
    add_json(made)
    return made


def run(arguments: list[str]) -> int:
    """Play, export or check a talk. Raises MsrtuiError where it cannot be told or written."""
    options = parser().parse_args(arguments)
    from msrtui.stage.talk import ARTICLE, bundled_talks, open_talk

    if options.list:
        say("".join(f"{name:14}{open_talk(name).title(_language(options))}\n" for name in bundled_talks()))
        return 0
    if options.new is not None:
        return _new(options.new)
    talk = open_talk(options.talk or ARTICLE)
    teller = _teller(options, talk)
    language = _language(options)
    if options.lang is not None and language not in talk.languages:
        raise BadRequest(f"This talk is told in {', '.join(talk.languages)}.")
    if options.pace is not None and not 0.1 <= options.pace <= 3600:
        raise BadRequest("--pace is a number of seconds from 0.1 to 3600.")
    if options.scene is not None and not 1 <= options.scene <= len(talk.scenes):
        raise BadRequest(f"--scene is a number from 1 to {len(talk.scenes)}: the talk has no more scenes.")
    language = language if language in talk.languages else talk.languages[0]
    if options.check:
        from msrtui.stage.page import check

        check(talk, teller)
        say(f"{len(talk.scenes)} scenes in {', '.join(talk.languages)}: all can be told.\n")
        return 0
    if options.notes is not None:
        from msrtui.stage.exports import notes_of

        _write(options.notes, notes_of(talk, teller, language))
    if options.export is not None or options.json:
        return _export(options, talk, teller, language)
    if options.notes is not None:
        return 0
    return _play(options, talk, teller, language)


def _language(options: Namespace) -> str:
    from msrtui.glyphs import original_environment
    from msrtui.language import of_locale

    return options.lang or of_locale(original_environment())


def _teller(options: Namespace, talk: Talk) -> Teller:
    from msrtui.stage.telling import Teller
    from msrtui.tui.permits import check_served, permits_for

    instead = None
    if options.source is not None:
        from msrtui.snapshot.sources import open_source, require_kvm

        if permits_for(os.environ, ()).served:
            check_served([options.source])
        if not talk.own_host:
            raise BadRequest("Each scene of this talk names its own hosts, so there is none that SOURCE could replace.")
        instead = open_source(options.source)
        require_kvm(instead)
    permits = permits_for(os.environ, () if instead is None else (instead,))
    return Teller(talk, instead, lambda host: permits.closed(host) is None)


def _new(path: str) -> int:
    from msrtui.resources import package_file
    from msrtui.snapshot.files import read_file, write_whole

    if os.path.lexists(path):
        raise BadRequest(f"{path} is there already and stays as it is: name another file.")
    template = read_file(package_file("stage/talks/new.template")).decode()
    write_whole(path, template.replace("THIS-FILE", os.path.basename(path)))  # noqa: PTH119
    say(f"{path}: a talk of two scenes. Play it: msrtui play {path}\n")
    return 0


# --- exports -----------------------------------------------------------------------------------------------------
def _export(options: Namespace, talk: Talk, teller: Teller, language: str) -> int:
    from msrtui import glyphs
    from msrtui.stage import exports
    from msrtui.stage.page import page

    columns, rows = _size(options.size)
    numbers = [options.scene] if options.scene is not None else list(range(1, len(talk.scenes) + 1))
    pages = {number: page(talk, teller, number, columns, rows, language) for number in numbers}
    if options.json:
        say_json(exports.talk_document(talk, teller, pages, language))
        return 0
    table = glyphs.TABLES[options.glyphs or "full"]
    path: str = options.export
    kind = os.path.splitext(path)[1].lower()  # noqa: PTH122
    if path == "-" or kind == ".txt":
        _write(path, _as_text(pages, table))
    elif kind == ".cast":
        pace = options.pace or talk.pace
        title = talk.title(language)
        _write(path, exports.cast_of_pages(list(pages.values()), columns, rows, pace, title, table))
    elif kind == ".svg":
        if len(pages) != 1:
            raise BadRequest("One picture shows one scene: --scene N says which, or name a folder for all of them.")
        _write(path, _as_svg(options, talk, pages[numbers[0]], columns, language, table))
    elif os.path.isdir(path) or path.endswith(os.sep):  # noqa: PTH112
        _into_folder(options, talk, pages, columns, language, table)
    else:
        raise BadRequest("--export wants a name that ends in .svg, .txt or .cast, or a folder (ending in /).")
    return 0


def _as_text(pages: dict[int, list[Line]], table: dict[int, str]) -> str:
    from msrtui.stage.exports import text_of_lines

    return "\n".join(text_of_lines(lines, table) for lines in pages.values())


def _as_svg(
    options: Namespace, talk: Talk, lines: list[Line], columns: int, language: str, table: dict[int, str]
) -> str:
    from msrtui.colours import PALETTES
    from msrtui.stage.svg import svg_of_lines

    wanted = options.theme or PALETTES[0].name
    palette = next((palette for palette in PALETTES if palette.name == wanted), None)
    if palette is None:
        raise BadRequest(f"Pictures of a talk come in {', '.join(each.name for each in PALETTES)}.")
    return svg_of_lines(lines, columns, palette, talk.title(language), table)


def _into_folder(
    options: Namespace,
    talk: Talk,
    pages: dict[int, list[Line]],
    columns: int,
    language: str,
    table: dict[int, str],
) -> None:
    folder: str = options.export
    try:
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    except OSError as error:
        raise BadRequest(f"{folder} cannot be made: {error.strerror}.") from None
    for number, lines in pages.items():
        name = os.path.join(folder, f"scene-{number:02}")  # noqa: PTH118
        _write(f"{name}.txt", _as_text({number: lines}, table))
        _write(f"{name}.svg", _as_svg(options, talk, lines, columns, language, table))


def _write(path: str, text: str) -> None:
    if path == "-":
        say(text)
        return
    from msrtui.snapshot.files import write_whole

    write_whole(path, text)


def _size(text: str) -> tuple[int, int]:
    columns, _, rows = text.lower().partition("x")
    if _is_short(columns) and _is_short(rows) and 40 <= int(columns) <= 400 and 12 <= int(rows) <= 200:
        return int(columns), int(rows)
    raise BadRequest("--size is COLSxROWS, from 40x12 to 400x200: 80x24.")


def _is_short(digits: str) -> bool:
    return digits.isascii() and digits.isdecimal() and len(digits) < 5


def _play(options: Namespace, talk: Talk, teller: Teller, language: str) -> int:
    from msrtui.stage.page import page

    page(talk, teller, options.scene or 1, 80, 24, language)  # what cannot be told is said before the terminal is taken
    try:
        from msrtui.tui import app
    except ModuleNotFoundError as missing:
        raise BadRequest(f"The stage needs the Python package {missing.name}; --export works without.") from None
    return app.run_talk(
        talk,
        teller,
        language,
        scene=options.scene or 1,
        pace=options.pace if options.pace is not None else talk.pace,
        auto=options.auto,
        theme=options.theme,
        tier=options.glyphs,
        diff=options.diff,
    )
