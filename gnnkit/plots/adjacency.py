"""The adjacency matrix as a picture, with the graph itself beside it where that is small."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm
from matplotlib.figure import Figure

from gnnkit.plots.graph import draw_graph
from gnnkit.plots.style import FAINT, INK, PALETTE, label, new_figure, shorten

if TYPE_CHECKING:
    from gnnkit.graph.adjacency import Adjacency

_MAX_CELLS = 60  # nodes whose matrix is drawn cell by cell
_MAX_WRITTEN = 12  # nodes whose entries are written into the cells
_BLUES = LinearSegmentedColormap.from_list("paper to blue", ["#FFFFFF", PALETTE[0]])
_BOTH_WAYS = LinearSegmentedColormap.from_list("red, paper, blue", [PALETTE[1], "#FFFFFF", PALETTE[0]])


def draw_matrix(axes: Axes, graph: Adjacency, node_names: Sequence[str] | None = None) -> None:
    """Draw the matrix: cells shaded by weight up to 60 nodes, a dot per edge beyond.

    Row i, column j is the edge i -> j. Entries are written into the cells up to 12 nodes.

    Raises:
        ValueError: If the names are not one per node.
    """
    if node_names is not None and len(node_names) != graph.num_nodes:
        raise ValueError(f"node_names must name {graph.num_nodes} nodes, got {len(node_names)} names")
    axes.grid(False)
    for side in axes.spines.values():
        side.set_visible(True)
        side.set_color(FAINT)
    label(axes, x="to node", y="from node")
    if graph.num_nodes > _MAX_CELLS:
        _draw_dots(axes, graph)
    elif graph.num_nodes:
        _draw_cells(axes, graph, [str(i) for i in range(graph.num_nodes)] if node_names is None else node_names)


def adjacency_figure(graph: Adjacency, node_names: Sequence[str] | None = None, *, title: str = "") -> Figure:
    """A graph's matrix; up to 60 nodes, the graph stands on the left of it."""
    if not 0 < graph.num_nodes <= _MAX_CELLS:
        figure, (matrix,) = new_figure(width=5.5, height=5.5)
    else:
        figure, (drawing, matrix) = new_figure(1, 2, width=5, height=5)
        draw_graph(drawing, graph, node_names)
    draw_matrix(matrix, graph, node_names)
    if title:
        figure.suptitle(title, fontsize=11, color=INK, x=0.01, ha="left", parse_math=False)
    return figure


def _draw_cells(axes: Axes, graph: Adjacency, names: Sequence[str]) -> None:
    matrix = graph.to_dense().detach().cpu().double().numpy()
    largest = max(float(np.abs(matrix).max()), 1e-12)
    if (matrix < 0).any():
        axes.imshow(matrix, cmap=_BOTH_WAYS, norm=TwoSlopeNorm(0, -largest, largest))
    else:
        axes.imshow(matrix, cmap=_BLUES, vmin=0, vmax=largest * 1.15)
    size = 10 if len(names) <= _MAX_WRITTEN else 6
    shown = [shorten(name, 12) for name in names]
    slanted = 90 if max(map(len, shown)) > 3 else 0
    axes.set_xticks(range(len(names)), shown, fontsize=size, rotation=slanted, parse_math=False)
    axes.set_yticks(range(len(names)), shown, fontsize=size, parse_math=False)
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color=FAINT, linewidth=0.4, alpha=0.6)
    axes.tick_params(which="minor", length=0)
    if len(names) > _MAX_WRITTEN:
        return
    written = {place: f"{entry:.3g}" for place, entry in np.ndenumerate(matrix) if entry}
    fitting = min(10.0, 240 / len(names) / max(map(len, written.values()), default=1))
    for (row, column), entry in written.items():
        ink = "white" if abs(matrix[row, column]) > 0.55 * largest else INK
        axes.text(column, row, entry, ha="center", va="center", color=ink, fontsize=fitting)


def _draw_dots(axes: Axes, graph: Adjacency) -> None:
    (source, target), _ = graph.to_edge_index()
    # About half a cell wide, but never too small to be seen or so large that dots run together.
    dot = float(np.clip(160 / graph.num_nodes, 0.25, 2.5))
    axes.plot(
        target.numpy(), source.numpy(), linestyle="", marker="s", markersize=dot, markeredgewidth=0,
        color=PALETTE[0], rasterized=True,
    )  # fmt: skip
    axes.set_xlim(-0.5, graph.num_nodes - 0.5)
    axes.set_ylim(graph.num_nodes - 0.5, -0.5)
    axes.set_aspect("equal")
