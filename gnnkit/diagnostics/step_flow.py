"""Influence by step: how strongly what was read, or remembered, s steps ago moves the last output."""

from __future__ import annotations

import copy
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn

from gnnkit.diagnostics.hop_flow import ProgressSink
from gnnkit.diagnostics.jacobian import Norm, evaluated
from recurrent import unroll
from recurrent.diagnostics import state_gradients
from recurrent.models import SequenceClassifier

Of = Literal["input", "state"]
_FACTOR = 24  # numbers kept per unit and step, roughly: gates, states and their gradients


def influence_by_step(
    model: nn.Module,
    x: Tensor,
    rows: Tensor | None,
    norm: Norm,
    of: Of,
    dtype: torch.dtype | None,
    memory: int,
    progress: ProgressSink | None,
) -> tuple[Tensor, Tensor]:
    """Influence ``(S, T)``, the last step first, and which sequences it is of."""
    if of not in get_args(Of):
        raise ValueError(f"of must be one of {', '.join(get_args(Of))}, got {of!r}")
    if not isinstance(x, Tensor) or x.dim() not in (2, 3) or 0 in x.shape[:2]:
        got = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"sequences must have shape (B, T, F), or be token ids (B, T), got {got}")
    if dtype is not None:
        model = copy.deepcopy(model).to(dtype)
        x = x.to(dtype) if x.is_floating_point() else x
    rows = torch.arange(x.size(0)) if rows is None else rows
    x = x[rows.to(x.device)]
    found: list[Tensor] = []
    with evaluated(model), torch.inference_mode(False), torch.enable_grad():
        measured = _states(model, x) if of == "state" else _inputs(model, x)
        inputs, num_outputs, gradients = measured
        per_output = inputs.size(1) * max(_width(model), inputs.size(2)) * inputs.element_size() * _FACTOR
        at_once = max(1, memory // (per_output * num_outputs))  # whole sequences: outputs follow as columns
        for begin in range(0, inputs.size(0), at_once):
            batch = inputs[begin : begin + at_once]
            # A copy of each sequence per output: one pass forward and one back for all of them.
            blocks = gradients(batch.repeat_interleave(num_outputs, 0), num_outputs)
            blocks = blocks.unflatten(0, (batch.size(0), num_outputs))
            sums = blocks.abs().sum((1, 3)) if norm == "l1" else blocks.square().sum((1, 3)).sqrt()
            found.append(sums.flip(1))
            if progress is not None:
                progress.update(min(begin + at_once, inputs.size(0)))
    return torch.cat(found), rows


def _inputs(model: nn.Module, x: Tensor) -> tuple[Tensor, int, Any]:
    """Gradients with respect to what the first layer reads."""
    embedded = isinstance(model, SequenceClassifier)
    with torch.no_grad():
        inputs = cast(SequenceClassifier, model).embed(x) if embedded else x
        if not inputs.is_floating_point():
            raise ValueError(f"{type(model).__name__} got inputs of {x.dtype}, which have no gradient; pass features")
        num_outputs = _last_output(model, inputs[:1]).size(1)

    def gradients(batch: Tensor, num_outputs: int) -> Tensor:
        leaf = batch.detach().requires_grad_()
        out = _last_output(model, leaf)
        seed = _one_output_each(out, num_outputs)
        if not seed.requires_grad:
            return torch.zeros_like(leaf)
        return torch.autograd.grad(seed, leaf)[0]

    return inputs, num_outputs, gradients


def _states(model: nn.Module, x: Tensor) -> tuple[Tensor, int, Any]:
    """Gradients with respect to the top layer's hidden states, as in the reports' gradient plots."""
    head: nn.Module = nn.Identity()
    top: Any = model
    inputs = x
    if isinstance(model, SequenceClassifier):
        if model.stack.num_directions == 2:
            raise ValueError('a bidirectional model reads from both ends, so states have no one distance; of="input"')
        *below, top = model.stack.cells
        head = model.head
        with torch.no_grad():
            inputs = model.embed(x)
            for cell in below:
                inputs = unroll(cast(Any, cell), inputs)[0]
    elif not hasattr(model, "initial_state"):
        raise ValueError(f'of="state" needs a cell or a classifier of recurrent, got {type(model).__name__}')
    with torch.no_grad():
        num_outputs = head(unroll(top, inputs[:1])[0][:, -1]).size(1)

    def gradients(batch: Tensor, num_outputs: int) -> Tensor:
        return state_gradients(top, batch, lambda hidden: _one_output_each(head(hidden[:, -1]), num_outputs))

    return inputs, num_outputs, gradients


def _one_output_each(out: Tensor, num_outputs: int) -> Tensor:
    """The sum of output 0 of the first row, 1 of the second, ...: rows do not know of one another."""
    column = torch.arange(out.size(0), device=out.device) % num_outputs
    return out.gather(1, column.unsqueeze(1)).sum()


def _last_output(model: nn.Module, inputs: Tensor) -> Tensor:
    """What the model says after the last step, ``(B, outputs)``."""
    if isinstance(model, SequenceClassifier):  # behind its embedding
        outputs, last = model.stack(inputs)
        return cast(Tensor, model.head(outputs[:, -1] if model.per_step else model.stack.last_hidden(last)))
    is_cell = hasattr(model, "initial_state") and not hasattr(model, "cells")
    out: Any = unroll(cast(Any, model), inputs) if is_cell else model(inputs)
    if isinstance(out, tuple):
        out = out[0]
    if isinstance(out, Tensor) and out.dim() == 3:
        out = out[:, -1]
    if not isinstance(out, Tensor) or out.dim() != 2 or out.size(0) != inputs.size(0):
        got = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise TypeError(f"{type(model).__name__} must give (B, outputs) or (B, T, outputs), got {got}")
    return out


def _width(model: nn.Module) -> int:
    """The widest of the model's matrices, for what a step keeps."""
    return max((size for parameter in model.parameters() for size in parameter.shape), default=1)
