"""``msrtui serve``: the app in a browser. Each window is a msrtui of its own, which may do little (``permits``)."""

from __future__ import annotations

import errno
import os
import socket
import sys
from argparse import Namespace

from msrtui.cli.app_options import add_app, again, checked, no_option
from msrtui.cli.options import Parser, add_profile, command_parser
from msrtui.cli.output import note, say
from msrtui.errors import BadRequest
from msrtui.resources import ARCHIVE, bundled_hosts

_LOCAL = "127.0.0.1"
_EPILOG = """What a browser shows makes no vCPU, uses no ssh, writes no file, and opens the bundled hosts
and what is named here, nothing else. Only the page that this server gave out is answered.
It needs the Python package textual-serve: pip install 'msrtui[web]'"""
_SOURCES = "a capture's path, the name of a bundled host, or live (default: the first bundled host)"


def parser() -> Parser:
    """The options of ``msrtui serve``."""
    made = command_parser("serve", "The app in a browser, for this machine's own users.", _EPILOG)
    add_app(made, sources=_SOURCES, theme="msrtui-dark", glyphs="full")
    made.add_argument(
        "--play", metavar="TALK", help="a talk in place of the explorer; a SOURCE is told of in place of its own host"
    )
    made.add_argument("--port", metavar="N", type=int, default=0, help="the port to listen at (default: a free one)")
    made.add_argument(
        "--address",
        metavar="ADDR",
        default=_LOCAL,
        help=f"the address to listen at (default {_LOCAL}: this machine's own users, nobody else)",
    )
    add_profile(made, several=True)
    return made


def run(arguments: list[str]) -> int:
    """Serve until Ctrl+C (130) or SIGTERM (0).

    Raises MsrtuiError where textual-serve is not installed, a source cannot be read, or the port cannot be had.
    """
    options = parser().parse_args(arguments)
    if ARCHIVE is not None:  # the browser's files have to be files
        raise BadRequest("The one file cannot serve the app in a browser: install it, pip install 'msrtui[web]'")
    try:
        from msrtui.tui.web import server, visitors
    except ModuleNotFoundError as missing:
        raise BadRequest(f"serve needs the Python package {missing.name}: pip install 'msrtui[web]'") from None
    from msrtui.tui import themes
    from msrtui.tui.permits import check_served

    check_served(options.sources)
    options.theme = themes.choose(options.theme, {**os.environ, "COLORTERM": "truecolor"})
    options.glyphs = options.glyphs or os.environ.get("MSRTUI_GLYPHS") or "full"
    words = _explorer(options) if options.play is None else _talk(options)

    listening = _listen(options.address, options.port)
    port = listening.getsockname()[1]
    made = server.Server(
        _msrtui(words),
        visitors.visitors(options.address, port),
        themes.background(options.theme),
    )
    if not visitors.is_loopback(listening.getsockname()[0]):
        note("Whoever reaches this address can read these hosts: there is no password, and nothing is encrypted.")
    with listening:
        return server.serve(
            made,
            listening,
            lambda: say(f"msrtui is at {visitors.url(options.address, port)} (Ctrl+C ends it)\n"),
        )


def _explorer(options: Namespace) -> list[str]:
    """What opens the app in a window. Each opens its sources anew: what cannot be told there is raised here."""
    from msrtui.snapshot.sources import open_source, require_kvm

    profiles = checked(options, command=True)
    options.sources = options.sources or [bundled_hosts()[0]]
    for text in options.sources:
        source = open_source(text)
        if source.live:
            require_kvm(source)
    return again(options, profiles)


def _talk(options: Namespace) -> list[str]:
    """What plays a talk in a window. Every scene is told once here, so that none fails before those who listen."""
    from msrtui.snapshot.sources import open_source
    from msrtui.stage.page import check
    from msrtui.stage.talk import open_talk
    from msrtui.stage.telling import Teller
    from msrtui.tui.permits import Permits

    usual = parser().parse_args([])
    if len(options.sources) > 1 or any(
        getattr(options, name) != getattr(usual, name)
        for name in ("qemu", "cpu", "machine", "irqchip", "pmu", "cpu_pm", "no_migratable", "step")
    ):
        raise BadRequest("A talk says itself what it is about: with --play only one SOURCE, or none.")
    talk = open_talk(options.play)
    instead = open_source(options.sources[0]) if options.sources else None
    permits = Permits(True, tuple(options.sources))
    teller = Teller(talk, instead, lambda host: permits.closed(host) is None)
    check(talk, teller)
    looks = [f"--theme={options.theme}", f"--glyphs={options.glyphs}"]
    return ["play", *looks, *map(no_option, (options.play, *options.sources))]


def _msrtui(words: list[str]) -> list[str]:
    """The command that runs this very msrtui with these words.

    ``-m`` would look into the current folder first, where anything may lie that is called like a module of ours.
    """
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120
    path = f"sys.path[:] = [*filter(None, sys.path), {root!r}]"
    return [sys.executable, "-c", f"import sys; {path}; from msrtui.cli.__main__ import main; sys.exit(main())", *words]


def _listen(address: str, port: int) -> socket.socket:
    """A socket that listens. Raises BadRequest where it cannot be had."""
    if not 0 <= port <= 65535:
        raise BadRequest("--port takes a number from 1 to 65535; without it a free one is taken.")
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):
        raise BadRequest(f"--address takes an address of this machine; there is none called {address!r}.") from None
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(place)
        listening.listen()
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise BadRequest(f"The port {port} is taken; without --port a free one is used.") from None
        if error.errno == errno.EADDRNOTAVAIL:
            raise BadRequest(f"{address!r} is no address of this machine; without --address it is {_LOCAL}.") from None
        raise BadRequest(f"The port {port} cannot be listened at: {error.strerror}.") from None
    return listening
