"""Comparing run folders: which test is made follows from the splits, and what cannot be compared is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from gnnkit.data import load_dataset
from gnnkit.errors import FileFormatError, RunError
from gnnkit.jobs import DataSource, NodeJob, run_node_job
from gnnkit.jobs.compare import compare_runs, draw_comparison, metrics_of, names_of, read_run
from gnnkit.models.registry import ModelOptions
from gnnkit.plots.compared_curves import compared_curves
from gnnkit.runs import RunFolder
from gnnkit.training import TrainConfig


def finished(path, values, split_names, **changes):
    """A run folder with a summary and nothing else."""
    summary = {
        "dataset": "cora",
        "model": "gcn",
        "seeds": list(range(len(values))),
        "splits": split_names,
        "num_train": 140,
        "num_test": 1000,
        "failed_runs": 0,
        "per_run": {"test_accuracy": list(values)},
    }
    kind = changes.pop("kind", "nodes")
    with RunFolder.create(path, kind=kind) as folder:
        folder.write_summary({**summary, **changes})
    return path


def scores(n, mean, seed):
    return (mean + 0.01 * np.random.default_rng(seed).standard_normal(n)).tolist()


def names(n, first=0):
    return [f"split-{index}" for index in range(first, first + n)]


def test_random_splits_are_paired_and_corrected(tmp_path):
    a, b = scores(12, 0.80, 0), scores(12, 0.82, 1)
    first = finished(tmp_path / "a", a, names(12))
    # The same splits in another order: pairs are made by split, not by place.
    second = finished(tmp_path / "b", b[::-1], names(12)[::-1])
    comparison = compare_runs([first, second])
    (found,) = comparison.differences
    differences = np.subtract(b, a)
    error = np.sqrt((1 / 12 + 1000 / 140) * differences.var(ddof=1))
    half = stats.t.ppf(0.975, 11) * error
    assert found.test == "corrected resampled t-test"
    assert found.difference == pytest.approx(differences.mean())
    assert found.comparison.interval.low == pytest.approx(differences.mean() - half)
    assert found.comparison.p_value == pytest.approx(2 * stats.t.sf(abs(differences.mean() / error), 11))
    assert found.adjusted_p_value == found.comparison.p_value
    assert found.equivalence is None
    assert found.notes == ("equivalence is tested from 100 splits on",)
    assert comparison.runs[0].score.mean == pytest.approx(np.mean(a))
    assert comparison.runs[0].score.std == pytest.approx(np.std(a, ddof=1))


def test_a_hundred_splits_are_tested_for_equivalence(tmp_path):
    a = scores(100, 0.80, 0)
    near = np.add(a, scores(100, 0.001, 1))
    far = np.add(a, scores(100, 0.004, 2))
    first = finished(tmp_path / "a", a, names(100))
    runs = [first, finished(tmp_path / "b", near.tolist(), names(100)), finished(tmp_path / "c", far, names(100))]
    same, different = compare_runs(runs).differences
    assert same.equivalence.equivalent
    assert not different.equivalence.equivalent
    assert same.equivalence.margin == 0.005
    half = stats.t.ppf(0.95, 99) * np.subtract(near, a).std(ddof=1) / 10
    assert same.equivalence.interval.high == pytest.approx(np.subtract(near, a).mean() + half)
    assert same.notes == ()


def test_one_split_for_all_seeds_is_welch_and_says_what_it_is_not(tmp_path):
    a, b = scores(5, 0.80, 0), scores(8, 0.82, 1)
    found = compare_runs(
        [finished(tmp_path / "a", a, ["public"] * 5), finished(tmp_path / "b", b, ["public"] * 8)]
    ).differences[0]
    expected = stats.ttest_ind(b, a, equal_var=False)
    assert found.test == "Welch's t-test"
    assert found.comparison.p_value == pytest.approx(expected.pvalue)
    assert found.equivalence is None
    assert "initial weights and dropout" in found.notes[0]


def test_several_comparisons_are_adjusted_together(tmp_path):
    runs = [finished(tmp_path / f"{i}", scores(20, 0.80 + 0.05 * i, i), names(20), num_test=20) for i in range(4)]
    found = compare_runs(runs).differences
    p = [each.comparison.p_value for each in found]
    assert [each.reference for each in found] == [runs[0]] * 3
    order = np.argsort(p)
    expected = np.maximum.accumulate([min(1, (3 - rank) * p[index]) for rank, index in enumerate(order)])
    np.testing.assert_allclose([found[index].adjusted_p_value for index in order], expected)


def test_only_splits_in_common_count_and_it_is_said(tmp_path):
    a, b = scores(10, 0.80, 0), scores(6, 0.82, 1)
    found = compare_runs(
        [finished(tmp_path / "a", a, names(10)), finished(tmp_path / "b", b, names(6, first=7))]
    ).differences[0]
    assert found.comparison.n == 3
    assert found.difference == pytest.approx(np.mean(b[:3]) - np.mean(a[7:]))
    assert found.notes[0] == "over the 3 splits in common, of 6 and 10"


def test_too_few_to_test(tmp_path):
    one = [finished(tmp_path / name, [value], ["public"]) for name, value in (("a", 0.8), ("b", 0.83))]
    found = compare_runs(one).differences[0]
    assert found.test is None
    assert found.adjusted_p_value is None
    assert found.difference == pytest.approx(0.03)
    assert "two seeds or more" in found.notes[1]
    other = finished(tmp_path / "c", [0.8, 0.9], ["public", "other"])
    found = compare_runs([one[0], other]).differences[0]
    assert found.test is None
    assert found.difference == pytest.approx(0.0)
    assert "two splits or more" in found.notes[-1]


def test_what_cannot_be_compared_is_refused(tmp_path):
    first = finished(tmp_path / "a", [0.8, 0.9], names(2))
    cases = {
        "data": (finished(tmp_path / "data", [0.8], names(1), dataset="citeseer"), "'cora', .* has 'citeseer'"),
        "splits": (finished(tmp_path / "splits", [0.8, 0.9], names(2, first=5)), "no split in common"),
        "public": (finished(tmp_path / "public", [0.8, 0.9], ["public"] * 2), "no split in common"),
        "repeated": (finished(tmp_path / "repeated", [0.8, 0.9], ["split-0"] * 2), "one split for several seeds"),
    }
    for run, words in cases.values():
        with pytest.raises(ValueError, match=words):
            compare_runs([first, run])
    with pytest.raises(ValueError, match="at least two run folders, got 1"):
        compare_runs([first])
    with pytest.raises(ValueError, match="are one run folder"):
        compare_runs([first, tmp_path / "." / "data" / ".." / "a"])


def test_runs_that_say_too_little_are_refused(tmp_path):
    with RunFolder.create(tmp_path / "going", kind="nodes"):
        pass
    with pytest.raises(RunError, match="has not finished; continue it with --resume"):
        read_run(tmp_path / "going")
    with pytest.raises(RunError, match="kind 'forecast'; compare reads nodes"):
        read_run(finished(tmp_path / "kind", [0.8], names(1), kind="forecast"))
    with pytest.raises(RunError, match="no test accuracy"):
        read_run(finished(tmp_path / "untested", [None], names(1)))
    old = finished(tmp_path / "old", [0.8], names(1))
    summary = json.loads((old / "summary.json").read_text())
    del summary["splits"]
    (old / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(RunError, match="did not record its splits"):
        read_run(old)
    for name, changes in {
        "lengths": {"splits": ["x", "y"]},
        "type": {"dataset": 3},
        "text": {"per_run": {"test_accuracy": ["0.8"]}},
        "none": {"per_run": {}},
    }.items():
        with pytest.raises(FileFormatError, match=r"summary\.json"):
            read_run(finished(tmp_path / name, [0.8], names(1), **changes))


QUICK = NodeJob(DataSource("karate", split="stratified"), training=TrainConfig(epochs=8), runs=3)


def test_real_runs_on_random_splits(tmp_path):
    jobs = {"narrow": ModelOptions(hidden_channels=2), "wide": ModelOptions(hidden_channels=16)}
    for name, options in jobs.items():
        run_node_job(replace(QUICK, options=options), tmp_path / name, progress="quiet")
    summary = json.loads((tmp_path / "wide/summary.json").read_text())
    split = QUICK.source.split_for(load_dataset("karate"), 0)
    for part in ("train", "val", "test"):
        assert summary[f"num_{part}"] == int(getattr(split, f"{part}_mask").sum())
    assert len(set(summary["splits"])) == 3
    comparison = compare_runs([tmp_path / "narrow", tmp_path / "wide"])
    assert comparison.differences[0].comparison.n == 3
    assert names_of(comparison.runs) == ["narrow", "wide"]
    assert [len(metrics["epoch"]) for metrics in metrics_of(comparison.runs[0])] == [8, 8, 8]
    figure = draw_comparison(comparison)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["val loss", "val accuracy"]
    labels = [line.get_label() for line in figure.axes[0].get_lines()]
    assert labels == ["narrow (3 runs)", "wide (3 runs)"]


def test_one_split_and_single_runs_of_a_real_job(tmp_path):
    fixed = replace(QUICK, source=replace(QUICK.source, split_seed=4))
    first = run_node_job(fixed, tmp_path / "a", progress="quiet")
    assert len(set(first.content["splits"])) == 1
    single = run_node_job(replace(fixed, runs=1), tmp_path / "b", progress="quiet")
    assert single.content["splits"] == first.content["splits"][:1]
    comparison = compare_runs([tmp_path / "a", tmp_path / "b"])
    assert comparison.differences[0].test is None
    draw_comparison(comparison)


def test_curves_without_validation_are_those_of_training():
    runs = {
        "a": [{"epoch": [1, 2], "train_loss": [2.0, 1.0], "val_loss": [np.nan, np.nan]}],
        "b": [{"epoch": [1, 2], "train_loss": [4.0, 2.0], "val_loss": [1.0, 1.0]}] * 2,
    }
    (axes,) = compared_curves(runs, title="x").axes
    assert axes.get_title(loc="left") == "train loss"
    np.testing.assert_array_equal(axes.get_lines()[1].get_ydata(), [4, 2])
    with pytest.raises(ValueError, match="no column in common"):
        compared_curves({"a": runs["a"], "b": [{"step": [1], "loss": [1.0]}]})
    with pytest.raises(ValueError, match="nothing to draw: a"):
        compared_curves({"a": []})
