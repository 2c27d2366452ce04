"""The windows of a browser: what they may say, how large they are, how many there are, and how they end."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

pytest.importorskip("textual_serve")

import aiohttp
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from msrtui.tui.themes import THEMES, background
from msrtui.tui.web import server as serving
from msrtui.tui.web import window as windows
from msrtui.tui.web.server import Server
from msrtui.tui.web.visitors import Visitors, is_loopback, url, visitors
from msrtui.tui.web.window import size_of

ECHO = """
import os
os.write(1, b"a line before\\n__GANGLION__\\n")
while data := os.read(0, 65536):
    os.write(1, b"M" + (3).to_bytes(4, "big") + b"{x}" + b"D" + len(data).to_bytes(4, "big") + data)
"""
"""Speaks as a web driver does: gives back each packet that comes, and says things that are not to be handed on."""
DEAF = """
import os, time
os.write(1, b"__GANGLION__\\nD" + (11).to_bytes(4, "big") + b"is deaf now")
while True:
    time.sleep(1000)
"""
"""Hears nothing, not even that it is to end."""

Client = TestClient[Request, Application]


@asynccontextmanager
async def browser(code: str) -> AsyncIterator[tuple[Client, Server]]:
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    server = Server([sys.executable, "-c", code], Visitors(frozenset({"127.0.0.1"}), port), "#000000")
    async with TestClient(TestServer(server.application(), socket_factory=lambda *_: listening)) as client:
        yield client, server


async def window(client: Client) -> aiohttp.ClientWebSocketResponse:
    return await client.ws_connect("/ws?width=100&height=40", origin=f"http://127.0.0.1:{client.port}")


async def test_keys_sizes_and_the_focus_are_handed_on_and_only_what_is_drawn_comes_back() -> None:
    async with browser(ECHO) as (client, _):
        there = await window(client)
        for said, packet in (
            (["stdin", "<ü"], b"D\0\0\0\x03" + "<ü".encode()),
            (["focus"], b'M\0\0\0\x11{"type": "focus"}'),
            (["blur"], b'M\0\0\0\x10{"type": "blur"}'),
            (
                ["resize", {"width": 120, "height": 10**9}],
                b'M\0\0\0\x2f{"type": "resize", "width": 120, "height": 500}',
            ),
        ):
            await there.send_json(said)
            assert await there.receive_bytes() == packet
        await there.send_json(["ping", "1"])
        assert await there.receive_json() == ["pong", "1"]
        await there.close()


@pytest.mark.parametrize(
    "said",
    [
        "{",
        "1",
        "[]",
        '["stdin"]',
        '["stdin", 1]',
        '["resize", 80]',
        '["deliver_chunk_request", "x"]',
        '["quit"]',
        "[" * 5000,
    ],
)
async def test_a_window_that_says_what_no_page_of_ours_does_is_closed(said: str) -> None:
    async with browser(ECHO) as (client, _):
        there = await window(client)
        await there.send_str(said)
        assert (await there.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        await there.close()


async def test_bytes_are_no_message() -> None:
    async with browser(ECHO) as (client, _):
        there = await window(client)
        await there.send_bytes(b'["focus"]')
        assert (await there.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


async def test_a_window_whose_process_ends_is_closed() -> None:
    async with browser("import sys; sys.exit(2)") as (client, _):
        there = await window(client)
        assert (await there.receive()).type == aiohttp.WSMsgType.CLOSE
        await there.close()


async def test_a_process_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "_PATIENCE", 0.01)
    async with browser(DEAF) as (client, server):
        there = await window(client)
        assert await there.receive_bytes() == b"is deaf now"
        (one,) = server._windows.values()
        process = one._process
        assert process is not None
        await there.close()
        assert await process.wait() == -9


async def test_there_are_only_so_many_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MOST_WINDOWS", 1)
    async with browser(ECHO) as (client, server):
        one = await window(client)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await window(client)
        assert refused.value.status == 503
        await one.close()
        while server._windows:
            await asyncio.sleep(0)
        await (await window(client)).close()


@pytest.mark.parametrize(
    ("said", "size"),
    [
        (("120", "40"), (120, 40)),
        ((None, None), (80, 24)),
        (("wide", "-5"), (80, 1)),
        ((10**9, "9" * 5000), (1000, 24)),
        (([1], {"a": 1}), (80, 24)),
    ],
)
def test_a_windows_size_is_one_whatever_a_browser_says(said: tuple[object, object], size: tuple[int, int]) -> None:
    assert size_of(*said) == size


@pytest.mark.parametrize(
    ("address", "open_at", "own", "others"),
    [
        (
            "127.0.0.1",
            "http://127.0.0.1:81/",
            ["127.0.0.1:81", "localhost:81", "[::1]:81"],
            ["10.0.0.1:81", "127.0.0.1"],
        ),
        ("::1", "http://[::1]:81/", ["[::1]:81"], ["::1:81", "[::1]", "[::2]:81"]),
        ("::", "http://[::1]:81/", ["[fe80::1]:81", "10.0.0.1:81"], ["evil.example:81", "10.0.0.1:80"]),
        ("10.0.0.1", "http://10.0.0.1:81/", ["10.0.0.1:81"], ["10.0.0.2:81"]),
        ("Host.lan", "http://Host.lan:81/", ["host.lan:81", "HOST.LAN:81"], ["host:81", "host.lan.evil.example:81"]),
    ],
)
def test_a_server_knows_its_names(address: str, open_at: str, own: list[str], others: list[str]) -> None:
    who = visitors(address, 81)
    assert url(address, 81) == open_at
    assert all(who.known(host) for host in own)
    assert not any(who.known(host) for host in [*others, None, ""])


def test_on_port_80_a_browser_names_no_port() -> None:
    who = visitors("127.0.0.1", 80)
    assert all(who.known(host) for host in ("127.0.0.1", "127.0.0.1:80", "[::1]", "localhost"))
    assert who.refusal({"Host": "localhost", "Origin": "http://localhost"}, drives=True) is None


def test_only_this_machines_own_users_reach_a_loopback_address() -> None:
    assert all(is_loopback(address) for address in ("127.0.0.1", "127.9.9.9", "::1"))
    assert not any(is_loopback(address) for address in ("0.0.0.0", "::", "10.0.0.1", "fe80::1%eth0"))


def test_the_page_has_a_colour_for_every_theme() -> None:
    assert {theme.name: background(theme.name) for theme in THEMES} == {each.name: each.background for each in THEMES}
    assert background("ansi-light") == "#e0e0e0"
    assert background("textual-dark") == "#121212"
