"""The app in a browser: a page, a server for this machine, and a process of its own for each window."""
