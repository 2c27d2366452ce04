"""Hosts for captures over ssh: what runs at each, and a real sshd on the loopback that leads to them.

Which host it is goes over as a variable of the environment; there a forced command runs that host's script, which
runs what ssh was asked to run, more or less.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msrtui.snapshot.remote import RemoteOptions, capture_hosts

ASKED = '"$SSH_ORIGINAL_COMMAND"'
RUN = f"exec /bin/sh -c {ASKED}"
SHELLS = ("sh", "bash", "dash", "fish", "csh", "zsh")
ROOT = os.geteuid() == 0
NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups " if ROOT else ""

HOSTS = {
    "good": RUN,
    "noisy": f"echo Welcome; echo >&2 moved to Berlin; sh -c {ASKED}; echo Bye; head -c 300000 /dev/zero",
    "stays": f"sh -c {ASKED}; exec cat {{folder}}/hold",
    "counted": f"echo + >>{{folder}}/log; sh -c {ASKED}; echo - >>{{folder}}/log",
    "stub": f"PATH={{folder}}/stub; {RUN}",
    "bare": f"PATH={{folder}}/empty; {RUN}",
    "hangs": "exec cat {folder}/hold",
    "floods": "exec yes",
    "floods-errors": "exec yes >&2",
    "cut": f"sh -c {ASKED} | head -c 3000",
    "changed": f"sh -c {ASKED} | sed '3s/^..../AAAA/'",
    "big": f"sh -c {ASKED} | sed '3s/^..../AAAA/'; head -c 2000000 /dev/zero",
    "no-snapshot": """printf '{"format": "other"}' | {python} -I -c "{frame}" """,
    "huge": """printf '%3000000s' | {python} -I -c "{frame}" """,
    "refused": f'sed \'s#"/dev/kvm"#"{{folder}}/closed"#\' | {NOBODY}/bin/sh -c {ASKED}',
    "absent": f'sed \'s#"/dev/kvm"#"{{folder}}/no-such"#\' | /bin/sh -c {ASKED}',
    "escapes": r"printf '\033[31m\033]0;mine\007\342\200\256red\n' >&2; exit 3",
    "silent": "exec false",
    "nologin": "exec /usr/sbin/nologin",
    "deaf": f"exec /bin/sh -c {ASKED} >&-",
    "other": "echo Only sftp today, sorry",
    "long": "head -c 50000 /dev/zero | tr '\\0' x",
    **{f"shell-{shell}": f"exec {shell} -c {ASKED}" for shell in SHELLS},
}
"""What runs at each host."""

REASONS = {
    "bare": "There is no python3 there, 3.6 or later: install it",
    "cut": "What came back is cut or changed, its length or checksum is wrong: take it again.",
    "changed": "What came back is cut or changed, its length or checksum is wrong: take it again.",
    "big": "What came back is cut or changed, its length or checksum is wrong: take it again.",
    "no-snapshot": "What came back is JSON, but no",
    "huge": "What came back is over 2 MiB: that is no snapshot of a host.",
    "refused": "KVM may not be opened there (EACCES): try --sudo, or log in as a user who may open /dev/kvm.",
    "absent": "There is no KVM there (ENOENT: No such file or directory); --without-kvm saves what the machine says",
    "escapes": "No snapshot came back (exit status 3); its last words: [31m]0;minered",
    "silent": "It ended without a word (exit status 1), as an account does whose shell is /bin/false",
    "nologin": "That account may not run commands there (This account is currently not available): log in as another",
    "deaf": "The collector failed there (AttributeError: 'NoneType' object has no attribute 'write'): please report it",
    "other": "No snapshot came back (exit status 0); its last words: Only sftp today, sorry.",
    "long": f"No snapshot came back (exit status 0); its last words: {'x' * 120}.",
    "floods": "It says more and more, and no snapshot: see what its login prints (ssh -F {config} floods true).",
    "floods-errors": "It says more and more, and no snapshot: see what its login prints",
    # these do not get as far as a login
    "stranger": "You are not let in there ({user}@127.0.0.1: Permission denied (publickey)): log in once by hand",
    "unknown-key": "Its host key is not known here: log in once by hand (ssh -F {config} unknown-key), and compare it",
    "other-key": "Its host key is not the one that is known here: make sure why",
    "shut": "Nothing answers at its ssh port (ssh: connect to host 127.0.0.1 port {shut}: Connection refused): check",
    "mute": "It cannot be reached (Connection timed out during banner exchange): check that it is up",
    "nowhere": "Its name is not known here (ssh: Could not resolve hostname no..where: ",
    "-oProxyCommand=true": "-oProxyCommand=true is no host, it begins like an option: name it as",
}

SSH_CONFIG = """
Host unknown-key
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking ask
Host other-key
  UserKnownHostsFile {folder}/known_otherwise
Host stranger
  IdentityFile {folder}/stranger
Host shut
  Port {shut}
Host mute
  Port {mute}
  ConnectTimeout 1
Host nowhere
  HostName no..where
Host kept
  SetEnv KIND=good
  ControlMaster auto
  ControlPath {folder}/cm-%C
  ControlPersist yes
Host ::1
  HostName ::1
  SetEnv KIND=good
Host * !stranger
  IdentityFile {folder}/key
Host hangs floods floods-errors
  ProxyCommand {python} -I {folder}/relay.py
Host *
  HostName 127.0.0.1
  HostKeyAlias far
  Port {port}
  User {user}
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {folder}/known
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  CheckHostIP no
"""

SSHD_CONFIG = """
ListenAddress 127.0.0.1
ListenAddress ::1
HostKey {folder}/host
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 100
AcceptEnv KIND
ForceCommand /bin/sh {folder}/$KIND.sh
"""

# the way to a host that does not end by itself: it says which process group it is in, and nothing but SIGKILL
# ends it before its alarm does
RELAY = """
import os, signal, socket, threading
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
signal.alarm(300)
os.write(os.open({pipe!r}, os.O_WRONLY), b"%d\\n" % os.getpgrp())
line = socket.create_connection(("127.0.0.1", {port}))
def there():
    while data := os.read(0, 65536):
        line.sendall(data)
threading.Thread(target=there, daemon=True).start()
while True:
    data = line.recv(65536)
    if not data:
        signal.pause()
    while data:
        try:
            data = data[os.write(1, data):]
        except OSError:
            signal.pause()
"""

FRAME = "import sys; sys.path.insert(0, '{folder}'); import collector; "
FRAME += "print(collector.framed(sys.stdin.read().encode()))"


@dataclass(frozen=True)
class Far:
    """The hosts: where their files are, and what stands in sentences."""

    folder: Path
    port: int
    shut: int
    python: str

    @property
    def config(self) -> str:
        """The ssh configuration that leads to them."""
        return str(self.folder / "ssh_config")

    def fill(self, text: str) -> str:
        """``text`` with the names of this run."""
        user = pwd.getpwuid(os.geteuid()).pw_name
        return text.format(folder=self.folder, config=self.config, port=self.port, shut=self.shut, user=user)

    def options(self, **wanted: Any) -> RemoteOptions:
        """Over that configuration, and with a time limit beyond the test's own."""
        return RemoteOptions(**{"ssh_config": self.config, "timeout": 600.0, **wanted})

    def take(self, host: str, **wanted: Any) -> dict[str, Any]:
        """The document of a host that has one, with KVM or without."""
        (captured,) = capture_hosts([host], self.options(without_kvm=True, **wanted))
        assert captured.reason is None
        assert captured.document is not None
        return captured.document

    def reason(self, host: str, **wanted: Any) -> str:
        """Why there is no document of a host."""
        (captured,) = capture_hosts([host], self.options(**wanted))
        assert captured.document is None
        assert captured.reason is not None
        return captured.reason


@contextmanager
def running(sshd: str, keygen: str, python: str, collector: Path, folder: Path) -> Iterator[Far]:
    """The hosts while their sshd runs; ``python`` is theirs, ``folder`` is empty."""
    for name in ("key", "stranger", "host", "other"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    (folder / "known").write_text("far " + (folder / "host.pub").read_text())
    (folder / "known_otherwise").write_text("far " + (folder / "other.pub").read_text())
    (folder / "sshd_config").write_text(SSHD_CONFIG.format(folder=folder))
    (folder / "closed").touch(mode=0)
    (folder / "empty").mkdir()
    (folder / "stub").mkdir()
    (folder / "stub" / "python3").write_text("#!/bin/sh\necho No Python here; exit 127\n")
    (folder / "stub" / "python3").chmod(0o755)
    shutil.copy(collector, folder)
    for name in ("hold", "pipe"):
        os.mkfifo(folder / name)
    with socket.socket() as shut, socket.socket() as mute:
        shut.bind(("127.0.0.1", 0))
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        daemon, port = _start(sshd, folder)
        try:
            names = Far(folder, port, shut.getsockname()[1], python)
            _write(names, mute.getsockname()[1])
            yield names
        finally:
            daemon.terminate()
            daemon.wait()
            # not read to its end: the sshd of a login that is just over may hold it still
            if daemon.stderr is not None:
                daemon.stderr.close()
            # what hangs in there reads its end
            os.close(os.open(folder / "hold", os.O_RDWR | os.O_NONBLOCK))
            (folder / "hold").unlink()


def _start(path: str, folder: Path) -> tuple[subprocess.Popen[str], int]:
    """sshd on a port that was free a moment ago; if it is not any more, on another."""
    if ROOT:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    said = ""
    for _ in range(5):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        command = [path, "-D", "-e", "-f", str(folder / "sshd_config"), "-p", str(port)]
        daemon = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert daemon.stderr is not None
        for line in daemon.stderr:
            said += line
            if f"listening on 127.0.0.1 port {port}" in line:
                # nothing is to wait for a reader
                os.set_blocking(daemon.stderr.fileno(), False)
                return daemon, port
        daemon.communicate()
    raise AssertionError(said)


def _write(far: Far, mute: int) -> None:
    """The files in which the ports stand, and what runs at each host."""
    user = pwd.getpwuid(os.geteuid()).pw_name
    names = {"folder": far.folder, "port": far.port, "shut": far.shut, "user": user, "python": sys.executable}
    config = SSH_CONFIG.format(mute=mute, **names)
    kinds = "".join(f"Host {name}\n  SetEnv KIND={name}\n" for name in HOSTS)
    Path(far.config).write_text(kinds + config)
    (far.folder / "relay.py").write_text(RELAY.format(pipe=str(far.folder / "pipe"), port=far.port))
    frame = FRAME.format(folder=far.folder)
    for name, script in HOSTS.items():
        text = script.replace("{folder}", str(far.folder)).replace("{python}", far.python).replace("{frame}", frame)
        (far.folder / f"{name}.sh").write_text(text + "\n")
    (far.folder / "stub" / "python3.9").symlink_to(far.python)
