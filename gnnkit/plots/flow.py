"""How far influence reaches: its share at every hop, every step back, or both at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from gnnkit.plots.style import as_array, colour, label, legend, new_figure

Array = npt.NDArray[np.float64]
_FOOT = 1e-16  # the axis goes no lower: below, float64 itself is not sure


def flow_figure(series: Mapping[str, Any], *, distance: str = "hops", title: str = "") -> Figure:
    """One line per series on a logarithmic axis: the mean share of influence at the distances 0, 1, 2, ...

    The band holds the middle four fifths of the outputs. A triangle at the foot marks the mean range,
    sum of distance times share; a cross a distance from which no influence comes at all.

    Args:
        series: Label to shares ``(outputs, distances)``, as `gnnkit.Flow.shares`; rows of NaN are left out.
        distance: What is counted.
        title: Above the figure.

    Raises:
        ValueError: If there is nothing to draw, or a series is not two-dimensional, or has a negative share.
    """
    if not series:
        raise ValueError("nothing to draw: no series")
    figure, (axes,) = new_figure(width=6.4, height=3.9)
    for index, (name, values) in enumerate(series.items()):
        shares = as_array(values).astype(np.float64)
        if shares.ndim != 2 or shares.size == 0:
            raise ValueError(f"the series {name!r} must be (outputs, distances), got {shares.shape}")
        shares = shares[~np.isnan(shares).any(axis=1)]
        if (shares < 0).any():
            raise ValueError(f"the series {name!r} holds a share below 0")
        _draw(axes, shares, name, colour(index))
    axes.set_yscale("log")
    if axes.get_ylim()[0] < _FOOT:
        axes.set_ylim(bottom=_FOOT)
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    label(axes, title=title, x=distance, y="share of influence")
    legend(axes)
    return figure


def _draw(axes: Axes, shares: Array, name: str, hue: str) -> None:
    distances = np.arange(shares.shape[1])
    mean = shares.mean(axis=0) if len(shares) else np.zeros(len(distances))
    seen = mean > 0
    dot = "o" if len(distances) <= 12 else ""
    axes.plot(distances, np.where(seen, mean, np.nan), color=hue, linewidth=1.6, marker=dot, markersize=4, label=name)
    if len(shares) > 1:
        low, high = np.quantile(shares, (0.1, 0.9), axis=0)
        low, high = (np.where(each > 0, each, np.nan) for each in (low, high))
        axes.fill_between(distances, low, high, color=hue, alpha=0.15, linewidth=0)
    foot = axes.get_xaxis_transform()  # distances across, parts of the panel's height upwards
    if not seen.all():
        nothing = distances[~seen]
        axes.plot(nothing, np.full(len(nothing), 0.02), "x", color=hue, markersize=5, transform=foot)
    if seen.any():
        middle = float(mean @ distances)
        axes.plot([middle], [0.0], "^", color=hue, markersize=8, transform=foot, clip_on=False)


def light_cone(shares: Any, *, title: str = "") -> Figure:
    """Shares of influence over hops (across) and steps back (upwards), darker for more, white for exactly none.

    Args:
        shares: ``(hops, steps)``.
        title: Above the figure.

    Raises:
        ValueError: If it is not two-dimensional, or nowhere above 0.
    """
    values = as_array(shares).astype(np.float64)
    if values.ndim != 2 or not (values > 0).any():
        raise ValueError(f"a light cone is drawn of (hops, steps) with some influence, got shape {values.shape}")
    figure, (axes,) = new_figure(width=5.6, height=4.2)
    shown = np.ma.masked_less_equal(values.T, 0)
    top = float(values.max())
    low = max(float(values[values > 0].min()), top * 1e-8)
    low /= (top / low) ** 0.25 * 1.5  # so that little is not as white as nothing
    image = axes.imshow(shown, origin="lower", aspect="auto", cmap="Blues", norm=LogNorm(low, top))
    axes.grid(visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    figure.colorbar(image, ax=axes, label="share of influence")
    label(axes, title=title, x="hops", y="steps back")
    return figure
