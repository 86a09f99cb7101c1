"""``gnnkit flow`` and ``gnnkit verdict``: thin over their jobs, so what is tested is what is shown."""

import json

import pytest
import torch
from typer.testing import CliRunner

from gnnkit import flow
from gnnkit.cli.main import app
from gnnkit.jobs import DataSource, NodeJob, run_node_job
from gnnkit.jobs.flow_of_runs import flow_of_runs
from gnnkit.jobs.sequence_job import CellChoice, SequenceJob, TaskChoice
from gnnkit.jobs.train_sequences import run_sequence_job
from gnnkit.jobs.trained import load_nodes
from gnnkit.models.registry import ModelOptions
from gnnkit.runs import RunFolder
from gnnkit.training import TrainConfig
from gnnkit.training.sequences import SequenceConfig


def invoke(*arguments: object):
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    for depth in (2, 3):
        job = NodeJob(options=ModelOptions(num_layers=depth), training=TrainConfig(epochs=15))
        run_node_job(job, root / f"gcn-{depth}", progress="quiet")
    for cell in ("rnn", "lstm"):
        training = SequenceConfig(steps=3, batch_size=8, eval_size=8)
        job = SequenceJob(TaskChoice("palindrome", 12), CellChoice(cell, 8), training)
        run_sequence_job(job, root / cell, progress="quiet")
    return root


def test_depths_side_by_side_trained_and_as_they_started(runs, tmp_path):
    result = invoke("flow", runs / "gcn-2", runs / "gcn-3", "--all", "--plot", tmp_path / "flow.png", "-q")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert "over 34 outputs" in lines[0]
    assert lines[1].split() == ["run", "model", "weights", "range", "0", "1", "2", "3"]
    assert [line.split()[0] for line in lines[2:]] == ["gcn-2", "gcn-2", "gcn-3", "gcn-3"]
    assert [line.split()[4] for line in lines[2:]] == ["trained", "untrained"] * 2
    assert (tmp_path / "flow.png").stat().st_size > 5000


def test_json_holds_what_flow_measures(runs):
    result = invoke("flow", runs / "gcn-2", "--all", "--norm", "l2", "--json")
    trained, untrained = json.loads(result.stdout)
    loaded = load_nodes(runs / "gcn-2")
    data = loaded.data()
    found = flow(loaded.model, data.x, data.adjacency, norm="l2")
    assert trained["trained"]
    assert not untrained["trained"]
    assert trained["range"] == pytest.approx(found.range)
    assert trained["mean_influence"] == pytest.approx(found.influence.mean(0).tolist())
    assert untrained["range"] != trained["range"]


def test_the_untrained_model_is_the_one_that_training_began_with(runs, tmp_path):
    job = NodeJob(options=ModelOptions(num_layers=2), training=TrainConfig(epochs=1, lr=1e-30))
    run_node_job(job, tmp_path / "run", progress="quiet")
    trained, untrained = flow_of_runs([tmp_path / "run"], samples=None)
    torch.testing.assert_close(trained.flow.influence, untrained.flow.influence)


def test_sequences_by_step(runs, tmp_path):
    result = invoke("flow", runs / "rnn", runs / "lstm", "--samples", 5, "--of", "state", "--json")
    rows = json.loads(result.stdout)
    assert [(row["run"], row["trained"], row["by"]) for row in rows] == [
        (name, trained, "step") for name in ("rnn", "lstm") for trained in (True, False)
    ]
    assert all(row["outputs"] == 5 and len(row["mean_share"]) == 12 for row in rows)
    only = json.loads(invoke("flow", runs / "rnn", "--no-untrained", "--json").stdout)
    assert len(only) == 1


def test_mistakes_are_named(runs, tmp_path):
    with RunFolder.create(tmp_path / "other", kind="text"):
        pass
    for arguments, message in (
        ((runs / "gcn-2", runs / "rnn"), "one kind"),
        ((runs / "gcn-2", "--of", "state"), "of='state' is for sequence models"),
        ((tmp_path / "other",), "kind 'text'"),
        ((tmp_path / "nothing",), "nothing"),
    ):
        result = invoke("flow", *arguments)
        assert result.exit_code == 1
        assert message in result.stderr
    with pytest.raises(ValueError, match="got none"):
        flow_of_runs([])
    with pytest.raises(ValueError, match="got 0"):
        flow_of_runs([runs / "gcn-2"], samples=0)


def test_verdict_is_a_table_and_a_sentence(tmp_path):
    result = invoke("verdict", "karate", "--splits", 2, "--epochs", 20, "-q")
    assert result.exit_code == 0, result.output
    for word in ("majority class", "MLP, no graph", "label propagation", "rewired graph", "gcn - MLP", "Holm over 2"):
        assert word in result.stdout
    assert "\ndoes the graph help? " in result.stdout
    document = json.loads(invoke("verdict", "karate", "--splits", 2, "--epochs", 20, "--json").stdout)
    assert document["sentence"] in result.stdout
    assert document["helps"] == document["sentence"].startswith("yes")


def test_verdict_on_files_and_its_mistakes(tmp_path):
    data = DataSource().load()
    edges, labels = tmp_path / "edges.txt", tmp_path / "labels.csv"
    edges.write_text("".join(f"{a} {b}\n" for a, b in data.adjacency.to_edge_index()[0].t().tolist() if a < b))
    labels.write_text("node,label\n" + "".join(f"{node},{label}\n" for node, label in enumerate(data.y.tolist())))
    result = invoke("verdict", edges, "--labels", labels, "--splits", 2, "--epochs", 5, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["dataset"].startswith("edges")
    for arguments, message in (
        ((edges,), "--labels"),
        (("karate", "--labels", labels), "--labels is for a graph file"),
        (("karat",), "karate"),
        (("karate", "--model", "gnc"), "gcn"),
    ):
        result = invoke("verdict", *arguments)
        assert result.exit_code == 2
        assert message in result.stderr
