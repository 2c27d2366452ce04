"""The reason that is given for a bit is true: undo exactly that, and the bit flips.

A bit that is off is kept off by one or more obstacles. With all of them out of the way it must be on; with all
but one out of the way it must still be off: so none is missing and none is idle talk.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from msrtui.kvm.recorded import RecordedHost, RecordedList, RecordedMsr, RecordedTable, Recording
from msrtui.kvm.requests import CpuidEntry
from msrtui.qemu.conversation import Outcome, negotiate
from msrtui.qemu.cpu_request import parse
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import FeatureWord
from msrtui.qemu.why import Obstacle, Reason, reason
from msrtui.qemu.words import is_control_word
from msrtui.snapshot.sources import open_source
from msrtui.transcript.stepper import run
from msrtui.values import dataclass, replace

HOSTS = Path(__file__).resolve().parents[1] / "data" / "hosts"
USABLE = sorted(path.stem for path in HOSTS.glob("*.json") if "nosvm" not in path.stem and "nonroot" not in path.stem)
VERSIONS = ("4.2", "5.2", "6.2", "7.2", "8.2", "10.0", "10.2", "11.1")
AMD = CpuidEntry(0, 0, 0, 0x10, 0x68747541, 0x444D4163, 0x69746E65)
ALWAYS = {
    "always-emulated",
    "ht-always",
    "hypervisor-bit",
    "arat-always",
    "topoext-always",
    "ras-always",
    "realtime-hint",
    "waitpkg-by-cpu-pm",
}
"""Rules that set a bit whatever KVM says: clearing KVM's bit must not change it."""


@dataclass(frozen=True)
class World:
    """One KVM, one QEMU, and what is asked for by name."""

    recording: Recording
    profile: QemuProfile
    plus: tuple[str, ...] = ()

    def outcome(self) -> Outcome:
        cpu = parse(",".join(["host", *(f"+{name}" for name in self.plus)]), self.profile)
        stepper = run(negotiate(self.profile, cpu=cpu), RecordedHost(self.recording))
        assert stepper.outcome is not None
        return stepper.outcome

    def reason(self, word: str, bit: int) -> Reason:
        outcome = self.outcome()
        assert outcome.cpu is not None
        return reason(outcome.state, outcome.words, outcome.cpu, word, bit)

    # --- undoing ------------------------------------------------------------------------------------------
    def with_kvm_bit(self, word: FeatureWord, bit: int, on: bool) -> World:
        """KVM offers the bit, or does not."""
        if word.kind == "msr":
            return self._with_msr(word, bit, on)
        table = self.recording.supported_cpuid
        assert table is not None
        key = (word.leaf, word.subleaf or 0)
        old = next((e for e in table.entries if (e.function, e.index) == key), CpuidEntry(*key, 0, 0, 0, 0, 0))
        value = old.register(word.register) & ~(1 << bit) | on << bit
        entry = old._replace(**{word.register.lower(): value})
        rest = tuple(e for e in table.entries if (e.function, e.index) != key)
        return replace(self, recording=replace(self.recording, supported_cpuid=RecordedTable((entry, *rest))))

    def _with_msr(self, word: FeatureWord, bit: int, on: bool) -> World:
        at = bit + 32 if is_control_word(word) else bit
        old = self.recording.msrs.get(word.index, RecordedMsr(1, 0))
        value = (old.value or 0) & ~(1 << at) | on << at
        listed = self.recording.feature_list or RecordedList()
        indices = listed.indices if word.index in listed.indices else (*listed.indices, word.index)
        msrs = {**self.recording.msrs, word.index: RecordedMsr(1, value)}
        return replace(self, recording=replace(self.recording, feature_list=RecordedList(indices), msrs=msrs))

    def asking_for(self, *names: str) -> World:
        return replace(self, plus=(*self.plus, *names))

    def with_dependency(self, word: str, mask: int) -> World:
        """One of these bits on, and whatever it depends on in its turn."""
        tables = self.profile.tables
        bit = next(bit for bit in tables.word_by_name[word].bits if mask >> bit & 1)
        world = self.asking_for(tables.word_by_name[word].bits[bit])
        expanded = self.outcome().guest
        for row in tables.dependencies:
            if (
                row.to_word == word
                and row.to_mask >> bit & 1
                and not (expanded[row.from_word].expanded or 0) & row.from_mask
            ):
                world = world.with_dependency(row.from_word, row.from_mask)
        return world

    def without(self, obstacle: Obstacle, word: FeatureWord, bit: int) -> World:
        """The same world with this one thing otherwise."""
        match obstacle.rule:
            case "kvm-lacks":
                return self.with_kvm_bit(word, bit, True)
            case "kvm-forces":
                old = self.recording.msrs[word.index]
                free = RecordedMsr(1, (old.value or 0) & ~(1 << bit))
                return replace(self, recording=replace(self.recording, msrs={**self.recording.msrs, word.index: free}))
            case "migratable-mask":
                return replace(self, profile=replace(self.profile, migratable=False))
            case "auto-enable":
                return self.asking_for(word.bits[bit])
            case "dependency":
                return self.with_dependency(obstacle.params["from"], obstacle.params["mask"])
            case "sgx-needs-pc-machine" | "sgxlc-needs-pc-machine":
                return replace(self, profile=replace(self.profile, machine="pc"))
            case "arch-capabilities-hidden-from-amd":
                return replace(self, profile=replace(self.profile, machine="pc-q35-10.0"))
            case "ras-needs-amd":
                table = self.recording.supported_cpuid
                assert table is not None
                entries = (AMD, *(e for e in table.entries if (e.function, e.index) != (0, 0)))
                return replace(self, recording=replace(self.recording, supported_cpuid=RecordedTable(entries)))
            case "arch-capabilities-needs-msr":
                listed = self.recording.index_list
                assert listed is not None
                more = RecordedList((*listed.indices, 0x10A))
                return replace(self, recording=replace(self.recording, index_list=more))
            case "waitpkg-by-cpu-pm":
                return replace(self, profile=replace(self.profile, cpu_pm=True))
            case "intel-pt-leaf":
                table = self.recording.supported_cpuid
                assert table is not None
                trace = (CpuidEntry(0x14, 0, 1, 1, 0xF, 7, 0), CpuidEntry(0x14, 1, 1, 0x02490002, 0x003F1FFF, 0, 0))
                rest = tuple(e for e in table.entries if e.function != 0x14)
                return replace(self, recording=replace(self.recording, supported_cpuid=RecordedTable((*trace, *rest))))
            case "broken-tsx":
                eax, ebx, ecx, edx = self.recording.host_cpuid[1, 0]
                cpuid = {**self.recording.host_cpuid, (1, 0): (eax & ~0xF00F0 | 0x50050, ebx, ecx, edx)}
                return replace(self, recording=replace(self.recording, host_cpuid=cpuid))
        raise AssertionError(f"the test does not know how to undo {obstacle}")


def _recording(host: str) -> Recording:
    answerer = open_source(str(HOSTS / f"{host}.json")).answerer
    assert isinstance(answerer, RecordedHost)
    return answerer.recording


def _undone(world: World, obstacles: Iterable[Obstacle], word: FeatureWord, bit: int) -> World:
    for obstacle in obstacles:
        world = world.without(obstacle, word, bit)
    return world


@settings(max_examples=600)
@given(data=st.data())
def test_undoing_the_reason_flips_the_bit(data: st.DataObject) -> None:
    host = data.draw(st.sampled_from(USABLE))
    profile = QemuProfile(data.draw(st.sampled_from(VERSIONS)))
    tables = profile.tables
    name, bit = data.draw(st.sampled_from([(w.name, b) for w in tables.words for b in w.bits]))
    word = tables.word_by_name[name]
    world = World(_recording(host), profile)
    why = world.reason(name, bit)
    assert why.on is not None
    if why.on:
        _check_on(world, why, word, bit)
        return
    assert why.obstacles, "a bit that is off has a reason"
    assert _undone(world, why.obstacles, word, bit).reason(name, bit).on, why.obstacles
    for kept in why.obstacles:
        others = [each for each in why.obstacles if each is not kept]
        almost = _undone(world, others, word, bit)
        if not _met_on_the_way(almost, kept):
            assert almost.reason(name, bit).on is False, kept


def _met_on_the_way(world: World, kept: Obstacle) -> bool:
    """AVX10's bits depend on each other in a ring: turning one dependency on may meet another as well."""
    if kept.rule != "dependency":
        return False
    tables = world.profile.tables
    asked = [place for name in world.plus for place in tables.bits_of_property[name]]
    return any(word == kept.params["from"] and kept.params["mask"] >> bit & 1 for word, bit in asked)


def _check_on(world: World, why: Reason, word: FeatureWord, bit: int) -> None:
    """What KVM offers and what each rule that is named sets, all undone: the bit is off; unless one sets it always."""
    without = world.with_kvm_bit(word, bit, False)
    for rule in why.sustained_by:
        if rule in ("amd-copies-of-1-edx", "amd-aliases"):
            without = without.with_kvm_bit(world.profile.tables.word_by_name["FEAT_1_EDX"], bit, False)
        elif rule == "procbased-ctls2-added":
            owner, its = IMPLIED_BY[bit]
            without = without.with_kvm_bit(world.profile.tables.word_by_name[owner], its, False)
        elif rule == "tsc-deadline-needs-lapic":
            caps = {**without.recording.capabilities, 72: 0}
            without = replace(without, recording=replace(without.recording, capabilities=caps))
    if (word.leaf, bit) in FROM_HOST:  # the host's own CPUID stands beside KVM's here
        host = {**without.recording.host_cpuid, (word.leaf, word.subleaf or 0): (0, 0, 0, 0)}
        without = replace(without, recording=replace(without.recording, host_cpuid=host))
    copied = word.name == "FEAT_8000_0001_EDX" and bit in (7, 12, 14, 16)
    stays = bool(ALWAYS & set(why.sustained_by)) or copied
    assert without.reason(word.name, bit).on is stays, why.sustained_by


IMPLIED_BY = {
    3: ("FEAT_8000_0001_EDX", 27),
    11: ("FEAT_1_ECX", 30),
    12: ("FEAT_7_0_EBX", 10),
    16: ("FEAT_7_0_EBX", 18),
}
"""Secondary controls that QEMU adds where KVM's CPUID has the instruction (rdtscp, rdrand, invpcid, rdseed)."""
FROM_HOST = {(7, 9), (7, 4), (7, 10), (7, 11), (7, 12), (7, 5)}


def test_the_three_sentences_of_the_article_s_register() -> None:
    world = World(_recording("amd-pvm-linux6.18"), QemuProfile("7.2"))
    assert world.reason("FEAT_ARCH_CAPABILITIES", 26).obstacles == (Obstacle("migratable-mask"),)
    assert world.reason("FEAT_ARCH_CAPABILITIES", 0).on
    vmx = world.reason("FEAT_VMX_BASIC", 54)
    assert [each.rule for each in vmx.obstacles] == ["kvm-lacks", "dependency"]


def test_an_xsave_component_is_off_with_the_feature_that_owns_it() -> None:
    world = World(_recording("intel-skylake-bochs-linux6.12"), QemuProfile("10.2"))
    assert world.reason("FEAT_XSAVE_XCR0_LO", 5).on
    cpu = parse("host,-avx512f", world.profile)
    outcome = run(negotiate(world.profile, cpu=cpu), RecordedHost(world.recording)).outcome
    assert outcome is not None
    assert outcome.cpu is not None
    why = reason(outcome.state, outcome.words, outcome.cpu, "FEAT_XSAVE_XCR0_LO", 5)
    assert (why.on, why.kvm) == (False, True)
    assert why.obstacles == (Obstacle("xsave-components", {"from": "FEAT_7_0_EBX", "mask": 1 << 16}),)


def test_a_component_that_the_kernel_gives_no_guest_is_off_though_kvms_table_has_it() -> None:
    said = _recording("intel-skylake-bochs-linux6.12")
    asked = {**said.capabilities, 209: 1}  # KVM_CAP_SYS_ATTRIBUTES
    world = World(replace(said, capabilities=asked, attributes={(0, 0): RecordedMsr(0, 0b111)}), QemuProfile("7.2"))
    why = world.reason("FEAT_XSAVE_XCR0_LO", 5)
    assert (why.on, why.kvm) == (False, True)
    assert why.obstacles == (Obstacle("xcomp-guest-supp-low"),)


def test_the_upper_half_of_a_feature_msr_is_lost_before_4_2_and_that_is_why() -> None:
    said = _recording("amd-pvm-linux6.18")
    word = QemuProfile("4.0").tables.word_by_name["FEAT_ARCH_CAPABILITIES"]
    world = World(said, QemuProfile("4.0", migratable=False)).with_kvm_bit(word, 62, True)
    assert world.reason("FEAT_ARCH_CAPABILITIES", 62).obstacles == (Obstacle("msr-truncated"),)


def test_on_amd_what_is_taken_from_1_edx_is_taken_from_its_copy() -> None:
    profile = QemuProfile("7.2")
    cpu = parse("host,-apic", profile)
    outcome = run(negotiate(profile, cpu=cpu), RecordedHost(_recording("amd-epyc-tcg-linux6.12"))).outcome
    assert outcome is not None
    assert outcome.cpu is not None
    why = reason(outcome.state, outcome.words, outcome.cpu, "FEAT_8000_0001_EDX", 9)
    assert (why.on, why.kvm, [each.rule for each in why.obstacles]) == (False, True, ["amd-aliases"])
