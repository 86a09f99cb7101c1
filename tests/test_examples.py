"""Examples: each is in the table of examples/README.md, and the table names no other; all are of one form."""

import ast
import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
TABLE = (EXAMPLES / "README.md").read_text(encoding="utf-8")
SCRIPTS = sorted(path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.glob("*/*.py"))


def rows():
    """Cells of every line that names a script."""
    return [
        [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        for line in TABLE.splitlines()
        if "](" in line and line.startswith("|")
    ]


def test_the_table_and_the_folder_agree():
    named = [re.search(r"\]\(([^)]+)\)", row[1])[1] for row in rows()]
    assert sorted(set(SCRIPTS) - set(named)) == [], "give each a line in examples/README.md"
    assert sorted(named) == SCRIPTS


def test_every_row_of_the_reports_is_in_the_table():
    said = " ".join(row[3] for row in rows()) + TABLE
    numbers = {int(number) for number in re.findall(r"row (\d+)", said)}
    for first, last in re.findall(r"rows (\d+)(?:, \d+)* (?:to|and) (\d+)", said):
        numbers |= set(range(int(first), int(last) + 1)) if "to" in said else {int(first), int(last)}
    assert set(range(1, 30)) <= numbers, sorted(set(range(1, 30)) - numbers)


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_example_asks_a_question_and_says_what_it_prints(script):
    tree = ast.parse((EXAMPLES / script).read_text(encoding="utf-8"))
    doc = ast.get_docstring(tree)
    assert doc is not None
    assert "?" in doc.split("\n\n")[0]
    assert f"python examples/{script}" in doc
    # Only the public API: no name that begins with an underscore is imported.
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert not any(part.startswith("_") and part != "__future__" for part in (node.module or "").split("."))
            assert not any(alias.name.startswith("_") for alias in node.names)
