"""Forecasting into a run folder: the model in question, and the rows that say what it is worth."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gnnkit.data.temporal import TemporalData
from gnnkit.errors import RunError
from gnnkit.jobs import forecast_report
from gnnkit.jobs.forecast_job import COUNTED_ROWS, TRAINED_ROWS, ForecastJob
from gnnkit.jobs.job_run import JobSummary, job_of, warn_of_changes
from gnnkit.runs import (
    Outcome,
    Progress,
    ProgressMode,
    RunFolder,
    check_settled,
    environment,
    keep_freed_memory,
    run_many,
    spread,
    versions,
)
from gnnkit.training.forecasts import ForecastResult, fit_forecaster
from gnnkit.training.windows import Windows, historical_average, last_value, linear, scores, training_mean

KIND = "forecast"
_RESAMPLES = 2000
_LEAST_BLOCKS = 10  # of fewer, a bootstrap's interval is too short
_COUNTED = {
    "linear": linear,
    "historical average": historical_average,
    "last value": last_value,
    "training mean": training_mean,
}


def run_forecast_job(
    job: ForecastJob, out: str | os.PathLike[str] | None = None, *, jobs: int = 1, progress: ProgressMode = "auto"
) -> JobSummary:
    """Train every row as ``job`` says, into a new run folder.

    Args:
        job: What to forecast, with what.
        out: The folder; ``runs/forecast-diffusion-001`` and onwards where None.
        jobs: Rows and seeds side by side; one thread each, so that the bits do not depend on it.
        progress: How to show it.

    Raises:
        RunError: If the folder is not empty, or a row failed.
        Interrupted: After ctrl-C; the message says how to continue.
    """
    job = job.resolved()
    data = job.source.load()
    _windows(job, data)  # what cannot be cut into windows is refused before a folder is made
    record = environment(device="cpu", threads=1)
    with RunFolder.create(out, kind=KIND, name=f"forecast-{data.name}", environment=record, config=job) as folder:
        return _train(job, data, folder, jobs, progress)


def resume_forecast_job(
    path: str | os.PathLike[str], *, jobs: int = 1, progress: ProgressMode = "auto", warn: Callable[[str], None] = print
) -> JobSummary:
    """Go on where an interrupted job stopped; the results are those of one never interrupted, bit for bit.

    Raises:
        RunError: If the folder holds no such job.
    """
    with RunFolder.resume(path) as folder:
        job = job_of(folder, KIND, ForecastJob)
        if (done := folder.read_summary()) is not None:
            return JobSummary(folder.path, done)
        warn_of_changes(folder, environment(device="cpu", threads=1), warn)
        return _train(job, job.source.load(), folder, jobs, progress)


def _windows(job: ForecastJob, data: TemporalData) -> Windows:
    assert job.length is not None, "resolved first"
    assert job.horizon is not None, "resolved first"
    return Windows.of(data, job.length, job.horizon)


def _train(job: ForecastJob, data: TemporalData, folder: RunFolder, jobs: int, progress: ProgressMode) -> JobSummary:
    assert job.training is not None, "resolved first"
    started = time.perf_counter()
    work = [(row, job.training.seed + run) for run in range(job.runs) for row in TRAINED_ROWS]
    finished = 0
    with Progress(len(work), f"forecast {data.name}", mode=progress) as bar:

        def tell(outcome: Outcome[ForecastResult]) -> None:
            nonlocal finished
            finished += outcome.ok
            row, seed = work[outcome.index]
            if outcome.ok:
                bar.update(finished, row=row)
            else:
                bar.note(f"{row}, seed {seed} {outcome.status}: {outcome.error}")

        outcomes = run_many(_one_row, work, shared=(job, folder.path), jobs=jobs, on_done=tell)
    check_settled(outcomes, f"continue with --resume {folder.path}")
    if failed := [outcome for outcome in outcomes if outcome.value is None]:
        row, seed = work[failed[0].index]
        raise RunError(f"{row}, seed {seed} failed: {failed[0].error}")
    forecasts: dict[str, list[Tensor]] = {row: [] for row in TRAINED_ROWS}
    for (row, _), outcome in zip(work, outcomes, strict=True):
        assert outcome.value is not None, "the failed were dealt with"
        forecasts[row].append(outcome.value.forecasts)
    windows = _windows(job, data)
    for row in COUNTED_ROWS:
        forecasts[row] = [_COUNTED[row](windows, windows.test)]
    summary = summarize(job, windows, forecasts)
    summary["seconds"] = time.perf_counter() - started
    forecast_report.draw(folder, windows, forecasts, summary)
    forecast_report.write(folder, job, summary)
    folder.write_summary(summary)  # last: it says that the job is done
    return JobSummary(folder.path, summary)


def _one_row(shared: tuple[ForecastJob, Path], item: tuple[str, int]) -> ForecastResult:
    (job, path), (row, seed) = shared, item
    assert job.training is not None, "resolved first"
    keep_freed_memory()
    data = job.source.load()
    model, graph = job.build(row, data, seed)
    with RunFolder.create_or_resume(path / f"{row.replace(' ', '-')}-seed-{seed}", kind=KIND) as folder:
        return fit_forecaster(model, _windows(job, data), graph, replace(job.training, seed=seed), folder=folder)


def summarize(job: ForecastJob, windows: Windows, forecasts: dict[str, list[Tensor]]) -> dict[str, Any]:
    """What ``summary.json`` holds: every row's errors by horizon, graph minus no graph and minus a rewired one."""
    data = windows.data
    targets, observed = windows.targets(windows.test)
    rows: dict[str, Any] = {}
    for row, found in forecasts.items():
        each = [scores(forecast, targets, observed) for forecast in found]
        rows[row] = {}
        for name in ("mae", "mse"):
            by_run = torch.tensor([getattr(score, name) for score in each], dtype=torch.float64)
            rows[row][f"{name}_by_horizon"] = by_run.mean(0).tolist()
            totals = by_run.mean(1).tolist()
            rows[row][name] = sum(totals) / len(totals)
            finite = len(totals) > 1 and all(map(math.isfinite, totals))
            rows[row][f"{name}_std"] = spread(totals).std if finite else 0.0
            if finite:  # of the mean over seeds, step by step; a counted row has no seeds
                rows[row][f"{name}_by_horizon_95"] = [_interval(each) for each in by_run.T.tolist()]
    best = (
        data.best_mse[: windows.horizon]
        if data.best_mse is not None and windows.horizon <= len(data.best_mse)
        else None
    )
    content: dict[str, Any] = {
        "kind": KIND,
        "dataset": data.name,
        "title": data.title,
        "unit": data.unit,
        "error": data.loss,
        "horizon": windows.horizon,
        "runs": job.runs,
        "rows": rows,
        "best_mse": None if best is None else list(best),
        "mse_over_best": None if best is None else rows["graph"]["mse"] / (sum(best) / len(best)),
        "graph_minus_no_graph": difference(windows, forecasts["graph"], forecasts["no graph"]),
        "graph_minus_rewired": difference(windows, forecasts["graph"], forecasts["rewired graph"]),
        "test_windows": len(windows.test),
        "versions": versions(),
    }
    return content


def _interval(values: list[float]) -> list[float]:
    interval = spread(values).interval
    return [interval.low, interval.high]


def difference(windows: Windows, first: list[Tensor], second: list[Tensor]) -> dict[str, Any]:
    """Mean error of ``first`` minus that of ``second``, its interval by bootstrap over blocks of time and seeds.

    Blocks are of a period (a day), or of ten horizons without one: errors close in time go together. A test part
    that is too short for ten of them is cut into ten.
    """
    targets, observed = windows.targets(windows.test)

    def error(forecast: Tensor) -> Tensor:
        off = torch.where(observed, (forecast - targets).double(), 0.0)
        return (off.abs() if windows.data.loss == "mae" else off.square()).sum(dim=(1, 2))

    gaps = torch.stack([error(a) - error(b) for a, b in zip(first, second, strict=True)])  # (runs, windows)
    counts = observed.sum(dim=(1, 2)).double()
    size = windows.data.period or 10 * windows.horizon
    size = max(1, min(size, gaps.size(1) // _LEAST_BLOCKS))
    blocks = torch.arange(gaps.size(1)) // size
    num_blocks = int(blocks[-1]) + 1
    per_block = torch.zeros(gaps.size(0), num_blocks, dtype=torch.float64).index_add(1, blocks, gaps)
    count = torch.zeros(num_blocks, dtype=torch.float64).index_add(0, blocks, counts)
    generator = torch.Generator().manual_seed(0)
    drawn = []
    for _ in range(_RESAMPLES):
        runs = torch.randint(gaps.size(0), (gaps.size(0),), generator=generator)
        chosen = torch.randint(num_blocks, (num_blocks,), generator=generator)
        drawn.append(per_block[runs][:, chosen].sum() / (count[chosen].sum() * gaps.size(0)))
    low, high = torch.quantile(torch.stack(drawn), torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    mean = float(gaps.sum() / (counts.sum() * gaps.size(0)))
    return {"mean": mean, "low": low, "high": high, "blocks": num_blocks, "block_steps": size}
