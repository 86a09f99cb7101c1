"""gnnkit forecast, from the command line to the run folder."""

import json

import pytest
import torch
from typer.testing import CliRunner

from gnnkit.cli.main import app
from gnnkit.data.temporal import diffusion_process
from gnnkit.errors import RunError
from gnnkit.jobs.forecast_job import COUNTED_ROWS, RECIPES, TRAINED_ROWS, ForecastJob, TemporalSource
from gnnkit.jobs.train_forecasts import difference, resume_forecast_job, run_forecast_job
from gnnkit.runs import RunFolder
from gnnkit.training.forecasts import ForecastConfig
from gnnkit.training.windows import Windows


@pytest.fixture
def table(tmp_path):
    """A small table of a user's own with a gap, and its edges."""
    data = diffusion_process(num_nodes=5, num_steps=90)
    names = [f"n{node}" for node in range(5)]
    rows = [",".join(f"{value:.4f}" for value in row) for row in data.values.tolist()]
    rows[7] = ",".join(["", *rows[7].split(",")[1:]])
    (tmp_path / "v.csv").write_text("\n".join([",".join(names), *rows]) + "\n")
    (source, target), _ = data.adjacency.to_edge_index()
    (tmp_path / "e.txt").write_text("".join(f"n{s} n{t}\n" for s, t in zip(source, target, strict=True)))
    return str(tmp_path / "v.csv"), str(tmp_path / "e.txt")


def job_of(table, **changes):
    source = TemporalSource("", values=table[0], edges=table[1], directed=True)
    config = ForecastConfig(epochs=2, stride=3)
    return ForecastJob(source, 3, 2, hidden_size=4, hops=1, training=config, **changes)


def test_a_job_prints_every_row_and_draws(table, tmp_path):
    summary = run_forecast_job(job_of(table, runs=2), tmp_path / "out", progress="quiet")
    assert set(summary.content["rows"]) == {*TRAINED_ROWS, *COUNTED_ROWS}
    for row in summary.content["rows"].values():
        assert len(row["mae_by_horizon"]) == 2
        assert row["mae"] == pytest.approx(sum(row["mae_by_horizon"]) / 2)
    gap = summary.content["graph_minus_no_graph"]
    rows = summary.content["rows"]
    for name in TRAINED_ROWS:
        for mean, (low, high) in zip(rows[name]["mae_by_horizon"], rows[name]["mae_by_horizon_95"], strict=True):
            assert low < mean < high
    assert not any("mae_by_horizon_95" in rows[name] for name in COUNTED_ROWS)  # no seeds, no spread
    # Targets are equally many at both steps, so the overall gap is that of the rows.
    assert gap["mean"] == pytest.approx(rows["graph"]["mae"] - rows["no graph"]["mae"])
    assert gap["low"] <= gap["mean"] <= gap["high"]
    other = summary.content["graph_minus_rewired"]
    assert other["mean"] == pytest.approx(rows["graph"]["mae"] - rows["rewired graph"]["mae"])
    for name in ("forecasts.png", "error_by_horizon.png", "error_by_node.png", "report.md", "summary.json"):
        assert (tmp_path / "out" / name).stat().st_size > 0
    assert "last value" in (tmp_path / "out" / "report.md").read_text()


def test_an_interrupted_job_ends_as_one_that_was_not(table, tmp_path):
    whole = run_forecast_job(job_of(table), tmp_path / "whole", progress="quiet")
    job = job_of(table).resolved()
    with RunFolder.create(tmp_path / "cut", kind="forecast") as folder:
        folder.write_config(job)
    resumed = resume_forecast_job(tmp_path / "cut", progress="quiet", warn=lambda _: None)
    assert resumed.content["rows"] == whole.content["rows"]
    again = resume_forecast_job(tmp_path / "cut", progress="quiet")
    assert again.content["rows"] == json.loads((tmp_path / "cut" / "summary.json").read_text())["rows"]
    with RunFolder.create(tmp_path / "other", kind="nodes"):
        pass
    with pytest.raises(RunError, match="of kind 'nodes', not 'forecast'"):
        resume_forecast_job(tmp_path / "other")


def test_the_interval_knows_a_difference_from_none():
    windows = Windows.of(diffusion_process(num_nodes=5, num_steps=600), 3, 2)
    targets, _ = windows.targets(windows.test)
    generator = torch.Generator().manual_seed(0)
    noise = [torch.randn(targets.shape, generator=generator) for _ in range(2)]
    none = difference(windows, [targets + noise[0]], [targets + noise[1]])
    assert none["low"] < 0 < none["high"]
    some = difference(windows, [targets + noise[0]], [targets + 1.5 * noise[1]])
    assert some["high"] < 0


def test_what_is_not_chosen_is_as_the_recipe_has_it():
    job = ForecastJob(TemporalSource("chickenpox"), hops=3).resolved()
    assert (job.length, job.hops, job.cell, job.horizon) == (RECIPES["chickenpox"].length, 3, "gru", 1)
    assert job.training.optimization.lr == RECIPES["chickenpox"].lr
    assert job.resolved() == job
    own = ForecastJob(TemporalSource("", values="v.csv", edges="e.txt"), cell="gru").resolved()
    assert (own.length, own.horizon, own.cell, own.hidden_size) == (12, 12, "gru", 32)


def test_command_line(table, tmp_path):
    arguments = ["forecast", "--values", table[0], "--edges", table[1], "--length", "3", "--horizon", "2", "-q"]
    arguments += ["--hidden", "4", "--epochs", "1", "--jobs", "1", "--mode", "rollout", "--json"]
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert set(json.loads(result.stdout)["rows"]) == {*TRAINED_ROWS, *COUNTED_ROWS}
    shown = CliRunner().invoke(app, ["forecast", "--resume", str(tmp_path / "out")])
    assert shown.exit_code == 0, shown.output
    assert "graph minus no graph" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["weather"], "no temporal data set is called 'weather'"),
        (["--values", "v.csv"], "needs both --values and --edges"),
        (["diffusion", "--values", "v.csv", "--edges", "e.txt"], "in place of the data set"),
        (["--directed"], "are for a table of your own"),
        (["--resume", "x", "--horizon", "3"], "leave out --horizon"),
        (["chickenpox", "--resume", "x", "--data-root", "."], "leave out [DATASET], --data-root"),
        (["--lr", "-1"], "lr must be a positive number"),
    ],
)
def test_bad_usage(arguments, message):
    result = CliRunner().invoke(app, ["forecast", *arguments])
    assert result.exit_code == 2
    assert message in result.output
