"""Forecasts beside the truth, error against horizon, and error per node on the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from gnnkit.plots.graph import draw_graph
from gnnkit.plots.style import FAINT, INK, as_array, check_lengths, colour, label, legend, new_figure, shorten

if TYPE_CHECKING:
    from gnnkit.graph.adjacency import Adjacency


def forecast_figure(
    truth: Any, forecasts: Any, node_names: Sequence[str], *, title: str = "", unit: str = ""
) -> Figure:
    """One panel a node: what came, and what was expected of it.

    Args:
        truth: ``(steps, nodes)``; NaN where it was not observed.
        forecasts: ``(steps, nodes)``, all of one horizon.
        node_names: Of these nodes.
        title: Above the figure.
        unit: Of the values.

    Raises:
        ValueError: If shapes differ.
    """
    truth, forecasts = as_array(truth).astype(float), as_array(forecasts).astype(float)
    if truth.shape != forecasts.shape or truth.ndim != 2:
        raise ValueError(
            f"truth and forecasts must have one shape (steps, nodes), got {truth.shape}, {forecasts.shape}"
        )
    check_lengths(nodes=truth.T, node_names=node_names)
    figure, axes = new_figure(truth.shape[1], 1, width=8, height=2.2)
    for place, each in enumerate(axes):
        each.plot(truth[:, place], color=INK, linewidth=1.2, label="observed")
        each.plot(forecasts[:, place], color=colour(1), linewidth=1.2, label="forecast")
        last = place == len(axes) - 1
        label(each, title=shorten(node_names[place]), x="step of the test part" if last else "", y=unit)
        if not place:
            legend(each)
    if title:
        figure.suptitle(title, fontsize=12, color=INK, x=0.01, ha="left", parse_math=False)
    return figure


def horizon_figure(
    rows: Mapping[str, Sequence[float]], *, error: str, best: Sequence[float] | None = None, title: str = ""
) -> Figure:
    """Error against steps ahead, a line per row; ``best`` is the least that can be expected.

    Raises:
        ValueError: If there is no row, or they differ in length.
    """
    if not rows:
        raise ValueError("nothing to draw: no rows")
    check_lengths(**{f"row {place}": values for place, values in enumerate(rows.values())})
    figure, (axes,) = new_figure(width=6.4, height=4)
    for place, (name, values) in enumerate(rows.items()):
        steps = np.arange(1, len(values) + 1)
        # Seven colours; the second round is dashed.
        axes.plot(
            steps, values, color=colour(place), marker="o", markersize=3, ls="-" if place < 7 else "--", label=name
        )
    if best is not None:
        axes.plot(np.arange(1, len(best) + 1), best, color=FAINT, linewidth=4, zorder=0, label="best possible")
    label(axes, title=title, x="steps ahead", y=error)
    legend(axes)
    return figure


def node_error_figure(
    graph: Adjacency, errors: Any, node_names: Sequence[str] | None = None, *, error: str, title: str = ""
) -> Figure:
    """The graph with every node's error as its colour, light to dark; grey where there is none.

    Raises:
        ValueError: If there is not one error per node.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize, to_hex

    values = as_array(errors).astype(float)
    if values.shape != (graph.num_nodes,):
        raise ValueError(f"errors must have shape ({graph.num_nodes},), got {values.shape}")
    known = values[np.isfinite(values)]
    scale = Normalize(float(known.min()), float(known.max())) if len(known) else Normalize(0, 1)
    colormap = colormaps["viridis_r"]
    figure, (axes,) = new_figure(width=6, height=5)
    colors = [to_hex(colormap(scale(value))) if np.isfinite(value) else FAINT for value in values]
    draw_graph(axes, graph, node_names, node_color=colors)
    figure.colorbar(ScalarMappable(scale, colormap), ax=axes, label=error, shrink=0.8)
    label(axes, title=title)
    return figure
