"""``gnnkit compare``: thin over gnnkit.jobs.compare, so what is tested is what is shown and the exit code."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from gnnkit.cli.main import app
from gnnkit.jobs import DataSource, NodeJob, run_node_job
from gnnkit.jobs.compare import compare_runs
from gnnkit.runs import RunFolder
from gnnkit.training import TrainConfig


def invoke(*arguments: object):
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


def finished(path, shift, runs=100, model="gcn", **changes):
    noise = np.random.default_rng(0).standard_normal((2, runs))
    values = 0.8 + 0.01 * noise[0] + shift + 0.002 * noise[1] * (shift != 0)
    summary = {
        "dataset": "cora",
        "model": model,
        "seeds": list(range(runs)),
        "splits": [str(index) for index in range(runs)],
        "num_train": 140,
        "num_test": 1000,
        "failed_runs": 0,
        "per_run": {"test_accuracy": values.tolist()},
    }
    with RunFolder.create(path, kind="nodes") as folder:
        folder.write_summary({**summary, **changes})
    return path


@pytest.fixture
def three(tmp_path):
    return [
        finished(tmp_path / "gcn", 0.0),
        finished(tmp_path / "gat", 0.03, model="gat", failed_runs=2),
        finished(tmp_path / "same", 0.001),
    ]


def test_a_table_then_effect_and_interval_before_p(three):
    result = invoke(*three)
    assert result.exit_code == 0, result.output
    comparison = compare_runs(three)
    lines = result.stdout.splitlines()
    assert lines[0] == "test accuracy on cora, in %"
    assert lines[2].split() == ["run", "model", "runs", "mean", "std", "95", "%", "interval", "of", "the", "mean"]
    score = comparison.runs[1].score
    assert lines[4].split()[:7] == [
        "gat", "gat", "100", "(+2", "failed)", f"{100 * score.mean:.2f}", f"{100 * score.std:.2f}"
    ]  # fmt: skip
    block = lines[lines.index("gat - gcn") + 1 :]
    found = comparison.differences[0]
    low, high = found.comparison.interval.low, found.comparison.interval.high
    assert block[0] == f"  {100 * found.difference:+.2f} points, 95 % interval {100 * low:+.2f} to {100 * high:+.2f}"
    assert block[1].startswith("  p < 0.0001, < 0.0001 after Holm over 2 comparisons (corrected resampled t-test, 100")
    assert block[2].startswith("  not shown to be equivalent within 0.5 points (TOST: 90 % interval +")
    assert "  equivalent within 0.5 points (TOST: 90 % interval" in result.stdout


def test_one_split_says_that_it_is_about_initial_weights(tmp_path):
    runs = [finished(tmp_path / f"{i}", 0.01 * i, runs=4, splits=["public"] * 4) for i in range(2)]
    result = invoke(*runs)
    assert "(Welch's t-test, 4 seeds of the smaller run)" in result.stdout
    assert "compares initial weights and dropout on that split, not the models" in result.stdout
    assert "Holm" not in result.stdout


def test_json_alone_on_stdout(three, tmp_path):
    document = json.loads(invoke(*three, "--json").stdout)
    assert [run["model"] for run in document["runs"]] == ["gcn", "gat", "gcn"]
    first = document["differences"][0]
    assert first["reference"] == str(three[0])
    assert first["comparison"]["p_value"] == compare_runs(three).differences[0].comparison.p_value
    assert document["differences"][1]["equivalence"]["equivalent"] is True


def test_what_cannot_be_compared_ends_in_one_line(three, tmp_path):
    alone = invoke(three[0])
    assert (alone.exit_code, alone.stderr.count("\n")) == (2, 1)
    assert "at least two run folders, got 1" in alone.stderr
    other = finished(tmp_path / "other", 0.0, dataset="pubmed\x1b[2J")
    result = invoke(three[0], other)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "on the same data only" in result.stderr
    assert "\x1b" not in result.stderr
    assert invoke(three[0], tmp_path / "nowhere").exit_code == 1


def test_hostile_names_do_no_harm(tmp_path):
    runs = [finished(tmp_path / f"{i}", 0.0, runs=3, model="a\x1b[2Jb", dataset="c\x1b[2Jd") for i in range(2)]
    result = invoke(*runs)
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert r"a\x1b[2Jb" in result.stdout


def test_plot(tmp_path):
    job = NodeJob(DataSource("karate", split="stratified"), training=TrainConfig(epochs=5), runs=2)
    for name in ("a", "b"):
        run_node_job(job, tmp_path / name, progress="quiet")
    result = invoke(tmp_path / "a", tmp_path / "b", "--plot", tmp_path / "curves.png")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert str(tmp_path / "curves.png") in result.stderr
    assert "+0.00 points, 95 % interval +0.00 to +0.00" in result.stdout
    wrong = invoke(tmp_path / "a", tmp_path / "b", "--plot", tmp_path / "curves.doc")
    assert wrong.exit_code == 1
    assert ".png, .svg or .pdf" in wrong.stderr
