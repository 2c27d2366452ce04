"""The conversation as it happened: immutable events, a cursor among them, and QEMU's variables at the cursor."""
