"""What can be looked at, as one value: the app's selection and links, what is found, what lint speaks of. A leaf."""

from __future__ import annotations

from typing import TypeAlias

Subject: TypeAlias = tuple[object, ...]
"""Its kind, then which one:

- ("word", FEAT_…), ("bit", FEAT_…, n): a feature word by QEMU's name, and one bit of it;
- ("group", kind): a group of rows, as the words "msr" and "cpuid";
- ("msr", index), ("leaf", function, index): an MSR, and a leaf of CPUID with its subleaf;
- ("list", which): one of KVM's MSR lists ("index", "feature"), or the "capabilities" that QEMU checks;
- ("cap", number), ("flag", has_msr_…), ("parameter", module, name);
- ("event", n): one event of the conversation.

JSON calls a leaf "cpuid" (``report/lint.py``).
"""
