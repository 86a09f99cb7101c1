"""Training curves of several jobs over one another, each a mean with a band over its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gnnkit.plots.curves import mean_and_std
from gnnkit.plots.style import INK, PALETTE, as_array, colour, label, legend, new_figure, shorten


def compared_curves(jobs: Mapping[str, Sequence[Mapping[str, Any]]], *, title: str = "") -> Figure:
    """One panel per column that all have, one colour per job: the mean over its runs and a band of one
    standard deviation.

    Of columns with values, only those of validation (``val_``) are drawn where there are any.

    Args:
        jobs: Name to the columns of each run, as `gnnkit.runs.read_metrics` returns them; the first is
            the step.
        title: Above the whole figure.

    Raises:
        ValueError: If there is no job, a job has no run, or they have no column in common.
    """
    runs = [run for job in jobs.values() for run in job]
    if not jobs or not all(jobs.values()):
        raise ValueError(f"nothing to draw: {', '.join(name for name, job in jobs.items() if not job) or 'no job'}")
    steps = {next(iter(run), "") for run in runs}
    shared = [name for name in list(runs[0])[1:] if all(name in run and _has_values(run[name]) for run in runs)]
    if len(steps) > 1 or not shared:
        raise ValueError(f"the runs have no column in common over one step, but {[list(run) for run in runs[:2]]} ...")
    columns = [name for name in shared if name.startswith("val_")] or shared
    figure, axes = new_figure(1, len(columns))
    step = steps.pop()
    for each, column in zip(axes, columns, strict=True):
        for index, (name, job) in enumerate(jobs.items()):
            where, mean, std = mean_and_std([(as_array(run[step]), as_array(run[column])) for run in job])
            many = f" ({len(job)} runs)" if len(job) > 1 else ""
            dot = "o" if len(where) == 1 else ""  # a single point is no line
            # Past the palette's end a dashed line keeps the same colour apart.
            style = "-" if index < len(PALETTE) else "--"
            each.plot(where, mean, style, color=colour(index), linewidth=1.6, marker=dot, label=shorten(name) + many)
            if len(job) > 1:
                each.fill_between(where, mean - std, mean + std, color=colour(index), alpha=0.18, linewidth=0)
        each.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        label(each, title=column.replace("_", " "), x=step)
        legend(each)
    if any(len(job) > 1 for job in jobs.values()):
        band = "mean over runs, band of one standard deviation"
        title = f"{title}  ({band})" if title else band
    if title:
        figure.suptitle(title, fontsize=12, color=INK, x=0.01, ha="left", parse_math=False)
    return figure


def _has_values(column: Any) -> bool:
    return bool(np.isfinite(as_array(column).astype(np.float64)).any())
