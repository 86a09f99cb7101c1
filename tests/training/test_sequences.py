import math
import signal

import pytest
import torch
from torch import nn

from gnnkit.errors import DivergedError
from gnnkit.runs import Interrupted, RunFolder, read_metrics
from gnnkit.training.optimization import Optimization
from gnnkit.training.sequences import (
    RECURRENT_GRADIENT,
    SequenceConfig,
    denormals_flushed,
    evaluate_sequence,
    fit_sequence,
    is_solved,
)
from recurrent import LSTMCell, MinGRUCell, RNNCell
from recurrent.models import SequenceClassifier
from recurrent.tasks import Adding, CopyMemory, Palindromes, RandomCombinations, TaskStream

FAST = Optimization("adam", 3e-3)


def model_for(task, cell=LSTMCell, hidden=24, seed=0, **options):
    torch.manual_seed(seed)
    return SequenceClassifier(cell, task.input_size, hidden, task.num_outputs, per_step=task.per_step, **options)


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def flushing():
    return bool(torch.tensor(1e-310, dtype=torch.float64) * 1.0 == 0)


def test_a_short_palindrome_is_learned():
    task = Palindromes(3)
    model = model_for(task, RNNCell)
    config = SequenceConfig(steps=300, optimization=Optimization("adam", 1e-2), eval_every=50, eval_size=256)
    result = fit_sequence(model, task, config)
    assert result.test_accuracy > 0.99
    assert result.steps == 300
    assert result.solved_at is None
    assert not model.training
    history = result.history
    assert result.mean_train_accuracy == pytest.approx(sum(history["train_accuracy"]) / 300)
    assert result.mean_train_accuracy_last_1000 == result.mean_train_accuracy
    losses = [loss for loss in history["eval_loss"] if loss == loss]
    assert len(losses) == 6
    assert history["eval_loss"][result.selected_step - 1] == min(losses)


def test_the_means_over_all_steps_and_the_last_thousand_differ():
    task = Palindromes(1)
    config = SequenceConfig(steps=1100, batch_size=16, optimization=FAST, eval_every=1100, eval_size=16)
    result = fit_sequence(model_for(task, RNNCell, hidden=8), task, config)
    accuracy = result.history["train_accuracy"]
    assert result.mean_train_accuracy_last_1000 == pytest.approx(sum(accuracy[100:]) / 1000)
    assert result.mean_train_accuracy_last_1000 > result.mean_train_accuracy


def test_the_first_steps_are_those_of_a_plain_loop():
    task = Palindromes(5)
    settings = Optimization("rmsprop", 1e-3, clip=0.05)
    ours, plain = model_for(task), model_for(task)
    result = fit_sequence(ours, task, SequenceConfig(steps=4, batch_size=8, optimization=settings, eval_size=8))
    optimizer = torch.optim.RMSprop(plain.parameters(), 1e-3)
    stream = TaskStream(task, 8, seed=0)
    for step in range(4):
        inputs, targets = next(stream)
        loss = nn.functional.cross_entropy(plain(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(plain.parameters(), 0.05)
        optimizer.step()
        assert result.history["train_loss"][step] == pytest.approx(float(loss.detach()), rel=1e-6)
        assert result.history["gradient_norm"][step] == pytest.approx(float(norm), rel=1e-6)
    assert float(norm) > 0.05
    for name, value in ours.state_dict().items():  # of four steps the last was evaluated, so it is the selected one
        torch.testing.assert_close(value, plain.state_dict()[name], rtol=1e-5, atol=1e-7)


def test_stop_rule_counts_evaluations_in_a_row():
    config = SequenceConfig(stop_after=3, eval_every=2)

    def history(*accuracies):
        rows = [value for accuracy in accuracies for value in (math.nan, accuracy)]
        return {
            "step": list(range(len(rows))),
            "eval_accuracy": rows,
            "eval_loss": [0.01 * (x == 1) + 0.5 for x in rows],
        }

    assert not is_solved(history(1.0, 1.0), config)
    assert is_solved(history(1.0, 1.0, 1.0), config)
    assert not is_solved(history(1.0, 1.0, 0.9999, 1.0, 1.0), config)
    assert is_solved(history(0.5, 1.0, 1.0, 1.0), config)
    by_loss = SequenceConfig(stop_after=2, eval_every=2, solved_loss=0.5)
    assert is_solved(history(1.0, 0.0, 0.0), by_loss)
    assert not is_solved(history(0.0, 1.0), by_loss)
    assert not is_solved(history(1.0, 1.0, 1.0), SequenceConfig(eval_every=2))


def test_training_stops_when_solved():
    task = RandomCombinations(3)
    config = SequenceConfig(
        steps=500, optimization=Optimization("adam", 1e-2), eval_every=1, eval_size=512, stop_after=3
    )
    result = fit_sequence(model_for(task), task, config)
    assert result.steps == result.solved_at < 500
    assert result.history["eval_accuracy"][-3:] == [1.0, 1.0, 1.0]
    assert result.history["eval_accuracy"][-4] < 1
    assert result.test_accuracy == 1


def test_a_regression_is_solved_by_its_loss():
    task = Adding(4)
    config = SequenceConfig(
        steps=3000,
        optimization=Optimization("adam", 1e-2),
        eval_every=20,
        eval_size=256,
        stop_after=2,
        solved_loss=0.02,
    )
    result = fit_sequence(model_for(task), task, config)
    assert result.solved_at is not None
    assert result.solved_at < 3000
    assert result.test_loss < 0.03


def test_per_step_tasks_train():
    task = CopyMemory(2)
    result = fit_sequence(
        model_for(task), task, SequenceConfig(steps=30, eval_every=10, eval_size=64, optimization=FAST)
    )
    assert result.history["train_loss"][-1] < result.history["train_loss"][0]


def test_evaluation_in_parts_is_evaluation_at_once(monkeypatch):
    task = Palindromes(6)
    model = model_for(task)
    whole = evaluate_sequence(model, TaskStream(task, 100, 0, "held_out"))
    monkeypatch.setattr("gnnkit.training.sequences._STEPS_AT_ONCE", 6 * 30)
    torch.manual_seed(1)
    parts = evaluate_sequence(model, TaskStream(task, 100, 0, "held_out"))
    # Other draws, since they come in other batches; the same distribution, and every sample counted once.
    assert parts.loss == pytest.approx(whole.loss, rel=0.05)
    assert (parts.accuracy * 100) % 1 == pytest.approx(0, abs=1e-4)


def test_the_model_ends_with_the_selected_weights():
    task = Palindromes(4)
    model = model_for(task, RNNCell)
    result = fit_sequence(
        model, task, SequenceConfig(steps=60, eval_every=5, eval_size=64, optimization=Optimization("sgd", 3.0))
    )
    assert result.selected_step < 60  # so high a rate that the last is not the best
    stream = TaskStream(task, 64, 0, "held_out")
    for _ in range(result.selected_step // 5 - 1):
        next(stream)
    assert evaluate_sequence(model, stream).loss == pytest.approx(result.history["eval_loss"][result.selected_step - 1])


def test_recurrent_gradient_is_recorded_where_asked():
    task = Palindromes(4)
    config = SequenceConfig(steps=3, eval_size=8, record_recurrent_gradient=True)
    history = fit_sequence(model_for(task), task, config).history
    assert all(
        0 < part < whole for part, whole in zip(history[RECURRENT_GRADIENT], history["gradient_norm"], strict=True)
    )
    assert RECURRENT_GRADIENT not in fit_sequence(model_for(task), task, SequenceConfig(steps=1, eval_size=8)).history
    with pytest.raises(ValueError, match="SequenceClassifier has no weight_hh"):
        fit_sequence(model_for(task, MinGRUCell), task, config)


@pytest.mark.parametrize("before", [True, False])
def test_denormals_are_flushed_within_and_restored_after(before):
    if not torch.set_flush_denormal(before):
        pytest.skip("this processor cannot flush denormals")
    try:
        with denormals_flushed(True):
            assert flushing()
        assert flushing() == before
        with denormals_flushed(False):
            assert not flushing()
        assert flushing() == before
        with pytest.raises(RuntimeError), denormals_flushed(not before):
            raise RuntimeError
        assert flushing() == before
    finally:
        torch.set_flush_denormal(False)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"steps": 0}, "steps must be from 1 .*, got 0"),
        ({"batch_size": 0}, "batch_size must be from 1 .*, got 0"),
        ({"eval_every": 0}, "eval_every must be from 1 .*, got 0"),
        ({"eval_size": -1}, "eval_size must be from 1 .*, got -1"),
        ({"stop_after": 0}, "stop_after must be from 1 .*, got 0"),
        ({"seed": 2**31}, "seed must be from 0 .*, got 2147483648"),
        ({"solved_loss": 0.0}, "solved_loss must be a positive number, got 0.0"),
        ({"steps": 5, "optimization": Optimization(warmup=6)}, "must not exceed the 5 steps, got 6"),
    ],
)
def test_bad_settings_are_named(setting, message):
    with pytest.raises(ValueError, match=message):
        SequenceConfig(**setting)


class Diverging(SequenceClassifier):
    """Its outputs are NaN from some step on."""

    healthy_steps = 3

    def forward(self, *args, **kwargs):
        self.healthy_steps -= self.training
        return super().forward(*args, **kwargs) * (math.nan if self.healthy_steps < 0 else 1.0)


def test_a_loss_that_is_not_finite_stops_with_the_step_and_keeps_the_checkpoint(tmp_path):
    task = Palindromes(3)
    model = Diverging(RNNCell, task.input_size, 8, task.num_outputs)
    with RunFolder.create(tmp_path / "run", kind="sequence") as folder:
        fit_sequence(model, task, SequenceConfig(steps=2, eval_size=8), folder=folder)
        kept = folder.checkpoint_path.read_bytes()
        model.healthy_steps = 1
        with pytest.raises(DivergedError, match=r"the training loss became nan in step 4.*checkpoint of step 2"):
            fit_sequence(model, task, SequenceConfig(steps=9, eval_size=8), folder=folder)
        assert folder.checkpoint_path.read_bytes() == kept


def test_a_gradient_that_is_not_finite_stops_too():
    class Exploding(Palindromes):
        @staticmethod
        def loss(outputs, targets):
            return (outputs.sum() * 0).sqrt()  # 0, with an infinite slope

    task = Exploding(3)
    with pytest.raises(DivergedError, match="the gradient's norm became nan in step 1"):
        fit_sequence(model_for(task), task, SequenceConfig(steps=2, eval_size=8))


class StopAt:
    """A progress sink that presses ctrl-C."""

    def __init__(self, step):
        self.step = step

    def update(self, completed, **fields):
        if completed == self.step:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    "optimization", [Optimization("rmsprop", 1e-3), Optimization("adam", 1e-2, schedule="one-cycle", warmup=5)]
)
@pytest.mark.parametrize("stop_at", [1, 13, 24])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path, stop_at, optimization):
    task = Palindromes(4)
    config = SequenceConfig(
        steps=25, batch_size=16, eval_every=4, eval_size=32, optimization=optimization, record_recurrent_gradient=True
    )

    def fresh(seed=0):
        return model_for(task, hidden=8, seed=seed, num_layers=2, dropout=0.5)

    model = fresh()
    with RunFolder.create(tmp_path / "whole", kind="sequence") as whole:
        expected = fit_sequence(model, task, config, folder=whole)
    stopped = pytest.raises(Interrupted, match=f"stopped after step {stop_at}; continue with --resume")
    with RunFolder.create(tmp_path / "parts", kind="sequence") as parts, stopped:
        fit_sequence(fresh(), task, config, folder=parts, progress=StopAt(stop_at))
    resumed = fresh(seed=9)  # whatever it starts from, the checkpoint decides
    with RunFolder.resume(tmp_path / "parts") as parts:
        result = fit_sequence(resumed, task, config, folder=parts)
        again = fit_sequence(fresh(), task, config, folder=parts)  # a finished run gives its result once more
    for each in (result, again):
        assert str(each.history) == str(expected.history)
        assert (each.test_loss, each.selected_step) == (expected.test_loss, expected.selected_step)
    for name, value in weights(model).items():
        assert torch.equal(value, resumed.state_dict()[name])
    assert (tmp_path / "parts/metrics.csv").read_bytes() == (tmp_path / "whole/metrics.csv").read_bytes()
    assert read_metrics(tmp_path / "whole/metrics.csv")["step"].tolist() == list(range(1, 26))


def test_same_seed_same_bits_other_seed_other_batches():
    task = Palindromes(4)
    losses = [
        fit_sequence(model_for(task), task, SequenceConfig(steps=3, eval_size=8, seed=seed)).history["train_loss"]
        for seed in (0, 0, 1)
    ]
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]
