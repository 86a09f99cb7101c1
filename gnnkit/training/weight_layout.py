"""Weights that meet sparse features, in the memory order that the product reads.

The product of sparse rows with W^T reads a row of W^T for every non-zero. ``torch.nn.Linear`` stores W, so that each
product would first write W^T out, and each gradient be turned back. While training, W lies in memory as W^T instead:
names and shapes are the same, and the numbers too, but for the rounding of a fused optimiser at the end of a tensor.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from gnnkit.data.node_data import NodeData


def store_by_input(model: nn.Module, data: NodeData) -> list[nn.Parameter]:
    """Lay the weights that meet the features of ``data`` by column, if those are sparse; which ones it were."""
    if not isinstance(data.x, Tensor) or data.x.layout == torch.strided:
        return []
    found = [
        each for each in model.parameters() if each.dim() == 2 and each.size(1) == data.num_features > each.size(0) > 1
    ]
    for weight in found:
        weight.data = weight.data.t().contiguous().t()
    return found


@contextmanager
def stored_by_input(model: nn.Module, data: NodeData) -> Iterator[None]:
    """While active, `store_by_input`; afterwards weights lie as they did, since not all code asks for strides."""
    found = store_by_input(model, data)
    try:
        yield
    finally:
        for weight in found:
            weight.data = weight.data.contiguous()
            if weight.grad is not None:
                weight.grad = weight.grad.contiguous()


class Adam(torch.optim.Adam):
    """torch's Adam, on weights that lie by column as fast as on others.

    torch's fused kernel copies a gradient that does not lie by row, and makes no use of the copy. So it is given
    the transpose of such a weight, which does: its gradient, its state, its numbers are the same memory.
    """

    def _init_group(self, group: dict[str, Any], *lists: list[Tensor]) -> Any:
        found = super()._init_group(group, *lists)  # type: ignore[no-untyped-call]
        for tensors in lists:
            tensors[:] = [each.t() if _lies_by_column(each) else each for each in tensors]
        return found


def _lies_by_column(tensor: Tensor) -> bool:
    return tensor.dim() == 2 and not tensor.is_contiguous() and tensor.t().is_contiguous()


def follow_layout(optimizer: torch.optim.Optimizer) -> None:
    """Lay what an optimiser keeps for each weight in memory as that weight lies.

    Fused optimisers read weight and state side by side, whatever their strides: on others they would mix them up.
    """
    for weight, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == weight.shape and value.stride() != weight.stride():
                state[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value)
