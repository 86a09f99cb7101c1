"""How much of a gradient is left at a distance: steps back in a sequence, hops away in a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from gnnkit.plots.style import as_array, colour, label, legend, new_figure

Array = npt.NDArray[np.float64]


def influence_by_distance(
    series: Mapping[str, Sequence[float] | Sequence[Sequence[float]] | Any],
    *,
    distance: str = "steps back",
    influence: str = "gradient norm",
    title: str = "",
) -> Figure:
    """One line per series on a logarithmic axis: influence at the distances 0, 1, 2, ...

    A straight fall means that each step costs a constant factor. A series of several runs is drawn as
    their geometric mean in a band from the lowest to the highest. Where an influence is exactly 0, which
    no logarithm shows, a cross stands at the foot.

    Args:
        series: Label to its values ``(D)``, or ``(runs, D)``; none negative.
        distance: What is counted, as ``"hops"``.
        influence: What is measured.
        title: Above the figure.

    Raises:
        ValueError: If there is nothing to draw, a series is empty, or a value is negative or not finite.
    """
    if not series:
        raise ValueError("nothing to draw: no series")
    figure, (axes,) = new_figure(width=6.4, height=3.9)
    for index, (name, values) in enumerate(series.items()):
        runs = np.atleast_2d(as_array(values).astype(np.float64))
        if runs.ndim != 2 or runs.size == 0:
            raise ValueError(f"the series {name!r} must be (distances) or (runs, distances), got {runs.shape}")
        if not np.isfinite(runs).all() or (runs < 0).any():
            raise ValueError(f"the series {name!r} holds a value that is negative or not finite")
        _draw(axes, runs, name, colour(index))
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    label(axes, title=title, x=distance, y=influence)
    legend(axes)
    return figure


def _draw(axes: Axes, runs: Array, name: str, hue: str) -> None:
    distances = np.arange(runs.shape[1])
    seen = (runs > 0).all(axis=0)
    shown = np.where(runs > 0, runs, np.nan)
    with np.errstate(invalid="ignore"):
        mean = np.exp(np.log(shown).mean(axis=0))  # NaN, so a gap, where any run has 0
    dot = "o" if runs.shape[1] <= 12 else ""
    axes.plot(distances, mean, color=hue, linewidth=1.6, marker=dot, markersize=4, label=name)
    if len(runs) > 1:
        axes.fill_between(distances, shown.min(axis=0), shown.max(axis=0), color=hue, alpha=0.18, linewidth=0)
    if not seen.all():
        foot = axes.get_xaxis_transform()  # distances across, parts of the panel's height upwards
        nothing = distances[~seen]
        axes.plot(nothing, np.full(len(nothing), 0.02), "x", color=hue, markersize=5, transform=foot)
