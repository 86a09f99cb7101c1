"""``torchrun -m gnnkit train``: one folder, the numbers of one process, and clear words when something fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from gnnkit.jobs.trained import load
from gnnkit.runs import read_json, read_metrics
from tests.distributed.launched import environment, final_weights, run, same_bits, torchrun, workers

# Without dropout, so that the masks of a process on its own are the same; all neighbours for the same reason.
COMMAND = ["train", "karate", "--dropout", "0", "--epochs", "20", "--split", "stratified", "--threads", "1"]
BATCHES = ["--batch-size", "5", "--fanout", "-1,-1"]


def alone(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gnnkit", *arguments]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120)


@pytest.mark.slow
@pytest.mark.timeout(290)
@pytest.mark.parametrize(("mode", "ranks", "options"), [("partition", 4, []), ("minibatch", 2, BATCHES)])
def test_several_processes_are_one(mode: str, ranks: int, options: list[str], tmp_path: Path) -> None:
    one, many = tmp_path / "one", tmp_path / "many"
    done = alone(*COMMAND, *options, "--out", str(one))
    assert done.returncode == 0, done.stderr
    how = ["--distributed", mode] if mode == "minibatch" else []  # partition is the default under torchrun
    code, said = run(ranks, [*COMMAND, *options, *how, "--out", str(many), "--json"], log=tmp_path / "log")
    assert code == 0, said
    printed = json.loads(said[said.index("{\n") :])  # once: by the first process alone
    assert printed["distributed"]["processes"] == ranks
    assert printed["distributed"]["mode"] == mode
    assert not (many / "partition").exists()
    expected, found = read_metrics(one / "metrics.csv"), read_metrics(many / "metrics.csv")
    for name, values in expected.items():
        torch.testing.assert_close(torch.tensor(found[name]), torch.tensor(values), rtol=1e-5, atol=1e-7)
    ours, theirs = final_weights(many), final_weights(one)
    largest = max(float(value.abs().max()) for value in theirs.values())
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-5, atol=1e-5 * largest)
    assert (
        read_json(many / "summary.json")["test_accuracy_mean"] == read_json(one / "summary.json")["test_accuracy_mean"]
    )
    prediction = load(many).predict()  # in a process of its own, on the whole graph
    torch.testing.assert_close(prediction.probabilities, load(one).predict().probabilities, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.timeout(290)
def test_one_asked_to_stop_stops_all_at_one_epoch_and_resume_goes_on(tmp_path: Path) -> None:
    command = ["train", "karate", "--epochs", "300"]
    code, said = run(2, [*command, "--out", str(tmp_path / "a")], log=tmp_path / "a.log")
    assert code == 0, said
    folder, log = tmp_path / "b", tmp_path / "b.log"
    with torchrun(2, [*command, "--out", str(folder)], log=log) as launcher:
        deadline = time.monotonic() + 120
        while "gcn-karate: 1/300" not in log.read_text():
            assert launcher.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        os.kill(workers(launcher)[1], signal.SIGINT)  # one is asked; all stop
        launcher.wait(timeout=60)
    assert log.read_text().count("gnnkit: stopped after epoch") == 1
    assert not (folder / "summary.json").exists()
    done = alone("train", "--resume", str(folder))
    assert done.returncode == 1
    assert f"torchrun --nproc-per-node 2 -m gnnkit train --resume {folder}" in done.stderr
    code, said = run(2, ["train", "--resume", str(folder)], log=tmp_path / "c.log")
    assert code == 0, said
    assert same_bits(final_weights(tmp_path / "a"), final_weights(folder))
    whole, resumed = (read_json(each / "summary.json")["distributed"] for each in (tmp_path / "a", folder))
    assert whole == resumed  # what an epoch sends too, though fewer were left to the second sitting
    assert min(whole["bytes_sent_per_epoch"]) > 0


def test_the_option_needs_torchrun() -> None:
    done = alone("train", "karate", "--distributed", "partition")
    assert done.returncode == 2
    assert "torchrun --nproc-per-node 2 -m gnnkit train" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(290)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["karate", "--batch-size", "5"], "or choose distributed='minibatch'"),
        (["cora", "--data-root", "nowhere"], "is missing; looked in nowhere"),
    ],
)
def test_what_cannot_be_ends_the_job_with_a_message(options: list[str], message: str, tmp_path: Path) -> None:
    code, said = run(2, ["train", *options, "--out", str(tmp_path / "run")], log=tmp_path / "log")
    assert code == 1
    assert message in said
    assert not (tmp_path / "run").exists()
