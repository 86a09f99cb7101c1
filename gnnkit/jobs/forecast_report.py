"""What a forecasting run leaves to look at: forecasts, error by horizon and by node, report."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from gnnkit.jobs.forecast_job import ForecastJob
from gnnkit.jobs.job_run import settings_section
from gnnkit.runs import RunFolder
from gnnkit.storage.atomic import atomic_write
from gnnkit.storage.text import printable
from gnnkit.training.windows import Windows

PICTURES = ("forecasts.png", "error_by_horizon.png", "error_by_node.png")
_SHOWN_NODES, _SHOWN_STEPS = 3, 300
_LARGEST_GRAPH = 300


def draw(folder: RunFolder, windows: Windows, forecasts: dict[str, list[Tensor]], summary: dict[str, Any]) -> None:
    """Draw the pictures; the graph only where it is small enough to be seen."""
    from gnnkit.plots import save_figure
    from gnnkit.plots.forecasts import forecast_figure, horizon_figure, node_error_figure

    data, found = windows.data, forecasts["graph"][0]
    targets, observed = windows.targets(windows.test)
    truth = torch.where(observed, targets, torch.nan)
    nodes = torch.linspace(0, data.num_nodes - 1, min(_SHOWN_NODES, data.num_nodes)).long()
    figure = forecast_figure(
        truth[:_SHOWN_STEPS, 0][:, nodes],
        found[:_SHOWN_STEPS, 0][:, nodes],
        [data.node_names[node] for node in nodes.tolist()],
        title=f"{data.title}: one step ahead",
        unit=data.unit,
    )
    save_figure(figure, folder.path / PICTURES[0])
    error = f"{summary['error']} {'(' + data.unit + ')' if data.unit and summary['error'] == 'mae' else ''}".strip()
    lines = {name: row[f"{summary['error']}_by_horizon"] for name, row in summary["rows"].items()}
    best = summary["best_mse"] if summary["error"] == "mse" else None
    save_figure(horizon_figure(lines, error=error, best=best, title=data.title), folder.path / PICTURES[1])
    if data.num_nodes <= _LARGEST_GRAPH:
        off = (found - truth).abs() if summary["error"] == "mae" else (found - truth).square()
        figure = node_error_figure(
            data.adjacency, off.nanmean(dim=(0, 1)), data.node_names, error=error, title=f"{data.title}: error by node"
        )
        save_figure(figure, folder.path / PICTURES[2])


def table(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """A line per row: its error over all horizons, and at chosen ones."""
    several = summary["runs"] > 1
    shown = _horizons(summary["horizon"])
    lines = []
    for name, row in summary["rows"].items():
        error = summary["error"]
        spread = f" +- {row[f'{error}_std']:.3f}" if several and row[f"{error}_std"] else ""
        steps = "  ".join(f"{step}: {row[f'{error}_by_horizon'][step - 1]:.3f}" for step in shown)
        lines.append((name, f"{error} {row[error]:.3f}{spread}   by steps ahead  {steps}"))
    return lines


def remarks(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """The best possible error where it is known, and what the graph gave."""
    lines = []
    if summary["best_mse"] is not None:
        best = summary["best_mse"]
        steps = "  ".join(f"{step}: {best[step - 1]:.3f}" for step in _horizons(summary["horizon"]))
        lines.append(("best possible", f"mse {sum(best) / len(best):.3f}   by steps ahead  {steps}"))
        lines.append(("graph against best", f"{100 * (summary['mse_over_best'] - 1):+.1f} %"))
    gap = summary["graph_minus_no_graph"]
    verdict = "no gain shown: the interval holds 0"
    if math.isfinite(gap["low"]) and gap["high"] < 0:
        verdict = "the graph helps"
    elif math.isfinite(gap["low"]) and gap["low"] > 0:
        verdict = "the graph harms"
    interval = f"[{gap['low']:+.4f}, {gap['high']:+.4f}]"
    lines.append(("graph minus no graph", f"{summary['error']} {gap['mean']:+.4f}, 95 % {interval}: {verdict}"))
    other = summary["graph_minus_rewired"]
    interval = f"[{other['low']:+.4f}, {other['high']:+.4f}]"
    lines.append(("graph minus rewired graph", f"{summary['error']} {other['mean']:+.4f}, 95 % {interval}"))
    if summary["runs"] == 1:
        lines.append(("seeds", "1: the interval is over blocks of time alone; --runs 10 for a claim"))
    return lines


def write(folder: RunFolder, job: ForecastJob, summary: dict[str, Any]) -> None:
    """Write ``report.md``."""
    lines = [
        f"# Forecasts: {printable(summary['title'])}",
        "",
        f"Errors over the whole test part ({summary['test_windows']} windows), where the target was observed, "
        f"in the data's units{' (' + printable(summary['unit']) + ')' if summary['unit'] else ''}.",
        "",
        "| row | error |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in [*table(summary), *remarks(summary)]),
        "",
        *(f"![{name}]({name})\n" for name in PICTURES if (folder.path / name).exists()),
        *settings_section(job),
    ]
    atomic_write(folder.path / "report.md", "\n".join(lines))


def _horizons(horizon: int) -> list[int]:
    return [step for step in (1, 2, 3, 6, 12) if step <= horizon and not (horizon >= 6 and step < 3)] or [horizon]
