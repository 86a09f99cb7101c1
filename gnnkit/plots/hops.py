"""Hop distances as pictures: a small graph coloured by hop, or how many pairs lie how far apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from gnnkit.plots.graph import draw_graph
from gnnkit.plots.style import FAINT, PALETTE, as_array, label, new_figure

if TYPE_CHECKING:
    from gnnkit.graph.adjacency import Adjacency

_MOST_LEGEND_ROWS = 12


def hops_on_graph(graph: Adjacency, hops: Any, node_names: Sequence[str] | None = None, *, title: str = "") -> Figure:
    """The graph, each node coloured by its hop distance; those out of reach are grey.

    Args:
        graph: At most as many nodes as `gnnkit.plots.graph_figure` draws.
        hops: ``(N)``, -1 where out of reach.
        node_names: Written on the nodes; their numbers where omitted.
        title: Above the picture.

    Raises:
        ValueError: If there is not one distance per node, or the graph is too large to draw.
    """
    distances = as_array(hops).astype(np.int64)
    if distances.shape != (graph.num_nodes,):
        raise ValueError(f"hops must have shape ({graph.num_nodes},), one per node, got {distances.shape}")
    farthest = max(int(distances.max(initial=0)), 0)
    hues = [_hue(hop, farthest) for hop in range(farthest + 1)]
    figure, (axes,) = new_figure(width=6.4, height=5.2)
    draw_graph(axes, graph, node_names, node_color=[FAINT if hop < 0 else hues[hop] for hop in distances])
    label(axes, title=title)
    shown = range(farthest + 1) if farthest < _MOST_LEGEND_ROWS else np.linspace(0, farthest, 6).astype(int)
    entries = [(f"{hop} hop{'' if hop == 1 else 's'}", hues[hop]) for hop in shown]
    if (distances < 0).any():
        entries.append(("out of reach", FAINT))
    handles = [Line2D([], [], linestyle="", marker="o", color=hue, markersize=7, label=name) for name, hue in entries]
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
    return figure


def hops_histogram(counts: Any, *, title: str = "", mean: float | None = None) -> Figure:
    """Bars: how many pairs of nodes lie 1, 2, ... hops apart.

    Args:
        counts: ``(D + 1)``, as `gnnkit.graph.hop_histogram` returns them; entry 0 is not drawn.
        title: Above the picture.
        mean: The average distance, marked by a line.

    Raises:
        ValueError: If ``counts`` is empty.
    """
    values = as_array(counts).astype(np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"counts must have shape (D + 1,), got {values.shape}")
    figure, (axes,) = new_figure(width=6.4)
    axes.bar(np.arange(1, values.size), values[1:], color=PALETTE[0], width=0.8)
    if mean is not None:
        axes.axvline(mean, color=PALETTE[1], linestyle="--", linewidth=1.2, label=f"average {mean:.2f}")
        axes.legend(frameon=False, fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    label(axes, title=title, x="hops", y="pairs of nodes")
    return figure


def _hue(hop: int, farthest: int) -> str:
    # Dark at the source, pale far off; the palest part of the map is left out, as it vanishes on white.
    return to_hex(mpl.colormaps["viridis"](0.92 * hop / max(farthest, 1)))
