"""The generator: reads a QEMU source tree, writes that version's table (``python -m msrtui.qemu.tables.generate``).

Facts only: names, numbers, which depends on which. It reads the few C shapes that QEMU's tables have had from
3.1 on; a shape that it does not know ends it with a sentence (``UnknownShape``), nothing is left out in silence.

    ctext.py         characters to tokens and macros: comments, conditionals, #define
    constants.py     constant expressions over macros and enums, with C's integer types
    initializer.py   brace initializers, functions and switches, as trees of tokens
    tree.py          which files of a source tree are read, and which QEMU it is
    words.py, models.py, msrs.py   the tables themselves
    writing.py       one row a line
"""

from __future__ import annotations
