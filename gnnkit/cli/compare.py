"""``gnnkit compare``: finished runs side by side, and whether their difference is more than chance."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gnnkit.cli.command import BadUsageError, JsonOption, command
from gnnkit.cli.printing import note, show, show_json
from gnnkit.storage.text import printable

if TYPE_CHECKING:
    from gnnkit.jobs.compare import Difference, RunComparison
    from gnnkit.runs import Interval


@command
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Run folders.", show_default=False)],
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw the runs' curves, with bands, here.", show_default=False),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Compare runs on the same data with the first: mean, deviation, difference with its interval, paired test."""
    from gnnkit.jobs.compare import compare_runs, draw_comparison

    if len(runs) < 2:
        raise BadUsageError(f"compare takes at least two run folders, got {len(runs)}")
    comparison = compare_runs(runs)
    if json:
        show_json(_document(comparison))
    else:
        _show(comparison)
    if plot is not None:
        from gnnkit.plots import save_figure

        save_figure(draw_comparison(comparison), plot)
        note(f"curves: {plot}")


def _document(comparison: "RunComparison") -> dict[str, Any]:
    document = asdict(comparison)
    for each in (*document["runs"], *document["differences"]):
        for field in ("folder", "reference"):
            if field in each:
                each[field] = str(each[field])
    return document


def _show(comparison: "RunComparison") -> None:
    from gnnkit.jobs.compare import names_of

    names = [printable(name) for name in names_of(comparison.runs)]
    show(f"{comparison.score} on {printable(comparison.runs[0].dataset)}, in %\n")
    table = [("run", "model", "runs", "mean", "std", "95 % interval of the mean")]
    for name, run in zip(names, comparison.runs, strict=True):
        score = run.score
        failed = f" (+{run.failed_runs} failed)" if run.failed_runs else ""
        std, interval = ("-", "-") if score.n == 1 else (f"{100 * score.std:.2f}", _points(score.interval))
        row = (name, printable(run.model), f"{score.n}{failed}", f"{100 * score.mean:.2f}", std, interval)
        table.append(row)
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        show("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    for name, difference in zip(names[1:], comparison.differences, strict=True):
        show(f"\n{name} - {names[0]}")
        for line in _lines(difference, len(comparison.differences)):
            show(f"  {line}")


def _lines(difference: "Difference", comparisons: int) -> list[str]:
    lines = [f"{100 * difference.difference:+.2f} points"]
    tested = difference.comparison
    if tested is not None:
        lines[0] += f", {100 * tested.interval.confidence:.0f} % interval {_points(tested.interval, signed=True)}"
        p = _p(tested.p_value)
        if comparisons > 1 and difference.adjusted_p_value is not None:
            p += f", {_p(difference.adjusted_p_value)} after Holm over {comparisons} comparisons"
        over = "splits, paired" if difference.test != "Welch's t-test" else "seeds of the smaller run"
        lines.append(f"p {p} ({difference.test}, {tested.n} {over})")
    same = difference.equivalence
    if same is not None:
        verdict = "equivalent" if same.equivalent else "not shown to be equivalent"
        lines.append(
            f"{verdict} within {100 * same.margin:g} points (TOST: {100 * same.interval.confidence:.0f} % interval "
            f"{_points(same.interval, signed=True)}, p {_p(same.p_value)})"
        )
    return [*lines, *difference.notes]


def _points(interval: "Interval", *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    return f"{100 * interval.low:{sign}.2f} to {100 * interval.high:{sign}.2f}"


def _p(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"= {value:.4f}"
