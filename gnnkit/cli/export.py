"""``gnnkit export``: a trained model as a file that runs without gnnkit."""

from pathlib import Path
from typing import Annotated

import typer

from gnnkit.cli.command import JsonOption, command
from gnnkit.cli.printing import show, show_json, show_rows
from gnnkit.storage.text import printable


@command
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="Where to write it: model.onnx, or model.pt2 for torch alone.", show_default=False
        ),
    ],
    json: JsonOption = False,
) -> None:
    """Write a trained node classifier as an ONNX or torch.export program, for graphs of any size.

    The file is run and compared with the model before the command ends. Of several runs it is the one with the
    lowest validation loss.
    """
    from gnnkit.jobs.export_run import export_run

    found = export_run(run, out)
    if json:
        show_json(
            {
                "file": str(found.path),
                "inputs": found.inputs,
                "classes": found.classes,
                "largest_difference": found.difference,
            }
        )
        return
    show_rows(
        [
            ("file", printable(str(found.path))),
            ("inputs", ", ".join(found.inputs)),
            ("output", f"logits of {len(found.classes)} classes: {printable(', '.join(found.classes))}"),
        ]
    )
    if found.difference is None:
        show("not compared with the model: onnxruntime is not installed (pip install 'gnnkit[onnx]')")
    else:
        show(f"compared with the model on a random graph: equal to {found.difference:.0e} of the largest output")
