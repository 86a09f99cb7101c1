"""Curves of a row's trainings, small enough to lie in its result file: what a figure is redrawn from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gnnkit.jobs.sequence_report import averaged

POINTS = 48  # of a curve: more would draw the noise of single batches


def banded(runs: Sequence[Mapping[str, Any]], column: str, *, points: int = POINTS) -> dict[str, list[float]]:
    """Mean, lowest and highest of ``column`` over the runs, step window by step window.

    A window's value in a run is the mean of its steps; a run that stopped earlier counts as long as it lasted.

    Args:
        runs: Columns of every run's metrics, ``step`` among them.
        column: Which one to follow.
        points: Windows at most.

    Example:
        >>> banded([{"step": [1, 2], "loss": [4.0, 2.0]}, {"step": [1, 2], "loss": [6.0, 2.0]}], "loss")
        {'step': [1, 2], 'mean': [5.0, 2.0], 'low': [4.0, 2.0], 'high': [6.0, 2.0]}
    """
    windows = _windows(runs, column, points)
    longest = max(windows, key=lambda each: len(each["step"]))
    curve: dict[str, list[float]] = {"step": [int(step) for step in longest["step"]], "mean": [], "low": [], "high": []}
    for place in range(len(longest["step"])):
        values = [each[column][place] for each in windows if place < len(each[column])]
        known = [value for value in values if math.isfinite(value)] or [math.nan]
        curve["mean"].append(_short(math.fsum(known) / len(known)))
        curve["low"].append(_short(min(known)))
        curve["high"].append(_short(max(known)))
    return curve


def by_run(runs: Sequence[Mapping[str, Any]], column: str, *, points: int = POINTS) -> dict[str, list[Any]]:
    """``column`` of every run by itself, in the same windows as `banded`."""
    windows = _windows(runs, column, points)
    longest = max(windows, key=lambda each: len(each["step"]))
    return {
        "step": [int(step) for step in longest["step"]],
        "runs": [[_short(value) for value in each[column]] for each in windows],
    }


def _windows(runs: Sequence[Mapping[str, Any]], column: str, points: int) -> list[dict[str, list[float]]]:
    if not runs:
        raise ValueError("a curve needs one run or more, got none")
    width = max(1, math.ceil(max(len(run["step"]) for run in runs) / points))
    return [averaged({name: list(run[name]) for name in ("step", column)}, width) for run in runs]


def _short(value: float) -> float:
    """Four digits: a curve is looked at, not computed with."""
    return float(f"{value:.4g}")
