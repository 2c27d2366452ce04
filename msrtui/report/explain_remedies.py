"""What can be done about a message, in sentences, and what each way costs."""

from __future__ import annotations

from collections.abc import Mapping

from msrtui.explain.answer import CostId, Remedy, RemedyId
from msrtui.kvm.collector import plain
from msrtui.language import N_

REMEDIES: Mapping[RemedyId, str] = {
    "cpu-without": N_("-cpu {cpu}{since}"),
    "cpu-without-vmx": N_("-cpu {base},-vmx"),
    "pmu-off": N_("-cpu {base},pmu=off"),
    "outer-counters": N_(
        "switch virtual performance counters on in the outer hypervisor (VMware: Virtualize CPU performance counters)"
    ),
    "kvm-pmu-off": N_("load kvm with enable_pmu=0"),
    "newer-kernel": N_("a newer kernel on the host{version}"),
    "newer-qemu": N_("a newer QEMU{version}"),
    "nested-on": N_("load kvm_intel (kvm_amd) with nested=1; in a VM, switch nested virtualization on outside first"),
    "nothing": N_("nothing: this line alone breaks nothing"),
    "silence": N_("-cpu MODEL,-{name}: the same guest without the warning"),
    "smaller-model": N_("a CPU model that every host can give (msrtui models HOST lists those that run)"),
    "probe": N_(
        "msrtui probe -o FILE on that host: what a scratch vCPU takes (with --try each bit apart); then explain the"
        " message with FILE as the host"
    ),
    "give-host": N_("give a host, live or a snapshot: msrtui explain … SOURCE holds the message against its KVM"),
    "compare-hosts": N_("msrtui diff A B: which bits differ, at which layer, and what likely made them"),
    "libvirt-disable": N_("in the guest's XML: {features}"),
    "same-level": N_("the same kernel, microcode, firmware settings and KVM parameters on all hosts"),
    "newer-libvirt": N_("a newer libvirt{commit}"),
    "refresh-labels": N_("let the node labels be made again after an upgrade, and start the guest anew"),
    "ignore-msrs": N_("kvm.ignore_msrs=1 on the host"),
    "firmware-on": N_("switch virtualization on in the firmware (VT-x or SVM), or in what provides this machine"),
    "restart-guest": N_("stop the guest and start it anew on this host"),
    "doctor": N_("msrtui doctor: why /dev/kvm cannot be used here, and what to do"),
    "list-models": N_("msrtui models: the models that this QEMU has and this host can run"),
    "list-features": N_("msrtui features: every feature by the name that this QEMU has for it"),
    "split-lock-off": N_("split_lock_detect=off (or warn) on the host's kernel command line"),
    "capture-instead": N_("msrtui capture: reads KVM's values through /dev/kvm, which lockdown allows"),
    "pmu-on": N_("kvm with enable_pmu=1, and -cpu …,pmu=on"),
    "lbr-as-host": N_("leave lbr-fmt out, or give the host's own: msrtui get 0x345 shows LBR_FMT{format}"),
    "machine-type": N_("a machine type newer than 10.0 with QEMU {at} or later, on an AMD host"),
    "irqchip-on": N_("kernel-irqchip=on (or split)"),
    "min-level": N_("-cpu …,intel-pt=on,min-level=0x14"),
    "host-model-policy": N_("ask for it: <feature policy='require' name='svm'/>, or host-passthrough"),
    "check-count": N_("the monitor must look at the count that KVM returns, and leave out what the VM has not"),
}

COSTS: Mapping[CostId, str] = {
    "nothing": N_("nothing"),
    "guest-lacks": N_("the guest does not have what is left out, and must be started anew"),
    "no-nested": N_("no VMs inside the guest"),
    "no-counters": N_("no performance counters in the guest (perf, VTune)"),
    "outer-setting": N_("a setting outside, and a restart of this host"),
    "module-reload": N_("every VM on the host must stop while the module is loaded again"),
    "host-reboot": N_("a reboot of the host"),
    "qemu-upgrade": N_("an upgrade, and guests must be started anew"),
    "libvirt-upgrade": N_("an upgrade; guests go on running"),
    "fewer-features": N_("the guest has fewer features and must be started anew"),
    "scratch-vm": N_("a VM and a vCPU that never run, for a few milliseconds"),
    "hides-refusals": N_("hides every such refusal on the host, real faults too; values are dropped without a word"),
    "guest-restart": N_("the guest must be started anew"),
    "mitigations": N_("the guest no longer knows what the CPU is safe from, and may mitigate more than it must"),
    "split-lock": N_("any program, in guests too, can slow down the whole host; a reboot"),
    "code-change": N_("a change of that monitor's code"),
}


def remedy_text(remedy: Remedy) -> str:
    """What to do."""
    params = remedy.params
    version, since = params.get("version", ""), params.get("since", "")
    names = [plain(name, 60) for name in params.get("names", ())]
    features = " ".join(f"<feature policy='disable' name='{name}'/>" for name in names[:4])
    return REMEDIES[remedy.id].format(
        name=names[0] if names else "",
        format="" if params.get("value") is None else f": here lbr-fmt={params['value']:#x}",
        cpu=plain(str(params.get("cpu", "")), 300),
        base=plain(str(params.get("base", "host")), 300),
        since=f" (QEMU {since} and later)" if since else "",
        version=f", {version} or later" if version else "",
        at=version,
        features=features + (f" and so on for {len(names) - 4} more" if len(names) > 4 else ""),
        commit=f" (with its fix {params['commit']})" if params.get("commit") else "",
    )
