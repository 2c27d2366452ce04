"""The doctor's answer: one sentence, commands on lines of their own, and the facts for programs."""

from __future__ import annotations

import errno

from msrtui.host.access import Circumstances, Node, diagnose
from msrtui.host.facts import HostFacts
from msrtui.report.doctor import doctor_document, doctor_text

FACTS = HostFacts("6.12.0", "x86_64", ("kvm", "kvm_amd"), "kvm_amd", {"kvm_amd": {"nested": "1", "avic": "N"}}, None)
NODE = Node(mode=0o020660, uid=0, gid=109, major=10, minor=232, owner="root", group="kvm", nodev=False)
OUTSIDE = Circumstances("linux", "x86_64", node=NODE, open_errno=errno.EACCES, uid=1000, groups=frozenset({1000}))


def test_what_to_do_stands_on_lines_of_its_own() -> None:
    lines = doctor_text(OUTSIDE, diagnose(OUTSIDE), FACTS).splitlines()
    assert lines[0] == "/dev/kvm is root:kvm 0660 and you are not in kvm."
    assert "    sudo usermod -aG kvm $USER" in lines
    assert any("nested=1" in line for line in lines)


def test_programs_get_the_same_and_the_device() -> None:
    document = doctor_document(OUTSIDE, diagnose(OUTSIDE), FACTS)
    assert (document["usable"], document["situation"]) == (False, "not-in-group")
    assert document["device"] == {
        "path": "/dev/kvm",
        "exists": True,
        "mode": "0660",
        "owner": "root",
        "group": "kvm",
        "major": 10,
        "minor": 232,
    }
    assert document["parameters"]["kvm_amd"] == {"nested": "1", "avic": "N"}


def test_a_device_that_is_not_there_has_nulls() -> None:
    nothing = Circumstances("linux", "x86_64", stat_errno=errno.ENOENT, cpu_flags=frozenset({"svm"}))
    bare = HostFacts("6.12.0", "x86_64", (), None, {}, None)
    document = doctor_document(nothing, diagnose(nothing), bare)
    assert document["situation"] == "no-node-module-missing"
    assert document["device"]["exists"] is False
    assert document["device"]["mode"] is None
    assert "sudo modprobe kvm_amd" in doctor_text(nothing, diagnose(nothing), bare)
