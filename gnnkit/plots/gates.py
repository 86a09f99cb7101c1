"""Gates over time: what a recurrent cell's units did, and when a Phased LSTM's clock lets them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gnnkit.plots.style import FAINT, INK, as_array, colour, label, legend, new_figure


def gate_activations(gates: Mapping[str, Any], *, title: str = "") -> Figure:
    """A picture per gate: every unit a row, every step a column; units ordered by their mean.

    Gates between 0 and 1 are drawn from white to dark, those that take signs (g, h, n) from blue to red.

    Args:
        gates: Name to activations ``(T, hidden_size)``.
        title: Above the figure.

    Raises:
        ValueError: If there is no gate, or one is not a matrix.
    """
    if not gates:
        raise ValueError("nothing to draw: no gates")
    columns = 2 if len(gates) == 4 else min(3, len(gates))
    figure, axes = new_figure(math.ceil(len(gates) / columns), columns, width=4.2, height=3.0)
    for each in axes[len(gates) :]:
        each.set_visible(False)
    for each, (name, values) in zip(axes, gates.items(), strict=False):
        activations = as_array(values)
        if activations.ndim != 2 or activations.size == 0:
            raise ValueError(f"the gate {name!r} must be (steps, units), got {activations.shape}")
        signed = bool(activations.min() < 0)
        top = max(1.0, float(np.abs(activations).max()))
        rows = activations[:, np.argsort(-activations.mean(axis=0), kind="stable")].T
        steps, units = activations.shape
        image = each.imshow(
            rows,
            aspect="auto",
            interpolation="nearest",
            cmap="RdBu_r" if signed else "Greys",
            vmin=-top if signed else 0,
            vmax=top,
            extent=(0.5, steps + 0.5, units, 0),
        )
        each.grid(visible=False)
        each.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        label(each, title=f"{name} (mean {activations.mean():.2f})", x="step", y="unit")
        bar = figure.colorbar(image, ax=each, fraction=0.05, pad=0.02)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8, color=FAINT)
    if title:
        figure.suptitle(title, fontsize=12, color=INK, x=0.01, ha="left", parse_math=False)
    return figure


def temporal_gates(times: Any, panels: Mapping[str, Mapping[str, Any]], *, title: str = "") -> Figure:
    """How far gates are open over time: a panel per entry, a line per setting.

    Args:
        times: When, ``(T)``.
        panels: Title to setting to openness ``(T)``, as ``{"period": {"tau = 10": k}}``.
        title: Above the figure.

    Raises:
        ValueError: If there is no panel, or a line has another length than ``times``.
    """
    if not panels:
        raise ValueError("nothing to draw: no panels")
    when = as_array(times)
    figure, axes = new_figure(len(panels), 1, width=7.2, height=1.9)
    for each, (name, settings) in zip(axes, panels.items(), strict=True):
        for index, (setting, openness) in enumerate(settings.items()):
            values = as_array(openness)
            if values.shape != when.shape:
                raise ValueError(f"{setting!r} has shape {values.shape} for times of shape {when.shape}")
            each.plot(when, values, color=colour(index), linewidth=1.6, label=setting)
        each.set_ylim(-0.04, 1.08)
        label(each, title=name, x="time" if each is axes[-1] else "", y="k")
        legend(each, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    if title:
        figure.suptitle(title, fontsize=12, color=INK, x=0.01, ha="left", parse_math=False)
    return figure
