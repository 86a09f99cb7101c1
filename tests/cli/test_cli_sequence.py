import json
import signal

import pytest
from typer.testing import CliRunner

from gnnkit.cli.main import app
from gnnkit.cli.sequence_options import BadUsageError, numbers
from gnnkit.jobs.sequence_job import CellName, Initialization, SequenceJob, TaskName
from gnnkit.runs import RunFolder

RUNNER = CliRunner()
FEW = ["--steps", "6", "--batch-size", "8", "--eval-every", "3", "--eval-size", "16", "--hidden", "8"]


def gnnkit(*arguments):
    return RUNNER.invoke(app, ["sequence", *map(str, arguments)], env={"COLUMNS": "200"})


def document(*arguments):
    result = gnnkit(*arguments, "--json", "-q")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "lstm"
    document("train", "palindrome", "--length", 3, *FEW, "--out", folder)
    return folder


def test_every_command_has_the_common_options():
    for name in ("train", "sweep", "gradients", "gates", "temporal-gate", "params", "row"):
        shown = gnnkit(name, "--help").output
        for option in ("--quiet", "--verbose", "--debug", "--json"):
            assert option in shown, (name, option)


def test_the_names_on_the_command_line_are_those_of_the_library():
    from typing import get_args

    from gnnkit.cli import sequence_options as options

    assert options.TaskArgument == TaskName
    assert get_args(options.CellOption) == get_args(CellName)
    assert get_args(options.InitOption) == get_args(Initialization)


def test_train_says_what_its_summary_says(tmp_path):
    result = gnnkit("train", "palindrome", "--cell", "rnn", "--length", 3, *FEW, "--out", tmp_path / "run", "-q")
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "run/summary.json").read_text())
    assert result.stdout.startswith("rnn on palindrome 3\n")
    assert f"{100 * content['test_accuracy_mean']:.2f} %" in result.stdout
    assert result.stderr == ""


def test_every_setting_reaches_the_job(tmp_path):
    settings = {
        "--encoding": "scalar",
        "--layers": 2,
        "--dropout": 0.1,
        "--init": "orthogonal",
        "--forget-bias": 1.5,
        "--chrono": 7,
        "--open-ratio": 0.2,
        "--leak": 0.01,
        "--tau-low": 3.0,
        "--tau-high": 4.0,
        "--hidden-from": "gated",
        "--optimizer": "adamw",
        "--lr": 0.02,
        "--weight-decay": 0.1,
        "--schedule": "exponential",
        "--warmup": 2,
        "--decay": 0.5,
        "--decay-every": 3,
        "--clip": 1.5,
        "--stop-after": 2,
        "--solved-loss": 0.25,
        "--seed": 4,
    }
    flat = [part for pair in settings.items() for part in pair]
    flags = ["--bidirectional", "--record-gradient", "--keep-denormal"]
    document(
        "train", "palindrome", "--cell", "phased-lstm", "--length", 4, *flat, *flags, *FEW, "--out", tmp_path / "r"
    )
    job = RunFolder.open(tmp_path / "r").read_config(SequenceJob)
    assert (job.task.length, job.task.encoding) == (4, "scalar")
    model, training = job.model, job.training
    assert (model.hidden_size, model.num_layers, model.dropout, model.bidirectional) == (8, 2, 0.1, True)
    assert (model.init, model.forget_bias, model.chrono) == ("orthogonal", 1.5, 7)
    phased = model.phased
    assert (phased.r_on, phased.leak, phased.tau_low, phased.tau_high, phased.hidden_from) == (0.2, 0.01, 3, 4, "gated")
    rate = training.optimization
    assert (rate.optimizer, rate.lr, rate.weight_decay, rate.clip) == ("adamw", 0.02, 0.1, 1.5)
    assert (rate.schedule, rate.warmup, rate.decay, rate.decay_every) == ("exponential", 2, 0.5, 3)
    assert (training.steps, training.batch_size, training.eval_every, training.eval_size) == (6, 8, 3, 16)
    assert (training.stop_after, training.solved_loss, training.seed) == (2, 0.25, 4)
    assert (training.record_recurrent_gradient, training.flush_denormal) == (True, False)


def test_momentum_embedding_and_no_clipping(tmp_path):
    options = ["--optimizer", "sgd", "--momentum", 0.5, "--clip", 0, "--embedding", 3]
    document("train", "combinations", "--length", 4, *options, *FEW, "--out", tmp_path / "r")
    job = RunFolder.open(tmp_path / "r").read_config(SequenceJob)
    assert (job.training.optimization.momentum, job.training.optimization.clip) == (0.5, None)
    assert (job.model.embedding_dim, job.task.encoding) == (3, "token")
    document("train", "palindrome", "--cell", "rnn", "--nonlinearity", "relu", *FEW, "--out", tmp_path / "s")
    assert RunFolder.open(tmp_path / "s").read_config(SequenceJob).model.nonlinearity == "relu"


def test_an_interrupted_run_says_how_to_go_on_and_does(tmp_path, monkeypatch):
    from gnnkit.training.session import Session

    record = Session.record

    def stopping(self, row):
        record(self, row)
        if self.step == 4:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Session, "record", stopping)
        result = gnnkit("train", "--length", 3, *FEW, "--out", tmp_path / "r", "-q")
    assert result.exit_code == 130
    assert f"stopped after step 4; continue with --resume {tmp_path / 'r'}" in result.stderr
    refused = gnnkit("train", "--resume", tmp_path / "r", "--lr", 1)
    assert (refused.exit_code, "leave out --lr" in refused.stderr) == (2, True)
    resumed = document("train", "--resume", tmp_path / "r")
    whole = document("train", "--length", 3, *FEW, "--out", tmp_path / "whole")
    assert resumed["test_loss_mean"] == whole["test_loss_mean"]


def test_sweep_prints_a_row_per_cell_and_length(tmp_path):
    arguments = ["--lengths", "2-4:2", "--cell", "rnn", "--cell", "gru", *FEW, "--out", tmp_path / "s", "-q"]
    result = gnnkit("sweep", "palindrome", *arguments)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:5]] == [["rnn", "2"], ["rnn", "4"], ["gru", "2"], ["gru", "4"]]
    assert (tmp_path / "s/accuracy.png").exists()
    again = document("sweep", "--resume", tmp_path / "s")
    assert [point["length"] for point in again["points"]] == [2, 4, 2, 4]


def test_gradients_of_a_run_and_of_cells(trained, tmp_path):
    found = document("gradients", trained, "--plot", tmp_path / "g.png")["gradients"]
    assert [(entry["name"], len(entry["norm_by_distance"][0])) for entry in found] == [("lstm", 3)]
    assert (tmp_path / "g.png").exists()
    before = document("gradients", trained, "--untrained")["gradients"][0]
    assert before["name"] == "lstm, untrained"
    assert before["norm_by_distance"] != found[0]["norm_by_distance"]
    cells = ["--cell", "rnn", "--cell", "lstm", "--length", 12, "--hidden", 6, "--seeds", 2, "--samples", 4]
    both = document("gradients", *cells)["gradients"]
    assert [(entry["name"], len(entry["norm_by_distance"])) for entry in both] == [("rnn", 2), ("lstm", 2)]
    table = gnnkit("gradients", *cells).stdout.splitlines()
    assert table[0].split() == ["steps", "back", "rnn", "lstm"]
    assert [line.split()[0] for line in table[1:-1]] == ["0", "1", "2", "5", "10", "11"]


def test_gates_of_a_run(trained, tmp_path):
    found = document("gates", trained, "--plot", tmp_path / "g.png")["gates"]
    assert {name: len(values) for name, values in found.items()} == dict.fromkeys("ifgo", 3)
    assert (tmp_path / "g.png").exists()
    assert gnnkit("gates", trained).stdout.splitlines()[1].split()[:3] == ["gate", "step", "1"]


def test_temporal_gate(tmp_path):
    found = document("temporal-gate", "--tau", 4, "--open-ratio", 1, "--until", 4, "--plot", tmp_path / "k.png")
    assert found["gates"][0]["k"] == [0, 0.5, 1, 0.5, 0]
    assert (tmp_path / "k.png").exists()
    report = document("temporal-gate")["gates"]
    assert len({entry["panel"] for entry in report}) == 4
    assert "tau = 10" in gnnkit("temporal-gate").stdout


def test_params():
    (entry,) = document("params", "--cell", "lstm", "--input", 1, "--hidden", 128, "--outputs", 10)["cells"]
    assert (entry["by_formula"], entry["counted"]) == (67850, 68362)
    assert "4(nd + n² + n) + on + o" in gnnkit("params", "--cell", "lstm", "--outputs", 10).stdout


def test_row(tmp_path):
    found = document("row", 23, "--out", tmp_path)
    assert found["file"] == str(tmp_path / "row-23.json")
    assert json.loads((tmp_path / "row-23.json").read_text())["cases"] == found["cases"]
    assert "67850" in gnnkit("row", 23, "--out", tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "palindromes"], "palindromes"),
        (["train", "--cell", "transformer"], "transformer"),
        (["train", "--encoding", "scalar", "--embedding", "3"], "an embedding needs token ids"),
        (["train", "adding", "--encoding", "scalar"], "adding reads numbers"),
        (["train", "--schedule", "exponential"], "decay=None"),
        (["train", "--lr", "0"], "lr must be a positive number, got 0.0"),
        (["train", "--cell", "rnn", "--open-ratio", "0.5"], "rnn has no temporal gate"),
        (["train", "--warmup", "9", "--steps", "5"], "must not exceed the 5 steps, got 9"),
        (["train", "--runs", "2", "--threads", "2"], "--threads is for a single run"),
        (["train", "--device", "tpu9"], "tpu9"),
        (["train", "combinations", "--length", "1"], "got length=1"),
        (["sweep", "--lengths", "5,x"], "--lengths takes numbers as 5,10,20 or 5-50:5, got '5,x'"),
        (["sweep", "--lengths", "9-5"], "rising numbers, got '9-5'"),
        (["sweep", "--lengths", "5,5"], "--lengths names a number twice, got '5,5'"),
        (["sweep", "--cell", "elman"], "unknown cell 'elman'"),
        (["sweep", "--cell", "rnn", "--cell", "rnn"], "--cell names one twice"),
        (["sweep", "--threads", "2"], "--threads is for a single run"),
        (["gradients"], "name run folders, or untrained cells"),
        (["gradients", "--cell", "rnn", "--untrained"], "untrained anyway"),
        (["gradients", "--cell", "lstm", "--init", "identity"], "identity_ starts an RNNCell"),
        (["temporal-gate", "--tau", "0"], "tau must be a positive number, got 0.0"),
        (["params", "--cell", "elman"], "unknown cell 'elman'"),
        (["row", "5"], "there is no sequence row 5: there are 1, 2, 3, 4, 8"),
    ],
)
def test_bad_usage_is_exit_code_2_and_names_what_was_given(arguments, message):
    result = gnnkit(*arguments)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert "Traceback" not in result.output


def test_failures_are_exit_code_1(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    for arguments in (["train", *FEW, "--out", tmp_path], ["gates", tmp_path], ["train", "--resume", tmp_path]):
        result = gnnkit(*arguments)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.count("\n") == 1


def test_numbers():
    assert numbers("5", "--lengths") == (5,)
    assert numbers("5-7, 20", "--lengths") == (5, 6, 7, 20)
    for text in ("", "5,,6", "-5", "5:", "1-2:x", "²", "1-99999999"):
        with pytest.raises(BadUsageError):
            numbers(text, "--lengths")
