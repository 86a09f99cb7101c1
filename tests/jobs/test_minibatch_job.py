"""``gnnkit train --batch-size`` on a folder that ``gnnkit convert`` made: a run like any other."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gnnkit.data.graph_folder import Attachments
from gnnkit.graph import read_graph
from gnnkit.graph.conversion import convert_graph
from gnnkit.jobs import DataSource, NodeJob, load, resume_node_job, run_node_job
from gnnkit.models import GCN
from gnnkit.models.registry import ModelOptions
from gnnkit.training import TrainConfig, fit


def test_mini_batches_on_a_graph_folder_run_resume_and_predict(tmp_path):
    """A run on memory maps is the run in memory, to the bit; its folder says how it was trained."""
    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, 90)
    edges = np.array([(a, b) for a, b in generator.integers(0, 90, (900, 2)) if y[a] == y[b]])
    (tmp_path / "edges.csv").write_text("".join(f"{a},{b}\n" for a, b in edges.tolist()))
    np.save(tmp_path / "x.npy", (np.eye(3)[y] + generator.normal(size=(90, 3))).astype(np.float32))
    np.save(tmp_path / "y.npy", y)
    beside = Attachments(tmp_path / "x.npy", tmp_path / "y.npy")
    convert_graph(tmp_path / "edges.csv", tmp_path / "graph", num_nodes=90, attach=beside)
    source = DataSource("", None, str(tmp_path / "graph"))
    training = TrainConfig(epochs=4, batch_size=16, fanout=(4, 4))
    job = NodeJob(source, "gcn", training=training)
    summary = run_node_job(job, tmp_path / "run", progress="quiet")
    assert summary.content["test_accuracy_mean"] > 0.5
    assert (tmp_path / "run" / "embedding.png").exists()
    again = resume_node_job(tmp_path / "run", progress="quiet")
    assert again.content == summary.content
    trained = load(tmp_path / "run")
    assert trained.job.training.fanout == (4, 4)
    data = trained.data()
    full = torch.softmax(trained.model(data.x, data.adjacency), dim=-1)
    torch.testing.assert_close(trained.predict().probabilities, full.detach())
    in_memory = replace(data, adjacency=read_graph(tmp_path / "edges.csv", num_nodes=90).adjacency, x=data.x.clone())
    one, other = (fit(GCN(3, 16, 2, 3), each, training) for each in (data, in_memory))
    assert one.history == other.history
    with pytest.raises(ValueError, match="give labels to gnnkit convert"):
        replace(source, labels="labels.csv").load()
    with pytest.raises(ValueError, match=r"one number per layer, 2, got 4"):
        NodeJob(source, "gcn", ModelOptions(num_layers=2), TrainConfig(batch_size=16, fanout=(4,)))
