"""Sorting an edge list into CSR order, with several edges between the same two nodes made one."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnkit.graph.normalization import degree
from gnnkit.graph.pattern import Pattern, off_tape, plain, row_pointers
from gnnkit.graph.sparse import SparseMatrix


def coalesced(edge_index: Tensor, edge_weight: Tensor, num_nodes: int, how: str) -> SparseMatrix:
    """Edges sorted by source, then target, each once.

    Raises:
        ValueError: If ``how`` is ``"error"`` and an edge repeats, or weights of one edge add up to more than
            their dtype holds.
    """
    order, group, source, target = off_tape(lambda: _sorted_edges(edge_index, num_nodes))
    # clone(): a graph never shares memory with the tensors it was made from.
    weight = edge_weight.clone() if order is None else edge_weight[order]
    if group is not None:
        if how == "error":
            raise ValueError(_repeated_edge(group, source, target))
        if how == "sum":
            # Not in a half dtype: bfloat16 stops counting at 256.
            weight = degree(weight, group, source.numel()).to(weight.dtype)
            _check_sums(weight, source, target)
        else:
            lowest = weight.new_full((source.numel(),), float("-inf"))
            weight = lowest.scatter_reduce(0, group, weight, "amax")
    pattern = off_tape(lambda: Pattern(row_pointers(source, num_nodes), target, num_nodes))
    return SparseMatrix(pattern, weight)


def _sorted_edges(edge_index: Tensor, num_nodes: int) -> tuple[Tensor | None, Tensor | None, Tensor, Tensor]:
    """The sorting order (None: sorted already), each edge's group where edges repeat, and the distinct edges."""
    key = edge_index[0] * num_nodes + edge_index[1]
    order = None
    if key.numel() > 1 and not bool((key[1:] >= key[:-1]).all()):
        key, order = torch.sort(key, stable=True)
    new = torch.ones(key.numel(), dtype=torch.bool, device=key.device)
    new[1:] = key[1:] != key[:-1]
    if bool(new.all()):
        source, target = (end.clone() if order is None else end[order] for end in edge_index)
        return order, None, source, target
    key = key[new]
    group = torch.cumsum(new, 0) - 1
    return order, group, torch.div(key, num_nodes, rounding_mode="floor"), key % num_nodes


def _check_sums(weight: Tensor, source: Tensor, target: Tensor) -> None:
    looked_at = plain(weight)
    finite = torch.isfinite(looked_at)
    if not bool(finite.all()):
        edge = int(torch.nonzero(~finite)[0, -1])
        raise ValueError(
            f"the weights of the edge {int(source[edge])} -> {int(target[edge])} add up to "
            f"{float(looked_at[~finite][0])} in {weight.dtype}; scale the weights, convert them to a wider dtype, "
            "or pass coalesce='max'"
        )


def _repeated_edge(group: Tensor, source: Tensor, target: Tensor) -> str:
    counts = torch.bincount(group)
    first = int(torch.nonzero(counts > 1)[0])
    return (
        f"the edge {int(source[first])} -> {int(target[first])} occurs {int(counts[first])} times; "
        "pass coalesce='sum' or 'max' to merge such edges"
    )
