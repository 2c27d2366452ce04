"""Talks: the conversation told scene by scene, on a stage of any size, and as pictures, text and recordings.

A talk is data (``talk.py``, TOML). What a scene is told of is worked out by the same generators as everything else
(``telling.py``), drawn by a figure (``figures/``), put on a page (``page.py``) and shown by the app or exported.
"""
