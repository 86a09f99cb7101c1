"""The campaign of mutated files in its short form, and what it found in a form that stays."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gnnkit.data.temporal import read_chickenpox, read_metr_la
from gnnkit.errors import FileFormatError, RunError
from gnnkit.jobs import NodeJob, load, run_node_job
from gnnkit.runs import RunFolder, load_checkpoint, save_checkpoint
from gnnkit.training import TrainConfig, fit

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_five_thousand_mutants_crash_hang_and_run_nothing(tmp_path):
    command = [
        sys.executable,
        "torture/hostile.py",
        "--mutants",
        "5000",
        "--seed",
        "7",
        "--out",
        str(tmp_path / "o.json"),
    ]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-2000:]
    report = json.loads((tmp_path / "o.json").read_text())
    assert report["mutants"] >= 4900
    assert report["read"] > 500
    assert report["refused"] > 2000
    assert report["crashes"] == report["hangs"] == report["executions"] == report["out of memory"] == 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of four epochs, whose checkpoint the tests below edit."""
    path = tmp_path_factory.mktemp("run") / "run"
    run_node_job(NodeJob(training=TrainConfig(epochs=4)), path, progress="quiet")
    return path


def without(name):
    return lambda state: {key: value for key, value in state.items() if key != name}


def best_of(value):
    return lambda state: {**state, "best": {"val_loss": value, "val_accuracy": value}}


STATES = {
    "no step": without("step"),
    "no parts": without("parts"),
    "no best": without("best"),
    "no random state": without("random"),
    "a step before the first": lambda state: {**state, "step": -(2**63)},
    "a history of another length": lambda state: {**state, "step": 3},
    "a history of words": lambda state: {**state, "history": {name: ["x"] * 4 for name in state["history"]}},
    "a best of two": best_of((1, 0.5)),
    "weights that are words": best_of((1, 0.5, {"bias": "x"})),
    "weights of another shape": lambda state: {
        **state,
        "parts": {**state["parts"], "model": {key: torch.zeros(1) for key in state["parts"]["model"]}},
    },
    "an optimiser of nothing": lambda state: {**state, "parts": {**state["parts"], "optimizer": {"state": {}}}},
    "seconds that are text": lambda state: {**state, "seconds": "1"},
    "a random state of nothing": lambda state: {**state, "random": {}},
}


@pytest.mark.parametrize("name", STATES)
def test_a_checkpoint_of_another_content_is_refused(name, finished, tmp_path):
    state = STATES[name](load_checkpoint(finished / "checkpoint.pt"))
    with RunFolder.create(tmp_path / "run", kind="nodes") as folder:
        save_checkpoint(folder.checkpoint_path, state)
        (folder.path / "metrics.csv").write_bytes((finished / "metrics.csv").read_bytes())
        job = RunFolder.open(finished).read_config(NodeJob)
        from gnnkit.jobs.trained import new_model

        with pytest.raises(FileFormatError, match=r"checkpoint\.pt: "):
            fit(new_model(job), job.source.load(), job.training, folder=folder)


def test_a_config_of_endless_layers_costs_nothing(finished, tmp_path):
    for name in ("run.json", "checkpoint.pt"):
        (tmp_path / name).write_bytes((finished / name).read_bytes())
    text = (finished / "config.toml").read_text()
    for old, new in (
        ("num_layers = 2", "num_layers = 1000000000"),
        ("hidden_channels = 16", "hidden_channels = 100000000"),
    ):
        assert old in text
        (tmp_path / "config.toml").write_text(text.replace(old, new))
        with pytest.raises(FileFormatError, match=r"does not fit the model in config\.toml"):
            load(tmp_path)


def test_a_kind_of_run_that_drives_the_terminal(tmp_path):
    record = {"format": "gnnkit run", "version": 1, "kind": "\x1b[2J", "environment": {}}
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match="lacks the kind of run"):
        RunFolder.open(tmp_path)


TRAFFIC = {"speed": np.ones((6, 2)), "adj": np.eye(2), "sensor_ids": np.array(["a", "b"]), "step_minutes": np.array(5)}


@pytest.mark.parametrize(
    "change",
    [{"step_minutes": np.array(0)}, {"step_minutes": np.array([], int)}, {"adj": np.full((2, 2), np.nan)},
     {"sensor_ids": np.array("a")}, {"speed": np.array(["a"])}],
    ids=str,
)  # fmt: skip
def test_traffic_that_is_none(change, tmp_path):
    np.savez(tmp_path / "m.npz", **{**TRAFFIC, **change})
    with pytest.raises(FileFormatError, match=r"m\.npz"):
        read_metr_la(tmp_path / "m.npz")


def test_chickenpox_of_numbers_beyond_64_bits(tmp_path):
    (tmp_path / "c.json").write_text(json.dumps({"FX": [[0.0]], "edges": [[10**30, 0]], "node_ids": {"a": 0}}))
    with pytest.raises(FileFormatError, match="is not the chickenpox data"):
        read_chickenpox(tmp_path / "c.json")


def test_messages_stay_short_and_printable():
    shown = str(FileFormatError("f", "x" * 100_000 + "\x1b[2J", text="\x1b[2J" * 1000))
    assert shown.isprintable()
    assert len(shown) < 1500
