"""Accuracy against the length of sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from gnnkit.plots.style import FAINT, INK, colour, label, legend, new_figure


def accuracy_by_length(
    panels: Mapping[str, Mapping[str, Mapping[int, Sequence[float]]]],
    *,
    chance: float | None = None,
    length: str = "length",
    title: str = "",
) -> Figure:
    """A panel per summary, a line per model: its mean over runs at each length, every run a dot.

    The band is one (population) standard deviation, as that of the curves.

    Args:
        panels: Title to model to length to the accuracy of each run, from 0 to 1.
        chance: What guessing reaches; drawn as a broken line.
        length: The name of the horizontal axis.
        title: Above the figure.

    Raises:
        ValueError: If there is nothing to draw, or a length has no run.
    """
    if not panels or not all(panels.values()):
        raise ValueError(f"nothing to draw: the panels hold {[len(models) for models in panels.values()]} models")
    figure, axes = new_figure(1, len(panels))
    for each, (name, models) in zip(axes, panels.items(), strict=True):
        for index, (model, by_length) in enumerate(models.items()):
            if empty := [at for at, values in by_length.items() if not len(values)]:
                raise ValueError(f"{model!r} has no run of length {empty[0]}")
            lengths = sorted(by_length)
            mean = np.array([np.mean(by_length[at]) for at in lengths])
            std = np.array([np.std(by_length[at]) for at in lengths])
            hue = colour(index)
            each.plot(lengths, mean, color=hue, linewidth=1.6, marker="o", markersize=3.5, label=model)
            if any(len(values) > 1 for values in by_length.values()):
                each.fill_between(lengths, mean - std, mean + std, color=hue, alpha=0.18, linewidth=0)
                dots = [(at, value) for at in lengths for value in by_length[at]]
                each.plot(*zip(*dots, strict=True), ".", color=hue, markersize=4, alpha=0.5)
        if chance is not None:
            each.axhline(chance, color=FAINT, linewidth=1, linestyle=(0, (4, 3)), label="guessing")
        each.set_ylim(-0.03, 1.05)
        each.yaxis.set_major_formatter(PercentFormatter(1.0))
        label(each, title=name, x=length)
        legend(each)
    if title:
        figure.suptitle(title, fontsize=12, color=INK, x=0.01, ha="left", parse_math=False)
    return figure
