"""Lint in the explorer: all of it under l, and what is about a thing at the end of its detail."""

from __future__ import annotations

from settling import settled
from vcpus import Vcpu, without_arch_capabilities

from msrtui.explain.probing import probed_cpu, take
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.probes import Noting, probe_document
from msrtui.snapshot.sources import Source, open_source
from msrtui.tui.app import MsrtuiApp
from msrtui.tui.export import text_of
from msrtui.tui.screens.errands import Probing
from msrtui.tui.screens.explorer import ExplorerScreen
from msrtui.tui.session import Subject
from msrtui.tui.starting import Taken, guest_of, start_of

EPT0 = "intel-skylake-ept0-bochs-linux6.12"


async def lines_of(subject: Subject) -> list[str]:
    running = MsrtuiApp(open_source(EPT0), QemuProfile("10.2"), theme="msrtui-dark", tier="full")
    async with running.run_test(size=(200, 100)) as pilot:
        await settled(pilot)
        screen = running.screen
        assert isinstance(screen, ExplorerScreen)
        screen._found(subject)
        await settled(pilot)
        return text_of(running).splitlines()


async def test_what_hides_something_is_said_where_it_is_looked_at() -> None:
    lines = await lines_of(("parameter", "kvm_intel", "ept"))
    assert [line for line in lines if "hidden: kvm_intel.ept is off" in line]


async def test_another_parameter_has_nothing_to_do_with_it() -> None:
    lines = await lines_of(("parameter", "kvm_intel", "nested"))
    assert not [line for line in lines if "hidden:" in line]


async def test_all_of_it_is_told_under_its_key_as_the_command_line_tells_it() -> None:
    running = MsrtuiApp(open_source(EPT0), QemuProfile("10.2"), theme="msrtui-dark", tier="full")
    async with running.run_test(size=(120, 60)) as pilot:
        await settled(pilot)
        await pilot.press("l")
        await settled(pilot)
        text = text_of(running)
        assert text.startswith("Lint   Esc goes back")
        assert "kvm_intel.ept is off" in text
        assert "words-without-an-msr" in text


def probe_of(source: Source, qemu: QemuProfile) -> Taken:
    """What D hears where a vCPU does not keep 7.EDX[29]."""
    profile, request = guest_of(qemu, "host")
    noting = Noting(Vcpu(source.answerer, without_arch_capabilities))
    result = take(profile, request, noting, write=False)
    assert result is not None
    made_for = probed_cpu(profile, request)
    return Taken(made_for, result, probe_document(made_for, noting.log))


async def test_a_probe_that_was_taken_since_is_looked_at_too() -> None:
    source, qemu = open_source("amd-pvm-linux6.18"), QemuProfile("7.2")
    running = MsrtuiApp(source, qemu, theme="msrtui-dark", tier="full")
    async with running.run_test(size=(120, 60)) as pilot:
        await settled(pilot)
        screen = running.screen
        assert isinstance(screen, ExplorerScreen)
        assert screen.session is not None
        assert screen.session.linted is not None
        before = {each.rule for each in screen.session.linted.findings}
        taken = probe_of(source, screen.session.qemu)
        screen.post_message(Probing(taken, start_of(source, source.answerer, qemu, "host", [taken])))
        await settled(pilot)
        await pilot.press("escape", "l")
        await settled(pilot)
        text = text_of(running)
    assert "arch-capabilities-refused" in text
    assert "arch-capabilities-refused" not in before
