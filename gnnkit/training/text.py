"""Training a character language model: one loop, from the first window to the held-out score.

The training accuracy is that of the current batch, as the reports have it; bits per character are measured
on parts of the text that no window touches. The weights of the lowest validation loss are kept, the
earlier on ties, and scored once on the test part.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gnnkit.runs import Interrupted, RunFolder, catch_interrupt, seed_everything
from gnnkit.training.optimization import Optimization, learning_rate, make_optimizer, set_learning_rate
from gnnkit.training.session import ProgressSink, Session
from recurrent.generation import GenerationConfig, Scored, generate, score
from recurrent.state import detached, map_tensors, tensors_of
from recurrent.text import RandomWindows, StatefulBatches, TextParts, TextStream, Vocabulary

COLUMNS = (
    "step",
    "train_loss",
    "train_bits_per_character",
    "train_accuracy",
    "gradient_norm",
    "val_loss",
    "val_bits_per_character",
    "val_accuracy",
)

_EVALUATION_ROWS = 64  # read side by side while training; the final score reads the text as one


class SampleSink(ProgressSink, Protocol):
    """Where samples go beside the progress; `gnnkit.runs.Progress` is one."""

    def note(self, text: str) -> None:
        """Show a line of its own."""


@dataclass(frozen=True)
class TextConfig:
    """How to train a character language model; the defaults are the improved recipe's.

    Attributes:
        steps: Batches.
        batch_size: Windows in one.
        seq_length: Characters of a window: how far back-propagation reaches.
        batches: ``"stateful"``: contiguous, the state carried from one to the next; ``"random"``: windows from
            anywhere, each from an empty state.
        optimization: Optimiser, rate, schedule, clipping.
        eval_every: Batches between evaluations on the validation part; there is always one at the end.
        sample_every: Batches between samples to look at; there is always one at the end.
        sample_length: Their characters.
        sample_prompt: What they go on from; the text's commonest letter when empty.
        loss_temperature: Logits are divided by it in the training loss alone (report 003's experiment).
        precision: ``"bfloat16"`` runs the forward pass under autocast; weights stay float32.
        seed: Of batches and dropout.
        device: ``"cpu"`` or ``"cuda"``.
    """

    steps: int = 5000
    batch_size: int = 64
    seq_length: int = 30
    batches: Literal["stateful", "random"] = "stateful"
    optimization: Optimization = field(default_factory=lambda: Optimization("adamw", 1e-2, clip=5.0))
    eval_every: int = 250
    sample_every: int = 500
    sample_length: int = 80
    sample_prompt: str = ""
    loss_temperature: float = 1.0
    precision: Literal["float32", "bfloat16"] = "float32"
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "seq_length", "eval_every", "sample_every", "sample_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if not (math.isfinite(self.loss_temperature) and self.loss_temperature > 0):
            raise ValueError(f"loss_temperature must be a positive number, got {self.loss_temperature}")
        if self.optimization.warmup > self.steps:
            raise ValueError(f"warmup must not exceed the {self.steps} steps, got {self.optimization.warmup}")


class Sample(NamedTuple):
    """What the model wrote at some step: greedy, as in the reports."""

    step: int
    prompt: str
    text: str


@dataclass(frozen=True)
class TextResult:
    """What training gave.

    Attributes:
        test: On the test part, read as one text, at the selected step.
        selected_step: Of the lowest validation loss; the last without a validation part.
        val: At the selected step, the validation part read in rows.
        train_accuracy: On the last batch, as the reports have it.
        train_accuracy_last_100: Mean over the last 100 batches, which no luck of one batch moves.
        train_accuracy_best: The highest of any batch.
        samples: By step.
        steps: How many were run.
        seed: The run's seed.
        seconds: Of training and evaluation, over all sessions of a resumed run.
        history: One list per column of the metrics.
    """

    test: Scored | None
    selected_step: int
    val: Scored | None
    train_accuracy: float
    train_accuracy_last_100: float
    train_accuracy_best: float
    samples: list[Sample]
    steps: int
    seed: int
    seconds: float
    history: dict[str, list[float]] = field(repr=False)


def fit_text(
    model: Any,
    parts: TextParts,
    vocabulary: Vocabulary,
    config: TextConfig | None = None,
    *,
    folder: RunFolder | None = None,
    progress: SampleSink | None = None,
) -> TextResult:
    """Train ``model`` on a text; it ends with the selected step's weights, in evaluation mode.

    It starts from the weights it has. With a ``folder``, metrics and checkpoints go there every ten seconds
    and at the end, and a checkpoint found there is continued from, the carried state included: the result is
    that of a run never interrupted, to the last bit.

    Args:
        model: A `recurrent.models.CharLM`, or any module with its calls: whole sequences and single steps.
        parts: The text as ids.
        vocabulary: Of the text.
        config: How.
        folder: Where metrics and checkpoints go.
        progress: Where progress and samples go.

    Raises:
        ValueError: If the text is too short for a window, or lacks a character of the sample prompt.
        DivergedError: If the loss or its gradient becomes NaN or infinite; the last good checkpoint stays.
        Interrupted: After ctrl-C, the checkpoint written.
    """
    config = config or TextConfig()
    seed_everything(config.seed)
    prompt = config.sample_prompt or _commonest_letter(parts.train, vocabulary)
    vocabulary.encode(prompt)  # an unknown character is told before, not after, the first steps
    model.to(config.device).train()
    parts = TextParts(*(part.to(config.device) for part in parts))
    optimizer = make_optimizer([each for each in model.parameters() if each.requires_grad], config.optimization)
    batches = _stream(parts.train, config)
    memory, samples = _Memory(model, config), _Samples()
    session = Session(
        folder, COLUMNS, model, {"optimizer": optimizer, "batches": batches, "memory": memory, "samples": samples}
    )
    with catch_interrupt() as stop:
        while session.step < config.steps:
            set_learning_rate(optimizer, learning_rate(config.optimization, session.step, config.steps))
            row = _train_step(model, batches, memory, optimizer, config)
            session.check_finite(row["train_loss"])
            session.check_finite(row["gradient_norm"], "the gradient's norm")
            step = session.step + 1
            if (step % config.eval_every == 0 or step == config.steps) and len(parts.validation) > 1:
                row |= _validated(model, parts.validation)
            if step % config.sample_every == 0 or step == config.steps:
                samples.add(_sampled(model, vocabulary, prompt, step, config.sample_length), progress)
            session.record(row)
            session.keep_lowest("val_loss", row.get("val_loss", math.nan))
            if progress is not None:
                progress.update(step, **row)
            if stop.requested:
                session.save()
                raise Interrupted(f"stopped after step {step}; continue with --resume")
            session.save_if_due()
    if "val_loss" not in session.best:  # without a validation part the last step is the selected one
        session.keep("val_loss", math.nan)
    session.save()
    return _result(model, parts, session, samples, config)


def _stream(tokens: Tensor, config: TextConfig) -> TextStream:
    if config.batches == "stateful":
        return StatefulBatches(tokens, config.batch_size, config.seq_length, config.seed)
    return RandomWindows(tokens, config.batch_size, config.seq_length, config.seed)


def _train_step(
    model: Any, batches: TextStream, memory: _Memory, optimizer: torch.optim.Optimizer, config: TextConfig
) -> dict[str, float]:
    inputs, targets = next(batches)
    optimizer.zero_grad()
    autocast = torch.autocast(inputs.device.type, torch.bfloat16) if config.precision == "bfloat16" else nullcontext()
    with autocast:
        logits, state = model(inputs, memory.state if batches.stateful else None)
    if batches.stateful:
        memory.keep(state)
    logits = logits.float().flatten(0, 1)
    loss = cross_entropy(
        logits / config.loss_temperature if config.loss_temperature != 1 else logits, targets.flatten()
    )
    loss.backward()  # type: ignore[no-untyped-call]
    parameters = list(model.parameters())
    norm = nn.utils.get_total_norm([each.grad for each in parameters if each.grad is not None])
    if config.optimization.clip is not None:
        nn.utils.clip_grads_with_norm_(parameters, config.optimization.clip, norm)
    optimizer.step()
    with torch.no_grad():
        accuracy = (logits.argmax(-1) == targets.flatten()).float().mean()
    nats = loss.item()
    return {
        "train_loss": nats,
        "train_bits_per_character": nats / math.log(2),
        "train_accuracy": accuracy.item(),
        "gradient_norm": norm.item(),
    }


def _validated(model: Any, tokens: Tensor) -> dict[str, float]:
    found = _score(model, tokens)
    return {
        "val_loss": found.loss,
        "val_bits_per_character": found.bits_per_character,
        "val_accuracy": found.accuracy,
    }


def _score(model: Any, tokens: Tensor) -> Scored:
    # At least 100 characters a row, so that the empty state at its start weighs little.
    return score(model, tokens, rows=max(1, min(_EVALUATION_ROWS, len(tokens) // 100)))


def _sampled(model: Any, vocabulary: Vocabulary, prompt: str, step: int, length: int) -> Sample:
    [written] = generate(model, vocabulary, prompt, GenerationConfig(length=length, strategy="greedy"))
    return Sample(step, written.prompt, written.text)


def _commonest_letter(tokens: Tensor, vocabulary: Vocabulary) -> str:
    """Where samples start: a line's start would give nothing but blank lines in many a text."""
    counts = torch.bincount(tokens.cpu(), minlength=len(vocabulary))
    ranked = [vocabulary.characters[number] for number in counts.argsort(descending=True, stable=True).tolist()]
    return next((char for char in ranked if char.isalpha()), ranked[0])


class _Memory:
    """The state carried from batch to batch: part of what a resumed run must find again."""

    def __init__(self, model: Any, config: TextConfig) -> None:
        self.state: Any = model.initial_state(config.batch_size)

    def keep(self, state: Any) -> None:
        self.state = detached(state)

    def state_dict(self) -> dict[str, Any]:
        return {"tensors": [tensor.cpu() for tensor in tensors_of(self.state)]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        saved = list(state_dict["tensors"])
        own = tensors_of(self.state)
        if [(each.shape, each.dtype) for each in saved] != [(each.shape, each.dtype) for each in own]:
            raise ValueError(f"the carried state has shapes {[tuple(each.shape) for each in saved]}, not this model's")
        left = iter(saved)
        self.state = map_tensors(lambda tensor: next(left).to(tensor.device), self.state)


class _Samples:
    """The samples so far: part of the checkpoint, so that a resumed run reports them all."""

    def __init__(self) -> None:
        self.all: list[Sample] = []

    def add(self, sample: Sample, progress: SampleSink | None) -> None:
        self.all.append(sample)
        if progress is not None:
            progress.note(f"step {sample.step}: {sample.prompt}{sample.text}".replace("\n", " "))

    def state_dict(self) -> dict[str, Any]:
        return {"samples": [tuple(sample) for sample in self.all]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.all = [Sample(*sample) for sample in state_dict["samples"]]
        for sample in self.all:
            if [type(each) for each in sample] != [int, str, str]:
                raise TypeError(f"a sample is a step, a prompt and a text, got {sample!r}"[:200])


def _result(model: Any, parts: TextParts, session: Session, samples: _Samples, config: TextConfig) -> TextResult:
    chosen = session.best["val_loss"]
    model.load_state_dict(chosen.weights)
    model.eval()
    accuracy = session.history["train_accuracy"]
    recent = accuracy[-100:]
    return TextResult(
        test=score(model, parts.test) if len(parts.test) > 1 else None,
        selected_step=chosen.step,
        val=_score(model, parts.validation) if len(parts.validation) > 1 else None,
        train_accuracy=accuracy[-1],
        train_accuracy_last_100=math.fsum(recent) / len(recent),
        train_accuracy_best=max(accuracy),
        samples=samples.all,
        steps=session.step,
        seed=config.seed,
        seconds=session.seconds,
        history=session.history,
    )
