"""What can be asked of KVM, and who can answer: the device, a recorded host, a test's double. Decides nothing."""
