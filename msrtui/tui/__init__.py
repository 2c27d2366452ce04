"""The Textual app: shows values, sends messages. Nothing in here knows a rule of QEMU's or of KVM's."""
