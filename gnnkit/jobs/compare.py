"""Finished runs side by side: means, and the test that the way they were split allows.

Random splits, one per seed: a test paired by split, corrected for training parts that overlap
(`corrected_resampled_t_test`), and equivalence within half a point from 100 splits on. One split for
all seeds: Welch's test, which then speaks of initial weights only. P values are adjusted (Holm) for the
number of comparisons.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gnnkit.errors import FileFormatError, RunError
from gnnkit.runs import (
    Comparison,
    Equivalence,
    RunFolder,
    Spread,
    corrected_resampled_t_test,
    holm,
    paired_equivalence,
    read_metrics,
    spread,
    welch_t_test,
)
from gnnkit.storage.text import shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What is compared, by kind of run: a name in the summary's ``per_run``, and what to call it.
SCORES = {
    "nodes": ("test_accuracy", "test accuracy"),
    "links": ("test_auc", "area under the ROC curve on test links"),
    "sequence": ("test_accuracy", "accuracy on held-out samples"),
}
MARGIN = 0.005  # half a point
_EQUIVALENCE_FROM = 100


@dataclass(frozen=True)
class FinishedRun:
    """A finished run folder, one seed or many.

    Attributes:
        folder: Where it is.
        kind: Of job, as ``"nodes"``.
        dataset: The name of its data.
        model: The name of its model.
        seeds: Of the runs that finished.
        splits: Which split each of them used, as a fingerprint; the same text is the same split.
        num_train: Examples that a split trains on.
        num_test: Examples that it tests on.
        failed_runs: How many did not finish, and are not in what follows.
        values: The score of each seed.
        score: Their mean, deviation and interval.
    """

    folder: Path
    kind: str
    dataset: str
    model: str
    seeds: tuple[int, ...]
    splits: tuple[str, ...]
    num_train: int
    num_test: int
    failed_runs: int
    values: tuple[float, ...]
    score: Spread

    @property
    def one_split(self) -> bool:
        """Whether all seeds used the same split."""
        return len(set(self.splits)) == 1


@dataclass(frozen=True)
class Difference:
    """One run's mean minus the reference's.

    Attributes:
        folder: Of the run.
        reference: Folder of the run it is compared with.
        difference: Of the means, over the paired splits where it is paired.
        test: What was done; None where there is too little to test.
        comparison: Its interval and p value.
        adjusted_p_value: After Holm, over all the comparisons made at once.
        equivalence: Whether the two are the same within half a point; None below 100 paired splits.
        notes: What must be known to read it.
    """

    folder: Path
    reference: Path
    difference: float
    test: Literal["corrected resampled t-test", "Welch's t-test"] | None
    comparison: Comparison | None
    adjusted_p_value: float | None
    equivalence: Equivalence | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class RunComparison:
    """Several runs, and what sets each apart from the first."""

    score: str
    runs: tuple[FinishedRun, ...]
    differences: tuple[Difference, ...]


def compare_runs(folders: Sequence[str | os.PathLike[str]]) -> RunComparison:
    """Compare finished runs on the same data with the first of them.

    Raises:
        ValueError: If there are fewer than two, or they differ in kind, data or splits.
        RunError: If one has not finished, or its summary does not say what it was split by.
        FileFormatError: If a summary is damaged.
    """
    if len(folders) < 2:
        raise ValueError(f"a comparison takes at least two run folders, got {len(folders)}")
    runs = tuple(read_run(folder) for folder in folders)
    first = runs[0]
    seen: dict[Path, Path] = {}
    for run in runs:
        if (same := seen.setdefault(run.folder.resolve(), run.folder)) is not run.folder:
            raise ValueError(f"{run.folder} and {same} are one run folder; name each run once")
        for what in ("kind", "dataset"):
            if getattr(run, what) != getattr(first, what):
                raise ValueError(
                    f"runs can be compared on the same data only: {first.folder} has the {what} "
                    f"{shown(getattr(first, what))}, {run.folder} has {shown(getattr(run, what))}"
                )
    differences = [_difference(run, first) for run in runs[1:]]
    tested = [index for index, each in enumerate(differences) if each.comparison is not None]
    p_values = [each.comparison.p_value for each in differences if each.comparison is not None]
    for index, adjusted in zip(tested, holm(p_values), strict=True):
        differences[index] = replace(differences[index], adjusted_p_value=adjusted)
    return RunComparison(SCORES[first.kind][1], runs, tuple(differences))


def read_run(folder: str | os.PathLike[str]) -> FinishedRun:
    """What a finished run's summary says.

    Raises:
        RunError: If it has not finished, is of a kind that cannot be compared, or was made by a gnnkit
            that did not record the splits.
        FileFormatError: If the summary is damaged.
    """
    opened = RunFolder.open(folder)
    if opened.kind not in SCORES:
        raise RunError(f"{opened.path} holds a run of kind {opened.kind!r}; compare reads {', '.join(SCORES)}")
    summary = opened.read_summary()
    if summary is None:
        raise RunError(f"{opened.path} has not finished; continue it with --resume")
    if "splits" not in summary:
        raise RunError(f"{opened.path} was made by a gnnkit that did not record its splits; train it again")
    name, called = SCORES[opened.kind]
    path = opened.path / "summary.json"
    values = _field(summary, path, "per_run", dict).get(name)
    seeds, splits = _field(summary, path, "seeds", list), _field(summary, path, "splits", list)
    if not isinstance(values, list) or not values or not len(values) == len(seeds) == len(splits):
        raise FileFormatError(path, f"does not hold one {name}, seed and split per run")
    if not all(type(seed) is int for seed in seeds) or not all(type(split) is str for split in splits):
        raise FileFormatError(path, "holds a seed that is no whole number or a split that is no text")
    if any(value is None for value in values):
        raise RunError(f"{opened.path} has no {called}: its data has no test examples")
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
        raise FileFormatError(path, f"holds a {name} that is not a finite number")
    return FinishedRun(
        folder=opened.path,
        kind=opened.kind,
        dataset=_field(summary, path, "dataset", str),
        model=_field(summary, path, "model", str),
        seeds=tuple(seeds),
        splits=tuple(splits),
        num_train=_field(summary, path, "num_train", int),
        num_test=_field(summary, path, "num_test", int),
        failed_runs=_field(summary, path, "failed_runs", int),
        values=tuple(float(value) for value in values),
        score=spread(values),
    )


def _field(summary: dict[str, Any], path: Path, name: str, kind: type) -> Any:
    if not isinstance(summary.get(name), kind):
        raise FileFormatError(path, f"has no {name} of type {kind.__name__}")
    return summary[name]


def _difference(run: FinishedRun, reference: FinishedRun) -> Difference:
    if run.one_split and reference.one_split and run.splits[0] == reference.splits[0]:
        return _on_one_split(run, reference)
    return _paired_by_split(run, reference)


def _on_one_split(run: FinishedRun, reference: FinishedRun) -> Difference:
    """Seeds are no pairs here: the third of one model has nothing in common with the third of the other."""
    notes = []
    if run.kind == "nodes":  # a sequence run's seeds draw their own samples
        notes.append("one split for all seeds: this compares initial weights and dropout on that split, not the models")
    difference = run.score.mean - reference.score.mean
    if min(len(run.values), len(reference.values)) < 2:
        notes.append("a test needs two seeds or more of each run: train with --runs")
        return Difference(run.folder, reference.folder, difference, None, None, None, None, tuple(notes))
    comparison = welch_t_test(run.values, reference.values)
    return Difference(run.folder, reference.folder, difference, "Welch's t-test", comparison, None, None, tuple(notes))


def _paired_by_split(run: FinishedRun, reference: FinishedRun) -> Difference:
    of_run, of_reference = (dict(zip(each.splits, each.values, strict=True)) for each in (run, reference))
    shared = [split for split in run.splits if split in of_reference]
    if not shared:
        raise ValueError(
            f"{run.folder} and {reference.folder} have no split in common, so a difference could be the splits'; "
            "train both with the same --split and --seed"
        )
    for each, scores in ((run, of_run), (reference, of_reference)):
        if len(scores) < len(each.splits):
            raise ValueError(
                f"{each.folder} used one split for several seeds, which cannot be paired by split with the other run; "
                "train both with the same --split and --split-seed"
            )
    first, second = [of_run[split] for split in shared], [of_reference[split] for split in shared]
    notes = []
    if not len(shared) == len(of_run) == len(of_reference):
        notes.append(f"over the {len(shared)} splits in common, of {len(of_run)} and {len(of_reference)}")
    if len(shared) < 2:
        notes.append("a test needs two splits or more: train with --runs")
        return Difference(run.folder, reference.folder, first[0] - second[0], None, None, None, None, tuple(notes))
    comparison = corrected_resampled_t_test(first, second, num_train=run.num_train, num_test=run.num_test)
    equivalence = None
    if len(shared) >= _EQUIVALENCE_FROM:
        equivalence = paired_equivalence(first, second, margin=MARGIN)
    else:
        notes.append(f"equivalence is tested from {_EQUIVALENCE_FROM} splits on")
    return Difference(
        run.folder,
        reference.folder,
        comparison.difference,
        "corrected resampled t-test",
        comparison,
        None,
        equivalence,
        tuple(notes),
    )


def draw_comparison(comparison: RunComparison) -> Figure:
    """The runs' validation curves in one figure, each a mean with a band (all curves, without validation).

    Raises:
        FileFormatError: If a ``metrics.csv`` is damaged.
        ValueError: If the runs have no column in common.
    """
    from gnnkit.plots.compared_curves import compared_curves

    runs = {name: metrics_of(run) for name, run in zip(names_of(comparison.runs), comparison.runs, strict=True)}
    return compared_curves(runs, title=f"{comparison.runs[0].dataset}, by run")


def metrics_of(run: FinishedRun) -> list[dict[str, Any]]:
    """The metrics of every seed that finished."""
    folder = RunFolder.open(run.folder)
    paths = [folder.seed_path(seed) for seed in run.seeds] if folder.seed_paths() else [folder.path]
    return [read_metrics(RunFolder.open(path).metrics_path) for path in paths]


def names_of(runs: Sequence[FinishedRun]) -> list[str]:
    """A short name for each run: its folder's own where no two are the same, else the whole path."""
    short = [run.folder.resolve().name for run in runs]
    return short if len(set(short)) == len(short) else [str(run.folder) for run in runs]
