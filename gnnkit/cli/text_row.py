"""``gnnkit text row``: an experiment of the student reports with texts, run again."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from gnnkit.cli.command import BadUsageError, JsonOption, command
from gnnkit.cli.graph_argument import DataRootOption
from gnnkit.cli.printing import note, show, show_json, show_rows, verbosity
from gnnkit.storage.text import printable


@command
def row(
    number: Annotated[int, typer.Argument(metavar="N", help="Its number; see docs/text.md.", show_default=False)],
    quick: Annotated[bool, typer.Option("--quick", help="A minute or two: few steps.")] = False,
    data_root: DataRootOption = None,
    precision: Annotated[
        Literal["float32", "bfloat16"], typer.Option(help="bfloat16: forward passes under autocast.")
    ] = "float32",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(help="Threads of torch.", min=1, max=1024)] = 1,
    out: Annotated[Path, typer.Option(metavar="DIR", help="For row-NN.json; run folders go below.")] = Path("rows"),
    json: JsonOption = False,
) -> None:
    """Run an experiment of the reports again, with their settings; texts are those in DATA_ROOT/text."""
    from gnnkit.data.registry import data_root as chosen_root
    from gnnkit.jobs.text_row_cases import ROWS
    from gnnkit.jobs.text_rows import run_text_row

    if number not in ROWS:
        raise BadUsageError(f"there is no text row {number}: there are {', '.join(map(str, ROWS))}")
    result = run_text_row(
        number,
        Path(chosen_root(data_root)) / "text",
        out,
        quick=quick,
        precision=precision,
        device=device,
        threads=threads,
        progress="quiet" if verbosity() == "quiet" else "auto",
        say=note,
    )
    content = result.content
    if json:
        show_json({**content, "file": str(result.path)})
        return
    show(f"row {number}, report {content['report']}: {content['experiment']}")
    show(f"reported: {content['claim']}")
    for name, run in content["runs"].items():
        bits = run["test_bits_per_character"]
        show(f"\n{name}: {run['model']} on {printable(run['text'])}, held out {bits:.3f} bits per character")
        for rung in run["ladder"]:
            sample = "" if rung["sample"] is None else "  " + printable(rung["sample"].replace("\n", " "))
            show(f"  step {rung['step']:>7}  training accuracy {rung['train_accuracy']:.3f}{sample}")
    for text in content["texts"]:
        how = f"temperature {text['temperature']:g}" if text["temperature"] else text["strategy"]
        how += f" of {text['beam_width']}" if text["beam_width"] else ""
        show(f"\n{text['run']}, {how}: {printable((text['prompt'] + text['text']).replace(chr(10), ' '))}")
    show("")
    show_rows([("file", printable(result.path))])
