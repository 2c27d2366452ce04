"""The decision alone: each known situation's texts, and each errno, from circumstances by hand."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from msrtui.host import access
from msrtui.host.access import Circumstances, Diagnosis, Node, Situation, diagnose, open_error_sentence
from msrtui.values import replace

KVM_GROUP = 108
NODE = Node(
    mode=stat.S_IFCHR | 0o660,
    uid=0,
    gid=KVM_GROUP,
    major=10,
    minor=232,
    owner="root",
    group="kvm",
    nodev=False,
)
USABLE = Circumstances(
    system="linux",
    machine="x86_64",
    node=NODE,
    api_version=12,
    uid=1000,
    groups=frozenset({1000, KVM_GROUP}),
    kvm_modules=("kvm", "kvm_amd"),
)
REFUSED = replace(
    USABLE,
    api_version=None,
    open_errno=errno.EACCES,
    groups=frozenset({1000}),
    user="alice",
    listed_groups=frozenset({1000}),
)
NO_NODE = replace(
    USABLE, node=None, api_version=None, stat_errno=errno.ENOENT, kvm_modules=("kvm",), cpu_flags=frozenset()
)
DRIVERLESS = replace(
    USABLE, api_version=None, open_errno=errno.ENODEV, kvm_modules=("kvm",), cpu_flags=frozenset({"svm"})
)


def refused(node: Node, **changes: object) -> Circumstances:
    return replace(REFUSED, node=node, **changes)  # type: ignore[arg-type]


def opening(number: int) -> Circumstances:
    return replace(USABLE, api_version=None, open_errno=number)


def test_a_kvm_that_answers_12_is_usable_and_needs_no_remedy() -> None:
    assert diagnose(USABLE) == Diagnosis(True, "usable", "/dev/kvm can be used by you (KVM API 12).", None)


WEATHER: list[tuple[Circumstances, Situation, str, str | None]] = [
    (
        REFUSED,
        "not-in-group",
        "/dev/kvm is root:kvm 0660 and you are not in kvm.",
        "sudo usermod -aG kvm $USER   then log in again",
    ),
    (
        replace(REFUSED, listed_groups=frozenset({1000, KVM_GROUP})),
        "login-older-than-group",
        "You are in group kvm, but this login is older than that.",
        "newgrp kvm   or log in again (in tmux: tmux kill-server first)",
    ),
    (
        refused(replace(NODE, mode=stat.S_IFCHR | 0o600, gid=0, group="root")),
        "root-only",
        "/dev/kvm belongs to root alone (0600).",
        "sudo msrtui capture -o - | msrtui -   looks without changing anything; for good: the udev rule of "
        'your distribution is not active here (KERNEL=="kvm", GROUP="kvm", MODE="0660")',
    ),
    (
        refused(replace(NODE, uid=65534, gid=65534, owner="nobody", group=None)),
        "unmapped-group",
        "/dev/kvm has a group that this container does not map.",
        "podman run --group-add keep-groups --device /dev/kvm …",
    ),
    (
        replace(opening(errno.EPERM), in_container=True),
        "device-cgroup",
        "/dev/kvm is refused by the container's device rules (EPERM).",
        "docker run --device /dev/kvm …",
    ),
    (
        replace(NO_NODE, cpu_flags=frozenset({"svm"})),
        "no-node-module-missing",
        "There is no /dev/kvm, but this CPU has svm: the module is not loaded.",
        "sudo modprobe kvm_amd",
    ),
    (
        replace(NO_NODE, cpu_flags=frozenset({"vmx", "hypervisor"})),
        "no-node-module-missing",
        "There is no /dev/kvm, but this CPU has vmx: the module is not loaded.",
        "sudo modprobe kvm_intel",
    ),
    (
        replace(NO_NODE, cpu_flags=frozenset({"hypervisor"})),
        "no-node-no-virtualization",
        "There is no /dev/kvm and this CPU shows neither vmx nor svm: a VM without nested virtualization, or "
        "switched off in the firmware.",
        "this is a VM: its host must give it nested virtualization (nested=1 there, and -cpu host)",
    ),
    (
        NO_NODE,
        "no-node-no-virtualization",
        "There is no /dev/kvm and this CPU shows neither vmx nor svm: a VM without nested virtualization, or "
        "switched off in the firmware.",
        "switch it on in the firmware (Intel: VT-x, AMD: SVM)",
    ),
    (
        Circumstances(system="linux", machine="aarch64"),
        "not-x86",
        "Not an x86 machine: nothing to ask here.",
        "Showing a saved host; msrtui HOSTFILE opens yours.",
    ),
    (
        Circumstances(system="darwin", machine="arm64"),
        "not-linux",
        "KVM is part of Linux and this is macOS: nothing to ask here.",
        "Showing a saved host; msrtui HOSTFILE opens yours.",
    ),
]


@pytest.mark.parametrize(
    ("circumstances", "situation", "sentence", "remedy"),
    WEATHER,
    ids=[f"{n}-{row[1]}" for n, row in enumerate(WEATHER)],
)
def test_each_weather_has_its_sentence_and_its_remedy(
    circumstances: Circumstances, situation: str, sentence: str, remedy: str | None
) -> None:
    assert diagnose(circumstances) == Diagnosis(False, situation, sentence, remedy)  # type: ignore[arg-type]


@pytest.mark.parametrize(("flag", "module"), [("svm", "kvm_amd"), ("vmx", "kvm_intel")])
@pytest.mark.parametrize("number", [errno.ENODEV, errno.ENXIO])
def test_a_node_without_a_driver_names_the_module_of_this_cpu(number: int, flag: str, module: str) -> None:
    found = diagnose(replace(DRIVERLESS, open_errno=number, cpu_flags=frozenset({flag})))
    name = errno.errorcode[number]
    assert found.situation == "no-driver"
    assert found.sentence == (f"/dev/kvm is there, but no driver is behind it ({name}): the module is not loaded.")
    assert found.remedy == f"sudo modprobe {module}"


def test_a_node_without_a_driver_on_a_cpu_without_virtualization_does_not_say_modprobe() -> None:
    found = diagnose(replace(DRIVERLESS, cpu_flags=frozenset({"hypervisor"})))
    assert found.situation == "no-driver"
    assert "neither vmx nor svm" in found.sentence
    assert found.remedy is not None
    assert "modprobe" not in found.remedy


def test_a_node_without_a_driver_and_unknown_flags_offers_both_modules() -> None:
    found = diagnose(replace(DRIVERLESS, cpu_flags=None))
    assert found.remedy == "sudo modprobe kvm_intel   or   sudo modprobe kvm_amd"


def test_a_built_in_module_that_did_not_start_is_not_to_be_loaded_again() -> None:
    found = diagnose(replace(DRIVERLESS, kvm_modules=("kvm", "kvm_amd")))
    assert found.sentence.endswith("(ENODEV): kvm_amd did not start.")
    assert found.remedy == "sudo dmesg | grep -i kvm   says why"


def test_a_node_of_another_number_is_said_to_be_one() -> None:
    found = diagnose(replace(DRIVERLESS, node=replace(NODE, minor=251)))
    assert found.situation == "no-driver"
    assert found.remedy is not None
    assert "10:251, KVM is 10:232" in found.remedy


def test_a_loaded_module_without_a_node_is_not_called_missing() -> None:
    hidden = replace(NO_NODE, cpu_flags=frozenset({"svm"}), kvm_modules=("kvm", "kvm_amd"))
    bare, inside = diagnose(hidden), diagnose(replace(hidden, in_container=True))
    assert bare.situation == inside.situation == "no-node-module-loaded"
    assert bare.sentence == "There is no /dev/kvm, but kvm_amd is loaded: the node is missing here."
    assert bare.remedy == "sudo mknod -m 660 /dev/kvm c 10 232 && sudo chgrp kvm /dev/kvm"
    assert inside.remedy == "docker run --device /dev/kvm …"


def test_a_vendor_module_that_needs_neither_flag_counts_as_loaded() -> None:
    found = diagnose(replace(NO_NODE, kvm_modules=("kvm", "kvm_pvm")))
    assert found.situation == "no-node-module-loaded"
    assert "kvm_pvm is loaded" in found.sentence


def test_a_built_in_module_of_the_other_vendor_does_not_hide_the_missing_one() -> None:
    found = diagnose(replace(NO_NODE, cpu_flags=frozenset({"svm"}), kvm_modules=("kvm", "kvm_intel")))
    assert (found.situation, found.remedy) == ("no-node-module-missing", "sudo modprobe kvm_amd")


def test_no_node_and_no_flags_to_read_says_that_it_is_not_known() -> None:
    found = diagnose(replace(NO_NODE, cpu_flags=None))
    assert found.situation == "other"
    assert found.sentence.endswith("whether this CPU has svm or vmx is not known.")


def test_in_tmux_the_older_login_is_said_to_be_in_tmux() -> None:
    found = diagnose(replace(REFUSED, listed_groups=frozenset({KVM_GROUP}), in_tmux=True))
    assert found.remedy == "newgrp kvm   or log in again (in tmux: tmux kill-server first); this is tmux"


def test_group_root_is_never_to_be_joined_whatever_the_mode() -> None:
    found = diagnose(refused(replace(NODE, gid=0, group="root")))
    assert found.situation == "root-only"
    assert found.sentence == "/dev/kvm belongs to root alone (0660)."
    assert "usermod" not in found.text


def test_a_group_that_may_not_read_is_not_to_be_joined() -> None:
    assert diagnose(refused(replace(NODE, mode=stat.S_IFCHR | 0o600))).situation == "root-only"


def test_an_owner_who_is_not_root_is_named() -> None:
    found = diagnose(refused(replace(NODE, mode=stat.S_IFCHR | 0o600, uid=64, owner="qemu")))
    assert found.sentence == "/dev/kvm belongs to qemu alone (0600)."


def test_an_owner_whom_the_mode_forbids_is_told_so() -> None:
    found = diagnose(refused(replace(NODE, mode=stat.S_IFCHR, uid=1000, owner="alice")))
    assert (found.situation, found.remedy) == ("other", "chmod u+rw /dev/kvm")


def test_an_unmapped_node_for_its_owner_alone_is_to_be_read_from_outside() -> None:
    found = diagnose(refused(replace(NODE, mode=stat.S_IFCHR | 0o600, uid=65534, gid=65534, group=None)))
    assert found.situation == "root-only"
    assert found.remedy is not None
    assert found.remedy.startswith("outside of this container:")


def test_root_of_a_user_namespace_is_not_taken_for_root() -> None:
    node = replace(NODE, uid=65534, gid=65534, owner="nobody", group=None)
    assert diagnose(refused(node, uid=0, groups=frozenset({0}))).situation == "unmapped-group"


def test_kept_groups_that_do_not_help_are_mentioned() -> None:
    node = replace(NODE, uid=65534, gid=65534, group=None)
    found = diagnose(refused(node, groups=frozenset({0, 65534})))
    assert found.situation == "unmapped-group"
    assert "be in that group outside" in str(found.remedy)


@pytest.mark.parametrize(
    ("inside", "remedy"),
    [
        (True, "docker run --group-add 108 --device /dev/kvm …"),
        (False, "sudo groupadd -g 108 kvm && sudo usermod -aG kvm $USER   then log in again"),
    ],
)
def test_a_group_without_a_name_goes_by_its_number(inside: bool, remedy: str) -> None:
    found = diagnose(refused(replace(NODE, group=None), in_container=inside))
    assert found.situation == "unmapped-group"
    assert found.sentence == "/dev/kvm belongs to group 108, which has no name here, and you are not in it."
    assert found.remedy == remedy


@pytest.mark.parametrize(
    "allowed",
    [
        {"groups": frozenset({KVM_GROUP})},
        {"uid": 0},
        {"node": replace(NODE, mode=stat.S_IFCHR | 0o666)},
        {"node": replace(NODE, uid=1000, mode=stat.S_IFCHR | 0o600)},
    ],
    ids=["group", "root", "others", "owner"],
)
@pytest.mark.parametrize(("nodev", "situation"), [(True, "nodev-mount"), (None, "nodev-mount"), (False, "other")])
def test_refused_though_the_mode_fits_is_the_mount_or_a_security_module(
    allowed: dict[str, object], nodev: bool | None, situation: str
) -> None:
    fitting = replace(REFUSED, **allowed)  # type: ignore[arg-type]
    assert fitting.node is not None
    assert diagnose(replace(fitting, node=replace(fitting.node, nodev=nodev))).situation == situation


def test_a_nodev_mount_comes_before_the_group_as_no_group_helps_there() -> None:
    found = diagnose(refused(replace(NODE, nodev=True)))
    assert found.situation == "nodev-mount"
    assert found.sentence == "/dev/kvm is on a mount that forbids devices (nodev, EACCES)."


def test_eperm_outside_of_a_container_also_names_the_systemd_setting() -> None:
    assert "DeviceAllow=/dev/kvm rw" in str(diagnose(opening(errno.EPERM)).remedy)


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (stat.S_IFREG, "a regular file"),
        (stat.S_IFDIR, "a directory"),
        (stat.S_IFBLK, "a block device"),
        (stat.S_IFIFO, "a named pipe"),
        (stat.S_IFSOCK, "a socket"),
    ],
)
def test_what_is_no_character_device_is_called_what_it_is(kind: int, word: str) -> None:
    found = diagnose(replace(USABLE, api_version=None, node=replace(NODE, mode=kind | 0o644)))
    assert found.situation == "not-a-device"
    assert found.sentence == f"/dev/kvm is {word}, not a character device."


@pytest.mark.parametrize("number", [errno.EBUSY, errno.ENOMEM])
def test_busy_and_full_are_named(number: int) -> None:
    found = diagnose(opening(number))
    assert found.situation == "busy-or-memory"
    assert errno.errorcode[number] in found.sentence


@pytest.mark.parametrize("number", [*sorted(access.MEANINGS), errno.EOVERFLOW, 4095])
def test_any_other_errno_is_named_and_explained(number: int) -> None:
    at_stat = replace(USABLE, node=None, api_version=None, stat_errno=number)
    for found in (diagnose(at_stat), diagnose(opening(number)) if number != errno.EACCES else None):
        if found is not None:
            assert found.situation == "other"
            assert errno.errorcode.get(number, str(number)) in found.sentence
            assert access.MEANINGS.get(number, (os.strerror(number), None))[0] in found.sentence


@pytest.mark.parametrize(
    ("ioctl_errno", "api_version", "part"),
    [(errno.ENOTTY, None, "ENOTTY"), (None, 11, "API version 11"), (None, None, "Nobody has asked")],
)
def test_a_device_that_does_not_answer_as_kvm_is_not_usable(
    ioctl_errno: int | None, api_version: int | None, part: str
) -> None:
    found = diagnose(replace(USABLE, ioctl_errno=ioctl_errno, api_version=api_version))
    assert (found.usable, found.situation) == (False, "no-kvm-behind-node")
    assert part in found.sentence


def test_the_path_that_was_asked_for_is_the_one_in_the_sentence() -> None:
    found = diagnose(replace(REFUSED, path="/srv/chroot/dev/kvm"))
    assert found.sentence.startswith("/srv/chroot/dev/kvm is root:kvm 0660")


def test_a_group_name_that_a_shell_would_act_on_is_given_by_number() -> None:
    found = diagnose(refused(replace(NODE, group="kvm;reboot")))
    assert "usermod -aG 108 $USER" in str(found.remedy)


def test_an_error_of_the_past_on_a_device_that_opens_now_says_to_try_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(access, "look", lambda path: USABLE)
    assert open_error_sentence(errno.EACCES) == ("/dev/kvm could not be opened (EACCES), but now it can.   try again")
    assert "memory cgroup" in open_error_sentence(errno.ENOMEM)


def test_an_error_that_the_machine_still_has_is_explained_by_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(access, "look", lambda path: REFUSED)
    assert open_error_sentence(errno.EACCES) == diagnose(REFUSED).text
    assert "(EIO)" in open_error_sentence(errno.EIO)
    monkeypatch.setattr(access, "look", lambda path: NO_NODE)
    assert open_error_sentence(errno.ENOENT) == diagnose(NO_NODE).text
