"""What a sequence run leaves to look at: curves and a report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gnnkit.jobs.job_run import settings_section
from gnnkit.jobs.sequence_job import SequenceJob
from gnnkit.runs import RunFolder
from gnnkit.storage.atomic import atomic_write
from gnnkit.training.sequences import RECURRENT_GRADIENT, SequenceResult

_POINTS = 400  # more points of a curve than this would only draw its noise


def draw(folder: RunFolder, job: SequenceJob, results: list[SequenceResult]) -> None:
    """Draw ``curves.png``: loss, accuracy and gradient norms by step, with bands over several runs."""
    from gnnkit.plots import curves, save_figure

    longest = max(result.steps for result in results)
    width = max(1, math.ceil(longest / _POINTS))
    norms = ["gradient_norm"] + ([RECURRENT_GRADIENT] if RECURRENT_GRADIENT in results[0].history else [])
    figure = curves(
        [averaged(result.history, width) for result in results],
        {"loss": ["train_loss", "eval_loss"], "accuracy": ["train_accuracy", "eval_accuracy"], "gradient norm": norms},
        step="step",
        selected=[result.selected_step for result in results],
        title=f"{job.model.label} on {job.task.label}",
        log_scale=["gradient norm"],
    )
    save_figure(figure, folder.path / "curves.png")


def averaged(history: Mapping[str, list[float]], width: int) -> dict[str, list[float]]:
    """Every column's mean over windows of ``width`` steps, NaN left out; the step is the window's last.

    Example:
        >>> averaged({"step": [1, 2, 3], "loss": [4.0, 2.0, float("nan")]}, 2)
        {'step': [2, 3], 'loss': [3.0, nan]}
    """

    def mean(values: list[float]) -> float:
        known = [value for value in values if value == value]
        return math.fsum(known) / len(known) if known else math.nan

    starts = range(0, len(history["step"]), width)
    return {
        name: [
            values[start : start + width][-1] if name == "step" else mean(values[start : start + width])
            for start in starts
        ]
        for name, values in history.items()
    }


def rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """What a summary says, a line each."""
    several = summary["runs"] > 1

    def percent(name: str) -> str:
        mean, std = summary[f"{name}_mean"], summary[f"{name}_std"]
        if mean is None or mean != mean:
            return "-"
        return f"{100 * mean:.2f} %" + (f" +- {100 * std:.2f}" if several else "")

    def number(name: str, form: str) -> str:
        mean, std = summary[f"{name}_mean"], summary[f"{name}_std"]
        if mean is None or mean != mean:
            return "-"
        return f"{mean:{form}}" + (f" +- {std:{form}}" if several else "")

    solved = [step for step in summary["solved_at"] if step is not None]
    lines = [
        ("test accuracy", f"{percent('test_accuracy')}  (held-out samples; lowest evaluation loss)"),
        ("test loss", number("test_loss", ".4g")),
        ("accuracy at the last evaluation", percent("eval_accuracy")),
        ("mean training accuracy, all steps", percent("mean_train_accuracy")),
        ("mean training accuracy, last 1000 steps", percent("mean_train_accuracy_last_1000")),
        ("steps", number("steps", ".1f" if several else ".0f")),
    ]
    if solved:
        lines.append(("stopped as solved", f"{len(solved)} of {summary['runs']} runs, at step {_range(solved)}"))
    failed = summary["failed_runs"]
    return [
        *lines,
        ("runs", str(summary["runs"]) + (f" ({failed} more failed)" if failed else "")),
        ("selected step", _range(summary["selected_steps"])),
        ("seconds", f"{summary['seconds']:.1f}"),
    ]


def write(folder: RunFolder, job: SequenceJob, summary: dict[str, Any]) -> None:
    """Write ``report.md``."""
    task = job.task.build()
    lines = [
        f"# {job.model.label} on {job.task.label}",
        "",
        f"{task.seq_length} steps a sequence; guessing reaches {100 * task.chance:.1f} %.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows(summary)),
        "",
        "![Loss, accuracy and gradient norm by step](curves.png)",
        "",
        "## Runs",
        "",
        "| seed | test accuracy | last evaluation | mean, all steps | mean, last 1000 | steps | solved at |",
        "|---|---|---|---|---|---|---|",
        *_run_lines(summary),
        "",
        *settings_section(job),
    ]
    atomic_write(folder.path / "report.md", "\n".join(lines))


def _run_lines(summary: dict[str, Any]) -> list[str]:
    scores = ("test_accuracy", "eval_accuracy", "mean_train_accuracy", "mean_train_accuracy_last_1000")
    lines = []
    for run, seed in enumerate(summary["seeds"]):
        cells = [str(seed), *(f"{100 * summary['per_run'][score][run]:.2f} %" for score in scores)]
        solved = summary["solved_at"][run]
        cells += [f"{summary['per_run']['steps'][run]:.0f}", "-" if solved is None else str(solved)]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _range(steps: list[int]) -> str:
    return str(steps[0]) if len(set(steps)) == 1 else f"{min(steps)} to {max(steps)}"
