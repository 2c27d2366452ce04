"""Talks: the conversation told scene by scene."""
