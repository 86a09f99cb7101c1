"""``gnnkit sequence row``: an experiment of the student reports, run again."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gnnkit.cli.command import BadUsageError, JsonOption, command
from gnnkit.cli.printing import show, show_json, show_rows
from gnnkit.cli.sequence_train import progress_mode
from gnnkit.cli.table import aligned
from gnnkit.storage.text import printable

_COUNTS = {"steps", "by_formula", "counted", "second_biases"}


@command
def row(
    number: Annotated[int, typer.Argument(metavar="N", help="Its number; see docs/sequences.md.", show_default=False)],
    quick: Annotated[bool, typer.Option("--quick", help="A minute or two: fewer lengths, steps, runs.")] = False,
    runs: Annotated[
        int | None, typer.Option(help="Seeds 0, 1, ...; 3, or 1 if quick, when omitted.", min=1, show_default=False)
    ] = None,
    jobs: Annotated[int, typer.Option(help="Runs side by side.", min=1)] = 1,
    out: Annotated[Path, typer.Option(metavar="DIR", help="For row-NN.json; run folders go below.")] = Path("rows"),
    json: JsonOption = False,
) -> None:
    """Run an experiment of the reports again, with their settings; print its figures beside theirs."""
    from gnnkit.jobs.sequence_rows import row_numbers, run_row

    if number not in row_numbers():
        known = ", ".join(map(str, row_numbers()))
        raise BadUsageError(f"there is no sequence row {number}: there are {known}")
    result = run_row(number, out, quick=quick, runs=runs, jobs=jobs, progress=progress_mode())
    if json:
        show_json({**result.content, "file": str(result.path)})
        return
    content = result.content
    show(f"row {number}, report {content['report']}: {content['experiment']}")
    show(f"reported: {content['claim']}\n")
    for line in aligned(_table(content["cases"]), right=()):
        show(line)
    show("")
    show_rows([("seconds", f"{content['seconds']:.1f}"), ("file", printable(result.path))])


def _table(cases: list[dict[str, Any]]) -> list[list[str]]:
    names = [name for name in cases[0]["results"] if name != "seconds" and not name.endswith("by_distance")]
    titles = ["", "reported", *(name.replace("_", " ") for name in names)]
    return [
        titles,
        *(
            [case["label"], case["reported"] or "-", *(_cell(case["summary"].get(name), name) for name in names)]
            for case in cases
        ),
    ]


def _cell(summary: dict[str, float] | None, name: str) -> str:
    if summary is None:
        return "-"
    form = ".0f" if name in _COUNTS and summary["mean"] == int(summary["mean"]) else ".1f" if name in _COUNTS else ".3g"
    std = summary["std"]
    return f"{summary['mean']:{form}}" + ("" if std != std else f" +- {std:{form}}")
