"""What is true of this machine: whether its KVM can be used, its kernel, KVM's parameters."""
