"""Readers of what other programs saved of a host."""
