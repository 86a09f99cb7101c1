"""Runs the notebooks anew, each in a kernel of its own, and keeps what they print and draw.

$ python notebooks/execute.py
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

FOLDER = Path(__file__).parent


def executed(path: Path) -> Any:
    """The notebook with the outputs of a fresh run, in one thread.

    Raises:
        CellExecutionError: If a cell fails.
    """
    import nbformat
    from nbclient import NotebookClient
    from traitlets.config import Config

    notebook = nbformat.read(path, as_version=4)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(FOLDER.parent), "PYTHONWARNINGS": "ignore"}
    with TemporaryDirectory() as folder:
        # Sockets in a folder, no ports; where none is named, they stay behind in the working directory.
        config = Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/kernel"}})
        NotebookClient(notebook, timeout=300, kernel_name="python3", config=config).execute(env=environment)
    return tidied(notebook)


def tidied(notebook: Any) -> Any:
    """Without what differs from run to run, or from machine to machine, and means nothing."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it ran
        texts = [each for each in cell.get("outputs", []) if each.output_type == "stream"]
        for following in texts[1:]:  # how its lines were cut into messages
            texts[0].text += following.text
            cell.outputs.remove(following)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def main() -> None:
    """Write all of them."""
    import nbformat

    for path in sorted(FOLDER.glob("*.ipynb")):
        nbformat.write(executed(path), path)
        print(f"{path.name}  {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
