"""Training sequence models into run folders: one run, many seeds side by side, or many jobs at once."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from gnnkit.errors import RunError
from gnnkit.jobs import sequence_report
from gnnkit.jobs.job_run import JobSummary, job_of, over_runs, warn_of_changes
from gnnkit.jobs.sequence_job import SequenceJob
from gnnkit.runs import (
    Interrupted,
    Outcome,
    Progress,
    ProgressMode,
    RunFolder,
    check_settled,
    environment,
    keep_freed_memory,
    report_progress,
    run_many,
    use_threads,
    versions,
)
from gnnkit.training.sequences import SequenceResult, fit_sequence

KIND = "sequence"
_REPORT_SECONDS = 1.0  # between two words of a worker


def run_sequence_job(
    job: SequenceJob,
    out: str | os.PathLike[str] | None = None,
    *,
    jobs: int = 1,
    progress: ProgressMode = "auto",
) -> JobSummary:
    """Train as ``job`` says, into a new run folder.

    Args:
        job: What to train on what.
        out: The folder; ``runs/lstm-palindrome-20-001`` and onwards where None.
        jobs: Runs side by side; one thread each, so that the bits do not depend on it.
        progress: How to show it.

    Raises:
        ValueError: If the job's settings do not go together.
        RunError: If the folder is not empty, or every run failed.
        Interrupted: After ctrl-C; the message says how to continue.
    """
    job = job.resolved()
    record = environment(device=job.training.device, threads=job.threads)
    with RunFolder.create(out, kind=KIND, name=job.name, environment=record, config=job) as folder:
        return _train(job, folder, jobs, progress)


def resume_sequence_job(
    path: str | os.PathLike[str], *, jobs: int = 1, progress: ProgressMode = "auto", warn: Callable[[str], None] = print
) -> JobSummary:
    """Go on where an interrupted job stopped; the results are those of one never interrupted, bit for bit.

    Raises:
        RunError: If the folder holds no such job.
    """
    with RunFolder.resume(path) as folder:
        job, done = _config_and_summary(folder)
        if done is not None:
            return JobSummary(folder.path, done)
        warn_of_changes(folder, environment(device=job.training.device, threads=job.threads), warn)
        return _train(job, folder, jobs, progress)


def run_sequence_jobs(
    points: Mapping[str, SequenceJob],
    root: Path,
    *,
    jobs: int = 1,
    progress: ProgressMode = "auto",
    title: str = "train",
    hint: str = "run the same command again",
) -> dict[str, JobSummary]:
    """Train several jobs, each in its folder below ``root``, all their runs in one queue.

    What is finished there is not done again, what was interrupted goes on.

    Args:
        points: Folder name to job.
        root: Where the folders are or will be.
        jobs: Runs side by side.
        progress: How to show it.
        title: Of the progress bar.
        hint: How to continue, for the message after ctrl-C.

    Raises:
        RunError: If a folder holds a job with other settings, or all runs of a job failed.
        Interrupted: After ctrl-C.
    """
    done: dict[str, JobSummary] = {}
    left: dict[str, SequenceJob] = {}
    for name, job in points.items():
        job = replace(job, threads=1).resolved()
        record = environment(device=job.training.device, threads=1)
        with RunFolder.create_or_resume(root / name, kind=KIND, environment=record) as folder:
            if not (folder.path / "config.toml").exists():
                folder.write_config(job)
            found, summary = _config_and_summary(folder)
            if found != job:
                raise RunError(f"{folder.path} holds a job with other settings; choose another folder with --out")
            if summary is None:
                left[name] = job
            else:
                done[name] = JobSummary(folder.path, summary)
    results, failures = _train_many([(job, root / name) for name, job in left.items()], jobs, progress, title, hint)
    for (name, job), found_results in zip(left.items(), results, strict=True):
        if found_results:
            with RunFolder.resume(root / name) as folder:
                seconds = sum(result.seconds for result in found_results)
                done[name] = _finish(job, folder, found_results, seconds)
    if failures:
        name, error = next(iter(failures.items()))
        raise RunError(f"every run of {root / name} failed, the first with: {error}")
    return {name: done[name] for name in points}


def _train(job: SequenceJob, folder: RunFolder, jobs: int, progress: ProgressMode) -> JobSummary:
    started = time.perf_counter()
    if job.runs == 1:
        with use_threads(job.threads), Progress(job.training.steps, f"train {job.name}", mode=progress) as bar:
            results = [_fit(job, job.training.seed, folder, bar)]
    else:
        hint = f"continue with --resume {folder.path}"
        found, failures = _train_many([(job, folder.path)], jobs, progress, f"train {job.name}", hint)
        if failures:
            raise RunError(f"every run failed, the first with: {next(iter(failures.values()))}")
        (results,) = found
    return _finish(job, folder, results, time.perf_counter() - started)


def _train_many(
    points: Sequence[tuple[SequenceJob, Path]], jobs: int, progress: ProgressMode, title: str, hint: str
) -> tuple[list[list[SequenceResult]], dict[str, str]]:
    """The results of every point's runs, and the error of those points that have none."""
    work = [(place, seed) for place, (job, _) in enumerate(points) for seed in job.seeds]
    # The longest first, so that no process is left alone with one at the end.
    work.sort(key=lambda item: -_cost(points[item[0]][0]))
    steps = [0] * len(work)
    finished = 0
    with Progress(sum(points[place][0].training.steps for place, _ in work), title, mode=progress) as bar:

        def advance(index: int, done: int) -> None:
            steps[index] = done
            bar.update(sum(steps), runs_done=f"{finished} of {len(work)}")

        def settle(outcome: Outcome[SequenceResult]) -> None:
            nonlocal finished
            finished += outcome.ok
            place, seed = work[outcome.index]
            job, path = points[place]
            if outcome.status == "failed":
                bar.note(f"{path.name}, seed {seed}: {outcome.error}")
            if outcome.status != "interrupted":  # a run that stopped early leaves none of its steps
                advance(outcome.index, job.training.steps)

        outcomes = run_many(_seed_run, work, shared=tuple(points), jobs=jobs, on_done=settle, on_progress=advance)
    check_settled(outcomes, hint)
    results: list[list[SequenceResult]] = [[] for _ in points]
    errors: dict[int, str] = {}
    for (place, _), outcome in sorted(zip(work, outcomes, strict=True), key=lambda pair: pair[0]):
        if outcome.value is not None:
            results[place].append(outcome.value)
        else:
            errors.setdefault(place, outcome.error)
    return results, {points[place][1].name: error for place, error in errors.items() if not results[place]}


def _cost(job: SequenceJob) -> int:
    return job.training.steps * job.task.build().seq_length


def _seed_run(points: Sequence[tuple[SequenceJob, Path]], item: tuple[int, int]) -> SequenceResult:
    place, seed = item
    job, path = points[place]
    where = path if job.runs == 1 else path / f"seed-{seed}"
    with RunFolder.create_or_resume(where, kind=KIND) as folder:
        return _fit(job, seed, folder, _StepReporter())


class _StepReporter:
    """Tells the parent process how far a run is, not too often."""

    def __init__(self) -> None:
        self._told = -math.inf

    def update(self, completed: int, **fields: float | str) -> None:
        now = time.monotonic()
        if now - self._told >= _REPORT_SECONDS:
            self._told = now
            report_progress(completed)


def _fit(job: SequenceJob, seed: int, folder: RunFolder, progress: Progress | _StepReporter) -> SequenceResult:
    keep_freed_memory()
    task, model = job.build(seed)
    try:
        return fit_sequence(model, task, replace(job.training, seed=seed), folder=folder, progress=progress)
    except Interrupted as stopped:
        raise Interrupted(f"{stopped} {folder.path}") from None


def _config_and_summary(folder: RunFolder) -> tuple[SequenceJob, dict[str, Any] | None]:
    return job_of(folder, KIND, SequenceJob), folder.read_summary()


def _finish(job: SequenceJob, folder: RunFolder, results: list[SequenceResult], seconds: float) -> JobSummary:
    summary = summarize(job, results, seconds)
    sequence_report.draw(folder, job, results)
    sequence_report.write(folder, job, summary)
    folder.write_summary(summary)  # last: it says that the job is done
    return JobSummary(folder.path, summary)


def summarize(job: SequenceJob, results: list[SequenceResult], seconds: float) -> dict[str, Any]:
    """What ``summary.json`` holds: every score of every run, their means and sample deviations."""
    content: dict[str, Any] = {
        "kind": KIND,
        "dataset": job.task.label,
        "model": job.model.label,
        "runs": len(results),
        "failed_runs": job.runs - len(results),
    }
    names = (
        "test_accuracy",
        "test_loss",
        "eval_accuracy",
        "mean_train_accuracy",
        "mean_train_accuracy_last_1000",
        "steps",
    )
    scores = {name: [float(getattr(result, name)) for result in results] for name in names}
    content |= over_runs(scores)
    content["solved_runs"] = sum(result.solved_at is not None for result in results)
    content["solved_at"] = [result.solved_at for result in results]
    content["selected_steps"] = [result.selected_step for result in results]
    content["seeds"] = [result.seed for result in results]
    # Seeds draw their own data from one distribution: unpaired, as runs on one split are.
    content["splits"] = ["fresh samples"] * len(results)
    content["num_train"] = job.training.steps * job.training.batch_size
    content["num_test"] = job.training.eval_size
    content["per_run"] = {**scores, "seconds": [result.seconds for result in results]}
    content["seconds"] = seconds
    content["versions"] = versions()
    content["options"] = asdict(job.model)
    return content
