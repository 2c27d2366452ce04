"""The doctor's exit status and the shape of its answer."""

from __future__ import annotations

import errno
import json

import pytest
from contract_shapes import is_flag, is_text, is_text_or_null, keys

from msrtui.cli.__main__ import main
from msrtui.host import access
from msrtui.host.access import Circumstances, Node

NODE = Node(mode=0o020600, uid=0, gid=0, major=10, minor=232, owner="root", group="root", nodev=False)
USABLE = Circumstances("linux", "x86_64", node=NODE, api_version=12)
REFUSED = Circumstances("linux", "x86_64", node=NODE, open_errno=errno.EACCES, uid=1000, groups=frozenset({1000}))
ABSENT = Circumstances("linux", "x86_64", stat_errno=errno.ENOENT, cpu_flags=frozenset())


@pytest.mark.parametrize(
    ("seen", "situation", "status"),
    [(USABLE, "usable", 0), (REFUSED, "root-only", 1), (ABSENT, "no-node-no-virtualization", 1)],
)
def test_the_exit_status_is_the_diagnosis(
    seen: Circumstances,
    situation: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(access, "look", lambda: seen)
    assert main(["doctor", "--json"]) == status
    document = json.loads(capsys.readouterr().out)
    keys(
        document,
        *("usable", "situation", "sentence", "remedy", "device", "api_version", "machine", "kernel"),
        *("vendor_module", "modules", "parameters", "in_container"),
    )
    keys(document["device"], "path", "exists", "mode", "owner", "group", "major", "minor")
    is_flag(document["usable"])
    is_text(document["sentence"])
    is_text_or_null(document["remedy"])
    assert (document["situation"], document["usable"]) == (situation, status == 0)
    assert main(["doctor"]) == status
    out, err = capsys.readouterr()
    assert err == ""
    assert document["sentence"] in " ".join(out.split())
