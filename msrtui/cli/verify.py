"""``msrtui verify``: msrtui's answers against those of a real QEMU on this machine."""

from __future__ import annotations

from msrtui.cli.options import Help, Parser, add_json
from msrtui.cli.output import say, say_json
from msrtui.errors import BadRequest

_SUMMARY = """Starts a QEMU, which makes a VM for this, and compares what it says with what msrtui says.
Where the module parameter kvm.enable_virt_at_load is N, making a VM turns virtualization on for all CPUs.
Nothing is booted: -accel kvm -machine none, without a CPU. The VM is gone when the command ends."""

_EPILOG = """Compared are every feature of -cpu host, host,migratable=off and max before the filter, and the
unavailable-features of every CPU model, order and duplicates included. QEMU tells them over QMP
(query-cpu-model-expansion, query-cpu-definitions); msrtui works them out with the profile of the version that
this QEMU reports. QMP needs the Python package qemu.qmp: pip install 'msrtui[verify]'.

--json: {"source": "live", "qemu", "binary", "version", "package", "compared", "disagreements": [{"cpu", "name",
"qemu_says", "msrtui_says", "lineage"}]}; name is a feature (true, false; null: no such name, or not known) or
"unavailable-features" of a CPU model (a list; null: no such model).

exit status: 0 they agree, 1 they disagree, 2 could not be done (one sentence on stderr), 130 on Ctrl+C"""


def parser() -> Parser:
    """The command's options."""
    made = Parser(prog="msrtui verify", description=_SUMMARY, epilog=_EPILOG, formatter_class=Help, allow_abbrev=False)
    made.add_argument(
        "--qemu",
        metavar="PATH",
        help="the program (default: qemu-system-x86_64, qemu-kvm or kvm, wherever a distribution has put it)",
    )
    made.add_argument(
        "--profile", metavar="VERSION", help="compare with this version (default: the one that QEMU reports)"
    )
    add_json(made)
    return made


def run(arguments: list[str]) -> int:
    """Print the comparison; 0 where they agree. Raises MsrtuiError where it could not be made."""
    options = parser().parse_args(arguments)

    from msrtui.host import oracle
    from msrtui.host.qemus import installed_paths
    from msrtui.qemu.profile import QemuProfile, version_label
    from msrtui.report import verify
    from msrtui.snapshot.sources import live_source, require_kvm

    label = None if options.profile is None else version_label(options.profile)
    binary = next(installed_paths(), None) if options.qemu is None else oracle.program(options.qemu)
    if not binary:
        raise BadRequest("No QEMU is installed under a known name; --qemu PATH says which to start.")
    source = live_source()
    require_kvm(source)
    told = oracle.ask_qemu(binary)
    done = verify.compare(told, QemuProfile(label or verify.profile_label(told, binary)), source.answerer)
    if options.json:
        say_json(verify.verify_document(source.name, binary, done))
    else:
        say(verify.verify_text(source.name, source.about, binary, done))
    return 1 if done.disagreements else 0
