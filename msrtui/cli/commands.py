"""The command words, each with what it gives."""

from __future__ import annotations

COMMANDS = {
    "lists": "KVM's two MSR lists, and what QEMU does with each entry",
    "trace": "the conversation, event by event",
    "get": "one MSR: lists, values, lineage, fields",
    "words": "QEMU's feature words with every layer",
    "verify": "msrtui's answers against a real QEMU's, on this machine",
    "probe": "a scratch vCPU looked at: would this QEMU start, and why not",
    "features": "what a guest gets: every CPU feature, and why not more",
    "models": "which CPU models run here, and what the others lack",
    "diff": "what differs between KVMs, and whether a guest can move",
    "lint": "contradictions on one host, and what hides something there",
    "report": "one paste for a bug tracker: the host, its lists, the guest, lint, outcome",
    "baseline": "the richest CPU that all given hosts can run, for -cpu and libvirt",
    "explain": "an error message of QEMU, libvirt or the kernel: why, and what to do",
    "decode": "an MSR's value bit by bit, what changed between two, rdmsr output, raw CPUID",
    "play": "the conversation told as a talk, scene by scene; pictures and recordings of it",
    "serve": "the app in a browser, for this machine's own users",
    "capture": "a snapshot of this machine, or of others over ssh",
    "hosts": "the saved hosts that are brought along, or those in a folder",
    "convert": "a capture of another kind, as a snapshot",
    "redact": "a snapshot without what could say whose host it is",
    "collector": "the program that captures a host where msrtui is not installed",
    "pyz": "msrtui as one file that any python3 runs, with nothing installed",
    "qemus": "the QEMUs that run on this host, and what each one's -cpu gets",
    "doctor": "can KVM be used here, by you; if not, what to do",
    "help": "how to read each screen, a snapshot, an exit status",
    "man": "the manual page, for man",
    "completion": "what lets a shell complete msrtui by Tab: bash, zsh, fish",
}
"""Each is a module of this package, imported when it runs; any other first word is a source for the app."""
