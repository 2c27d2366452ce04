"""Whose requests are answered: of pages that this server gave out itself, under a name that is its own.

Any page that the user has open can make the browser connect to 127.0.0.1, and a name of its owner's can be made to
point there. The browser tells both: the name in ``Host``, the page in ``Origin``. Neither can be forged by a page.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping

from msrtui.values import dataclass

_LOCAL = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class Visitors:
    """``names``: what this server is called, as a URL has it, without the port. ``anywhere``: by any address too,
    where it listens on all of them; an address cannot be made to point elsewhere, as a name can.
    """

    names: frozenset[str]
    port: int
    anywhere: bool = False

    def known(self, host: str | None) -> bool:
        """Whether a Host header names this server."""
        name, _, port = (host or "").lower().rpartition(":")
        if not name or port.endswith("]"):  # no port: that is 80
            name, port = (host or "").lower(), "80"
        if port != str(self.port):
            return False
        return name in self.names or (self.anywhere and _is_address(name))

    def refusal(self, headers: Mapping[str, str], *, drives: bool) -> str | None:
        """Why a request is not answered, in a sentence; ``drives``: it would have the app's keys."""
        host, origin = headers.get("Host"), headers.get("Origin")
        if not self.known(host):
            return f"This msrtui is not called so; open it by the address that it printed, with the port {self.port}."
        if (drives or origin is not None) and (origin or "").lower() != f"http://{(host or '').lower()}":
            return "Only the page of this msrtui may use it."
        return None


def visitors(address: str, port: int) -> Visitors:
    """Who may come to a server that listens at ``address`` (as it was given, a name or a number) and ``port``."""
    own = {*_LOCAL, f"[{address.lower()}]" if ":" in address else address.lower()}
    anywhere = address in ("0.0.0.0", "::")
    if anywhere:
        own.add(socket.gethostname().lower())
    return Visitors(frozenset(own), port, anywhere)


def url(address: str, port: int) -> str:
    """The address to open in a browser on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def is_loopback(address: str) -> bool:
    """Whether only this machine's own users reach a socket at an address, given as a number."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
