"""Training classifiers of trees into a run folder, and scoring them again from it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from gnnkit.data.treebanks import Treebank
from gnnkit.errors import RunError
from gnnkit.jobs.job_run import (
    EpochReporter,
    JobSummary,
    over_runs,
    seeds_side_by_side,
    settings_section,
    warn_of_changes,
)
from gnnkit.jobs.trained_trees import KIND, job_in, load_trees, write_vocabulary
from gnnkit.jobs.tree_job import TreeJob, TreeSizes
from gnnkit.runs import (
    ProgressMode,
    RunFolder,
    atomic_write,
    environment,
    printable,
    versions,
)
from gnnkit.training.trees import TreeResult, TreeScores, fit_trees


def run_tree_job(
    job: TreeJob, out: str | os.PathLike[str] | None = None, *, jobs: int = 1, progress: ProgressMode = "auto"
) -> JobSummary:
    """Train as ``job`` says, every seed, into a new run folder.

    Args:
        job: What to train on what.
        out: The folder; ``runs/trees-sst-001`` and onwards where None.
        jobs: Seeds side by side; one thread each, so that the bits do not depend on it.
        progress: How to show it.

    Raises:
        RunError: If the folder is not empty, or a run failed.
        Interrupted: After ctrl-C; the message says how to continue.
    """
    treebank = job.source.load()
    record = environment(device="cpu", threads=1)
    with RunFolder.create(out, kind=KIND, name=f"trees-{treebank.name}", environment=record, config=job) as folder:
        return _train(job, treebank, folder, jobs, progress)


def resume_tree_job(
    path: str | os.PathLike[str], *, jobs: int = 1, progress: ProgressMode = "auto", warn: Callable[[str], None] = print
) -> JobSummary:
    """Go on where an interrupted job stopped; the results are those of one never interrupted, bit for bit.

    Raises:
        RunError: If the folder holds no such job.
    """
    with RunFolder.resume(path) as folder:
        job = job_in(folder)
        if (done := folder.read_summary()) is not None:
            return JobSummary(folder.path, done)
        warn_of_changes(folder, environment(device="cpu", threads=1), warn)
        return _train(job, job.source.load(), folder, jobs, progress)


def evaluate_tree_run(path: str | os.PathLike[str], *, data_root: str | None = None) -> dict[int, TreeScores]:
    """The test scores of a finished job by seed, computed again from the selected weights.

    Raises:
        RunError: If it is not a run folder of this kind, or a run has no selected weights yet.
        FileFormatError: If a file in it is damaged; nothing in it is executed.
    """
    job = job_in(RunFolder.open(path))
    source = job.source if data_root is None else replace(job.source, root=data_root)
    trained = {seed: load_trees(path, seed=seed) for seed in job.seeds}
    test = source.load().test
    return {seed: each.evaluate(test) for seed, each in trained.items()}


def table(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """What a summary says, a line each."""

    def percent(name: str) -> str:
        value, deviation = 100 * summary[f"{name}_mean"], 100 * summary[f"{name}_std"]
        several = f" +- {deviation:.2f} ({summary['runs']} seeds)" if summary["runs"] > 1 else ""
        return f"{value:.2f} %{several}"

    each = ", ".join(f"{100 * value:.2f}" for value in summary["per_run"]["test_accuracy"])
    return [
        ("test accuracy, roots", percent("test_accuracy") + (f": {each}" if summary["runs"] > 1 else "")),
        ("test accuracy, all nodes", percent("test_node_accuracy")),
        ("development accuracy, roots", percent("dev_accuracy")),
        ("selected epochs", ", ".join(map(str, summary["per_run"]["selected_epoch"]))),
        ("trees", "{num_train} to learn from, {num_dev} to choose by, {num_test} to test".format(**summary)),
    ]


def _train(job: TreeJob, treebank: Treebank, folder: RunFolder, jobs: int, progress: ProgressMode) -> JobSummary:
    started = time.perf_counter()
    words = job.vocabulary(treebank)
    write_vocabulary(folder, words, TreeSizes.of(treebank, words))
    outcomes = seeds_side_by_side(
        _one_seed,
        job.seeds,
        (job, treebank, folder.path),
        epochs=job.training.epochs,
        title=f"trees {treebank.name}",
        hint=f"continue with --resume {folder.path}",
        jobs=jobs,
        progress=progress,
    )
    results = [outcome.value for outcome in outcomes if outcome.value is not None]
    if failed := [outcome for outcome in outcomes if outcome.value is None]:
        raise RunError(f"seed {job.seeds[failed[0].index]} failed: {failed[0].error}")
    summary = summarize(job, treebank, results)
    summary["seconds"] = time.perf_counter() - started
    _draw(folder, treebank, results)
    _write_report(folder, job, treebank, summary)
    folder.write_summary(summary)  # last: it says that the job is done
    return JobSummary(folder.path, summary)


def _one_seed(shared: tuple[TreeJob, Treebank, Path], seed: int) -> TreeResult:
    job, treebank, path = shared
    words = job.vocabulary(treebank)
    train, dev, test = (words.encode(part) for part in (treebank.train, treebank.dev, treebank.test))
    model = job.build(TreeSizes.of(treebank, words), seed)
    with RunFolder.create_or_resume(path / f"seed-{seed}", kind=KIND) as folder:
        config = replace(job.training, seed=seed)
        return fit_trees(model, train, dev, test, config, folder=folder, progress=EpochReporter())


def summarize(job: TreeJob, treebank: Treebank, results: list[TreeResult]) -> dict[str, Any]:
    """What ``summary.json`` holds: every score of every run, their means and sample deviations."""
    scores = {
        "test_accuracy": [result.test.accuracy for result in results],
        "test_node_accuracy": [result.test.node_accuracy for result in results],
        "test_loss": [result.test.loss for result in results],
        "dev_accuracy": [result.dev_accuracy for result in results],
    }
    content: dict[str, Any] = {"kind": KIND, "dataset": treebank.name, "title": treebank.title, "runs": len(results)}
    content |= over_runs(scores)
    for part in ("train", "dev", "test"):
        content[f"num_{part}"] = len(getattr(treebank, part))
    content["num_classes"] = treebank.num_classes
    content["num_words"] = len(job.vocabulary(treebank))
    content["seeds"] = [result.seed for result in results]
    selected, seconds = [result.selected_epoch for result in results], [result.seconds for result in results]
    content["per_run"] = {**scores, "selected_epoch": selected, "seconds": seconds}
    content["versions"] = versions()
    return content


def _draw(folder: RunFolder, treebank: Treebank, results: list[TreeResult]) -> None:
    from gnnkit.plots import curves, save_figure

    figure = curves(
        [result.history for result in results],
        {"loss of labelled nodes": ["train_loss", "dev_loss"], "accuracy of roots": ["dev_accuracy"]},
        selected=[result.selected_epoch for result in results],
        title=printable(treebank.title),
    )
    save_figure(figure, folder.path / "curves.png")


def _write_report(folder: RunFolder, job: TreeJob, treebank: Treebank, summary: dict[str, Any]) -> None:
    lines = [f"# Trees: {printable(treebank.title)}", ""]
    lines += [f"- {name}: {value}" for name, value in table(summary)]
    lines += ["", "![Training curves](curves.png)", "", *settings_section(job)]
    atomic_write(folder.path / "report.md", "\n".join(lines))
