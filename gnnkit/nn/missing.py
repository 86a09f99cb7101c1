"""Values that were not observed: the last one that was is carried on."""

from __future__ import annotations

import torch
from torch import Tensor


def carry_forward(x: Tensor, observed: Tensor) -> Tensor:
    """Each entry's last observed value up to then; 0 before the first one.

    What stands where nothing was observed is not read: it may be NaN, and receives no gradient.

    Args:
        x: Time along the first dimension.
        observed: Booleans of the same shape.

    Raises:
        TypeError: If ``observed`` is not of booleans.
        ValueError: If it has another shape, or there is no time.

    Example:
        >>> carry_forward(torch.tensor([5.0, 1.0, 7.0, 2.0]), torch.tensor([False, True, False, True])).tolist()
        [0.0, 1.0, 1.0, 2.0]
    """
    if observed.dtype != torch.bool:
        raise TypeError(f"observed must hold booleans, got {observed.dtype}; compare, as in mask > 0")
    if x.dim() == 0 or observed.shape != x.shape:
        raise ValueError(f"observed must have the values' shape {tuple(x.shape)}, got {tuple(observed.shape)}")
    steps = torch.arange(x.size(0), device=x.device).view(-1, *[1] * (x.dim() - 1))
    last = torch.where(observed, steps, -1).cummax(dim=0).values
    return torch.where(last >= 0, x.gather(0, last.clamp(min=0)), 0.0)
