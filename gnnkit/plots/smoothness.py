"""Dirichlet energy over the layers: which model goes flat with depth, and which does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from gnnkit.plots.style import as_array, colour, label, legend, new_figure


def smoothness_curves(
    models: Mapping[str, Sequence[float]], *, y: str = "Dirichlet energy / squared norm", title: str = ""
) -> Figure:
    """One line per model over its layers, on a logarithmic scale; layer 0 is the input.

    A layer whose energy is exactly 0 has no place on that scale: the line has a gap there.

    Args:
        models: Names and one energy per layer, such as `gnnkit.diagnostics.smoothness(...).relative`.
        y: What the energies are.
        title: Above the picture.

    Raises:
        ValueError: If there is no model, or one has no layers.
    """
    if not models:
        raise ValueError("nothing to draw: models is empty")
    figure, (axes,) = new_figure()
    for index, (name, values) in enumerate(models.items()):
        energy = as_array(values).astype(np.float64)
        if energy.ndim != 1 or not len(energy):
            raise ValueError(f"{name} must have one energy per layer, got shape {energy.shape}")
        shown = np.where(energy > 0, energy, np.nan)
        # Deep models are lines; at few layers each one shows.
        dots = "o" if len(energy) <= 20 else ""
        axes.plot(
            np.arange(len(energy)), shown, color=colour(index), linewidth=1.6, marker=dots, markersize=4, label=name
        )
    axes.set_yscale("log")
    # Energies fall by many orders of magnitude: powers of ten, not 1, 2, 5.
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    label(axes, title=title, x="layer", y=y)
    legend(axes)
    return figure
