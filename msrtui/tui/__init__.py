"""The Textual app: shows values, sends messages. Nothing in here knows a rule of QEMU's or of KVM's."""

import os

# Textual draws at its frames' beat, sixty a second unless told otherwise before it is imported: half of the time until
# a key's answer leaves would be waiting. Nothing is drawn, and nothing beats, while nothing changes.
os.environ.setdefault("TEXTUAL_FPS", "500")
