"""msrtui: the negotiation of MSRs and CPU features between QEMU and KVM, made visible.

Layers, each knowing only those before it: ``kvm`` (what can be asked, and who answers), ``qemu`` (what QEMU
asks and decides, as generators without I/O), ``transcript`` (what happened), and the faces: ``report``,
``tui``, ``cli``.
"""

__version__ = "0.1.0"
