"""Whatever the circumstances, hostile names included, the decision is one printable line and a known situation."""

from __future__ import annotations

import errno
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from msrtui.host.access import Circumstances, Node, Situation, diagnose

FLAGS = st.none() | st.frozensets(st.sampled_from(["svm", "vmx", "hypervisor"]))
NUMBERS = st.none() | st.sampled_from(sorted(errno.errorcode))
IDS = st.sampled_from([0, 108, 1000, 65534])
NODES = st.builds(
    Node,
    mode=st.integers(0, 0o177777),
    uid=IDS,
    gid=IDS,
    major=st.integers(0, 300),
    minor=st.integers(0, 300),
    owner=st.none() | st.text(),
    group=st.none() | st.text(),
    nodev=st.none() | st.booleans(),
)


@given(
    st.builds(
        Circumstances,
        system=st.sampled_from(["linux", "linux", "darwin", "win32", "freebsd14"]),
        machine=st.sampled_from(["x86_64", "i686", "aarch64"]),
        path=st.just("/dev/kvm") | st.text(),
        node=st.none() | NODES,
        stat_errno=NUMBERS,
        open_errno=NUMBERS,
        ioctl_errno=NUMBERS,
        api_version=st.none() | st.integers(-1, 13),
        uid=IDS,
        groups=st.frozensets(IDS),
        listed_groups=st.frozensets(IDS),
        cpu_flags=FLAGS,
        kvm_modules=st.lists(st.sampled_from(["kvm", "kvm_amd", "kvm_intel", "kvmgt"])).map(tuple),
        in_container=st.booleans(),
        in_tmux=st.booleans(),
    )
)
def test_whatever_the_circumstances_there_is_one_line_and_a_known_situation(c: Circumstances) -> None:
    found = diagnose(c)
    assert found.situation in get_args(Situation)
    assert found.usable == (found.situation == "usable")
    assert found.sentence.endswith(".")
    assert found.text.isprintable()
    assert found.usable or found.remedy or found.situation in ("other", "no-kvm-behind-node")
