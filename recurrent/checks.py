"""What does not fit is said at the boundary, in words that name it: sizes, token ids, stacked gates, steps."""

from typing import Any

import torch
from torch import Tensor, nn


def check_sizes(**sizes: int | None) -> None:
    """Raise ValueError unless every size that is given is positive, and such that a tensor can have it."""
    for name, size in sizes.items():
        if size is not None and not 1 <= size < 2**31:
            raise ValueError(f"{name} must be from 1 to 2**31 - 1, got {size}")


def as_ids(tokens: Tensor, dims: int | None = None) -> Tensor:
    """Token ids as int64.

    Args:
        tokens: Ids, integers of any size.
        dims: How many axes they must have; any number where None.

    Raises:
        TypeError: If they are not integers.
        ValueError: If they have another number of axes.
    """
    if tokens.is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool:
        raise TypeError(f"token ids must be integers, got {tokens.dtype}")
    if dims is not None and tokens.dim() != dims:
        raise ValueError(f"token ids must have {dims} axis or axes, got shape {tuple(tokens.shape)}")
    return tokens.long()


def check_ids_below(tokens: Tensor, count: int) -> None:
    """Raise ValueError unless every id is from 0 to ``count - 1``; it looks at the values, so not in every step."""
    if tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < count:
        raise ValueError(f"token ids run from 0 to {count - 1}, got {int(tokens.min())} to {int(tokens.max())}")


def check_integers(lengths: Tensor) -> None:
    """Raise TypeError unless lengths are integers."""
    if lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool:
        raise TypeError(f"lengths must be integers, got {lengths.dtype}")


def check_stacked(count: int, state: Tensor | None = None, **stacked: Tensor) -> None:
    """Raise unless each of ``stacked`` is ``[*, count * hidden_size]``, for a state ``[*, hidden_size]`` if given."""
    first = next(iter(stacked.values()))
    for name, each in stacked.items():
        if not each.is_floating_point():
            raise TypeError(f"{name} must be floating-point, got {each.dtype}")
        if each.dim() == 0 or each.size(-1) % count or each.shape != first.shape:
            shapes = ", ".join(f"{key} {tuple(value.shape)}" for key, value in stacked.items())
            raise ValueError(f"{count} gates are stacked as [*, {count} * hidden_size], got {shapes}")
    if state is None:
        return
    if not state.is_floating_point():
        raise TypeError(f"the state must be floating-point, got {state.dtype}")
    if state.shape != (*first.shape[:-1], first.size(-1) // count):
        raise ValueError(
            f"{count} gates of shape {tuple(first.shape)} belong to a state of shape "
            f"{(*first.shape[:-1], first.size(-1) // count)}, got {tuple(state.shape)}"
        )


def check_step(cell: nn.Module, input: Tensor, state: tuple[Tensor, ...]) -> None:
    """Raise unless the input of one step fits the cell, and the state the input."""
    sizes: Any = cell
    if input.dim() == 0 or input.size(-1) != sizes.input_size:
        raise ValueError(f"the input must be [*, input_size = {sizes.input_size}], got {tuple(input.shape)}")
    check_like_weights(cell, input)
    expected = (*input.shape[:-1], sizes.hidden_size)
    if state[0].shape != expected:
        raise ValueError(f"an input {tuple(input.shape)} needs a state {expected}, got {tuple(state[0].shape)}")


def check_like_weights(module: object, inputs: Tensor) -> None:
    """Inputs must be where the module's weights are, and of their dtype, which autocast alone may settle.

    Raises:
        ValueError: If they are on another device.
        TypeError: If they are of another dtype.
    """
    weight = next(iter(module.parameters()), None) if isinstance(module, nn.Module) else None
    if weight is None:
        return
    if inputs.device != weight.device:
        raise ValueError(f"inputs are on {inputs.device} and the cell on {weight.device}; move one with .to()")
    if inputs.dtype != weight.dtype and not torch.is_autocast_enabled(inputs.device.type):
        raise TypeError(f"inputs are {inputs.dtype} and the cell's weights {weight.dtype}; convert one with .to()")
