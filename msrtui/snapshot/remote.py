"""Snapshots of other hosts over ssh, with nothing installed there: the collector goes in, a framed snapshot comes out.

It is the user's own OpenSSH that runs, with his configuration, agents, jump hosts and master connections. What it runs
over there is one of four constant lines; no text of the user's or of the host's reaches a shell. What comes back is
not trusted: it is decoded as strictly as any file, and of what the host says only plain characters get into a sentence.

Must not know: where snapshots are kept, or what is in one.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from errno import EACCES, EPERM
from typing import TYPE_CHECKING, Any

from msrtui.errors import BadRequest, BadSource
from msrtui.kvm.abi import errno_name, errno_text
from msrtui.kvm.collector import plain
from msrtui.resources import package_file, read
from msrtui.snapshot import codec
from msrtui.snapshot.destination import by_hand, check_host, destination
from msrtui.snapshot.files import SIZE_LIMIT
from msrtui.values import dataclass

if TYPE_CHECKING:
    from msrtui.snapshot.guard import Guard
    from msrtui.snapshot.ssh import Heard


@dataclass(frozen=True)
class RemoteOptions:
    """How hosts are captured.

    ``sudo``: ask as root, by ``sudo -n``. ``keep_name``: the host's name as it is, not a hash. ``timeout``: seconds for
    each host. ``jobs``: hosts at once. ``ssh_config``: a file for ``ssh -F``. ``without_kvm``: a host whose KVM cannot
    be opened is no failure.
    """

    sudo: bool = False
    keep_name: bool = False
    timeout: float = 60.0
    jobs: int = 16
    ssh_config: str | None = None
    without_kvm: bool = False


@dataclass(frozen=True)
class Captured:
    """What came of one host: a ``document`` of the snapshot format, or the ``reason`` why there is none, a sentence.

    ``host`` is as the user gave it, safe to show; ``seconds`` is how long it took.
    """

    host: str
    document: dict[str, Any] | None
    reason: str | None
    seconds: float


# --- what runs there -----------------------------------------------------------------------------------------------
NO_PYTHON = "msrtui: no Python 3.6 or later"
"""What the line below says on standard error, with exit status 127, where it finds none."""

_PYTHONS = "python3 /usr/libexec/platform-python " + " ".join(f"python3.{minor}" for minor in range(14, 5, -1))
# One line, no single quote, backslash or exclamation mark inside: then sh, csh, fish and zsh read it alike. Each Python
# is tried before it gets the program, so that a stub or one that is too old does not swallow it.
_LINE = (
    "exec /bin/sh -c '"
    "LC_ALL=C; export LC_ALL; "
    f"for p in {_PYTHONS}; do "
    '"$p" -I -S -c "import sys; sys.exit(sys.version_info < (3, 6))" </dev/null >/dev/null 2>&1 && '
    'exec %s"$p" -I -%s; '
    "done; "
    f'echo "{NO_PYTHON}" >&2; exit 127'
    "'"
)


def remote_command(options: RemoteOptions) -> str:
    """The line that the login shell of a host is given: one of four constants."""
    return _LINE % ("sudo -n " if options.sudo else "", " --name" if options.keep_name else "")


def capture_hosts(
    hosts: Sequence[str], options: RemoteOptions, done: Callable[[Captured], None] = lambda _: None
) -> list[Captured]:
    """A snapshot of each host, in the order given; ``done`` is called as each one ends. A host that fails costs itself.

    Runs an event loop of its own, so not within one. Ctrl+C (KeyboardInterrupt) ends every ssh and is passed on, as is
    what the process's own handlers of SIGTERM and SIGHUP raise.
    """
    import asyncio

    from msrtui.snapshot.unwinding import held_back

    with held_back() as cancel_when_told:

        async def every() -> list[Captured]:
            cancel_when_told()
            return await _all(hosts, options, done)

        capturing = every()
        try:
            return asyncio.run(capturing)
        finally:
            capturing.close()  # Ctrl+C may come before it has begun, and Python would print a warning


async def _all(hosts: Sequence[str], options: RemoteOptions, done: Callable[[Captured], None]) -> list[Captured]:
    import asyncio
    import time

    from msrtui.snapshot.guard import Guard

    program = read(package_file("kvm/collector.py"))
    gate = asyncio.Semaphore(max(1, options.jobs))

    async def one(host: str, guard: Guard) -> Captured:
        async with gate:
            began = time.monotonic()
            document, reason = None, None
            try:
                document = await _document(check_host(host), options, program, guard)
            except (_Failed, BadRequest, BadSource) as failed:
                reason = str(failed)
            captured = Captured(plain(host), document, reason, time.monotonic() - began)
        done(captured)
        return captured

    with Guard() as guard:
        return list(await asyncio.gather(*(one(host, guard) for host in hosts)))


class _Failed(Exception):
    """Why there is no snapshot of a host, as a sentence."""


async def _document(host: str, options: RemoteOptions, program: bytes, guard: Guard) -> dict[str, Any]:
    """Raises _Failed, BadSource."""
    from msrtui.snapshot import ssh

    path = shutil.which("ssh")
    if path is None:
        raise _Failed("There is no ssh on this machine: install OpenSSH's client.")
    config = () if options.ssh_config is None else ("-F", options.ssh_config)
    # without a terminal, and never asking for a password: nobody would see the question
    port, name = destination(host)
    arguments = (path, "-T", "-o", "BatchMode=yes", *config, *port, "--", name, remote_command(options))
    try:
        heard = await ssh.run(arguments, program, options.timeout, guard)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "its arguments hold a zero byte"
        raise _Failed(f"ssh cannot be started here ({why}): with fewer --jobs it may.") from None
    if heard.snapshot is None:
        raise _Failed(_why_not(heard, host, options))
    return _checked(heard.snapshot, options)


def _checked(data: bytes, options: RemoteOptions) -> dict[str, Any]:
    """The document, if it is one and KVM could be opened. Raises _Failed, BadSource."""
    if len(data) > SIZE_LIMIT:
        raise _Failed(f"What came back is over {SIZE_LIMIT >> 20} MiB: that is no snapshot of a host.")
    document = codec.read_document(data, "What came back")
    number = codec.decode(document, "What came back").recording.open_errno
    if number is None or options.without_kvm:
        return document
    name = errno_name(number)
    if number in (EACCES, EPERM) and not options.sudo:
        raise _Failed(f"KVM may not be opened there ({name}): try --sudo, or log in as a user who may open /dev/kvm.")
    if number in (EACCES, EPERM):
        raise _Failed(
            f"KVM may not be opened there, not even as root ({name}): a container or a security module forbids it; "
            "--without-kvm saves what the machine says all the same."
        )
    raise _Failed(
        f"There is no KVM there ({name}: {errno_text(number)}); --without-kvm saves what the machine says all the same."
    )


# --- why there is none ---------------------------------------------------------------------------------------------
SHOWN = 120
"""Characters of a host's own words that a sentence shows."""

# with exit status 255 ssh itself failed; what it says, and what is to be done. {line} is its own, {hand} a command
_SSH_SAYS = (
    (
        r".*REMOTE HOST IDENTIFICATION HAS CHANGED",
        "Its host key is not the one that is known here: make sure why; if it is right, remove the old one with "
        "ssh-keygen -R, and log in once by hand ({hand}).",
    ),
    (
        r"Host key verification failed",
        "Its host key is not known here: log in once by hand ({hand}), and compare it as ssh asks.",
    ),
    (
        r"(\S+: )?Permission denied \(|.*Too many authentication failures",
        "You are not let in there ({line}): log in once by hand ({hand}), and set up a key that needs no password.",
    ),
    (
        r"ssh: Could not resolve hostname",
        "Its name is not known here ({line}): check the spelling, or give it a HostName in your ssh config.",
    ),
    (
        r".*Connection refused$",
        "Nothing answers at its ssh port ({line}): check that sshd runs there, and the port.",
    ),
    (
        r".*(Connection|Operation) timed out|.*No route to host$|.*Network is unreachable$",
        "It cannot be reached ({line}): check that it is up, and that no firewall stands between.",
    ),
)
# otherwise the far side failed
_SUDO_SAYS = (
    (
        r"sudo(-rs)?: .*(password is required|authentication is required|terminal is required|must have a tty)",
        "sudo wants a password there: allow  python3 -I -{name}  in sudoers with NOPASSWD, or log in as root.",
    ),
    (
        r".*(not in the sudoers file|may not run sudo|not allowed to (execute|run))",
        "You may not use sudo there ({line}): allow  python3 -I -{name}  in sudoers with NOPASSWD, or log in as root.",
    ),
    (r".*\bsudo: (command )?not found$", "There is no sudo there: log in as root, without --sudo."),
    (r"sudo: \S+: command not found$", "root's sudo finds no python3 there ({line}): install one in /usr/bin."),
)
_ACCOUNT_SAYS = (
    (
        r".*account is (currently )?not available|.*allows sftp connections only",
        "That account may not run commands there ({line}): log in as another user (user@host).",
    ),
)
_PYTHON_SAYS = (
    (
        r'Traceback \(most recent call last\)|File "<stdin>", line',
        "The collector failed there ({last}): please report it, with the version of its python3.",
    ),
)
_Says = tuple[tuple[str, str], ...]
# what ssh says beside the matter
_NO_NEWS = ("Warning: Permanently added ", "** ")


def _why_not(heard: Heard, host: str, options: RemoteOptions) -> str:
    """The sentence for a run of ssh that gave no snapshot."""
    config = "" if options.ssh_config is None else f"-F {plain(options.ssh_config)} "
    hand = f"ssh {config}{plain(by_hand(host))}"
    if heard.late:
        return f"It did not answer within {options.timeout:g} s; --timeout gives it longer."
    if heard.too_much:
        return f"It says more and more, and no snapshot: see what its login prints ({hand} true)."
    if heard.cut:
        return "What came back is cut or changed, its length or checksum is wrong: take it again."
    errors, output = _lines(heard.errors), _lines(heard.output)
    status = heard.status or 0
    if status < 0:
        return f"ssh was ended here by signal {-status}: take it again."
    if status == 255:
        return _first_match(_SSH_SAYS, errors, hand, options) or (
            f"ssh failed ({_shown(errors)}): log in by hand ({hand}) to see more."
        )
    if status == 127 and NO_PYTHON in errors:
        return "There is no python3 there, 3.6 or later: install it, or name it in the PATH of that login."
    sentence = (
        _first_match(_SUDO_SAYS if options.sudo else (), errors, hand, options)
        or _first_match(_PYTHON_SAYS, errors, hand, options)
        or _first_match(_ACCOUNT_SAYS, [*output, *errors], hand, options)
    )
    if sentence:
        return sentence
    if not errors and not output:
        return (
            f"It ended without a word (exit status {status}), as an account does whose shell is /bin/false: "
            f"see whether it runs commands ({hand} uptime)."
        )
    words = errors or output if status else output or errors
    return f"No snapshot came back (exit status {status}); its last words: {_shown(words)}."


def _first_match(says: _Says, lines: Sequence[str], hand: str, options: RemoteOptions) -> str | None:
    for pattern, sentence in says:
        for line in lines:
            if re.match(pattern, line):
                name = " --name" if options.keep_name else ""
                return sentence.format(line=_shown([line]), last=_shown(lines), hand=hand, name=name)
    return None


def _lines(data: bytes) -> list[str]:
    """The lines that say something, safe to show."""
    lines = (plain(line, 1000) for line in data.decode("utf-8", "replace").splitlines())
    return [line for line in lines if line and not line.startswith(_NO_NEWS)]


def _shown(lines: Sequence[str]) -> str:
    return plain(lines[-1], SHOWN).rstrip(".") if lines else "it said nothing"
