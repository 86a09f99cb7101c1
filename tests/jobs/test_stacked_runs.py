"""Runs of a job trained as one leave what runs trained one by one leave."""

import pytest

import gnnkit
from gnnkit.data import load_dataset
from gnnkit.jobs import DataSource, NodeJob, run_node_job, train_nodes
from gnnkit.jobs.stacked_runs import may_stack
from gnnkit.models.registry import ModelOptions
from gnnkit.runs import read_metrics
from gnnkit.training import TrainConfig

JOB = NodeJob(
    DataSource("karate", split="stratified", split_seed=1),
    options=ModelOptions(dropout=0.0),
    training=TrainConfig(epochs=15, patience=4),
    runs=3,
)


def test_the_folder_is_that_of_single_runs(tmp_path, monkeypatch):
    single = run_node_job(JOB, tmp_path / "single", progress="quiet")
    monkeypatch.setattr(train_nodes, "may_stack", lambda *_: True)
    stacked = run_node_job(JOB, tmp_path / "stacked", progress="quiet")
    for name, values in single.content["per_run"].items():
        assert stacked.content["per_run"][name] == pytest.approx(values), name
    assert stacked.content["selected_epochs"] == single.content["selected_epochs"]
    for seed in JOB.seeds:
        first, second = (
            read_metrics(tmp_path / kind / f"seed-{seed}" / "metrics.csv") for kind in ("single", "stacked")
        )
        assert first.keys() == second.keys()
        for name, values in first.items():
            assert second[name].tolist() == pytest.approx(values.tolist(), abs=1e-6), name
    expected = gnnkit.load(tmp_path / "single").predict().probabilities
    assert gnnkit.load(tmp_path / "stacked").predict().probabilities.numpy() == pytest.approx(
        expected.numpy(), abs=1e-5
    )


def test_a_cpu_trains_runs_side_by_side_instead(tmp_path):
    assert not may_stack(JOB, load_dataset("karate"), tmp_path)
