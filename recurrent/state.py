"""What a model carries from step to step, whatever its shape: nested tuples, lists and dicts of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor


def map_tensors(function: Callable[[Tensor], Tensor], state: Any) -> Any:
    """The same structure with ``function`` of every tensor; what is no tensor stays.

    Example:
        >>> import torch
        >>> from recurrent import HiddenState
        >>> map_tensors(torch.neg, (HiddenState(torch.ones(1)), None))
        (HiddenState(hidden=tensor([-1.])), None)
    """
    if isinstance(state, Tensor):
        return function(state)
    if isinstance(state, tuple):
        fields = [map_tensors(function, field) for field in state]
        return type(state)(*fields) if hasattr(state, "_fields") else tuple(fields)
    if isinstance(state, list):
        return [map_tensors(function, field) for field in state]
    if isinstance(state, dict):
        return {name: map_tensors(function, field) for name, field in state.items()}
    return state


def tensors_of(state: Any) -> list[Tensor]:
    """Every tensor, in the order in which :func:`map_tensors` meets them."""
    found: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    map_tensors(note, state)
    return found


def detached(state: Any) -> Any:
    """The state cut off from what computed it: where truncated back-propagation stops."""
    return map_tensors(Tensor.detach, state)


def select_rows(state: Any, rows: Tensor) -> Any:
    """The state of some sequences of the batch, along each tensor's first axis; a row may come twice."""
    return map_tensors(lambda tensor: tensor.index_select(0, rows), state)
