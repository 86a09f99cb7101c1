"""What generation asks of a model: one character and a state in, logits and a state out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from recurrent.checks import as_ids
from recurrent.modes import evaluating
from recurrent.state import tensors_of


class StepModel(Protocol):
    """Any model of sequences: recurrent, convolutional with a buffer, a table of counts.

    The state is anything made of nested tuples, lists and dicts of tensors whose first axis is the batch.
    """

    def initial_state(self, batch_size: int) -> Any:
        """The state before the first character."""
        ...

    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Ids ``[B]`` to logits ``[B, V]`` for the next, and the state after."""
        ...


@torch.no_grad()
def advance(model: StepModel, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
    """One step without gradients, dropout off: log-probabilities ``[B, V]`` in float64, and the state.

    Raises:
        TypeError: If the tokens are not integers.
        ValueError: If a logit is NaN, or all are -inf; or if the state has not a row for each token.
    """
    tokens = as_ids(tokens, dims=1)
    rows = [len(each) for each in tensors_of(state)]
    if any(row != len(tokens) for row in rows):
        raise ValueError(f"{len(tokens)} token(s) need a state of as many rows, got {rows[0]}")
    with evaluating(model):
        logits, state = model.step(tokens, state)
    scores = torch.log_softmax(logits.double(), dim=-1)  # float64: a beam adds up thousands of them
    if bool(scores.isnan().any()):
        raise ValueError(
            f"the logits of {type(model).__name__} hold NaN, or no finite number; did its training diverge?"
        )
    return scores, state


def prefill(model: StepModel, tokens: Sequence[int] | Tensor, state: Any = None) -> tuple[Tensor, Any]:
    """Read a prompt once, character by character: log-probabilities of what follows, ``[1, V]``, and the state.

    A prompt read in two parts, the second from the first's state, gives the same bits as read whole.

    Args:
        model: The model.
        tokens: At least one id.
        state: Of one sequence; ``model.initial_state(1)`` when omitted.

    Raises:
        ValueError: If there is no token.
    """
    if not isinstance(tokens, Tensor) and any(not -(2**63) <= each < 2**63 for each in tokens):
        raise ValueError(f"token ids must fit in 64 bits, got {list(tokens)}")
    ids = torch.as_tensor(tokens, device=device_of(model))
    if ids.numel() == 0:
        raise ValueError("a prompt has at least one character, got none: the model cannot predict from nothing")
    ids = as_ids(ids, dims=1)
    if state is None:
        state = model.initial_state(1)
    for token in ids.unsqueeze(1):
        scores, state = advance(model, token, state)
    return scores, state


def device_of(model: StepModel) -> torch.device:
    """Where the model's first parameter is; the CPU where it has none."""
    parameters = model.parameters() if isinstance(model, nn.Module) else iter(())
    return next((parameter.device for parameter in parameters), torch.device("cpu"))
