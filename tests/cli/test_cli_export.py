"""``gnnkit export``: a run as a file that is compared with the model before it is written."""

import json
from importlib.util import find_spec

import pytest
import torch
from typer.testing import CliRunner

from gnnkit.cli.main import app
from gnnkit.jobs import DataSource, NodeJob, run_node_job
from gnnkit.jobs.sequence_job import CellChoice, SequenceJob, TaskChoice
from gnnkit.jobs.train_sequences import run_sequence_job
from gnnkit.jobs.trained import load_nodes
from gnnkit.training import TrainConfig
from gnnkit.training.sequences import SequenceConfig

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the packages that ONNX is made with


def invoke(*arguments: object):
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    for model in ("gcn", "gat"):
        job = NodeJob(DataSource("karate"), model, training=TrainConfig(epochs=3))
        run_node_job(job, root / model, progress="quiet")
    return root


def test_a_run_becomes_a_program_of_torch(runs, tmp_path):
    result = invoke("export", runs / "gcn", "--out", tmp_path / "club.pt2", "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["inputs"] == ["x", "edge_index", "edge_weight"]
    assert said["largest_difference"] < 1e-5
    trained = load_nodes(runs / "gcn")
    data = trained.data()
    edge_index, weight = data.adjacency.to_edge_index()
    files = {"classes": ""}
    program = torch.export.load(tmp_path / "club.pt2", extra_files=files).module()
    logits = program(data.x, edge_index, edge_weight=weight)
    torch.testing.assert_close(logits.softmax(-1), trained.predict(data).probabilities)
    assert json.loads(files["classes"]) == said["classes"]
    assert len(said["classes"]) == 4


@pytest.mark.skipif(
    any(find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")), reason="needs the extra onnx"
)
def test_a_run_becomes_an_onnx_file(runs, tmp_path):
    result = invoke("export", runs / "gat", "--out", tmp_path / "club.onnx")
    assert result.exit_code == 0, result.output
    assert "inputs  x, edge_index\n" in result.stdout
    assert "compared with the model on a random graph: equal to" in result.stdout
    assert (tmp_path / "club.onnx").stat().st_size > 1000


def test_what_cannot_be_written_is_told_in_one_line(runs, tmp_path, monkeypatch):
    result = invoke("export", runs / "gcn", "--out", tmp_path / "club.bin")
    assert result.exit_code == 1
    assert "ends in .pt2 or .onnx" in result.stderr
    monkeypatch.setattr("gnnkit.nn.exported.find_spec", lambda name: None)
    result = invoke("export", runs / "gcn", "--out", tmp_path / "club.onnx")
    assert result.exit_code == 1
    assert "pip install 'gnnkit[onnx]'" in result.stderr
    run_sequence_job(
        SequenceJob(TaskChoice("palindrome", 12), CellChoice("rnn", 8), SequenceConfig(steps=1, batch_size=8)),
        tmp_path / "sequence",
        progress="quiet",
    )
    result = invoke("export", tmp_path / "sequence", "--out", tmp_path / "club.pt2")
    assert result.exit_code == 1
    assert "'sequence', not a node classifier" in result.stderr
    assert not list(tmp_path.glob("club*"))
