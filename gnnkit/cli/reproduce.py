"""``gnnkit reproduce``: the experiments of five student reports, run again, on one page."""

from pathlib import Path
from typing import Annotated

import typer

from gnnkit.cli.command import FAILED, BadUsageError, JsonOption, command
from gnnkit.cli.given import refuse
from gnnkit.cli.graph_argument import DataRootOption
from gnnkit.cli.printing import note, show, show_json, show_rows
from gnnkit.storage.text import printable


@command
def reproduce(
    context: typer.Context,
    rows: Annotated[
        list[int] | None, typer.Argument(metavar="[ROW]...", help="Their numbers; all if omitted.", show_default=False)
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer lengths, steps, seeds: about a minute a row.")] = False,
    jobs: Annotated[int, typer.Option(help="Rows side by side, one thread each.", min=1)] = 2,
    out: Annotated[Path, typer.Option(metavar="DIR", help="For a result file per row; run folders go below.")] = Path(
        "reproduction"
    ),
    page: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The page; DIR/reproduction.html if omitted.", show_default=False),
    ] = None,
    page_only: Annotated[
        bool, typer.Option("--page-only", help="Run nothing: write the page of what is there.")
    ] = False,
    data_root: DataRootOption = None,
    json: JsonOption = False,
) -> None:
    """Run the reports' experiments again and write one page: claims, measurements, verdicts, figures.

    What is done and unchanged is not run again; a command stopped goes on when given again. Texts are those in
    DATA_ROOT/text; a row whose text is missing is on the page as not reached.
    """
    from gnnkit.data.registry import data_root as chosen_root
    from gnnkit.reproduction.campaign import Campaign, failures, row_numbers, run_rows
    from gnnkit.reproduction.page import write_page

    if page_only:
        refuse(context, ("rows", "quick", "jobs", "data_root"), "is for rows that are run, and --page-only runs none")
    known = row_numbers()
    if unknown := [number for number in rows or () if number not in known]:
        raise BadUsageError(f"there is no row {unknown[0]}: there are {', '.join(map(str, known))}")
    outcomes = []
    if page_only and not out.is_dir():
        raise BadUsageError(f"there is no folder {out} with results; name it with --out, or leave out --page-only")
    if not page_only:
        campaign = Campaign(out, Path(chosen_root(data_root)) / "text", quick)
        outcomes = run_rows(rows or known, campaign, jobs=jobs, say=note)
    path = page or out / "reproduction.html"
    written = write_page(out, path)
    missed = failures(outcomes)
    if json:
        verdicts = [{"row": row.number, "verdict": row.said, "problem": row.problem} for row in written]
        show_json({"page": str(path), "rows": verdicts, "not_reached": [outcome.number for outcome in missed]})
    else:
        for row in written:
            show(f"{row.number:>3}  {row.said:<32}  {row.question.title}")
        show_rows([("page", printable(path))])
    if missed:
        raise typer.Exit(FAILED)
