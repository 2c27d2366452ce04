"""What KVM did not answer, in the app: at the thing itself, and once at the foot."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from errno import EIO
from pathlib import Path
from typing import NoReturn

import pyte
from in_a_pty import Pty
from injecting import disturbed

from msrtui.kvm.abi import Cap
from msrtui.kvm.live import LiveHost
from msrtui.kvm.recorded import RecordedHost
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.codec import decode, read_document
from msrtui.snapshot.sources import Source, open_source
from msrtui.tui.comparing import Comparing
from msrtui.tui.exploration import Exploration
from msrtui.tui.session import Subject
from msrtui.tui.view.detail import detail
from msrtui.tui.view.frame import Box
from msrtui.tui.view.picture import picture
from msrtui.values import replace

QEMU = QemuProfile("7.2")
EPYC = "amd-pvm-linux6.18"


def failing(root: Path, *, cap: int | None = None, member: str | None = None, msr: str | None = None) -> Source:
    """A captured host with EIO in the place of an answer."""
    document = read_document((root / "snapshots" / f"{EPYC}.json").read_bytes(), "this")
    if cap is not None:
        document["kvm"]["capabilities"]["answers"][str(cap)] = -EIO
    if member is not None:
        document["kvm"][member] = {"result": -1, "errno": EIO, "error": "EIO"}
    for row in document["kvm"]["feature_msrs"]:
        if row["index"] == msr:
            row.pop("value")
            row.update({"result": -1, "errno": EIO, "error": "EIO"})
    host = decode(document, "this")
    return replace(open_source(EPYC), answerer=RecordedHost(host.recording), document=document)


def told(exploration: Exploration, subject: Subject) -> str:
    exploration.look_at(subject)
    return " ".join(line.text.strip() for line in detail(exploration.session, Box(0, 0, 100, 200)))


def test_it_is_said_once_at_the_foot_and_the_next_move_puts_it_away(root: Path) -> None:
    exploration = Exploration(failing(root, member="msr_feature_index_list"), QEMU)
    notice = exploration.session.notice or ""
    assert notice.startswith("KVM did not answer KVM_GET_MSR_FEATURE_INDEX_LIST: EIO, Input/output error")
    assert notice.endswith("take that snapshot again.")
    exploration.look_at(("list", "index"))
    assert exploration.session.notice is None
    exploration.again()
    exploration.ends(1)
    assert exploration.session.notice == notice


def test_where_one_steps_it_is_said_at_the_step_that_failed(root: Path) -> None:
    exploration = Exploration(failing(root, cap=int(Cap.GET_MSR_FEATURES)), QEMU, at_start=True)
    while exploration.session.notice is None:
        exploration.step(1)
    assert exploration.event is not None
    assert exploration.event.reply is not None
    assert exploration.event.reply.errno == EIO
    assert "That says nothing of KVM" in told(exploration, ("event", exploration.event.n))


def test_a_host_that_answers_all_has_nothing_said_of_it() -> None:
    exploration = Exploration(open_source(EPYC), QEMU)
    assert exploration.session.notice is None
    assert not exploration.reader.failures


def test_a_capability_that_failed_is_not_told_as_one_that_is_not_there(root: Path) -> None:
    exploration = Exploration(failing(root, cap=int(Cap.GET_MSR_FEATURES)), QEMU)
    said = told(exploration, ("cap", int(Cap.GET_MSR_FEATURES)))
    assert "KVM did not answer: EIO, Input/output error" in said
    assert "the source does not say" not in said


def test_a_feature_list_that_failed_is_not_told_as_one_that_kvm_has_not(root: Path) -> None:
    exploration = Exploration(failing(root, member="msr_feature_index_list"), QEMU)
    said = told(exploration, ("list", "feature"))
    assert "KVM did not answer: EIO, Input/output error, so what it lists is not known" in said
    assert "this KVM has no feature MSRs" not in said
    word = told(exploration, ("word", "FEAT_ARCH_CAPABILITIES"))
    assert "KVM    not known" in word
    assert "not listed" not in word
    rows = " ".join(row.text for row in picture(exploration.session, 120, 40).lists["feature"][1])
    assert "KVM did not answer: EIO" in rows


def test_a_value_that_failed_is_told_at_its_msr(root: Path) -> None:
    exploration = Exploration(failing(root, msr="0xce"), QEMU)
    assert "KVM did not answer KVM_GET_MSRS for it: EIO" in told(exploration, ("msr", 0xCE))


def test_two_hosts_side_by_side_say_which_of_them_it_was(root: Path) -> None:
    source = replace(failing(root, member="msr_feature_index_list"), name="failed\x1b[0m.json")
    comparing = Comparing((open_source(EPYC), source), (QEMU, QEMU))
    notice = comparing.comparison.notice or ""
    assert notice.startswith("failed[0m.json: KVM did not answer KVM_GET_MSR_FEATURE_INDEX_LIST: EIO")
    comparing.change()
    comparing.migratable()
    assert comparing.comparison.notice is None


def test_on_a_live_kvm_it_is_on_the_screen_and_r_asks_again(
    live_kvm: LiveHost, need_tool: Callable[..., str], missing: Callable[[str], NoReturn], tmp_path: Path
) -> None:
    strace, log = need_tool("strace"), tmp_path / "log"
    if not disturbed(strace, ["lists", "live"]).calls:
        missing("strace may not trace here")
    fault = ["-e", "trace=ioctl", "-P", live_kvm.path, "-e", "inject=ioctl:error=EIO:when=12"]
    app = [sys.executable, "-m", "msrtui", "live", "--qemu", "7.2"]
    screen = pyte.Screen(100, 30)
    running = Pty([strace, "-f", "--seccomp-bpf", "-qq", *fault, "-o", str(log), *app], 100, 30)
    try:
        stream = pyte.ByteStream(screen)

        def until(condition: Callable[[str], bool]) -> str:
            while not condition(text := " ".join(" ".join(screen.display).split())):
                stream.feed(running.more(60).replace(b"\x1b[<u", b""))
            return text

        said = until(lambda text: "asks everything again." in text)
        (failed,) = [line for line in log.read_text().splitlines() if "(INJECTED)" in line]
        capability = failed.partition("KVM_CHECK_EXTENSION, ")[2].partition(")")[0]
        assert f"KVM did not answer KVM_CHECK_EXTENSION {capability}: EIO, Input/output error" in said
        running.press("r")
        until(lambda text: "Nothing is asked yet" in text)
        running.press(">")
        again = until(lambda text: re.search(r"FeatureWords \d+ of", text) is not None)
        assert "KVM did not answer" not in again
    finally:
        running.close()
