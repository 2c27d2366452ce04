"""Which host is meant, and how ssh is told: what a user wrote is checked, and handed on as it is.

An IPv6 address in brackets is the exception. OpenSSH looks up ``[::1]`` as a name, and some versions (9.2) refuse it in
an ssh:// too; so it is told the address without brackets, and the port as an option.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from urllib.parse import unquote

from msrtui.errors import BadRequest
from msrtui.kvm.collector import plain

_HOW_TO_NAME = "name it as host, user@host or ssh://user@host:port"
_PORT = r"(?::0*([1-9][0-9]{0,4}))?"
_URI = re.compile(rf"ssh://(?:([^@/]+)@)?([^@/:\[\]]+){_PORT}/?")
_BRACKETS = re.compile(rf"ssh://(?:([^@/]+)@)?\[([^\[\]@/]+)\]{_PORT}/?")
# what OpenSSH itself refuses since 9.6: a ProxyCommand or Match exec of the user's hands %h and %r to a shell
_NOT_IN_A_HOST = frozenset("'`\"$\\;&<>|(){}")
_NOT_IN_A_USER = frozenset("'`\";&<>|(){}")


def check_host(text: str) -> str:
    """``text`` if ssh can be told it: host, user@host, ssh://[user@]host[:port], with IPv6 addresses in brackets.

    Raises BadRequest for what is empty, what could be taken for an option, and what holds blanks, control characters
    or a shell's special characters.
    """
    if not text:
        raise BadRequest(f"A host without a name: {_HOW_TO_NAME}.")
    if not text.isprintable() or " " in text:
        raise BadRequest(f"{plain(text) or 'That'} is no host, it holds blanks or control characters: {_HOW_TO_NAME}.")
    user, host, _ = _parts(text)
    if not host or user == "":
        raise BadRequest(f"{plain(text)} is no host, a part of it is empty: {_HOW_TO_NAME}.")
    if host.startswith("-") or (user or "").startswith("-"):
        raise BadRequest(f"{plain(text)} is no host, it begins like an option: {_HOW_TO_NAME}.")
    if _NOT_IN_A_HOST.intersection(host) or (user and (_NOT_IN_A_USER.intersection(user) or not user.isprintable())):
        raise BadRequest(f"{plain(text)} is no host, it holds characters that a shell would act on: {_HOW_TO_NAME}.")
    return text


def _parts(text: str) -> tuple[str | None, str, str | None]:
    """User, host and port, as OpenSSH reads them; an address in brackets without these. Raises BadRequest."""
    if not text.startswith("ssh://"):
        name, at, host = text.rpartition("@")
        return (name if at else None), _address(host) or host, None
    found = _URI.fullmatch(text) or _BRACKETS.fullmatch(text)
    # a name may stand in brackets there as well, and OpenSSH knows it
    if found is None or (":" in found[2] and _address(f"[{found[2]}]") is None):
        raise BadRequest(
            f"{plain(text)} is no host of the form ssh://user@host:port; an IPv6 address stands in brackets, as in "
            "ssh://[::1]:22."
        )
    user = None if found[1] is None else unquote(found[1])
    return user, _address(f"[{found[2]}]") or found[2], found[3]


def _address(host: str) -> str | None:
    """The IPv6 address that stands in brackets, with its zone; None where that is none."""
    if not (host.startswith("[") and host.endswith("]")):
        return None
    address, _, zone = host[1:-1].replace("%25", "%").partition("%")  # a URI may spell the zone's sign so
    try:
        IPv6Address(address)
    except ValueError:
        return None
    return f"{address}%{zone}" if zone else address


def destination(text: str) -> tuple[tuple[str, ...], str]:
    """What ssh is told of a host that was checked: options, and the destination."""
    user, host, port = _parts(text)
    if ":" not in host or "[" not in text:
        return (), text
    return (() if port is None else ("-p", port)), host if user is None else f"{user}@{host}"


def by_hand(text: str) -> str:
    """The same as a user types it behind ``ssh``."""
    options, host = destination(text)
    return " ".join((*options, host))
