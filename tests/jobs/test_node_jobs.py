import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

import gnnkit
from gnnkit.data import load_dataset
from gnnkit.errors import FileFormatError, RunError
from gnnkit.jobs import DataSource, NodeJob, load, resume_node_job, run_node_job
from gnnkit.models.registry import ModelOptions
from gnnkit.runs import RunFolder, load_checkpoint
from gnnkit.training import TrainConfig

QUICK = NodeJob(training=TrainConfig(epochs=10))


def run(job, out, **options):
    return run_node_job(job, out, progress="quiet", **options)


def weights_of(path):
    return load_checkpoint(path / "checkpoint.pt")["parts"]["model"]


def assert_same_weights(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_a_run_folder_holds_everything(tmp_path):
    summary = run(QUICK, tmp_path / "run")
    found = {path.name for path in summary.folder.iterdir()}
    assert found >= {
        "run.json",
        "config.toml",
        "metrics.csv",
        "checkpoint.pt",
        "curves.png",
        "embedding.png",
        "report.md",
        "summary.json",
    }
    written = json.loads((summary.folder / "summary.json").read_text())
    assert written["dataset"] == "karate"
    assert written["model"] == "gcn"
    assert written["runs"] == 1
    assert 0 <= written["test_accuracy_mean"] <= 1
    assert written["test_accuracy_std"] == 0
    assert written["seconds"] > 0
    assert written["versions"]["torch"]
    report = (summary.folder / "report.md").read_text()
    assert f"{100 * written['test_accuracy_mean']:.2f} %" in report
    for picture in ("curves.png", "embedding.png"):
        assert f"]({picture})" in report
        assert (summary.folder / picture).read_bytes().startswith(b"\x89PNG")


def test_load_gives_the_model_back(tmp_path):
    summary = run(QUICK, tmp_path / "run")
    trained = gnnkit.load(tmp_path / "run")
    data = trained.data()
    predicted = trained.predict()
    assert predicted.probabilities.shape == (34, 4)
    torch.testing.assert_close(predicted.probabilities.sum(1), torch.ones(34))
    share = float((predicted.classes == data.y)[data.test_mask].double().mean())
    assert share == summary.content["test_accuracy_mean"]


def test_predict_refuses_other_features(tmp_path):
    run(QUICK, tmp_path / "run")
    data = load_dataset("karate")
    with pytest.raises(ValueError, match="trained on 34 features per node, got 3"):
        load(tmp_path / "run").predict(replace(data, x=torch.rand(34, 3)))


def test_runs_side_by_side_equal_runs_one_after_another(tmp_path):
    job = replace(QUICK, runs=3)
    alone, beside = run(job, tmp_path / "alone"), run(job, tmp_path / "beside", jobs=2)
    assert alone.content["per_run"] == beside.content["per_run"] or str(alone.content["per_run"]) == str(
        beside.content["per_run"]
    )
    for seed in range(3):
        first, second = (
            load_checkpoint(tmp_path / name / f"seed-{seed}/checkpoint.pt") for name in ("alone", "beside")
        )
        assert_same_weights(first["parts"]["model"], second["parts"]["model"])
    single = run(replace(QUICK, training=replace(QUICK.training, seed=2)), tmp_path / "single")
    assert single.content["per_run"]["test_accuracy"][0] == alone.content["per_run"]["test_accuracy"][2]


def test_many_runs_report_mean_and_deviation(tmp_path):
    content = run(replace(QUICK, runs=3), tmp_path / "run").content
    values = torch.tensor(content["per_run"]["test_accuracy"], dtype=torch.float64)
    assert content["test_accuracy_mean"] == pytest.approx(float(values.mean()))
    assert content["test_accuracy_std"] == pytest.approx(float(values.std()))
    assert content["seeds"] == [0, 1, 2]


def test_an_existing_folder_is_never_overwritten(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(RunError, match="is not empty"):
        run(QUICK, tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.name != "run.lock"] == ["mine.txt"]


def test_a_bad_request_leaves_no_folder_behind(tmp_path):
    job = replace(QUICK, source=DataSource("photo", str(tmp_path)))
    with pytest.raises(FileNotFoundError, match=r"amazon_electronics_photo\.npz"):
        run(job, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_resuming_a_finished_run_gives_its_summary(tmp_path):
    first = run(QUICK, tmp_path / "run")
    before = (tmp_path / "run/summary.json").read_bytes()
    again = resume_node_job(tmp_path / "run", progress="quiet")
    assert again.content["test_accuracy_mean"] == first.content["test_accuracy_mean"]
    assert (tmp_path / "run/summary.json").read_bytes() == before


def test_options_that_a_model_does_not_have_are_named(tmp_path):
    with pytest.raises(ValueError, match="unknown model 'gnn'"):
        run(replace(QUICK, model="gnn"), tmp_path / "run")


def write_graph_of_two_cliques(folder):
    edges, labels, features = folder / "edges.csv", folder / "labels.csv", folder / "features.csv"
    names = [f"{side}{index}" for side in "ab" for index in range(10)]
    with edges.open("w") as file:
        for side in "ab":
            for one in range(10):
                for other in range(one):
                    print(f"{side}{one},{side}{other}", file=file)
        print("a0,b0", file=file)
    labels.write_text("".join(f"{name},{'left' if name[0] == 'a' else 'right'}\n" for name in names))
    noise = random.Random(0)
    features.write_text("".join(f"{name},{noise.random()},{name[0] == 'a':d}\n" for name in names))
    return DataSource("", edges=str(edges), labels=str(labels), features=str(features))


def test_a_graph_of_ones_own_with_class_names(tmp_path):
    job = replace(QUICK, source=write_graph_of_two_cliques(tmp_path), training=TrainConfig(epochs=50))
    summary = run(job, tmp_path / "run")
    assert summary.content["test_accuracy_mean"] == 1.0
    trained = load(tmp_path / "run")
    assert trained.job.sizes.class_names == ("left", "right")
    assert "| **left** |" in (tmp_path / "run/report.md").read_text()


def test_each_run_draws_its_own_random_split_unless_one_is_named(tmp_path):
    source = write_graph_of_two_cliques(tmp_path)
    data = source.load()
    first, second = (source.split_for(data, seed) for seed in (0, 1))
    assert not torch.equal(first.train_mask, second.train_mask)
    fixed = replace(source, split_seed=5)
    assert torch.equal(fixed.split_for(data, 0).train_mask, fixed.split_for(data, 1).train_mask)


def test_a_folder_of_an_unknown_format_is_refused(tmp_path):
    run(QUICK, tmp_path / "run")
    record = json.loads((tmp_path / "run/run.json").read_text())
    (tmp_path / "run/run.json").write_text(json.dumps({**record, "version": 99}))
    with pytest.raises(RunError, match="run format 99; this gnnkit reads format 1"):
        load(tmp_path / "run")


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    run(QUICK, tmp_path / "run")
    run(replace(QUICK, options=ModelOptions(hidden_channels=5)), tmp_path / "other")
    (tmp_path / "run/checkpoint.pt").write_bytes((tmp_path / "other/checkpoint.pt").read_bytes())
    with pytest.raises(FileFormatError, match=r"checkpoint\.pt: does not fit the model in config\.toml"):
        load(tmp_path / "run")


def test_an_unfinished_run_is_no_model_yet(tmp_path):
    with RunFolder.create(tmp_path / "run", kind="nodes") as folder:
        folder.write_config(QUICK)
    with pytest.raises(RunError, match="--resume"):
        load(tmp_path / "run")


# The checkpoint is written after every epoch here, not every ten seconds, so that a kill often meets a write.
# One process imports torch and forks the ones that are killed: they start at once.
TRAINER = """
import os, sys
from gnnkit.jobs import NodeJob, resume_node_job, run_node_job
from gnnkit.runs import CheckpointTimer
from gnnkit.training import TrainConfig
CheckpointTimer.due = lambda self: True
folder, epochs = sys.argv[1], int(sys.argv[2])
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        if line.strip() == "resume":
            resume_node_job(folder, progress="quiet", warn=lambda text: None)
        else:
            run_node_job(NodeJob(training=TrainConfig(epochs=epochs)), folder, progress="quiet")
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.mark.slow
def test_twenty_kills_lose_nothing(tmp_path):
    epochs, kills = 1200, 20
    expected = run(NodeJob(training=TrainConfig(epochs=epochs)), tmp_path / "whole")
    delays, target = random.Random(1), tmp_path / "killed"
    checkpoint = target / "checkpoint.pt"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", TRAINER, str(target), str(epochs)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as trainer:
        before = 0
        for number in range(kills):
            print("resume" if number else "start", file=trainer.stdin, flush=True)
            child = int(trainer.stdout.readline())
            # Let it write a checkpoint of its own, then kill it at a random moment of those that follow.
            deadline = time.monotonic() + 60
            while not (checkpoint.exists() and load_checkpoint(checkpoint)["step"] > before):
                assert time.monotonic() < deadline
            time.sleep(delays.random() * 0.05)
            os.kill(child, signal.SIGKILL)
            assert int(trainer.stdout.readline()) == signal.SIGKILL, "the run ended before it was killed"
            after = load_checkpoint(checkpoint)["step"]
            assert after > before
            before = after
        trainer.stdin.close()
    summary = resume_node_job(target, progress="quiet", warn=lambda text: None)
    assert str(summary.content["per_run"]) == str(expected.content["per_run"])
    assert_same_weights(weights_of(target), weights_of(tmp_path / "whole"))
    assert (target / "metrics.csv").read_bytes() == (tmp_path / "whole/metrics.csv").read_bytes()


def test_predictions_can_be_written(tmp_path):
    from typer.testing import CliRunner

    from gnnkit.cli.main import app

    run(QUICK, tmp_path / "run")
    result = CliRunner().invoke(app, ["predict", str(tmp_path / "run"), "--out", str(tmp_path / "classes.csv")])
    assert result.exit_code == 0, result.output
    with (tmp_path / "classes.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0][:2] == ["node", "class"]
    assert len(rows) == 35
    assert all(abs(sum(map(float, row[2:])) - 1) < 1e-5 for row in rows[1:])


def test_a_small_graphs_attention_is_drawn(tmp_path):
    job = replace(QUICK, model="gat", options=ModelOptions())
    summary = run(job, tmp_path / "run")
    assert (summary.folder / "attention.png").read_bytes().startswith(b"\x89PNG")
    assert "](attention.png)" in (summary.folder / "report.md").read_text()
