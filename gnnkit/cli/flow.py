"""``gnnkit flow``: how far information travels in trained runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gnnkit.cli.command import JsonOption, command
from gnnkit.cli.given import refuse
from gnnkit.cli.graph_argument import DataRootOption
from gnnkit.cli.printing import note, show, show_json, verbosity
from gnnkit.cli.table import aligned
from gnnkit.storage.text import printable

if TYPE_CHECKING:
    from gnnkit.jobs.flow_of_runs import RunFlow

_SHOWN = (0, 1, 2, 3, 4, 5, 10, 20, 50, 100, 200, 500)


@command
def flow(
    context: typer.Context,
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders of one kind.", show_default=False)],
    untrained: Annotated[
        bool, typer.Option("--untrained/--no-untrained", help="Beside each model, the same as it started.")
    ] = True,
    samples: Annotated[int, typer.Option(help="Nodes, or sequences, to measure over.", min=1)] = 200,
    every_node: Annotated[bool, typer.Option("--all", help="Measure every node.")] = False,
    norm: Annotated[
        Literal["l1", "l2"], typer.Option(help="Of a Jacobian block: sum of absolute values, or Frobenius.")
    ] = "l1",
    of: Annotated[
        Literal["input", "state"], typer.Option(help="Of sequence models: influence of inputs, or of hidden states.")
    ] = "input",
    data_root: DataRootOption = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw it here: .png, .svg or .pdf.", show_default=False)
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure how strongly inputs h hops away, or s steps ago, move a model's output, trained and untrained.

    A forecast's are measured by both; --no-untrained --plot draws a single one's light cone.
    Of several runs in a folder it is the one with the lowest validation loss. Several folders, of other models
    or depths, are laid side by side.
    """
    from gnnkit.jobs.flow_of_runs import draw_flows, flow_of_runs

    if every_node:
        refuse(context, ("samples",), "is how many to measure, and --all measures every one; give one of them")
    flows = flow_of_runs(
        runs,
        samples=None if every_node else samples,
        untrained=untrained,
        norm=norm,
        of=of,
        data_root=None if data_root is None else str(data_root),
        progress="quiet" if verbosity() == "quiet" or json else "auto",
    )
    if json:
        show_json([_row(each, axis) for axis in flows[0].flow.by for each in flows])
    else:
        for place, axis in enumerate(flows[0].flow.by):
            if place:
                show("")
            _show(flows, axis)
    if plot is not None:
        from gnnkit.plots import save_figure

        save_figure(draw_flows(flows), plot)
        note(f"drew {plot}")


def _row(each: "RunFlow", axis: str) -> dict[str, Any]:
    found = each.flow.along(axis)
    return {
        "run": each.name,
        "model": each.model,
        "trained": each.trained,
        "by": axis,
        "norm": found.norm,
        "outputs": found.influence.size(0),
        "range": found.range,
        "mean_influence": found.influence.mean(0).tolist(),
        "mean_share": found.mean.tolist(),
    }


def _show(flows: "list[RunFlow]", axis: str) -> None:
    from gnnkit.diagnostics.influence import UNITS

    found = [each.flow.along(axis) for each in flows]
    widest = max(each.influence.size(1) for each in found)
    shown = [distance for distance in _SHOWN if distance < widest]
    if widest - 1 not in shown:
        shown.append(widest - 1)
    show(f"share of influence from within so many {UNITS[axis]}, in %, over {found[0].influence.size(0)} outputs")
    table = [["run", "model", "weights", "range", *(str(distance) for distance in shown)]]
    for each, along in zip(flows, found, strict=True):
        shares = [f"{100 * along.within(distance):.2f}" for distance in shown]
        weights = "trained" if each.trained else "untrained"
        table.append([printable(each.name), printable(each.model), weights, f"{along.range:.2f}", *shares])
    for line in aligned(table, right=range(3, len(table[0]))):
        show(line)
