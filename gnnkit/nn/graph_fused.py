"""Which steps of recurrent graph cells are taken as one function of `gnnkit.nn.graph_kernels`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gnnkit.nn.attention_terms import AttentionTerms
from gnnkit.nn.graph_cells import GraphGRUCell, GraphLSTMCell
from gnnkit.nn.graph_gru_kernels import GRUSequence, GRUSequenceResetBefore
from gnnkit.nn.graph_kernels import LSTMSequence
from gnnkit.nn.operators import Terms
from recurrent.cells import HiddenState, LSTMState


def is_fused(cell: object, terms: Sequence[Terms | AttentionTerms], state: LSTMState | HiddenState) -> bool:
    """Whether these steps may be taken as one function."""
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return False
    if torch.is_autocast_enabled(state[0].device.type) or any(each.varies for each in terms):
        return False
    return type(cell) in (GraphLSTMCell, GraphGRUCell)


def run_fused(
    cell: GraphLSTMCell | GraphGRUCell, heard: Tensor, terms: list[Terms], state: Any, size: tuple[int, int]
) -> tuple[Tensor, Any]:
    """All steps: ``heard (T, rows, terms x F)`` to every hidden state ``(T, rows, H)`` and the last state.

    ``size`` is nodes and sequences; rows are their pairs, node by node.
    """
    weights = cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh
    if isinstance(cell, GraphLSTMCell):
        outputs, last = _apply(LSTMSequence, terms, size, heard, *state, *weights, cell.peephole)
        return outputs, LSTMState(outputs[-1], last)
    function = GRUSequence if cell.reset == "after" else GRUSequenceResetBefore
    outputs = _apply(function, terms, size, heard, *state, *weights)
    return outputs, HiddenState(outputs[-1])


def _apply(function: type[torch.autograd.Function], *args: Any) -> Any:
    return function.apply(*args)  # type: ignore[no-untyped-call]
