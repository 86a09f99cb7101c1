"""Does the graph help to forecast? On processes whose answer is known, and what the verdict is made of."""

import json
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

import gnnkit
from gnnkit.cli.main import app
from gnnkit.data.temporal import diffusion_process
from gnnkit.errors import RunError
from gnnkit.jobs.forecast_job import ForecastJob
from gnnkit.jobs.train_forecasts import difference
from gnnkit.jobs.verdict_on_forecasts import verdict_on_forecasts
from gnnkit.training.forecasts import ForecastConfig, fit_forecaster
from gnnkit.training.optimization import Optimization
from gnnkit.training.windows import Windows, scores


def quick(runs=2, **training):
    config = ForecastConfig(**{"epochs": 4, "optimization": Optimization(optimizer="adam", lr=0.02)} | training)
    return ForecastJob(length=3, horizon=2, hops=2, hidden_size=8, training=config, runs=runs)


def each_by_itself(num_steps=600):
    """Every node remembers itself; the graph carries nothing."""
    data = diffusion_process(num_nodes=10, num_steps=num_steps)
    generator = torch.Generator().manual_seed(0)
    x, values = torch.zeros(10), []
    for shock in torch.randn(num_steps, 10, generator=generator):
        x = 0.9 * x + shock
        values.append(x)
    return replace(data, values=torch.stack(values), name="by itself", best_mse=None)


def test_what_is_carried_along_the_graph_needs_it():
    data = diffusion_process(num_nodes=10, num_steps=600)
    found = gnnkit.verdict(data, job=quick())
    assert found.helps
    assert found.sentence.startswith("yes: the graph takes ")
    assert found.gap.high < 0
    assert found.gap_to_rewired.high < 0
    names = [row.name for row in found.rows]
    assert names == ["last value", "linear", "identity MLP", "no graph", "rewired graph", "graph"]
    errors = {row.name: row.error for row in found.rows}
    assert found.gap.mean == pytest.approx(errors["graph"] - errors["no graph"])
    assert found.rewired_gap.mean == pytest.approx(errors["rewired graph"] - errors["no graph"])
    assert (found.horizon, found.runs, found.error, found.block_steps) == (2, 2, "mse", found.test_windows // 10)


def test_where_it_carries_nothing_no_gain_is_shown():
    found = gnnkit.verdict(each_by_itself(), job=quick())
    assert not found.helps
    assert found.sentence.startswith("no")


def test_rows_are_those_of_training_them_one_by_one():
    data = each_by_itself(200)
    job = quick(epochs=1)
    found = verdict_on_forecasts(data, job=job, jobs=2)
    again = verdict_on_forecasts(data, job=job)
    assert found == again
    windows = Windows.of(data, 3, 2)
    targets, observed = windows.targets(windows.test)
    forecasts = {}
    for row in ("graph", "no graph"):
        forecasts[row] = []
        for seed in (0, 1):
            model, graph = job.resolved().build(row, data, seed)
            config = replace(job.training, seed=seed)
            forecasts[row].append(fit_forecaster(model, windows, graph, config).forecasts)
        shown = next(each for each in found.rows if each.name == row)
        expected = [scores(each, targets, observed).mse for each in forecasts[row]]
        assert shown.errors == pytest.approx([sum(steps) / 2 for steps in expected])
        assert shown.by_horizon == pytest.approx(torch.tensor(expected).mean(0).tolist())
    compared = difference(windows, forecasts["graph"], forecasts["no graph"])
    assert tuple(found.gap) == pytest.approx((compared["mean"], compared["low"], compared["high"]))


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="got 1"):
        verdict_on_forecasts(each_by_itself(200), job=quick(runs=1))
    with pytest.raises(ValueError, match="too few for a window"):
        verdict_on_forecasts(each_by_itself(8), job=quick())
    with pytest.raises(RunError, match="graph, seed 0 failed"):
        verdict_on_forecasts(
            each_by_itself(200), job=quick(optimization=Optimization(optimizer="sgd", lr=1e30, clip=None))
        )
    with pytest.raises(TypeError, match="NodeData or TemporalData, got int"):
        gnnkit.verdict(3)
    with pytest.raises(TypeError, match="splits"):
        gnnkit.verdict(each_by_itself(200), splits=3)


def invoke(*arguments):
    return CliRunner().invoke(app, ["verdict", *map(str, arguments)])


@pytest.fixture
def table(tmp_path):
    data = diffusion_process(num_nodes=6, num_steps=160)
    names = [f"n{node}" for node in range(6)]
    rows = [",".join(f"{value:.4f}" for value in row) for row in data.values.tolist()]
    (tmp_path / "v.csv").write_text("\n".join([",".join(names), *rows]) + "\n")
    (source, target), _ = data.adjacency.to_edge_index()
    (tmp_path / "e.txt").write_text("".join(f"n{s} n{t}\n" for s, t in zip(source, target, strict=True)))
    return tmp_path / "v.csv", tmp_path / "e.txt"


def test_command_line(table):
    values, edges = table
    settings = (values, "--edges", edges, "--directed", "--runs", 2, "--epochs", 1)
    shown = invoke(*settings, "-q")
    assert shown.exit_code == 0, shown.output
    for word in ("last value", "identity MLP", "rewired graph", "graph - no graph", "does the graph help? "):
        assert word in shown.stdout
    document = json.loads(invoke(*settings, "--json").stdout)
    assert document["sentence"] in shown.stdout
    assert document["gap"]["low"] <= document["gap"]["mean"] <= document["gap"]["high"]
    assert [row["name"] for row in document["rows"]][-1] == "graph"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("diffusion", "--splits", "3"), "--splits is for classifying nodes"),
        (("karate", "--runs", "3"), "--runs is for forecasts"),
        (("diffusion", "--period", "3"), "name its graph with --edges"),
    ],
)
def test_bad_usage(arguments, message):
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
