"""Training link predictors into a run folder: every seed in a folder of its own, with one summary."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from gnnkit.data.link_splits import LinkSplit
from gnnkit.data.node_data import NodeData
from gnnkit.errors import RunError
from gnnkit.jobs.job_run import (
    EpochReporter,
    JobSummary,
    over_runs,
    seeds_side_by_side,
    settings_section,
    warn_of_changes,
)
from gnnkit.jobs.link_job import KIND, LinkJob, job_in, link_options, node_features
from gnnkit.runs import (
    ProgressMode,
    RunFolder,
    atomic_write,
    environment,
    printable,
    use_threads,
    versions,
)
from gnnkit.training.link_prediction import LinkResult, fit_link_predictor


def run_link_job(
    job: LinkJob, out: str | os.PathLike[str] | None = None, *, jobs: int = 1, progress: ProgressMode = "auto"
) -> JobSummary:
    """Train as ``job`` says, every seed, into a new run folder.

    Args:
        job: What to train on what.
        out: The folder; ``runs/links-gcn-cora-001`` and onwards where None.
        jobs: Seeds side by side; one thread each, so that the bits do not depend on it.
        progress: How to show it.

    Raises:
        ValueError: If the graph's links cannot be split.
        RunError: If the folder is not empty, or every run failed.
        Interrupted: After ctrl-C; the message says how to continue.
    """
    data = job.source.load()
    threads = 1 if job.runs > 1 else job.threads
    options = link_options(job.model, job.options)
    job = replace(job, options=options, threads=threads, num_features=data.num_features)
    job.split(data, job.training.seed)  # before a folder is made, so that an impossible split leaves none behind
    node_features(data)
    record = environment(device=job.training.device, threads=threads)
    with RunFolder.create(out, kind=KIND, name=job.name, environment=record, config=job) as folder:
        return _train(job, data, folder, jobs, progress)


def resume_link_job(
    path: str | os.PathLike[str], *, jobs: int = 1, progress: ProgressMode = "auto", warn: Callable[[str], None] = print
) -> JobSummary:
    """Go on where an interrupted job stopped; the results are those of one never interrupted, bit for bit.

    Raises:
        RunError: If the folder holds no such job, or the data has changed.
    """
    with RunFolder.resume(path) as folder:
        job = job_in(folder)
        if (done := folder.read_summary()) is not None:
            return JobSummary(folder.path, done)
        warn_of_changes(folder, environment(device=job.training.device, threads=job.threads), warn)
        data = job.source.load()
        if data.num_features != job.num_features:
            raise RunError(
                f"the data has changed since {folder.path} was begun: {job.num_features} features per node, "
                f"now {data.num_features}"
            )
        return _train(job, data, folder, jobs, progress)


def table(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """What a summary says, a line each."""

    def percent(name: str) -> str:
        several = f" +- {100 * summary[f'{name}_std']:.2f}" if summary["runs"] > 1 else ""
        return f"{100 * summary[f'{name}_mean']:.2f} %{several}"

    links = "{num_train} to learn from, {num_val} to choose by, {num_test} to test, each beside as many other pairs"
    return [
        ("area under the ROC curve, test links", percent("test_auc")),
        ("average precision, test links", percent("test_ap")),
        ("area under the ROC curve, validation links", percent("val_auc")),
        ("runs", str(summary["runs"]) + (f" ({summary['failed_runs']} failed)" if summary["failed_runs"] else "")),
        ("selected epochs", ", ".join(map(str, summary["selected_epochs"]))),
        ("links", links.format(**summary)),
        ("seconds", f"{summary['seconds']:.1f}"),
    ]


def _train(job: LinkJob, data: NodeData, folder: RunFolder, jobs: int, progress: ProgressMode) -> JobSummary:
    started = time.perf_counter()
    outcomes = seeds_side_by_side(
        _one_seed,
        job.seeds,
        (job, data, folder.path),
        epochs=job.training.epochs,
        title=f"train {job.name}",
        hint=f"continue with --resume {folder.path}",
        jobs=jobs,
        progress=progress,
    )
    results = [outcome.value for outcome in outcomes if outcome.value is not None]
    summary = _summary(job, data, results)
    summary["seconds"] = time.perf_counter() - started
    _draw(folder, job, results)
    _write_report(folder, job, summary)
    folder.write_summary(summary)  # last: it says that the job is done
    return JobSummary(folder.path, summary)


def _one_seed(shared: tuple[LinkJob, NodeData, Path], seed: int) -> LinkResult:
    job, data, path = shared
    config = replace(job.training, seed=seed)
    with use_threads(job.threads), RunFolder.create_or_resume(path / f"seed-{seed}", kind=KIND) as folder:
        split = job.split(data, seed)
        return fit_link_predictor(
            job.build(), node_features(data), split, config, folder=folder, progress=EpochReporter()
        )


def _summary(job: LinkJob, data: NodeData, results: list[LinkResult]) -> dict[str, Any]:
    scores = {
        "test_auc": [result.test.auc for result in results],
        "test_ap": [result.test.ap for result in results],
        "val_auc": [result.val_auc for result in results],
    }
    content: dict[str, Any] = {
        "kind": KIND,
        "dataset": data.name,
        "model": job.model,
        "runs": len(results),
        "failed_runs": job.runs - len(results),
    }
    content |= over_runs(scores)
    splits = [job.split(data, result.seed) for result in results]
    content |= {f"num_{part}": getattr(splits[0], part).size(1) for part in ("train", "val", "test")}
    content["splits"] = [_fingerprint(split) for split in splits]
    content["seeds"] = [result.seed for result in results]
    content["selected_epochs"] = [result.selected_epoch for result in results]
    content["per_run"] = scores
    content["versions"] = versions()
    content["options"] = asdict(job.options)
    return content


def _fingerprint(split: LinkSplit) -> str:
    parts = (split.train, split.val, split.val_other, split.test, split.test_other)
    return sha256(b"".join(part.numpy().tobytes() for part in parts)).hexdigest()[:16]


def _draw(folder: RunFolder, job: LinkJob, results: list[LinkResult]) -> None:
    from gnnkit.plots import curves, save_figure

    figure = curves(
        [result.history for result in results],
        {"loss": ["train_loss"], "validation links": ["val_auc", "val_ap"]},
        selected=[result.selected_epoch for result in results],
        title=printable(job.name),
    )
    save_figure(figure, folder.path / "curves.png")


def _write_report(folder: RunFolder, job: LinkJob, summary: dict[str, Any]) -> None:
    lines = [f"# Links: {job.model} on {printable(summary['dataset'])}", ""]
    lines += [f"- {name}: {value}" for name, value in table(summary)]
    lines += ["", "![Training curves](curves.png)", "", *settings_section(job)]
    atomic_write(folder.path / "report.md", "\n".join(lines))
