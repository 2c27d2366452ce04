"""QEMU's side of the conversation, for each QEMU version: generators that yield questions and decisions. No I/O."""
