"""Screens: they own the session and turn messages into the next one."""
