"""Windows, scores, baselines and the loop that trains a forecaster."""

from dataclasses import replace

import pytest
import torch

from gnnkit.data.temporal import TemporalData, diffusion_process
from gnnkit.graph import Adjacency
from gnnkit.models.forecaster import Forecaster, IdentityMLP
from gnnkit.runs import RunFolder
from gnnkit.training.forecasts import ForecastConfig, fit_forecaster
from gnnkit.training.windows import Windows, historical_average, last_value, linear, scores, training_mean


def small(steps: int = 40, nodes: int = 3, **changes: object) -> TemporalData:
    """Values that count up, a fifth of them missing."""
    generator = torch.Generator().manual_seed(0)
    observed = torch.rand(steps, nodes, generator=generator) > 0.2
    values = torch.arange(steps * nodes).view(steps, nodes).float() * observed
    graph = Adjacency.from_edge_index(torch.tensor([[0, 1], [1, 2]]), num_nodes=nodes)
    data = TemporalData(
        values, observed, graph, "small", "small", "mph", None, (0.6, 0.2), "mae", tuple(map(str, range(nodes)))
    )
    return replace(data, **changes)


def test_parts_do_not_share_a_target_and_follow_in_time():
    windows = Windows.of(small(), 4, 3)
    assert windows.train.tolist() == list(range(4, 22))
    assert windows.val.tolist() == list(range(24, 30))
    assert windows.test.tolist() == list(range(32, 38))


def test_scale_is_of_the_observed_training_values_alone():
    data = small()
    windows = Windows.of(data, 4, 3)
    known = data.values[:24][data.observed[:24]]
    assert (windows.mean, windows.std) == (pytest.approx(float(known.mean())), pytest.approx(float(known.std())))
    changed = data.values.clone()
    changed[24:] = 1e6
    other = Windows.of(replace(data, values=changed), 4, 3)
    assert (other.mean, other.std) == (windows.mean, windows.std)


def test_the_training_mean_is_a_forecast_of_zero():
    windows = Windows.of(small(), 4, 3)
    found = training_mean(windows, windows.test)
    assert found.shape == windows.targets(windows.test)[0].shape
    assert bool(((found - windows.mean) / windows.std == 0).all())


def test_a_batch_is_what_its_steps_hold():
    data = small(period=10)
    windows = Windows.of(data, 4, 3)
    batch = windows.batch(torch.tensor([7, 30]))
    back = batch.values[1] * windows.std + windows.mean
    torch.testing.assert_close(back[batch.observed[1]], data.values[26:30][data.observed[26:30]])
    assert torch.equal(batch.target_observed[0], data.observed[7:10])
    torch.testing.assert_close(batch.phase[0], torch.tensor([0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]))


def test_parts_too_short_are_refused():
    with pytest.raises(ValueError, match="validation part of small has 8 steps, too few"):
        Windows.of(small(), 4, 9)
    with pytest.raises(ValueError, match="does not vary"):
        Windows.of(small(observed=torch.zeros(40, 3, dtype=torch.bool)), 4, 3)


def test_scores_are_masked_and_never_broadcast():
    forecasts = torch.tensor([[[1.0, 5.0], [2.0, 2.0]], [[0.0, 0.0], [4.0, 1.0]]])
    targets = torch.tensor([[[2.0, 9.0], [2.0, 5.0]], [[3.0, 9.0], [2.0, 1.0]]])
    observed = torch.tensor([[[True, False], [True, True]], [[True, False], [True, False]]])
    found = scores(forecasts, targets, observed)
    assert found.mae == pytest.approx([(1 + 3) / 2, (0 + 3 + 2) / 3])
    assert found.mse == pytest.approx([(1 + 9) / 2, (0 + 9 + 4) / 3])
    with pytest.raises(ValueError, match=r"must have one shape, got \(2, 2, 1\)"):
        scores(forecasts[..., :1], targets, observed)


def test_last_value_is_the_last_observed_one():
    data = small()
    windows = Windows.of(data, 4, 2)
    found = last_value(windows, windows.test)
    for place, start in enumerate(windows.test.tolist()):
        for node in range(3):
            seen = [data.values[t, node] for t in range(start - 4, start) if data.observed[t, node]]
            expected = float(seen[-1]) if seen else windows.mean
            assert found[place, :, node].tolist() == pytest.approx([expected] * 2, rel=1e-5)


def test_historical_average_looks_at_the_phase_and_at_training_alone():
    data = small(period=6)
    windows = Windows.of(data, 4, 2)
    found = historical_average(windows, torch.tensor([34]))
    for ahead in range(2):
        steps = [t for t in range(24) if t % 6 == (34 + ahead) % 6 and data.observed[t, 1]]
        assert float(found[0, ahead, 1]) == pytest.approx(float(data.values[steps, 1].mean()), rel=1e-5)


def test_linear_finds_a_linear_process():
    x = torch.zeros(400, 2)
    x[:2] = torch.tensor([[1.0, 2.0], [0.5, -1.0]])
    for t in range(2, 400):
        x[t] = 1.9 * x[t - 1] - 0.99999 * x[t - 2]
    graph = Adjacency.from_edge_index(torch.tensor([[0], [1]]), num_nodes=2)
    data = TemporalData(x, torch.ones_like(x) > 0, graph, "wave", "", "", None, (0.6, 0.2), "mse", ("0", "1"))
    windows = Windows.of(data, 3, 2)
    targets, observed = windows.targets(windows.test)
    assert max(scores(linear(windows, windows.test), targets, observed).mse) < 1e-4 * float(x.var())


def models(windows: Windows) -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    nodes = windows.data.num_nodes
    return {
        "direct": Forecaster(nodes, windows.horizon, hidden_size=4, hops=1),
        "rollout": Forecaster(nodes, windows.horizon, hidden_size=4, hops=1, mode="rollout", cell="gru"),
        "mlp": IdentityMLP(nodes, windows.length, windows.horizon, hidden_size=4),
        "rollout, mean": Forecaster(nodes, windows.horizon, hidden_size=4, hops=1, mode="rollout", start="mean"),
    }


@pytest.mark.parametrize("name", ["direct", "rollout", "mlp", "rollout, mean"])
def test_what_is_missing_is_not_read(name):
    data = small()
    windows = Windows.of(data, 4, 3)
    model = models(windows)[name]
    batch = windows.batch(windows.train)
    out = model(batch.values, batch.observed, batch.phase, data.adjacency)
    assert out.shape == batch.targets.shape
    spoiled = torch.where(batch.observed, batch.values, 1e6)
    torch.testing.assert_close(model(spoiled, batch.observed, batch.phase, data.adjacency), out)


@pytest.mark.parametrize("mode", ["direct", "rollout", "mlp"])
@pytest.mark.parametrize("start", ["last", "mean"])
def test_a_forecast_corrects_the_windows_last_value_or_its_mean(mode, start):
    data = small()
    windows = Windows.of(data, 4, 3)
    nodes = data.num_nodes
    if mode == "mlp":
        model = IdentityMLP(nodes, 4, 3, hidden_size=4, start=start)
    else:
        model = Forecaster(nodes, 3, hidden_size=4, hops=1, mode=mode, start=start)
    torch.nn.init.zeros_(model.out.weight)
    torch.nn.init.constant_(model.out.bias, 2.0)
    batch = windows.batch(windows.train)
    carried = torch.zeros_like(batch.values[:, 0])
    steps = []
    for step in range(4):
        carried = torch.where(batch.observed[:, step], batch.values[:, step], carried)
        steps.append(carried)
    begin = steps[-1] if start == "last" else torch.stack(steps).mean(0)
    grows = start == "last" and mode == "rollout"
    expected = torch.stack([begin + (2.0 * (ahead + 1) if grows else 2.0) for ahead in range(3)], dim=1)
    found = model(batch.values, batch.observed, batch.phase, data.adjacency)
    torch.testing.assert_close(found, expected)


def test_an_unknown_start_is_refused():
    for make in (lambda: Forecaster(3, 1, start="first"), lambda: IdentityMLP(3, 2, 1, start="first")):
        with pytest.raises(ValueError, match="start must be 'last' or 'mean', got 'first'"):
            make()


@pytest.mark.parametrize("name", ["direct", "rollout", "mlp"])
def test_a_resumed_run_equals_one_never_interrupted(name, tmp_path):
    windows = Windows.of(small(), 4, 3)
    config = ForecastConfig(epochs=4, batch_size=5, stride=2, seed=3)
    whole = fit_forecaster(models(windows)[name], windows, windows.data.adjacency, config)

    class StopAfterTwo:
        def update(self, completed: int, **fields: float | str) -> None:
            if completed == 2:
                raise RuntimeError("stopped")

    with RunFolder.create(tmp_path / "run", kind="forecast") as folder:
        from gnnkit.training import session

        saved = session.Session.save_if_due
        session.Session.save_if_due = session.Session.save
        try:
            with pytest.raises(RuntimeError, match="stopped"):
                fit_forecaster(
                    models(windows)[name],
                    windows,
                    windows.data.adjacency,
                    config,
                    folder=folder,
                    progress=StopAfterTwo(),
                )
        finally:
            session.Session.save_if_due = saved
    with RunFolder.resume(tmp_path / "run") as folder:
        resumed = fit_forecaster(models(windows)[name], windows, windows.data.adjacency, config, folder=folder)
    assert torch.equal(resumed.forecasts, whole.forecasts)
    assert resumed.history == whole.history


@pytest.mark.slow
def test_the_graph_comes_near_the_best_possible_error():
    data = diffusion_process(num_nodes=8, num_steps=1500)
    windows = Windows.of(data, 4, 2)
    targets, observed = windows.targets(windows.test)
    errors = {}
    for hops in (2, 0):
        torch.manual_seed(0)
        model = Forecaster(8, 2, hidden_size=16, hops=hops)
        result = fit_forecaster(model, windows, data.adjacency, ForecastConfig(epochs=6))
        errors[hops] = sum(scores(result.forecasts, targets, observed).mse)
    best = sum(data.best_mse[:2])
    assert errors[2] < 1.15 * best
    assert errors[0] > 1.3 * best
