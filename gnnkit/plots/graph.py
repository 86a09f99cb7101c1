"""A small graph as a picture: nodes with names, edges as lines or arrows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch

from gnnkit.plots.style import FAINT, INK, PALETTE, as_array, check_lengths, label, new_figure, shorten

if TYPE_CHECKING:
    from gnnkit.graph.adjacency import Adjacency

Array = npt.NDArray[np.float64]

MAX_DRAWN_NODES = 500
_MAX_NAMED_NODES = 80


def spring_layout(graph: Adjacency, *, seed: int = 0) -> Array:
    """Places for the nodes, close where they are joined (Fruchterman & Reingold 1991), within [-1, 1].

    The same graph and seed give the same places.

    Shapes:
        - **output:** :math:`(N, 2)`

    Raises:
        ValueError: If the graph has more than ``MAX_DRAWN_NODES`` nodes, where the picture would be a smear.
    """
    if graph.num_nodes > MAX_DRAWN_NODES:
        raise ValueError(
            f"a graph of {graph.num_nodes} nodes cannot be drawn legibly, {MAX_DRAWN_NODES} can; "
            "draw a subgraph, or the adjacency matrix"
        )
    if graph.num_nodes == 0:
        return np.empty((0, 2))
    import networkx

    skeleton: networkx.Graph[int] = networkx.Graph()
    skeleton.add_nodes_from(range(graph.num_nodes))
    (source, target), _ = graph.to_edge_index()
    skeleton.add_edges_from(zip(source.tolist(), target.tolist(), strict=True))
    # Twice networkx's own distance between nodes: hubs spread their leaves instead of burying them.
    spring = 2 / np.sqrt(graph.num_nodes)
    found = networkx.spring_layout(skeleton, k=spring, seed=seed, iterations=200)
    return _filling(np.asarray([found[node] for node in range(graph.num_nodes)], dtype=np.float64))


def _filling(places: Array) -> Array:
    """Turn the longer way across the picture, and widen the other, at most twice, to fill it."""
    places = places - places.mean(axis=0)
    _, _, axes_of_spread = np.linalg.svd(places, full_matrices=False)
    if axes_of_spread.shape == (2, 2):
        axes_of_spread *= np.where(axes_of_spread.sum(axis=1, keepdims=True) < 0, -1, 1)  # signs are free
        places = places @ axes_of_spread.T
    middle = (places.max(axis=0) + places.min(axis=0)) / 2
    places = places - middle
    reach = np.maximum(np.abs(places).max(axis=0), 1e-9)
    stretched: Array = places * np.minimum(1 / reach, 2 / reach.max())
    return stretched


def draw_graph(
    axes: Axes,
    graph: Adjacency,
    node_names: Sequence[str] | None = None,
    *,
    positions: Any = None,
    node_color: Sequence[str] | None = None,
    edge_width: Any = None,
) -> None:
    """Draw a graph on axes; an edge whose reverse is there, too, is a line, another an arrow.

    Args:
        axes: Where.
        graph: At most ``MAX_DRAWN_NODES`` nodes, unless ``positions`` are given.
        node_names: One per node; numbers where omitted. Names are left out beyond 80 nodes.
        positions: ``(N, 2)``; :func:`spring_layout` where omitted.
        node_color: One colour per node.
        edge_width: Line width in points of each edge, in the order of ``graph.to_edge_index()``; of a
            line for two edges, the wider counts.

    Raises:
        ValueError: If a length is not that of nodes or edges, or the graph is too large to lay out.
    """
    places = spring_layout(graph) if positions is None else as_array(positions).astype(np.float64)
    if places.shape != (graph.num_nodes, 2):
        raise ValueError(f"positions must have shape ({graph.num_nodes}, 2), got {places.shape}")
    nodes = range(graph.num_nodes)
    names = [str(node) for node in nodes] if node_names is None else list(node_names)
    colors = [PALETTE[0]] * graph.num_nodes if node_color is None else list(node_color)
    check_lengths(nodes=nodes, node_names=names, node_color=colors)
    (source, target), _ = graph.to_edge_index()
    widths = np.full(graph.num_edges, 1.0) if edge_width is None else as_array(edge_width).astype(np.float64)
    check_lengths(edges=source, edge_width=widths)

    radius = node_radius(graph.num_nodes)
    _draw_edges(axes, places, source.tolist(), target.tolist(), widths, radius)
    for node in nodes:
        axes.add_patch(Circle(tuple(places[node]), radius, facecolor=colors[node], edgecolor="white", lw=1, zorder=3))
    if graph.num_nodes <= _MAX_NAMED_NODES:
        for node in nodes:
            _draw_name(axes, places[node], shorten(names[node], 14), radius, graph.num_nodes)
    axes.set_aspect("equal")
    axes.autoscale_view()
    axes.margins(0.08)
    axes.set_axis_off()


def graph_figure(
    graph: Adjacency,
    node_names: Sequence[str] | None = None,
    *,
    title: str = "",
    positions: Any = None,
    node_color: Sequence[str] | None = None,
    edge_width: Any = None,
) -> Figure:
    """A picture of one small graph; the arguments are :func:`draw_graph`'s."""
    figure, (axes,) = new_figure(width=5, height=5)
    draw_graph(axes, graph, node_names, positions=positions, node_color=node_color, edge_width=edge_width)
    label(axes, title=title)
    return figure


def node_radius(num_nodes: int) -> float:
    """A disc that fits its neighbourhood: a third of the usual distance between nodes on a full square."""
    return float(0.36 / max(2.5, np.sqrt(num_nodes)))


def _draw_edges(axes: Axes, places: Array, source: list[int], target: list[int], widths: Array, radius: float) -> None:
    width_of = dict(zip(zip(source, target, strict=True), widths.tolist(), strict=True))
    neighbours: dict[int, set[int]] = {node: set() for node in {*source, *target}}
    for s, t in width_of:
        neighbours[s].add(t)
        neighbours[t].add(s)
    lines, line_widths = [], []
    for (s, t), width in width_of.items():
        if s == t:
            away = free_direction(places, s, [t for t in neighbours[s] if t != s])
            axes.add_patch(
                Circle(tuple(places[s] + away * radius * 1.3), radius * 0.8, fill=False, edgecolor=FAINT, lw=width)
            )
        elif (t, s) in width_of:
            if s < t:
                lines.append(places[[s, t]])
                line_widths.append(max(width, width_of[t, s]))
        else:
            step = places[t] - places[s]
            length = max(float(np.linalg.norm(step)), 1e-9)
            tip = places[t] - step / length * min(radius, length)
            arrow = FancyArrowPatch(
                tuple(places[s]), tuple(tip), arrowstyle="-|>", mutation_scale=10, color=FAINT, lw=width,
                shrinkA=0, shrinkB=0, zorder=1,
            )  # fmt: skip
            axes.add_patch(arrow)
    axes.add_collection(LineCollection(lines, linewidths=line_widths, colors=FAINT, zorder=1))


def free_direction(places: Array, node: int, neighbours: list[int]) -> Array:
    """Where a node's loop is in no edge's way: opposite to its edges, or up where they pull evenly."""
    steps = places[neighbours] - places[node]
    pull: Array = (steps / np.maximum(np.linalg.norm(steps, axis=1, keepdims=True), 1e-9)).sum(axis=0)
    length = float(np.linalg.norm(pull))
    return np.array([0.0, 1.0]) if length < 0.1 else -pull / length


def _draw_name(axes: Axes, place: Array, name: str, radius: float, num_nodes: int) -> None:
    """A short name stands in its disc; a longer one below it."""
    size = 11 if num_nodes <= 12 else 8 if num_nodes <= 40 else 6
    x, y = map(float, place)
    if len(name) <= 2:
        axes.text(x, y, name, ha="center", va="center", color="white", fontsize=size, zorder=4, parse_math=False)
    else:
        y -= radius * 1.1
        axes.text(x, y, name, ha="center", va="top", color=INK, fontsize=size, zorder=4, parse_math=False)
