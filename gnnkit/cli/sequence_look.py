"""``gnnkit sequence gradients | gates | temporal-gate | params``: a look into recurrent models."""

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gnnkit.cli.command import BadUsageError, JsonOption, command
from gnnkit.cli.given import refuse
from gnnkit.cli.printing import note, show, show_json
from gnnkit.cli.sequence_options import CELLS, InitOption, TaskArgument, known_cells
from gnnkit.cli.table import aligned
from gnnkit.storage.text import printable

if TYPE_CHECKING:
    from recurrent.models import SequenceClassifier
    from recurrent.tasks import Task

PlotOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Draw it here: .png, .svg or .pdf.", show_default=False)
]
_OF_CELLS = ("task", "length", "encoding", "hidden", "init", "seeds")
_LAST_TIME = 1_000_000
_SHOWN = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@command
def gradients(
    context: typer.Context,
    runs: Annotated[
        list[Path] | None, typer.Argument(metavar="[RUN...]", help="Run folders.", show_default=False)
    ] = None,
    untrained: Annotated[bool, typer.Option("--untrained", help="The runs' models as they started.")] = False,
    cell: Annotated[
        list[str] | None, typer.Option(help=f"Untrained cells, instead of runs: {CELLS}.", show_default=False)
    ] = None,
    task: Annotated[TaskArgument, typer.Option(help="Of --cell: what the loss is of.")] = "palindrome",
    length: Annotated[int, typer.Option(help="Of --cell: the task's length.", min=1)] = 100,
    encoding: Annotated[
        Literal["one-hot", "scalar"] | None, typer.Option(help="Of --cell: how symbols are read.", show_default=False)
    ] = None,
    hidden: Annotated[int, typer.Option(help="Of --cell: units.", min=1)] = 128,
    init: Annotated[InitOption, typer.Option(help="Of --cell: how matrices start.")] = "xavier",
    seeds: Annotated[int, typer.Option(help="Of --cell: how many starts.", min=1)] = 3,
    samples: Annotated[int, typer.Option(help="Sequences that the loss is a mean over.", min=1)] = 128,
    plot: PlotOption = None,
    json: JsonOption = False,
) -> None:
    """How far a gradient reaches: the norm of dL/dh_t by how many steps back t is.

    Of trained runs, or with --cell of untrained cells.
    """
    from gnnkit.jobs.sequence_diagnostics import factor_per_step, gradients_by_distance

    if bool(runs) == bool(cell):
        raise BadUsageError("name run folders, or untrained cells with --cell, and not both")
    if runs:
        refuse(context, _OF_CELLS, "is of --cell; runs have their own, so leave it out")
    if untrained and cell:
        raise BadUsageError("--untrained is for runs; the cells of --cell are untrained anyway")
    series: dict[str, list[list[float]]] = {}
    for name, (model, its_task, seed) in [
        *_of_runs(runs or [], untrained),
        *_of_cells(cell or [], task, length, encoding, hidden, init, seeds),
    ]:
        norms = gradients_by_distance(model, its_task, samples=samples, seed=seed)
        series.setdefault(name, []).append(norms)
    factors = {name: [factor_per_step(each) for each in norms] for name, norms in series.items()}
    if json:
        entries = [
            {"name": name, "norm_by_distance": norms, "factor_per_step": factors[name]}
            for name, norms in series.items()
        ]
        show_json({"gradients": entries})
    else:
        longest = max(len(norms[0]) for norms in series.values())
        shown = sorted({*(at for at in _SHOWN if at < longest), longest - 1})
        table = [["steps back", *map(printable, series)]]
        table += [[str(at), *(_mean(norms, at) for norms in series.values())] for at in shown]
        table.append(["factor per step", *(f"{sum(each) / len(each):.3f}" for each in factors.values())])
        for line in aligned(table, right=range(1, len(table[0]))):
            show(line)
    if plot is not None:
        from gnnkit.plots import save_figure
        from gnnkit.plots.influence import influence_by_distance

        save_figure(influence_by_distance(series, title="norm of dL/dh_t"), plot)
        note(f"drawn: {plot}")


def _of_runs(runs: list[Path], untrained: bool) -> list[tuple[str, tuple["SequenceClassifier", "Task", int]]]:
    from gnnkit.jobs.trained_sequence import load_sequence

    found: list[tuple[str, tuple[SequenceClassifier, Task, int]]] = []
    for run in runs:
        trained = load_sequence(run)
        model = trained.job.build(trained.seed)[1] if untrained else trained.model
        name = run.resolve().name + (", untrained" if untrained else "")
        name = str(run) if any(name == other for other, _ in found) else name
        found.append((name, (model, trained.task, trained.seed)))
    return found


def _of_cells(
    cells: list[str],
    task: TaskArgument,
    length: int,
    encoding: Literal["one-hot", "scalar"] | None,
    hidden: int,
    init: InitOption,
    seeds: int,
) -> list[tuple[str, tuple["SequenceClassifier", "Task", int]]]:
    from gnnkit.jobs.sequence_job import CellChoice, TaskChoice

    try:
        built = TaskChoice(task, length, encoding).build()
        return [
            (cell, (CellChoice(cell, hidden, init=init).build(built, seed), built, seed))
            for cell in known_cells(cells)
            for seed in range(seeds)
        ]
    except ValueError as error:
        raise BadUsageError(str(error)) from error


def _mean(norms: list[list[float]], at: int) -> str:
    return f"{sum(each[at] for each in norms) / len(norms):.3g}" if at < len(norms[0]) else "-"


@command
def gates(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)],
    samples: Annotated[int, typer.Option(help="Held-out sequences to average over.", min=1)] = 128,
    plot: PlotOption = None,
    json: JsonOption = False,
) -> None:
    """What every gate of a trained model does over time, on average over sequences."""
    from gnnkit.jobs.sequence_diagnostics import gates_by_step
    from gnnkit.jobs.trained_sequence import load_sequence

    trained = load_sequence(run)
    found = gates_by_step(trained.model, trained.task, samples=samples, seed=trained.seed)
    if json:
        show_json({"gates": {name: values.mean(dim=1).tolist() for name, values in found.items()}})
    else:
        steps = len(next(iter(found.values())))
        shown = sorted({0, steps // 4, steps // 2, 3 * steps // 4, steps - 1})
        table = [["gate", *(f"step {at + 1}" for at in shown)]]
        table += [[name, *(f"{float(values[at].mean()):.3f}" for at in shown)] for name, values in found.items()]
        show("mean over units and sequences")
        for line in aligned(table, right=range(1, len(table[0]))):
            show(line)
    if plot is not None:
        from gnnkit.plots import save_figure
        from gnnkit.plots.gates import gate_activations

        title = f"{trained.job.model.label} on {trained.job.task.label}, seed {trained.seed}: gates, mean of {samples}"
        save_figure(gate_activations(found, title=title), plot)
        note(f"drawn: {plot}")


@command
def temporal_gate(
    tau: Annotated[
        list[float] | None, typer.Option(help="Period; several for a line each. 15 if omitted.", show_default=False)
    ] = None,
    shift: Annotated[list[float] | None, typer.Option(help="Shift s. 0 if omitted.", show_default=False)] = None,
    open_ratio: Annotated[
        list[float] | None, typer.Option(help="Open ratio r_on. 0.4 if omitted.", show_default=False)
    ] = None,
    leak: Annotated[list[float] | None, typer.Option(help="Leak alpha. 0 if omitted.", show_default=False)] = None,
    until: Annotated[float, typer.Option(help="The last time shown.", min=0)] = 60.0,
    plot: PlotOption = None,
    json: JsonOption = False,
) -> None:
    """The temporal gate k(t) of the Phased LSTM; without settings, the panels of report 003."""
    import torch

    if not until <= _LAST_TIME:
        raise BadUsageError(f"--until must be at most {_LAST_TIME}, got {until}")
    from gnnkit.jobs.sequence_diagnostics import ClockSetting, gate_lines, report_003_gates

    try:
        settings = [
            ClockSetting(*values)
            for values in product(tau or [15.0], shift or [0.0], open_ratio or [0.4], leak or [0.0])
        ]
    except ValueError as error:
        raise BadUsageError(str(error)) from error
    panels = {"k(t)": settings} if tau or shift or open_ratio or leak else report_003_gates()
    whole = torch.arange(int(until) + 1, dtype=torch.float64)
    lines = gate_lines(panels, whole)
    if json:
        entries: list[dict[str, Any]] = [
            {"panel": title, "setting": name, "k": k.tolist()}
            for title, panel in lines.items()
            for name, k in panel.items()
        ]
        show_json({"times": whole.tolist(), "gates": entries})
    else:
        shown = [at for at in range(len(whole)) if at <= 20 or at % 10 == 0]
        for title, panel in lines.items():
            show(title)
            table = [["t", *panel], *([str(at), *(f"{float(k[at]):.3f}" for k in panel.values())] for at in shown)]
            for line in aligned(table, right=range(len(table[0]))):
                show(line)
    if plot is not None:
        from gnnkit.plots import save_figure
        from gnnkit.plots.gates import temporal_gates

        fine = torch.linspace(0, until, 1201, dtype=torch.float64)
        save_figure(temporal_gates(fine, gate_lines(panels, fine), title="the temporal gate k(t)"), plot)
        note(f"drawn: {plot}")


@command
def params(
    cell: Annotated[
        list[str] | None, typer.Option(help=f"Which cell: {CELLS}; all if omitted.", show_default=False)
    ] = None,
    inputs: Annotated[int, typer.Option("--input", help="d, features of a step.", min=1)] = 1,
    hidden: Annotated[int, typer.Option(help="n, units.", min=1)] = 128,
    outputs: Annotated[
        int | None, typer.Option(help="o, of the output map; none if omitted.", min=1, show_default=False)
    ] = None,
    json: JsonOption = False,
) -> None:
    """How many parameters a cell has: by formula, and as its module holds them.

    Torch's layout keeps a second bias per gate, which only adds to the first.
    """
    from gnnkit.jobs.sequence_diagnostics import FORMULAS, parameter_table

    found = parameter_table(known_cells(cell or list(FORMULAS)), inputs, hidden, outputs)
    if json:
        show_json({"input": inputs, "hidden": hidden, "outputs": outputs, "cells": found})
        return
    titles = ["cell", "formula", "by formula", "counted", "second biases"]
    for line in aligned([titles, *(list(map(str, entry.values())) for entry in found)], right=range(2, 5)):
        show(line)
