"""Attention on a small graph: one panel per head, the width of every edge its coefficient.

Reference: Velickovic et al., "Graph Attention Networks", ICLR 2018, https://arxiv.org/abs/1710.10903, whose
coefficients entering a node sum to 1 in every head; what is drawn bold is what a node listens to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch

from gnnkit.plots.graph import draw_graph, free_direction, node_radius, spring_layout
from gnnkit.plots.style import INK, PALETTE, as_array, check_lengths, label, new_figure

if TYPE_CHECKING:
    from gnnkit.graph.adjacency import Adjacency

Array = npt.NDArray[np.float64]

_WIDEST = 4.0  # points, at a coefficient of 1
_BEND = 0.14  # of an edge's length, so that an edge and its reverse do not cover each other


def attention_figure(
    edge_index: Any,
    alpha: Any,
    *,
    num_nodes: int,
    node_names: Sequence[str] | None = None,
    positions: Any = None,
    node_color: Sequence[str] | None = None,
    heads: Sequence[int] | None = None,
    title: str = "",
) -> Figure:
    """Arrows from whom is heard to who hears, as wide as the attention; self-loops are rings.

    Args:
        edge_index: Edges and loops, as `gnnkit.nn.GATConv.attention` lists them, ``(2, E')``.
        alpha: Their coefficients, in 0 .. 1, ``(E', heads)``.
        num_nodes: Of the graph.
        node_names: One per node; numbers where omitted.
        positions: ``(N, 2)``; a spring layout where omitted.
        node_color: One colour per node.
        heads: Which to draw, a panel each; all where omitted.
        title: Above the panels.

    Raises:
        ValueError: If shapes do not fit, a head is not there, a coefficient lies outside 0 .. 1, or the graph is
            too large to be drawn.

    Example:
        >>> figure = attention_figure([[0, 1], [1, 1]], [[0.75], [0.25]], num_nodes=2)
        >>> len(figure.axes)
        1
    """
    ends, weights = as_array(edge_index).astype(np.int64), as_array(alpha).astype(np.float64)
    if ends.ndim != 2 or ends.shape[0] != 2:
        raise ValueError(f"edge_index must have shape (2, num_edges), got {ends.shape}")
    if weights.ndim != 2 or len(weights) != ends.shape[1]:
        raise ValueError(f"alpha must have shape ({ends.shape[1]}, heads), one row per edge, got {weights.shape}")
    if weights.size and not (weights.min() >= -1e-6 and weights.max() <= 1 + 1e-6):
        raise ValueError(f"attention lies in 0..1, got {weights.min():g} to {weights.max():g}")
    chosen = list(range(weights.shape[1])) if heads is None else list(heads)
    for head in chosen:
        if not 0 <= head < weights.shape[1]:
            raise ValueError(f"there is no head {head}: there are {weights.shape[1]}, numbered from 0")
    if not chosen:
        raise ValueError("nothing to draw: heads is empty")
    places = _places(ends, num_nodes, positions)
    columns = min(len(chosen), 4)
    rows = math.ceil(len(chosen) / columns)
    size = 5.0 if len(chosen) == 1 else 3.4
    figure, panels = new_figure(rows, columns, width=size, height=size)
    nodes = _graph(np.empty((2, 0), dtype=np.int64), num_nodes)
    for axes, head in zip(panels, chosen, strict=False):
        draw_graph(axes, nodes, node_names, positions=places, node_color=node_color)
        _draw_arrows(axes, places, ends, weights[:, head])
        label(axes, title=f"head {head}" if weights.shape[1] > 1 else "")
    for axes in panels[len(chosen) :]:
        axes.remove()
    if title:
        figure.suptitle(title, fontsize=11, color=INK, x=0.01, ha="left", parse_math=False)
    return figure


def _graph(ends: npt.NDArray[np.int64], num_nodes: int) -> Adjacency:
    import torch  # here, so that other pictures load without it

    from gnnkit.graph.adjacency import Adjacency

    return Adjacency.from_edge_index(torch.from_numpy(ends), num_nodes=num_nodes, coalesce="max")


def _places(ends: npt.NDArray[np.int64], num_nodes: int, positions: Any) -> Array:
    if positions is None:
        return spring_layout(_graph(ends, num_nodes))
    places = as_array(positions).astype(np.float64)
    if places.shape != (num_nodes, 2):
        raise ValueError(f"positions must have shape ({num_nodes}, 2), got {places.shape}")
    return places


def _draw_arrows(axes: Axes, places: Array, ends: npt.NDArray[np.int64], weight: Array) -> None:
    radius = node_radius(len(places))
    check_lengths(edges=ends[0], alpha=weight)
    neighbours: dict[int, set[int]] = {}
    for source, target in ends.T.tolist():
        neighbours.setdefault(target, set()).add(source)
        neighbours.setdefault(source, set()).add(target)
    for (source, target), share in zip(ends.T.tolist(), weight.tolist(), strict=True):
        width = max(_WIDEST * share, 0.05)
        # The weak stay visible as a trace, the strong stand out.
        style: dict[str, Any] = {"color": PALETTE[1] if source == target else INK, "alpha": 0.15 + 0.75 * share}
        if source == target:
            away = free_direction(places, target, [node for node in neighbours[target] if node != target])
            ring = Circle(tuple(places[target] + away * radius * 1.3), radius * 0.8, fill=False, lw=width, **style)
            axes.add_patch(ring)
            continue
        arrow = FancyArrowPatch(
            tuple(places[source]), tuple(_rim(places[source], places[target], radius)), arrowstyle="-|>",
            connectionstyle=f"arc3,rad={_BEND}", mutation_scale=4 + 5 * share, lw=width, shrinkA=0, shrinkB=0,
            zorder=1, **style,
        )  # fmt: skip
        axes.add_patch(arrow)


def _rim(source: Array, target: Array, radius: float) -> Array:
    """Where an arrow ends: on the target's disc, so that its head is not hidden."""
    step = target - source
    length = max(float(np.linalg.norm(step)), 1e-9)
    tip: Array = target - step / length * min(radius, length)
    return tip
