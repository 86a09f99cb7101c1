"""Training curves: metrics over epochs or steps, of one run or of many with a band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gnnkit.plots.style import INK, as_array, colour, label, legend, logarithmic, new_figure

Array = npt.NDArray[np.float64]


def curves(
    runs: Sequence[Mapping[str, Any]],
    panels: Mapping[str, Sequence[str]],
    *,
    step: str = "epoch",
    selected: Sequence[int | None] = (),
    title: str = "",
    log_scale: Sequence[str] = (),
) -> Figure:
    """One panel per entry of ``panels``: each metric's mean over the runs, a band of one standard
    deviation around it, and where the selected model was found.

    Where runs differ in length (early stopping) the mean is of those that still ran. A step at which
    a run has no value (NaN: evaluated less often) is skipped.

    Args:
        runs: Per run its columns, as `gnnkit.runs.read_metrics` returns them.
        panels: Title to the columns drawn together, as ``{"loss": ["train_loss", "val_loss"]}``.
        step: The column to draw over.
        selected: Per run the step of its selected model; None where there is none.
        title: Above the whole figure.
        log_scale: Titles of the panels with a logarithmic vertical axis.

    Raises:
        ValueError: If there is no run or panel, a run lacks a column, or ``selected`` has another
            length than ``runs``.
    """
    if not runs or not panels:
        raise ValueError(f"nothing to draw: {len(runs)} runs and {len(panels)} panels")
    if selected and len(selected) != len(runs):
        raise ValueError(f"selected must name a step per run, got {len(selected)} for {len(runs)} runs")
    if unknown := set(log_scale) - set(panels):
        raise ValueError(f"log_scale names {sorted(unknown)}, which are not panels: {list(panels)}")
    figure, axes = new_figure(1, len(panels))
    for each, (name, columns) in zip(axes, panels.items(), strict=True):
        for index, column in enumerate(columns):
            _draw(each, [(_column(run, step), _column(run, column)) for run in runs], column, colour(index))
        if name in log_scale:
            logarithmic(each)
        _mark_selected(each, [at for at in selected if at is not None])
        each.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        label(each, title=name, x=step)
        legend(each)
    if len(runs) > 1:
        band = f"{len(runs)} runs: mean, band of one standard deviation"
        title = f"{title}  ({band})" if title else band
    if title:
        figure.suptitle(title, fontsize=12, color=INK, x=0.01, ha="left", parse_math=False)
    return figure


def _column(run: Mapping[str, Any], name: str) -> Array:
    if name not in run:
        raise ValueError(f"a run has no column {name!r}; it has {list(run)}")
    return as_array(run[name]).astype(np.float64)


def _draw(axes: Axes, series: Sequence[tuple[Array, Array]], name: str, hue: str) -> None:
    steps, mean, std = mean_and_std(series)
    dot = "o" if len(steps) == 1 else ""  # a single point is no line
    axes.plot(steps, mean, color=hue, linewidth=1.6, marker=dot, label=name.replace("_", " "))
    if len(series) > 1:
        axes.fill_between(steps, mean - std, mean + std, color=hue, alpha=0.18, linewidth=0)


def mean_and_std(series: Sequence[tuple[Array, Array]]) -> tuple[Array, Array, Array]:
    """Steps at which any run has a value, and the runs' mean and (population) deviation there."""
    if not series:
        raise ValueError("no runs to average")
    steps = np.concatenate([x[np.isfinite(y)] for x, y in series])
    values = np.concatenate([y[np.isfinite(y)] for _, y in series])
    where, inverse = np.unique(steps, return_inverse=True)
    count = np.bincount(inverse, minlength=len(where))
    mean = np.bincount(inverse, values, len(where)) / count
    variance = np.bincount(inverse, (values - mean[inverse]) ** 2, len(where)) / count
    return where, mean, np.sqrt(variance)


def _mark_selected(axes: Axes, steps: Sequence[int]) -> None:
    """One run: a line at its step. Several: a line at the median, and a tick for each at the bottom."""
    if not steps:
        return
    middle = float(np.median(steps))
    if len(steps) == 1:
        name = f"selected: {steps[0]}"
    else:
        name = f"selected: {min(steps)} to {max(steps)}, median {middle:g}"
        foot = axes.get_xaxis_transform()  # steps across, parts of the panel's height upwards
        axes.plot(steps, np.zeros(len(steps)), "|", color=INK, markersize=9, alpha=0.6, transform=foot)
    axes.axvline(middle, color=INK, linewidth=1, linestyle=(0, (4, 3)), label=name)
