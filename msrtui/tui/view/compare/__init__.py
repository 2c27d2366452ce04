"""The compare screen as lines, from a comparison; without Textual."""
