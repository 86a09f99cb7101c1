"""A model's rows: one for every node, and on a receptive field the same as on the full graph.

What a model does outside its modules shows in its output alone, so it is run both ways and compared.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from gnnkit.nn.dropout import keeping_all
from gnnkit.nn.prunable import check_row_by_row, runs_known_code
from gnnkit.runs import random_state, restore_random_state

Rows = Callable[[], Tensor]


def checked_rows(model: nn.Module, out: Any, expected: int) -> Tensor:
    """What ``model`` gave: ``(expected, outputs)``.

    Raises:
        TypeError: If it is something else.
    """
    if not isinstance(out, Tensor) or out.dim() != 2 or out.size(0) != expected:
        got = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise TypeError(
            f"{type(model).__name__} must return (nodes, outputs), a row for each of {expected} nodes, got {got}"
        )
    return out


def check_blocks(model: nn.Module, on_blocks: Rows, on_graph: Rows) -> None:
    """Raise ValueError unless a model that takes Blocks gives with them the rows of the full graph.

    Its modules are looked at; it is run only where a user's code is among them.

    Args:
        model: One that takes Blocks.
        on_blocks: The rows that it gives with Blocks.
        on_graph: The rows of the same nodes that it gives with the full graph.
    """
    check_row_by_row(model)
    if not runs_known_code(model):
        check_same_rows(model, on_blocks, on_graph)


def check_same_rows(model: nn.Module, on_field: Rows, on_graph: Rows) -> None:
    """Raise ValueError if the rows differ by more than rounding, in the mode the model is in or in evaluation mode.

    In training mode no dropout drops anything; a model that draws random numbers all the same cannot be compared
    there. The model's modes and buffers and the random state stay as they were.

    Args:
        model: What is run.
        on_field: Its rows on the receptive field of some nodes.
        on_graph: Its rows of the same nodes on the full graph.
    """
    before = random_state()
    with _eagerly(), _as_it_was(model) as begin_anew:
        if any(module.training for module in model.modules()):
            with keeping_all():
                found = on_field().detach()
                begin_anew()
                if _same_state(random_state(), before):
                    with torch.no_grad():
                        _compare(model, found, on_graph())
                    begin_anew()
        model.eval()
        found = on_field().detach()
        begin_anew()
        with torch.no_grad():
            _compare(model, found, on_graph())


def _eagerly() -> AbstractContextManager[object]:
    """What is compiled runs as it was written: the compiler cannot trace what makes dropout keep all."""
    # Loaded where anything is compiled; to load it for this alone would take seconds.
    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()


@contextmanager
def _as_it_was(model: nn.Module) -> Iterator[Callable[[], None]]:
    """Gives what sets the buffers back; after the block modes, buffers and the random state are as before it."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    state = random_state()

    def restore_buffers() -> None:
        for buffer, before in buffers:
            buffer.data.copy_(before)

    try:
        yield restore_buffers
    finally:
        for module, mode in modes:
            module.training = mode
        restore_buffers()
        restore_random_state(state)


def _same_state(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether no generator has drawn between the two."""
    tensors = zip([first["torch"], *first["cuda"]], [second["torch"], *second["cuda"]], strict=False)
    plain = all(first[name] == second[name] for name in ("python", "numpy"))
    return plain and all(torch.equal(*pair) for pair in tensors)


def _compare(model: nn.Module, found: Tensor, expected: Tensor) -> None:
    finite = expected[expected.isfinite()]
    largest = float(finite.abs().max()) if finite.numel() else 0.0
    tolerance = min(1e3 * torch.finfo(expected.dtype).eps, 0.05) * largest
    # What is NaN both ways is a model that diverged, and mixed nothing.
    if not bool(torch.isclose(found, expected, rtol=0.0, atol=tolerance, equal_nan=True).all()):
        raise ValueError(
            f"{type(model).__name__} gives other rows on the receptive field (by "
            f"{float((found - expected).abs().max()):.2g}) than on the full graph: it mixes rows outside its "
            "message-passing layers; use the full graph instead"
        )
