"""How far information travels in a trained forecaster: from its run folder, by hop and step."""

import json

import pytest
import torch
from typer.testing import CliRunner

from gnnkit.cli.main import app
from gnnkit.data.temporal import diffusion_process
from gnnkit.errors import RunError
from gnnkit.graph.hops import hop_distance
from gnnkit.jobs.flow_of_runs import draw_flows, flow_of_runs
from gnnkit.jobs.forecast_job import ForecastJob, TemporalSource
from gnnkit.jobs.train_forecasts import run_forecast_job
from gnnkit.jobs.trained_forecast import load_forecast
from gnnkit.runs import RunFolder
from gnnkit.training.forecasts import ForecastConfig


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two seeds of a small job on a table of ten nodes."""
    root = tmp_path_factory.mktemp("flow")
    data = diffusion_process(num_nodes=10, num_steps=120)
    names = [f"n{node}" for node in range(10)]
    rows = [",".join(f"{value:.4f}" for value in row) for row in data.values.tolist()]
    (root / "v.csv").write_text("\n".join([",".join(names), *rows]) + "\n")
    (source, target), _ = data.adjacency.to_edge_index()
    (root / "e.txt").write_text("".join(f"n{s} n{t}\n" for s, t in zip(source, target, strict=True)))
    source = TemporalSource("", values=str(root / "v.csv"), edges=str(root / "e.txt"), directed=True)
    training = ForecastConfig(epochs=2, stride=3)
    job = ForecastJob(source, 4, 2, hidden_size=4, operator="gcn", hops=1, training=training, runs=2)
    run_forecast_job(job, root / "run", progress="quiet")
    return root / "run"


def test_the_model_is_the_one_with_the_lowest_validation_loss(run):
    trained = load_forecast(run)
    losses = {seed: RunFolder.open(run / f"graph-seed-{seed}").load_checkpoint()["best"]["val_loss"] for seed in (0, 1)}
    assert trained.seed == min(losses, key=lambda seed: losses[seed][1])
    for name, value in trained.model.state_dict().items():
        assert torch.equal(value, losses[trained.seed][2][name])
    started = trained.as_it_started().state_dict()
    expected = trained.job.build("graph", trained.data, trained.seed)[0].state_dict()
    assert all(torch.equal(started[name], value) for name, value in expected.items())
    assert not all(torch.equal(started[name], value) for name, value in trained.model.state_dict().items())


def test_flow_is_the_jacobian_of_what_is_forecast(run):
    trained = load_forecast(run)
    (found,) = flow_of_runs([run], samples=1, untrained=False)
    assert (found.flow.by, found.flow.influence.size(0)) == (("hop", "step"), 10)
    windows, graph = trained.windows, trained.data.adjacency
    batch = windows.batch(windows.test[:1])

    def forecast(values):
        return trained.model(values, batch.observed, batch.phase, graph)[0]

    jacobian = torch.autograd.functional.jacobian(forecast, batch.values)[:, :, 0]  # (horizon, N, L, N)
    norms = jacobian.abs().sum(0)
    hops = hop_distance(graph, direction="in").long()
    for hop in range(found.flow.influence.size(1)):
        expected = (norms * (hops == hop).unsqueeze(1)).sum(2).flip(1)
        torch.testing.assert_close(found.flow.influence[:, hop], expected, rtol=1e-4, atol=1e-6)
    for step in range(4):  # the cone's edge
        assert not bool(found.flow.influence[:, step + 2 :, step].any())


def test_command_line(run, tmp_path):
    picture = tmp_path / "cone.png"
    arguments = ["flow", str(run), "--samples", "30", "--no-untrained", "--plot", str(picture), "-q"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "within so many hops, in %, over 30 outputs" in result.stdout
    assert "within so many steps back, in %" in result.stdout
    assert picture.stat().st_size > 5000
    rows = json.loads(CliRunner().invoke(app, ["flow", str(run), "--samples", "10", "--json"]).stdout)
    assert [(row["by"], row["trained"]) for row in rows] == [
        ("hop", True),
        ("hop", False),
        ("step", True),
        ("step", False),
    ]
    assert draw_flows(flow_of_runs([run, run], samples=10, untrained=False)).axes


def test_what_cannot_be_measured(run, tmp_path):
    with pytest.raises(ValueError, match="holds a forecast"):
        flow_of_runs([run], of="state")
    with RunFolder.create(tmp_path / "cut", kind="forecast") as folder:
        folder.write_config(load_forecast(run).job)
    with pytest.raises(RunError, match="has not finished"):
        load_forecast(tmp_path / "cut")
    with RunFolder.create(tmp_path / "other", kind="text"):
        pass
    with pytest.raises(RunError, match="of kind 'text', not a forecast"):
        load_forecast(tmp_path / "other")
