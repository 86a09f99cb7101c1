"""Optimisers and learning-rate schedules by name.

A schedule is a function of the step alone, so a resumed run needs no state of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import nn

Optimizer = Literal["sgd", "rmsprop", "adagrad", "adam", "adamw"]
_LARGEST = 1e30  # of what multiplies weights: float32, in which that is done, ends at 3.4e38

Schedule = Literal["constant", "exponential", "cosine", "one-cycle"]


@dataclass(frozen=True)
class Optimization:
    """How weights follow their gradients.

    Attributes:
        optimizer: ``"sgd"``, ``"rmsprop"``, ``"adagrad"``, ``"adam"`` (whose weight decay is an L2 penalty) or
            ``"adamw"`` (whose weight decay is decoupled).
        lr: Learning rate; the highest one of a schedule.
        weight_decay: See ``optimizer``.
        momentum: Of sgd and rmsprop.
        schedule: ``"constant"``; ``"exponential"``, times ``decay`` every ``decay_every`` steps; ``"cosine"``
            towards 0, where the step after the last would be; ``"one-cycle"``, up from 1/25 of ``lr`` by a cosine,
            then down to 1/250 000 of it (Smith & Topin, 2018, https://arxiv.org/abs/1708.07120, as torch's defaults).
        warmup: Steps of a linear rise to ``lr``; of one-cycle the length of its rise, where 0 three tenths of the
            steps, torch's default.
        decay: Factor of the exponential schedule.
        decay_every: Steps between its factors.
        clip: Largest norm of the gradient of all weights together; None leaves it as it is.
    """

    optimizer: Optimizer = "rmsprop"
    lr: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.0
    schedule: Schedule = "constant"
    warmup: int = 0
    decay: float | None = None
    decay_every: int = 1
    clip: float | None = 10.0

    def __post_init__(self) -> None:
        for name, known in (("optimizer", get_args(Optimizer)), ("schedule", get_args(Schedule))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        for name in ("lr", "clip"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be a positive number, got {value}")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ValueError(f"weight_decay must be 0 or more, got {self.weight_decay}")
        for name in ("lr", "weight_decay"):
            if getattr(self, name) > _LARGEST:
                raise ValueError(f"{name} must be at most {_LARGEST:g}, got {getattr(self, name)}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be from 0 to below 1, got {self.momentum}")
        if self.momentum and self.optimizer not in ("sgd", "rmsprop"):
            raise ValueError(f"momentum is of sgd and rmsprop, got {self.momentum} for {self.optimizer}; leave it out")
        if self.warmup < 0:
            raise ValueError(f"warmup must be 0 steps or more, got {self.warmup}")
        if self.decay_every < 1:
            raise ValueError(f"decay_every must be 1 or more, got {self.decay_every}")
        if (self.schedule == "exponential") != (self.decay is not None):
            raise ValueError(
                f"decay is the exponential schedule's factor, got decay={self.decay} with schedule={self.schedule!r}; "
                "give both or neither"
            )
        if self.decay_every != 1 and self.decay is None:
            raise ValueError(f"decay_every is the exponential schedule's, got {self.decay_every} without a decay")
        if self.decay is not None and not 0 < self.decay <= 1:
            raise ValueError(f"decay must be above 0 and at most 1, got {self.decay}")


def make_optimizer(parameters: Iterable[nn.Parameter], settings: Optimization) -> torch.optim.Optimizer:
    """The optimiser of that name."""
    lr, decay, momentum = settings.lr, settings.weight_decay, settings.momentum
    match settings.optimizer:
        case "sgd":
            return torch.optim.SGD(parameters, lr, momentum=momentum, weight_decay=decay, fused=True)
        case "rmsprop":
            return torch.optim.RMSprop(parameters, lr, momentum=momentum, weight_decay=decay)
        case "adagrad":
            return torch.optim.Adagrad(parameters, lr, weight_decay=decay, fused=True)
        case "adam":
            return torch.optim.Adam(parameters, lr, weight_decay=decay, fused=True)
        case "adamw":
            return torch.optim.AdamW(parameters, lr, weight_decay=decay, fused=True)


def learning_rate(settings: Optimization, step: int, steps: int) -> float:
    """The rate of update ``step``, from 0, of ``steps``.

    Example:
        >>> settings = Optimization(lr=0.1, schedule="cosine", warmup=2)
        >>> [round(learning_rate(settings, step, 6), 4) for step in range(6)]
        [0.05, 0.0933, 0.075, 0.05, 0.025, 0.0067]
    """
    lr = settings.lr
    if settings.schedule == "one-cycle":
        return _one_cycle(lr, step, steps, settings.warmup)
    if settings.schedule == "exponential":
        assert settings.decay is not None, "checked when the settings were made"
        lr *= settings.decay ** (step // settings.decay_every)
    elif settings.schedule == "cosine":
        lr *= (1 + math.cos(math.pi * step / steps)) / 2
    return lr * min(1.0, (step + 1) / settings.warmup) if settings.warmup else lr


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Let the next update use ``lr``."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def _one_cycle(lr: float, step: int, steps: int, warmup: int) -> float:
    start = lr / 25
    end = start / 1e4
    # The step of the highest rate: update `warmup`, counted from 1.
    top = warmup - 1 if warmup else max(0.0, 0.3 * steps - 1)
    if step < top:
        return _cosine_between(start, lr, step / top)
    return _cosine_between(lr, end, (step - top) / max(1, steps - 1 - top))


def _cosine_between(first: float, last: float, share: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2
