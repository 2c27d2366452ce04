"""What two KVMs, or two QEMUs, give a guest, side by side: what differs, and whether a guest can move.

Knows the hosts and QEMU's rules; makes no sentences: a reason has ids and values.
"""
