"""What importing the catalogue costs, and that its tables are as they should be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import msrtui.catalog

FOLDER = Path(msrtui.catalog.__file__).parent


def test_it_imports_nothing_of_the_project_but_itself_and_leaves() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import msrtui.catalog, sys; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    ours = {name for name in found if name.startswith("msrtui.")}
    assert ours == {
        "msrtui.resources",  # where data is found
        "msrtui.values",  # how a value is made
        "msrtui.catalog",
        *(f"msrtui.catalog.{part}" for part in ("arrays", "fields", "makers", "names", "tables")),
    }
    assert not {"textual", "rich", "psutil", "importlib.resources", "difflib", "pathlib"} & set(found)


def test_no_table_is_read_before_it_is_asked_for() -> None:
    script = (
        "import sys\n"
        "opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == 'open' else None)\n"
        "import msrtui.catalog as catalog\n"
        "catalog.short_name(0x10a)\n"
        "print(*(path for path in opened if path.endswith('.json')))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert [Path(path).name for path in done.stdout.split()] == ["names.json"]


@pytest.mark.parametrize(
    ("table", "rows_key", "rows"),
    [("names.json", "names", 651), ("fields.json", "msrs", 34), ("kernel_arrays.json", "msrs", 169)],
)
def test_a_table_says_what_made_it_and_has_one_msr_a_line_in_order(table: str, rows_key: str, rows: int) -> None:
    text = (FOLDER / table).read_text(encoding="utf-8")
    read = json.loads(text)
    assert read["about"]["made_by"].startswith("converted from ")
    assert "/home/" not in text
    indices = [int(index, 16) for index in read[rows_key]]
    assert len(indices) == rows
    assert indices == sorted(set(indices))
    lines = text.splitlines()
    assert all(sum(line.startswith(f'"{index:#x}":') for line in lines) == 1 for index in indices)


def test_every_name_it_exports_is_there() -> None:
    assert all(hasattr(msrtui.catalog, name) for name in msrtui.catalog.__all__)
