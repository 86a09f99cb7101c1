"""The notebooks run, each in a fresh kernel, and print what stands in them; their pictures are drawn and kept small."""

import importlib.util
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("nbclient", "nbformat", "ipykernel")), reason="needs the extra notebooks"
)


def script():
    spec = importlib.util.spec_from_file_location("execute", FOLDER / "execute.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown(notebook):
    """Text and kinds of pictures of every cell that shows something."""
    return [
        [each.text if each.output_type == "stream" else sorted(each.data) for each in cell.outputs]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_shows_what_it_kept(path):
    import nbformat

    kept = nbformat.read(path, as_version=4)
    assert shown(script().executed(path)) == shown(kept)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_whole_and_links_to_what_exists(path):
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert path.stat().st_size < 300_000
    pictures = [each for cell in shown(notebook) for each in cell if isinstance(each, list) and "image/png" in each]
    assert len(pictures) >= 2
    for cell in notebook.cells:
        for target in re.findall(r"\]\(([^)]+)\)", cell.source) if cell.cell_type == "markdown" else []:
            assert (FOLDER / target).resolve().is_file(), target
