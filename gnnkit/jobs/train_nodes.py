"""Training a node classifier into a run folder: one run, or many side by side with one summary."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from gnnkit.data.node_data import NodeData
from gnnkit.errors import RunError
from gnnkit.jobs import node_report
from gnnkit.jobs.job_run import JobSummary, job_of, over_runs, warn_of_changes
from gnnkit.jobs.node_job import DataSizes, NodeJob
from gnnkit.jobs.stacked_runs import may_stack, train_stacked
from gnnkit.jobs.trained import load, new_model
from gnnkit.models.registry import resolve_options
from gnnkit.runs import (
    Interrupted,
    Outcome,
    Progress,
    ProgressMode,
    RunFolder,
    check_settled,
    environment,
    report_progress,
    run_many,
    use_threads,
    versions,
)
from gnnkit.training.nodes import NodeResult, fit

KIND = "nodes"


def run_node_job(
    job: NodeJob,
    out: str | os.PathLike[str] | None = None,
    *,
    jobs: int = 1,
    progress: ProgressMode = "auto",
) -> JobSummary:
    """Train as ``job`` says, into a new run folder.

    Args:
        job: What to train on what.
        out: The folder; ``runs/gcn-karate-001`` and onwards where None.
        jobs: Runs side by side; one thread each, so that the bits do not depend on it.
        progress: How to show it.

    Raises:
        RunError: If the folder is not empty, or every run failed.
        Interrupted: After ctrl-C; the message says how to continue.
    """
    options = resolve_options(job.model, job.options, job.source.dataset)
    data = job.source.load()
    threads = 1 if job.runs > 1 else job.threads
    job = replace(job, options=options, threads=threads, sizes=DataSizes.of(data))
    # Before a folder is made, so that a bad split or an impossible request leaves none behind.
    job.source.split_for(data, job.training.seed)
    record = environment(device=job.training.device, threads=job.threads)
    with RunFolder.create(out, kind=KIND, name=job.name, environment=record, config=job) as folder:
        return _train(job, data, folder, jobs, progress)


def resume_node_job(
    path: str | os.PathLike[str], *, jobs: int = 1, progress: ProgressMode = "auto", warn: Callable[[str], None] = print
) -> JobSummary:
    """Go on where an interrupted job stopped; the results are those of one never interrupted, bit for bit.

    Raises:
        RunError: If the folder holds no such job.
    """
    with RunFolder.resume(path) as folder:
        job = job_of(folder, KIND, NodeJob)
        if job.distributed is not None:
            processes = folder.environment.get("processes", 2)
            raise RunError(
                f"{folder.path} is a run of several processes; continue it with "
                f"torchrun --nproc-per-node {processes} -m gnnkit train --resume {folder.path}"
            )
        done = folder.read_summary()
        if done is not None:
            return JobSummary(folder.path, done)
        warn_of_changes(folder, environment(device=job.training.device, threads=job.threads), warn)
        data = job.source.load()
        if DataSizes.of(data) != job.sizes:
            raise RunError(f"the data has changed since {folder.path} was begun: {job.sizes}, now {DataSizes.of(data)}")
        return _train(job, data, folder, jobs, progress)


def _train(job: NodeJob, data: NodeData, folder: RunFolder, jobs: int, progress: ProgressMode) -> JobSummary:
    started = time.perf_counter()
    results = (_one_run if job.runs == 1 else _many_runs)(job, data, folder, jobs, progress)
    seconds = time.perf_counter() - started
    seeds = [result.seed for result in results]
    summary = summary_of(job, data.name, results, seconds, splits_of(job, data, seeds))
    node_report.draw(folder, job, data, load(folder.path).model, results)
    node_report.write(folder, job, summary)
    folder.write_summary(summary)  # last: it says that the job is done
    return JobSummary(folder.path, summary)


def _one_run(job: NodeJob, data: NodeData, folder: RunFolder, jobs: int, progress: ProgressMode) -> list[NodeResult]:
    with use_threads(job.threads), Progress(job.training.epochs, f"train {job.name}", mode=progress) as bar:
        return [_fit(job, data, job.training.seed, folder, bar)]


def _many_runs(job: NodeJob, data: NodeData, folder: RunFolder, jobs: int, progress: ProgressMode) -> list[NodeResult]:
    done: list[float] = []
    with Progress(job.runs, f"train {job.name}", mode=progress) as bar:

        def tell(outcome: Outcome[NodeResult]) -> None:
            if outcome.value is not None:
                done.append(outcome.value.test_accuracy)
                bar.update(len(done), mean_test_accuracy=sum(done) / len(done))
            else:
                bar.note(f"run {outcome.index} {outcome.status}: {outcome.error}")

        if may_stack(job, data, folder.path):
            train_stacked(job, data, folder.path, KIND)  # what follows finds every run finished
        outcomes = run_many(_seed_run, job.seeds, shared=(job, data, folder.path), jobs=jobs, on_done=tell)
    check_settled(outcomes, f"continue with --resume {folder.path}")
    results = [outcome.value for outcome in outcomes if outcome.value is not None]
    if not results:
        raise RunError(f"every run failed, the first with: {outcomes[0].error}")
    return results


def _seed_run(shared: tuple[NodeJob, NodeData, Path], seed: int) -> NodeResult:
    job, data, path = shared
    with RunFolder.create_or_resume(path / f"seed-{seed}", kind=KIND) as folder:
        result = _fit(job, data, seed, folder, None)
        report_progress(seed)
        return result


def _fit(job: NodeJob, data: NodeData, seed: int, folder: RunFolder, bar: Progress | None) -> NodeResult:
    split = job.source.split_for(data, seed)
    try:
        return fit(new_model(job), split, replace(job.training, seed=seed), folder=folder, progress=bar)
    except Interrupted as stopped:
        raise Interrupted(f"{stopped} {folder.path}") from None


def summary_of(
    job: NodeJob, name: str, results: list[NodeResult], seconds: float, splits: dict[str, Any]
) -> dict[str, Any]:
    """What ``summary.json`` says of runs on the data set ``name``, whose splits are those of `splits_of`."""
    content: dict[str, Any] = {
        "kind": KIND,
        "dataset": name,
        "model": job.model,
        "runs": len(results),
        "failed_runs": job.runs - len(results),
    }
    scores = {
        "test_accuracy": [result.test.accuracy for result in results],
        "test_macro_f1": [result.test.macro_f1 for result in results],
        "val_accuracy": [result.val_accuracy for result in results],
        "test_accuracy_at_best_val_accuracy": [result.test_at_best_val_accuracy.accuracy for result in results],
        "test_accuracy_at_last_epoch": [result.test_at_last_epoch.accuracy for result in results],
    }
    content |= over_runs(scores)
    content["selected_epochs"] = [result.test.epoch for result in results]
    content["seeds"] = [result.seed for result in results]
    content |= splits
    content["per_run"] = scores
    content["confusion"] = results[0].test.confusion
    content["seconds"] = seconds
    content["versions"] = versions()
    content["options"] = asdict(job.options)
    return content


def splits_of(job: NodeJob, data: NodeData, seeds: list[int]) -> dict[str, Any]:
    """A fingerprint of every run's labels and split, and the sizes: what a fair comparison must know."""
    used = [job.source.split_for(data, seed) for seed in seeds]
    sizes = {f"num_{part}": int(getattr(used[0], f"{part}_mask").sum()) for part in ("train", "val", "test")}
    return {"splits": [_fingerprint(split) for split in used], **sizes}


def _fingerprint(data: NodeData) -> str:
    parts = (data.y, data.train_mask, data.val_mask, data.test_mask)
    return sha256(b"".join(part.cpu().numpy().tobytes() for part in parts)).hexdigest()[:16]
