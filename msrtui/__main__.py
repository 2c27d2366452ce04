"""``python -m msrtui``."""

from __future__ import annotations

import sys

from msrtui.cli.__main__ import main

sys.exit(main())
