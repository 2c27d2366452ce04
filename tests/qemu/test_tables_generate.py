"""The generator on a small source tree of our own: what each reader takes out, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from msrtui.errors import BadSource
from msrtui.qemu import tables
from msrtui.qemu.tables.generate.__main__ import main
from msrtui.qemu.tables.generate.ctext import UnknownShape
from msrtui.qemu.tables.generate.review import review
from msrtui.qemu.tables.generate.tree import read_tree
from msrtui.qemu.tables.generate.writing import table, written

KEYS = [
    "qemu", "label", "made_by", "word_width", "words", "aliases", "feature_dependencies", "xsave_areas",
    "msr_index_flags", "kvm_default_props", "required_caps", "vmx_default1", "msr_transferred",
    "msr_transferred_ranges", "cpu_models",
]  # fmt: skip

CPU_H = """
#ifndef TOY_CPU_H
#define TOY_CPU_H
typedef enum FeatureWord { FEAT_TOY, FEAT_TOY_HI, FEAT_TOY_MSR, FEAT_VMX_TOY, FEATURE_WORDS, } FeatureWord;
typedef uint64_t FeatureWordArray[FEATURE_WORDS];
#define TOY_WALK (1U << 0)
#define TOY_FLY  (1U << 3)
#define TOY_ALL  (TOY_WALK | TOY_FLY)
#define VENDOR_TOY "ToysToysToys"
#define MSR_TOY  0x10a
#define MSR_ONE  0x40
#define MSR_TWO  0x41
#define MSR_BASE 0x100
#define MSR_TIMER 0x200
#define MSR_FIRST 0x300
#define MSR_LAST 0x302
#define MSR_MTRRphysBase(reg) (0x500 + 2 * (reg))
#define MSR_CTL 0x600
#define MSR_P6_PERFCTR0 0xc1
#define TOY_TIMERS 4
enum { XSTATE_TOY_BIT = 2 };
struct Toy { uint64_t timers[TOY_TIMERS]; };
#endif
"""
CPU_C = """
FeatureWordInfo feature_word_info[FEATURE_WORDS] = {
    [FEAT_TOY] = {
        .type = CPUID_FEATURE_WORD,
        .feat_names = { "walk", NULL /* run */, "jump", "fly", [31] = "sleep" },
        .cpuid = { .eax = 7, .needs_ecx = true, .ecx = 1, .reg = R_EBX, },
        .tcg_features = NOBODY_KNOWS,
        .unmigratable_flags = TOY_FLY,
        .migratable_flags = 1u << 9,
        .no_autoenable_flags = ~0U,
    },
    [FEAT_TOY_MSR] = { .type = MSR_FEATURE_WORD, .feat_names = { [40] = "high" }, .msr = { .index = MSR_TOY } },
    [FEAT_TOY_HI] = { .type = CPUID_FEATURE_WORD, .cpuid = { .eax = 0xD, .reg = R_EAX } },
    [FEAT_VMX_TOY] = { .type = MSR_FEATURE_WORD, .msr = { .index = MSR_CTL } },
};
static FeatureDep feature_dependencies[] = {
    { .from = { FEAT_TOY, TOY_ALL }, .to = { FEAT_TOY_MSR, ~0ull }, },
    { .from = { FEAT_TOY, TOY_WALK }, .to = { FEAT_TOY_MSR, 0xffffffffull << 32 } },
};
ExtSaveArea x86_ext_save_areas[] = {
    [XSTATE_TOY_BIT] = { .feature = FEAT_TOY, .bits = TOY_FLY, .size = sizeof(Toy) + 4 },
};
static const X86CPUDefinition builtin_x86_defs[] = {
    {
        .name = "toy", .level = 0xd, .vendor = VENDOR_TOY, .family = 6, .model = 2, .stepping = 1,
        .features[FEAT_TOY] = TOY_WALK | /* no flight */ 0,
        .features[FEAT_TOY_HI] = 0,
        .xlevel = 0x80000008,
        .model_id = "Toy (first)",
        .versions = (X86CPUVersionDefinition[]) {
            { .version = 1 },
            { .version = 2, .alias = "toy-flying", .note = "n",
              .props = (PropValue[]) { { "fly", "on" }, { "model-id",  "Toy" " two" }, { /* end */ } } },
            { /* end */ }
        }
    },
    { .name = "old", .vendor = "OldOldOldOld", },
};
static void init(Object *obj)
{
    object_property_add_alias(obj, "walk_on", obj, "walk");
    object_property_add_alias(obj, "go", obj, "fly", &error_abort);
}
"""
PROPS_C = 'static PropValue kvm_default_props[] = { { "walk", "on" }, { "fly", "off" }, { NULL, NULL }, };\n'
KVM_C = """
const KVMCapabilityInfo kvm_arch_required_capabilities[] = {
    KVM_CAP_INFO(TOYS), KVM_CAP_INFO(MORE_TOYS), KVM_CAP_LAST_INFO
};
static int kvm_get_supported_msrs(KVMState *s)
{
    for (i = 0; i < n; i++) {
        switch (list[i]) {
        case MSR_TWO:
            has_msr_two = true;
            break;
        case MSR_ONE:
        case MSR_TOY:
            has_msr_toy = true;
        }
    }
    return ret;
}
static uint64_t make_vmx_msr_value(uint32_t index)
{
    switch (index) {
    case MSR_CTL: default1 = 0x16; break;
    case MSR_TOY: default1 = 0; break;
    default: abort();
    }
}
static void kvm_msr_entry_add(X86CPU *cpu, uint32_t index, uint64_t value) { put(index); }
static int kvm_put_one_msr(X86CPU *cpu, int index, uint64_t value) { kvm_msr_entry_add(cpu, index, value); }
static void kvm_init_msrs(X86CPU *cpu)
{
    kvm_msr_entry_add(cpu, MSR_TOY, 1);
    kvm_msr_entry_add(cpu, MSR_CTL, f(1, 2));
}
static int kvm_put_msrs(X86CPU *cpu, int level)
{
    kvm_msr_entry_add(cpu, MSR_TWO, env->two);
    for (i = 0; i < counters_here; i++) {
        kvm_msr_entry_add(cpu, MSR_BASE + i, env->base[i]);
        kvm_msr_entry_add(cpu, MSR_P6_PERFCTR0 + i, env->ctr[i]);
    }
    for (j = 0; j < ARRAY_SIZE(env->timers); j++) {
        kvm_msr_entry_add(cpu, MSR_TIMER + j * 2, env->timers[j]);
    }
    for (i = 0; i < 3; i++) {
        kvm_msr_entry_add(cpu, MSR_MTRRphysBase(i), 0);
        kvm_msr_entry_add(cpu, MSR_FIRST + i, 0);
    }
}
static int kvm_get_msrs(X86CPU *cpu)
{
    for (msr = MSR_FIRST; msr <= MSR_LAST; msr++) {
        kvm_msr_entry_add(cpu, msr, 0);
    }
    switch (index) {
    case MSR_BASE ... MSR_BASE + 4 - 1:
        env->base[index - MSR_BASE] = data;
        break;
    case MSR_TWO: {
        env->two = data;
        break;
    }
    default:
        break;
    }
}
"""


def plant(root: Path, **changed: str) -> Path:
    """A source tree of toys; a name as in FILES takes another text."""
    texts = {"cpu_h": CPU_H, "cpu_c": CPU_C, "props": PROPS_C, "kvm_c": KVM_C, "version": "9.1.2\n", **changed}
    paths = {
        "cpu_h": "target/i386/cpu.h",
        "cpu_c": "target/i386/cpu.c",
        "props": "target/i386/kvm/kvm-cpu.c",
        "kvm_c": "target/i386/kvm/kvm.c",
        "version": "VERSION",
    }
    for key, path in paths.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(texts[key], encoding="utf-8")
    return root


def test_the_toys_become_a_table(tmp_path: Path) -> None:
    made = table(read_tree(plant(tmp_path)))
    assert list(made) == KEYS
    assert (made["qemu"], made["label"], made["word_width"]) == ("9.1.2", "9.1", 64)
    assert made["made_by"] == "python -m msrtui.qemu.tables.generate from QEMU 9.1.2"
    assert made["words"] == [
        {
            "name": "FEAT_TOY", "kind": "cpuid", "leaf": "0x7", "subleaf": "0x1", "register": "EBX",
            "bits": {"0": "walk", "2": "jump", "3": "fly", "31": "sleep"}, "migratable": "0x80000205",
            "unmigratable_flags": "0x8", "migratable_flags": "0x200", "no_autoenable_flags": "0xffffffff",
        },
        {
            "name": "FEAT_TOY_HI", "kind": "cpuid", "leaf": "0xd", "subleaf": None, "register": "EAX",
            "bits": {}, "migratable": "0x0",
            "unmigratable_flags": "0x0", "migratable_flags": "0x0", "no_autoenable_flags": "0x0",
        },
        {
            "name": "FEAT_TOY_MSR", "kind": "msr", "index": "0x10a", "symbol": "MSR_TOY",
            "bits": {"40": "high"}, "migratable": "0x10000000000",
            "unmigratable_flags": "0x0", "migratable_flags": "0x0", "no_autoenable_flags": "0x0",
        },
        {
            "name": "FEAT_VMX_TOY", "kind": "msr", "index": "0x600", "symbol": "MSR_CTL",
            "bits": {}, "migratable": "0x0",
            "unmigratable_flags": "0x0", "migratable_flags": "0x0", "no_autoenable_flags": "0x0",
        },
    ]  # fmt: skip
    assert made["aliases"] == {"go": "fly", "walk_on": "walk"}
    assert made["feature_dependencies"] == [
        ["FEAT_TOY", "0x9", "FEAT_TOY_MSR", "0xffffffffffffffff"],
        ["FEAT_TOY", "0x1", "FEAT_TOY_MSR", "0xffffffff00000000"],
    ]
    assert made["xsave_areas"] == [[2, "XSTATE_TOY_BIT", "FEAT_TOY", "0x8"]]
    assert made["kvm_default_props"] == {"walk": "on", "fly": "off"}
    assert made["required_caps"] == ["KVM_CAP_TOYS", "KVM_CAP_MORE_TOYS"]
    assert made["vmx_default1"] == {"MSR_CTL": "0x16", "MSR_TOY": "0x0"}


def test_labels_that_share_a_flag_get_a_row_each_by_index(tmp_path: Path) -> None:
    assert table(read_tree(plant(tmp_path)))["msr_index_flags"] == [
        ["0x40", "MSR_ONE", "has_msr_toy"],
        ["0x41", "MSR_TWO", "has_msr_two"],
        ["0x10a", "MSR_TOY", "has_msr_toy"],
    ]


def test_single_msrs_and_runs_are_told_apart_and_counted(tmp_path: Path) -> None:
    made = table(read_tree(plant(tmp_path)))
    # 0x10a is written at init under its flag; 0x600 is written at init under none
    assert [row[0] for row in made["msr_transferred"]] == [
        "0x41", "0xc1", "0x100", "0x200", "0x300", "0x302", "0x500", "0x600",
    ]  # fmt: skip
    assert made["msr_transferred_ranges"] == [
        ["0xc1", 8, 1, "MSR_P6_PERFCTR0"],
        ["0x100", 4, 1, "MSR_BASE"],
        ["0x200", 4, 2, "MSR_TIMER"],
        ["0x300", 3, 1, "MSR_FIRST"],
        ["0x500", 3, 2, "MSR_MTRRphysBase(0)"],
    ]


def test_models_keep_versions_and_properties_in_their_order(tmp_path: Path) -> None:
    toy, old = table(read_tree(plant(tmp_path)))["cpu_models"]
    assert toy == {
        "name": "toy", "vendor": "ToysToysToys", "level": "0xd", "xlevel": "0x80000008",
        "family": 6, "model": 2, "stepping": 1, "features": {"FEAT_TOY": "0x1"},
        "versions": [
            {"version": 1, "props": []},
            {"version": 2, "alias": "toy-flying", "props": [["fly", "on"], ["model-id", "Toy two"]]},
        ],
    }  # fmt: skip
    assert (old["name"], old["level"], old["versions"]) == ("old", "0x0", [])


def test_an_old_tree_has_32_bits_no_dependencies_and_its_properties_in_cpu_c(tmp_path: Path) -> None:
    cpu_c = CPU_C.replace("[40]", "[30]").replace("0xffffffffull << 32", "0")
    begin, end = cpu_c.index("static FeatureDep"), cpu_c.index("ExtSaveArea")
    kvm_c = KVM_C.replace("make_vmx_msr_value", "something_else")
    texts_of_old = {
        "cpu_h": CPU_H.replace("uint64_t FeatureWordArray", "uint32_t FeatureWordArray").replace(
            "FEAT_VMX_TOY", "FEAT_V"
        ),
        "cpu_c": (cpu_c[:begin] + cpu_c[end:] + PROPS_C).replace("FEAT_VMX_TOY", "FEAT_V"),
    }
    plant(tmp_path, **texts_of_old)
    (tmp_path / "target/i386/kvm/kvm.c").unlink()
    (tmp_path / "target/i386/kvm/kvm-cpu.c").unlink()
    (tmp_path / "target/i386/kvm.c").write_text(kvm_c, encoding="utf-8")
    made = table(read_tree(tmp_path), "9")
    assert (made["label"], made["word_width"]) == ("9", 32)
    assert (made["feature_dependencies"], made["vmx_default1"]) == ([], {})
    assert made["kvm_default_props"] == {"walk": "on", "fly": "off"}


def test_a_debian_package_is_named_in_made_by(tmp_path: Path) -> None:
    plant(tmp_path)
    (tmp_path / "debian").mkdir()
    (tmp_path / "debian/changelog").write_text("qemu (1:9.1+dfsg-3) toys; urgency=low\n\n  * Play.\n", encoding="utf-8")
    made_by = table(read_tree(tmp_path))["made_by"]
    assert made_by == "python -m msrtui.qemu.tables.generate from QEMU 9.1.2 (Debian 1:9.1+dfsg-3)"


@pytest.mark.parametrize(
    ("file", "old", "new", "sentence"),
    [
        ("version", "9.1.2", "next", "no release"),
        ("cpu_h", "typedef uint64_t FeatureWordArray", "typedef Word FeatureWordArray", "FeatureWordArray"),
        ("cpu_h", "FEAT_VMX_TOY, FEATURE_WORDS", "FEAT_VMX_TOY, FEAT_MORE, FEATURE_WORDS", "4 words and enum .* 5"),
        ("cpu_h", "#define MSR_TOY  0x10a", "", "MSR_TOY is not defined"),
        ("cpu_h", "uint64_t timers[TOY_TIMERS];", "", "length of timers"),
        ("cpu_c", ".tcg_features = NOBODY_KNOWS", ".arm_features = 1", "arm_features"),
        ("cpu_c", ".reg = R_EBX", ".reg = R_ESP", "ESP is no register"),
        ("cpu_c", "MSR_FEATURE_WORD, .feat_names", "MMIO_FEATURE_WORD, .feat_names", "neither a CPUID word nor"),
        ("cpu_c", "[40]", "[64]", "bit 64"),
        ("cpu_c", "[FEAT_TOY_MSR] = {", "[FEAT_TOY] = {", "FEAT_TOY is there twice"),
        ("cpu_c", "{ FEAT_TOY, TOY_ALL }", "{ FEAT_TOY, TOY_SWIM }", "TOY_SWIM is not defined"),
        ("cpu_c", "{ FEAT_TOY, TOY_ALL }", "{ FEAT_CAR, TOY_ALL }", "not in feature_word_info"),
        ("cpu_c", "feature_dependencies[] =", "feature_dependencies(void)", "not as an array"),
        ("cpu_c", ".bits = TOY_FLY", ".mask = TOY_FLY", "mask is not one that is known"),
        ("cpu_c", ".features[FEAT_TOY_HI]", ".features[FEAT_CAR]", "no feature word"),
        ("cpu_c", ".model_id", ".colour", "colour"),
        ("cpu_c", ".version = 2", ".version = 3", "version 3 stands at place 2"),
        ("cpu_c", '"fly", "on"', '"fly"', "not a name and a value"),
        ("cpu_c", '.name = "old"', '.name = "toy"', "a name twice"),
        ("cpu_c", 'obj, "walk");', "obj, name);", "another shape"),
        ("props", "{ NULL, NULL }", '{ "jump", "on" }', "not ended"),
        ("kvm_c", "KVM_CAP_LAST_INFO", "{ }", "KVM_CAP_LAST_INFO|braces"),
        ("kvm_c", "has_msr_two = true", "has_msr_two = maybe", "where a flag should be set"),
        ("kvm_c", "has_msr_two = true;\n            break;", "has_msr_two = true;", "two flags"),
        ("kvm_c", "    return ret;", "    has_msr_late = true;\n    return ret;", "outside of its switch"),
        ("kvm_c", "default1 = 0x16;", "default0 = 0x16;", "default1"),
        ("kvm_c", "make_vmx_msr_value", "make_another_value", "no make_vmx_msr_value"),
        ("kvm_c", "static int kvm_get_msrs", "static int kvm_fetch_msrs", "no function kvm_get_msrs"),
        ("kvm_c", "case MSR_BASE ... MSR_BASE + 4 - 1:", "case MSR_BASE:", "counters_here"),
        ("kvm_c", "MSR_FIRST + i, 0", "MSR_MTRRphysBase(i), 0", "not all are transferred"),
        ("kvm_c", "msr <= MSR_LAST", "msr < MSR_LAST", "leaves out the last"),
        ("kvm_c", "MSR_TIMER + j * 2", "MSR_TIMER + j * j", "even steps"),
        ("kvm_c", "MSR_TWO, env->two", "chosen, env->two", "where one name should be|not defined"),
        ("kvm_c", "    for (j = 0", "\n#ifdef WHO\n#endif\n    for (j = 0", "#if that cannot be decided"),
    ],
)  # fmt: skip
def test_a_shape_that_is_not_known_ends_with_2_and_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, old: str, new: str, sentence: str
) -> None:
    text = {"cpu_h": CPU_H, "cpu_c": CPU_C, "props": PROPS_C, "kvm_c": KVM_C, "version": "9.1.2\n"}[file]
    assert old in text
    plant(tmp_path, **{file: text.replace(old, new)})
    assert main([str(tmp_path), "-o", str(tmp_path / "made.json")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    with pytest.raises(UnknownShape, match=sentence):
        table(read_tree(tmp_path))
    assert not (tmp_path / "made.json").exists()


def test_a_folder_that_is_no_source_tree_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "no QEMU source tree" in capsys.readouterr().err
    with pytest.raises(BadSource):
        read_tree(tmp_path)


def test_a_place_that_cannot_be_written_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant(tmp_path)
    assert main([str(tmp_path), "-o", str(tmp_path / "no" / "where.json")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_the_table_is_written_one_row_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant(tmp_path)
    assert main([str(tmp_path), "--label", "9"]) == 0
    text = capsys.readouterr().out
    made = json.loads(text)
    assert made == table(read_tree(tmp_path), "9")
    assert text.count("\n   ") == 0
    assert '  {"name": "old", ' in text
    assert text == written(made)


def test_a_reviewer_is_told_what_is_new_beside_the_version_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(tmp_path)
    assert main([str(tmp_path), "-o", str(tmp_path / "9.1.json")]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    first, words, *_, last = said.err.splitlines()
    assert first == "generate: 9.1 is QEMU 9.1.2"
    assert words.startswith(
        "generate: words: 4; new since 8.2: FEAT_TOY, FEAT_TOY_HI, FEAT_TOY_MSR, FEAT_VMX_TOY; gone: "
    )
    assert "FEAT_1_EDX" in words
    assert "CONTRIBUTING.md" in last
    made = json.loads((Path(tables.__file__).parent / "10.2.json").read_text(encoding="ascii"))
    new = {line.split(":")[0]: line.partition("; ")[2] for line in review(made)}
    assert new["words"] == "new since 10.0: FEAT_7_1_ECX, FEAT_8000_0021_ECX; gone: none"
    assert new["models"] == "new since 10.0: EPYC-Turin; gone: none"
    assert new["MSRs that are transferred"] == "new since 10.0: none; gone: none"


def test_an_empty_list_and_an_empty_mapping_are_written_too() -> None:
    assert json.loads(written({"a": [], "b": {}, "c": 1})) == {"a": [], "b": {}, "c": 1}
