"""Hosts that were saved: what KVM and the machine said, never what was made of it; and where sources are found."""
