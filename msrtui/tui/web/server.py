"""The server: one page with what it needs, and a websocket for each window. It asks elsewhere for nothing.

textual-serve gives the script that draws in the page (xterm.js) and the way it speaks with the app; the page is ours,
for theirs fetches a font from elsewhere and wants a click before it hears keys.
"""

from __future__ import annotations

import asyncio
import html
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import textual_serve
from aiohttp import WSMsgType, web
from aiohttp.typedefs import Handler, Middleware

from msrtui.resources import package_file, read
from msrtui.tui.web.visitors import Visitors
from msrtui.tui.web.window import Window, size_of

MOST_WINDOWS = 16
"""Each is a process of some 60 MB."""

_THEIRS = Path(textual_serve.__file__).parent / "static"
_FILES = {
    "/page.css": (Path(package_file("tui/web/page.css")), "text/css"),
    "/page.js": (Path(package_file("tui/web/page.js")), "text/javascript"),
    "/xterm.css": (_THEIRS / "css" / "xterm.css", "text/css"),
    "/textual.js": (_THEIRS / "js" / "textual.js", "text/javascript"),
    "/mono.ttf": (_THEIRS / "fonts" / "RobotoMono-VariableFont_wght.ttf", "font/ttf"),
}
"""By path; the kind is said here, for what this system calls them may be anything."""
_HEADERS = {
    # the browser itself sees to it that the page fetches from here alone, runs only these scripts, and is in no frame
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "font-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Server:
    """Runs ``command`` (a program and its arguments) for each window of those who may come.

    ``background`` is the page's colour, as CSS has it, where no cell is.
    """

    def __init__(self, command: Sequence[str], visitors: Visitors, background: str) -> None:
        self._command = tuple(command)
        self._visitors = visitors
        page = read(package_file("tui/web/page.html")).decode()
        self._page = page.replace("BACKGROUND", html.escape(background))
        self._windows: dict[web.WebSocketResponse, Window] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def application(self) -> web.Application:
        """What aiohttp serves."""
        made = web.Application(middlewares=[self._guarded()])
        made.router.add_get("/", self._index)
        made.router.add_get("/ws", self._websocket)
        for path in _FILES:
            made.router.add_get(path, self._file)
        made.on_response_prepare.append(self._prepared)
        made.on_shutdown.append(self._end_windows)
        return made

    def _guarded(self) -> Middleware:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            refused = self._visitors.refusal(request.headers, drives=request.path == "/ws")
            if refused is not None:
                raise web.HTTPForbidden(text=f"{refused}\n")
            return await handler(request)

        return guard

    async def _prepared(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(_HEADERS)

    async def _index(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=self._page, content_type="text/html")

    async def _file(self, request: web.Request) -> web.StreamResponse:
        path, kind = _FILES[request.path]
        return web.FileResponse(path, headers={"Content-Type": kind})

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        """One window, from the first key to the last."""
        if len(self._windows) >= MOST_WINDOWS:
            raise web.HTTPServiceUnavailable(text=f"{MOST_WINDOWS} windows are open already: close one.\n")
        websocket = web.WebSocketResponse(timeout=1, heartbeat=15)
        window = Window(
            self._command, write_bytes=websocket.send_bytes, write_str=websocket.send_str, close=websocket.close
        )
        self._windows[websocket] = window
        try:
            await websocket.prepare(request)
            await window.start(*size_of(request.query.get("width"), request.query.get("height")))
            async for message in websocket:
                if message.type != WSMsgType.TEXT or not await _hand_on(message, websocket, window):
                    break
        finally:
            # to its end, also where aiohttp cancels who serves a browser that is gone
            await asyncio.shield(self._end(websocket))
        return websocket

    def _end(self, websocket: web.WebSocketResponse) -> asyncio.Task[None]:
        async def end() -> None:
            try:
                await self._windows[websocket].stop()
            finally:
                del self._windows[websocket]
                self._ending.discard(ending)

        ending = asyncio.create_task(end())
        self._ending.add(ending)
        return ending

    async def _end_windows(self, application: web.Application) -> None:
        await asyncio.gather(*(window.stop() for window in list(self._windows.values())))


async def _hand_on(message: object, websocket: web.WebSocketResponse, window: Window) -> bool:
    """Hand a browser's message on to its window; False for one that no page of ours sends."""
    try:
        said = message.json()  # type: ignore[attr-defined]
    except (ValueError, RecursionError):
        return False
    match said:
        case ["stdin", str(keys)]:
            return await window.send_bytes(keys.encode("utf-8", "replace"))
        case ["resize", {"width": width, "height": height}]:
            await window.set_terminal_size(width, height)
        case ["ping", str(stamp)]:
            await websocket.send_json(["pong", stamp[:40]])
        case ["focus"]:
            await window.focus()
        case ["blur"]:
            await window.blur()
        case _:
            return False
    return True


def serve(server: Server, listening: socket.socket, started: Callable[[], None]) -> int:
    """Serve until Ctrl+C or a signal that ends; returns the exit status. ``started`` is called once all can come."""
    return asyncio.run(_serve(server, listening, started))


async def _serve(server: Server, listening: socket.socket, started: Callable[[], None]) -> int:
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def told(status: int) -> None:
        if not ended.done():
            ended.set_result(status)

    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGHUP, 0)):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            with suppress(NotImplementedError):
                asyncio.get_running_loop().add_signal_handler(number, told, status)
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        started()
        return await ended
    finally:
        await runner.cleanup()
