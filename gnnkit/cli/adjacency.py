"""``gnnkit adjacency``: the matrix A of a graph, A + lambda I, or its normalised form."""

import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gnnkit.cli.command import BadUsageError, JsonOption, command
from gnnkit.cli.graph_argument import (
    DataRootOption,
    DelimiterOption,
    DirectedOption,
    GraphArgument,
    HeaderOption,
    NamedGraph,
    NodesOption,
    open_graph,
)
from gnnkit.cli.printing import note, show, show_json, show_rows
from gnnkit.storage.text import printable

if TYPE_CHECKING:
    from gnnkit.graph.adjacency import Adjacency

_MAX_PRINTED_NODES = 40


class Normalization(StrEnum):
    """How ``--normalize`` scales the weights."""

    SYM = "sym"
    ROW = "row"
    COLUMN = "column"


@command
def adjacency(
    graph: GraphArgument,
    self_loops: Annotated[
        float | None,
        typer.Option(metavar="LAMBDA", help="Add LAMBDA I: a self-loop of this weight where a node has none."),
    ] = None,
    normalize: Annotated[
        Normalization | None,
        typer.Option(
            help="sym: D^-1/2 A D^-1/2; row: weights entering a node sum to 1; column: those leaving it do. "
            "Self-loops come first."
        ),
    ] = None,
    directed: DirectedOption = False,
    nodes: NodesOption = None,
    delimiter: DelimiterOption = None,
    header: HeaderOption = None,
    data_root: DataRootOption = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the matrix to FILE, .npz, .csv or .mtx.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the matrix, and a small graph beside it: .png, .svg or .pdf."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Print the adjacency matrix: entry i, j is the weight of the edge i -> j.

    Up to 40 nodes are printed with their names, a larger matrix is summarised.

    With --json, edges are listed as edge_index and edge_weight, and a small matrix as rows, too.
    """
    _check_endings(out, plot)
    if self_loops is not None and not math.isfinite(self_loops):
        raise BadUsageError(f"--self-loops must be a finite number, got {self_loops}")
    opened = open_graph(graph, directed=directed, nodes=nodes, delimiter=delimiter, header=header, data_root=data_root)
    matrix = opened.adjacency
    if self_loops is not None:
        matrix = matrix.with_self_loops(self_loops)
    if normalize is not None:
        matrix = matrix.normalized(normalize.value)
    if out is not None:
        from gnnkit.graph.write_files import write_graph

        write_graph(matrix, out, opened.node_names)
        note(f"wrote {out}")
        if out.suffix.lower() == ".csv":
            _note_absent_nodes(matrix, out)
    if plot is not None:
        from gnnkit.plots.adjacency import adjacency_figure
        from gnnkit.plots.style import save_figure

        save_figure(adjacency_figure(matrix, opened.node_names, title=_title(opened, self_loops, normalize)), plot)
        note(f"wrote {plot}")
    if json:
        show_json(_document(opened, matrix, self_loops, normalize))
    else:
        _show(opened, matrix)


def _check_endings(out: Path | None, plot: Path | None) -> None:
    """Refuse an ending before the work it would waste."""
    for path, option, endings in ((out, "--out", (".npz", ".csv", ".mtx")), (plot, "--plot", (".png", ".svg", ".pdf"))):
        if path is not None and path.suffix.lower() not in endings:
            raise BadUsageError(f"{option} {str(path)!r} must end with one of {', '.join(endings)}")


def _note_absent_nodes(matrix: "Adjacency", out: Path) -> None:
    absent = int(((matrix.in_degree() == 0) & (matrix.out_degree() == 0)).sum())
    if absent:
        note(f"{absent} nodes without edges are not in {out}, which lists edges; .npz keeps them")


def _title(opened: NamedGraph, self_loops: float | None, normalize: Normalization | None) -> str:
    steps = [opened.name]
    if self_loops is not None:
        steps.append(f"self-loops of {self_loops:g}")
    if normalize is not None:
        steps.append(f"{normalize.value} normalised")
    return ", ".join(steps)


def _show(opened: NamedGraph, matrix: "Adjacency") -> None:
    if matrix.num_nodes <= _MAX_PRINTED_NODES:
        from gnnkit.cli.matrix_text import matrix_text

        names = [opened.name_of(node) for node in range(matrix.num_nodes)]
        show(matrix_text(matrix.to_dense().tolist(), names) if names else "a graph without nodes")
        return
    _, weight = matrix.to_edge_index()
    rows = [
        ("matrix", f"{printable(opened.name)}, {matrix.num_nodes} x {matrix.num_nodes}"),
        ("entries", f"{matrix.num_edges} ({matrix.num_edges / matrix.num_nodes**2:.3%} of all)"),
        ("symmetric", "yes" if matrix.is_symmetric else "no"),
        ("self-loops", str(matrix.num_self_loops)),
    ]
    if weight.numel():
        rows.append(("weights", f"{float(weight.min()):.4g} to {float(weight.max()):.4g}"))
    show_rows(rows)
    note("too large to print; --out FILE.npz writes it, --plot FILE.png draws it")


def _document(
    opened: NamedGraph, matrix: "Adjacency", self_loops: float | None, normalize: Normalization | None
) -> dict[str, object]:
    edge_index, edge_weight = matrix.to_edge_index()
    small = matrix.num_nodes <= _MAX_PRINTED_NODES
    return {
        "graph": opened.name,
        "self_loops": self_loops,
        "normalize": None if normalize is None else normalize.value,
        "num_nodes": matrix.num_nodes,
        "num_edges": matrix.num_edges,
        "node_names": None if opened.node_names is None else list(opened.node_names),
        "edge_index": edge_index.tolist(),
        "edge_weight": edge_weight.tolist(),
        "matrix": matrix.to_dense().tolist() if small else None,
    }
