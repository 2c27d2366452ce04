"""A terminal driver that sends only the cells that changed.

Textual paints regions: what it writes is right, but most of it is on the screen already, and four fifths of it are
colour codes. Here its frames are read into a grid (``cells.py``, ``style.py``), compared with what the terminal
shows, and the difference is written the shortest way (``encoder.py``, ``painter.py``): all of that is plain values,
and knows neither Textual nor a terminal. ``driver.py`` puts it under Textual; ``choice.py`` says when it is used.

One invariant carries it: a cell that the grid knows is a cell that the terminal shows. Whatever is not understood
is sent as it is, and then nothing is known any more.
"""
