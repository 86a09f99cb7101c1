"""What an edge list must be before it becomes a graph: checked once, at the boundary."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import SupportsIndex

import torch
from torch import Tensor

from gnnkit.graph.pattern import plain


def checked_device(device: torch.device | str) -> torch.device:
    """``device`` as torch's own.

    Raises:
        ValueError: If torch knows no device of that name.
    """
    try:
        return torch.device(device)
    except RuntimeError:
        raise ValueError(f"there is no device {device!r}; choose cpu or cuda") from None


def checked_seed(seed: int) -> int:
    """``seed`` itself.

    Raises:
        ValueError: If it is not from 0 to 2**63 - 1, where every generator takes it.
    """
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed must be from 0 to 2**63 - 1, got {seed}")
    return seed


def checked_edge_index(edge_index: Tensor, num_nodes: int) -> Tensor:
    """``edge_index`` as int64 ``(2, num_edges)`` with every id in ``0 .. num_nodes - 1``.

    Raises:
        TypeError: If it is not a tensor, or its dtype is not an integer's.
        ValueError: If its shape is wrong or an id is not a node.
    """
    if not isinstance(edge_index, Tensor):
        raise TypeError(f"edge_index must be a torch.Tensor, got {type(edge_index).__name__}")
    if edge_index.layout != torch.strided:
        raise TypeError(
            f"edge_index must be a dense tensor, got {edge_index.layout}; Adjacency.from_scipy reads matrices"
        )
    if edge_index.dim() != 2 or edge_index.size(0) != 2:
        fix = (
            "pass edge_index.t() if the edges are stored one per row"
            if edge_index.dim() == 2 and edge_index.size(1) == 2
            else "row 0 holds sources, row 1 targets"
        )
        raise ValueError(f"edge_index must have shape (2, num_edges), got {tuple(edge_index.shape)}; {fix}")
    if edge_index.dtype.is_floating_point or edge_index.dtype.is_complex or edge_index.dtype == torch.bool:
        raise TypeError(f"edge_index must hold integers, got {edge_index.dtype}; convert with .long()")
    edge_index = edge_index.long()
    if edge_index.numel():
        low, high = (int(bound) for bound in torch.aminmax(edge_index))
        if low < 0 or high >= num_nodes:
            bad = low if low < 0 else high
            raise ValueError(
                f"edge_index holds the node id {bad}, but ids must lie in 0..{num_nodes - 1} "
                f"(num_nodes={num_nodes}); pass the right num_nodes or renumber the nodes"
            )
    return edge_index


def checked_edge_weight(edge_weight: Tensor, num_edges: int) -> Tensor:
    """One finite floating-point weight per edge; integers become the default dtype.

    Raises:
        TypeError: If it is not a tensor, or is complex.
        ValueError: If the shape is not ``(num_edges)``, or a weight is NaN or infinite.
    """
    if not isinstance(edge_weight, Tensor):
        raise TypeError(f"edge_weight must be a torch.Tensor, got {type(edge_weight).__name__}")
    if edge_weight.shape != (num_edges,):
        raise ValueError(
            f"edge_weight must have shape ({num_edges},), one number per edge, got {tuple(edge_weight.shape)}; "
            "features of several numbers per edge belong to a layer's edge_attr"
        )
    if edge_weight.dtype.is_complex:
        raise TypeError(f"edge_weight must be real, got {edge_weight.dtype}; pass .abs() or .real")
    if not edge_weight.dtype.is_floating_point:
        edge_weight = edge_weight.to(torch.get_default_dtype())
    looked_at = plain(edge_weight)
    finite = torch.isfinite(looked_at)
    if not bool(finite.all()):
        edge = int(torch.nonzero(~finite)[0, -1])
        raise ValueError(
            f"edge_weight[{edge}] is {float(looked_at[~finite][0])}; weights must be finite: drop or repair that edge"
        )
    return edge_weight


def checked_num_nodes(num_nodes: SupportsIndex) -> int:
    """``num_nodes`` as a non-negative int.

    Raises:
        TypeError: If it is not a whole number.
        ValueError: If it is negative.
    """
    try:
        number = operator.index(num_nodes)
    except TypeError:
        raise TypeError(f"num_nodes must be a whole number, got {num_nodes!r}") from None
    if isinstance(num_nodes, bool):
        raise TypeError(f"num_nodes must be a whole number, got {num_nodes!r}")
    if number < 0:
        raise ValueError(f"num_nodes must be 0 or more, got {number}")
    return number


def check_graph(graph: object) -> None:
    """Raise TypeError unless ``graph`` is one, and not its edges."""
    if not hasattr(graph, "num_nodes") or not hasattr(graph, "to_edge_index"):
        shown = f"a tensor of shape {tuple(graph.shape)}" if isinstance(graph, Tensor) else type(graph).__name__
        raise TypeError(f"graph must be an Adjacency, got {shown}; make one with Adjacency.from_edge_index")


def check_dtype(x: Tensor, weights: torch.dtype) -> None:
    """Features and weights must be of one floating-point dtype, except under autocast, which settles it.

    Raises:
        TypeError: If they differ, or the features are no floating-point numbers.
    """
    if not x.dtype.is_floating_point:
        fix = "take x.real or x.abs()" if x.dtype.is_complex else f"convert them with x.to({weights})"
        raise TypeError(f"node features are {x.dtype}, but must be floating-point; {fix}")
    if x.dtype != weights and not torch.is_autocast_enabled(x.device.type):
        raise TypeError(
            f"node features are {x.dtype} and the graph's weights {weights}; "
            f"use adjacency.to(dtype={x.dtype}) or convert the features"
        )


def checked_features(x: Tensor, num_nodes: int, weights: torch.dtype) -> Tensor:
    """Node features ``(*, N, F)`` as a dense tensor.

    Raises:
        TypeError: If they are no tensor, or their dtype is not the weights'.
        ValueError: If there is not one row per node.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"node features must be a torch.Tensor, got {type(x).__name__}")
    if x.dim() < 2 or x.size(-2) != num_nodes:
        raise ValueError(f"node features must have shape (*, {num_nodes}, F), one row per node, got {tuple(x.shape)}")
    x = x if x.layout == torch.strided else x.to_dense()
    check_dtype(x, weights)
    return x


def checked_node_ids(nodes: Tensor | Sequence[int] | int, num_nodes: int, *, name: str = "nodes") -> Tensor:
    """Node ids, or a boolean mask over the nodes, as a one-dimensional int64 tensor.

    Raises:
        TypeError: If they are no tensor or sequence of integers.
        ValueError: If an id is not a node, or a mask has the wrong length.
    """
    try:
        ids = torch.as_tensor(nodes)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name} must be a tensor or a list of ids, got {nodes!r:.80}") from None
    if ids.dtype == torch.bool:
        if ids.shape != (num_nodes,):
            raise ValueError(f"a mask of {name} must have shape ({num_nodes},), got {tuple(ids.shape)}")
        return torch.nonzero(ids).view(-1)
    if ids.numel() == 0:
        return torch.empty(0, dtype=torch.int64, device=ids.device)
    if ids.dtype.is_floating_point or ids.dtype.is_complex:
        raise TypeError(f"{name} must be integers, got {ids.dtype}; convert with .long()")
    if ids.dim() > 1:
        raise ValueError(f"{name} must be one id or a one-dimensional tensor of them, got shape {tuple(ids.shape)}")
    ids = ids.long().view(-1)
    low, high = (int(bound) for bound in torch.aminmax(ids))
    if low < 0 or high >= num_nodes:
        bad = low if low < 0 else high
        raise ValueError(f"{name} holds {bad}, which is not a node of this graph: ids are 0..{num_nodes - 1}")
    return ids
