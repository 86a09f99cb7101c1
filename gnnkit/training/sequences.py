"""Training a sequence model on a task that makes its own data: one loop, from the first batch to the test score.

Every batch is fresh, so the training accuracy is an honest one. Evaluations draw from a held-out
stream; the weights of the lowest evaluation loss are kept, the earlier on ties, and tested on further
samples of that stream that no choice has seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gnnkit.graph.validation import checked_device
from gnnkit.runs import Interrupted, RunFolder, catch_interrupt, seed_everything
from gnnkit.training.optimization import Optimization, learning_rate, make_optimizer, set_learning_rate
from gnnkit.training.session import ProgressSink, Session
from recurrent.modes import evaluating
from recurrent.tasks import Batch, Task, TaskStream

COLUMNS = ("step", "train_loss", "train_accuracy", "gradient_norm", "eval_loss", "eval_accuracy")
RECURRENT_GRADIENT = "weight_hh_gradient_norm"

_STEPS_AT_ONCE = 2**13  # time steps of all sequences evaluated together: few enough for the caches


@dataclass(frozen=True)
class SequenceConfig:
    """How to train a sequence model; the defaults are those of the practical.

    Attributes:
        steps: Batches at most.
        batch_size: Sequences in one.
        optimization: Optimiser, rate, schedule, clipping.
        eval_every: Batches between evaluations; there is always one at the end.
        eval_size: Held-out sequences of an evaluation, fresh each time, and of the final test.
        stop_after: Stop when so many evaluations in a row, ``eval_every`` apart, are solved; never when None.
        solved_loss: An evaluation is solved at this loss or below; where None, at an accuracy of 100 %.
        record_recurrent_gradient: Note the norm of dL/dW_hh at every step, over all cells, before clipping.
        flush_denormal: Let numbers below 1e-38 be 0: much faster where gradients vanish.
        seed: Of batches and dropout.
        device: ``"cpu"`` or ``"cuda"``.
    """

    steps: int = 10_000
    batch_size: int = 128
    optimization: Optimization = field(default_factory=Optimization)
    eval_every: int = 100
    eval_size: int = 1024
    stop_after: int | None = None
    solved_loss: float | None = None
    record_recurrent_gradient: bool = False
    flush_denormal: bool = True
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        checked_device(self.device)
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"seed must be from 0 to 2**31 - 1, got {self.seed}")
        for name in ("steps", "batch_size", "eval_every", "eval_size", "stop_after"):
            value = getattr(self, name)
            if value is not None and not 1 <= value < 2**31:
                raise ValueError(f"{name} must be from 1 to 2**31 - 1, got {value}")
        if self.solved_loss is not None and not self.solved_loss > 0:
            raise ValueError(f"solved_loss must be a positive number, got {self.solved_loss}")
        if self.solved_loss is not None and self.stop_after is None:
            raise ValueError(f"solved_loss is when to stop, got {self.solved_loss} without stop_after; give that, too")
        if self.optimization.warmup > self.steps:
            raise ValueError(f"warmup must not exceed the {self.steps} steps, got {self.optimization.warmup}")


@dataclass(frozen=True)
class SequenceResult:
    """What training gave.

    Attributes:
        test_accuracy: At the selected step, the evaluation of lowest loss, on held-out sequences not used to select.
        test_loss: Likewise.
        eval_accuracy: Of the last evaluation.
        selected_step: Where the tested weights are from.
        mean_train_accuracy: Over all steps: high only if learning was quick and steady.
        mean_train_accuracy_last_1000: Over the last 1000 steps, or all if there were fewer.
        steps: How many were run.
        solved_at: The step at which the stop rule was met; None if it never was, or there is none.
        seed: The run's seed.
        seconds: Of training and evaluation, over all sessions of a resumed run.
        history: One list per column of the metrics.
    """

    test_accuracy: float
    test_loss: float
    eval_accuracy: float
    selected_step: int
    mean_train_accuracy: float
    mean_train_accuracy_last_1000: float
    steps: int
    solved_at: int | None
    seed: int
    seconds: float
    history: dict[str, list[float]] = field(repr=False)


class Evaluation(NamedTuple):
    """What a model scores on held-out sequences."""

    loss: float
    accuracy: float


def fit_sequence(
    model: nn.Module,
    task: Task,
    config: SequenceConfig | None = None,
    *,
    folder: RunFolder | None = None,
    progress: ProgressSink | None = None,
) -> SequenceResult:
    """Train ``model`` on batches of ``task``; it ends with the selected step's weights, in evaluation mode.

    It starts from the weights it has; the seed decides batches and dropout. With a ``folder``, metrics and
    checkpoints go there every ten seconds and at the end, and a checkpoint found there is continued from:
    the result is that of a run never interrupted, to the last bit.

    Raises:
        DivergedError: If the loss or its gradient becomes NaN or infinite; the last good checkpoint stays.
        Interrupted: After ctrl-C, the checkpoint written.
    """
    config = config or SequenceConfig()
    seed_everything(config.seed)
    model.to(config.device).train()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    watched = recurrent_matrices(model) if config.record_recurrent_gradient else []
    optimizer = make_optimizer(parameters, config.optimization)
    batches = TaskStream(task, config.batch_size, config.seed, "train", config.device)
    held_out = TaskStream(task, config.eval_size, config.seed, "held_out", config.device)
    parts: dict[str, Any] = {"optimizer": optimizer, "batches": batches, "held_out": held_out}
    session = Session(folder, (*COLUMNS, RECURRENT_GRADIENT) if watched else COLUMNS, model, parts)
    with catch_interrupt() as stop, denormals_flushed(config.flush_denormal):
        while session.step < config.steps and not is_solved(session.history, config):
            set_learning_rate(optimizer, learning_rate(config.optimization, session.step, config.steps))
            row = _train_step(model, task, next(batches), parameters, watched, optimizer, config.optimization.clip)
            session.check_finite(row["train_loss"])
            session.check_finite(row["gradient_norm"], "the gradient's norm")
            step = session.step + 1
            if step % config.eval_every == 0 or step == config.steps:
                row["eval_loss"], row["eval_accuracy"] = evaluate_sequence(model, held_out)
            session.record(row)
            session.keep_lowest("eval_loss", row.get("eval_loss", math.nan))
            if progress is not None:
                progress.update(step, **row)
            if stop.requested:
                session.save()
                raise Interrupted(f"stopped after step {step}; continue with --resume")
            session.save_if_due()
        if "eval_loss" not in session.best:  # every evaluation's loss was NaN
            session.keep("eval_loss", math.nan)
        session.save()
        return _result(model, session, held_out, config)


def evaluate_sequence(model: nn.Module, held_out: TaskStream) -> Evaluation:
    """Loss and accuracy on the next ``held_out.batch_size`` sequences; its parts are left in the modes they were in."""
    at_once = max(1, _STEPS_AT_ONCE // held_out.task.seq_length)
    loss = accuracy = 0.0
    left = held_out.batch_size
    with evaluating(model), torch.no_grad():
        while left:
            size = min(left, at_once)
            inputs, targets = held_out.task.sample(size, held_out.generator)
            outputs = model(inputs)
            loss += size * float(held_out.task.loss(outputs, targets))
            accuracy += size * float(held_out.task.accuracy(outputs, targets))
            left -= size
    return Evaluation(loss / held_out.batch_size, accuracy / held_out.batch_size)


def is_solved(history: dict[str, list[float]], config: SequenceConfig) -> bool:
    """Whether the last ``stop_after`` evaluations in a row were solved, as the rule of ``config`` has it."""
    if config.stop_after is None:
        return False
    evaluated = len(history["step"]) // config.eval_every
    if evaluated < config.stop_after:
        return False
    last = [config.eval_every * count - 1 for count in range(evaluated, evaluated - config.stop_after, -1)]
    if config.solved_loss is not None:
        return all(history["eval_loss"][row] <= config.solved_loss for row in last)
    return all(history["eval_accuracy"][row] == 1 for row in last)


def recurrent_matrices(model: nn.Module) -> list[nn.Parameter]:
    """Every cell's W_hh.

    Raises:
        ValueError: If the model has none.
    """
    found = [each for name, each in model.named_parameters() if name.rsplit(".", 1)[-1] == "weight_hh"]
    if not found:
        raise ValueError(
            f"{type(model).__name__} has no weight_hh whose gradient could be recorded; "
            "do not ask for its record, or choose a cell with a recurrent matrix"
        )
    return found


@contextmanager
def denormals_flushed(wanted: bool) -> Iterator[None]:
    """Let this thread's arithmetic round denormal numbers to 0 within the block, if wanted."""
    before = bool(torch.tensor(1e-310, dtype=torch.float64) * 1.0 == 0)  # torch sets the mode but does not tell it
    torch.set_flush_denormal(wanted)  # where the processor cannot, nothing happens
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _train_step(
    model: nn.Module,
    task: Task,
    batch: Batch,
    parameters: list[nn.Parameter],
    watched: list[nn.Parameter],
    optimizer: torch.optim.Optimizer,
    clip: float | None,
) -> dict[str, float]:
    outputs = model(batch.inputs)
    loss = task.loss(outputs, batch.targets)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    norm = _gradient_norm(parameters)
    row = {} if not watched else {RECURRENT_GRADIENT: float(_gradient_norm(watched))}
    if clip is not None:
        nn.utils.clip_grads_with_norm_(parameters, clip, norm)
    optimizer.step()
    with torch.no_grad():
        accuracy = task.accuracy(outputs, batch.targets)
    return {"train_loss": loss.item(), "train_accuracy": accuracy.item(), "gradient_norm": norm.item(), **row}


def _gradient_norm(parameters: list[nn.Parameter]) -> Tensor:
    return nn.utils.get_total_norm([each.grad for each in parameters if each.grad is not None])


def _result(model: nn.Module, session: Session, held_out: TaskStream, config: SequenceConfig) -> SequenceResult:
    chosen = session.best["eval_loss"]
    model.load_state_dict(chosen.weights)
    model.eval()
    test = evaluate_sequence(model, held_out)
    train_accuracy = session.history["train_accuracy"]
    evaluated = [value for value in session.history["eval_accuracy"] if value == value]
    recent = train_accuracy[-1000:]
    return SequenceResult(
        test_accuracy=test.accuracy,
        test_loss=test.loss,
        eval_accuracy=evaluated[-1] if evaluated else math.nan,
        selected_step=chosen.step,
        mean_train_accuracy=math.fsum(train_accuracy) / len(train_accuracy),
        mean_train_accuracy_last_1000=math.fsum(recent) / len(recent),
        steps=session.step,
        solved_at=session.step if is_solved(session.history, config) else None,
        seed=config.seed,
        seconds=session.seconds,
        history=session.history,
    )
