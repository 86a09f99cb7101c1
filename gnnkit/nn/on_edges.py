"""The layers' mathematics on plain tensors: gather along the edges, sum at their targets.

The second body of the convolutions, and the only one that ``torch.export`` can follow: an exported program knows
neither `Adjacency` nor our operators, and the numbers of nodes and edges are left open in it. It therefore looks at no
value, so nothing is sorted or selected: a self-loop that PyG's rule would remove is one whose weight is 0, and those
that it would add are a sum of their own, over nodes.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional


def checked_edges(edge_index: object) -> Tensor:
    """The edge list of a layer that is being exported, ``(2, E)``.

    Raises:
        TypeError: If it is no dense tensor of integers: a graph object has no place in an exported program.
        ValueError: If its shape is another.
    """
    if not isinstance(edge_index, Tensor) or edge_index.layout != torch.strided:
        raise TypeError(
            f"under torch.export a layer takes a plain edge_index, got {type(edge_index).__name__}; "
            "gnnkit.export(model, x, graph) makes a program of one, or pass graph.to_edge_index()"
        )
    if edge_index.dim() != 2 or edge_index.size(0) != 2:
        raise ValueError(f"edge_index must have shape (2, num_edges), got {tuple(edge_index.shape)}")
    if edge_index.dtype not in (torch.int32, torch.int64):
        raise TypeError(f"edge_index must hold integers, got {edge_index.dtype}; convert with .long()")
    return edge_index.long()


def propagate_on_edges(
    x: Tensor,
    edge_index: object,
    edge_weight: Tensor | None,
    self_loop_weight: float | Tensor | None,
    kind: Literal["sym", "row"] | None,
) -> Tensor:
    """A^ x of a graph convolution, ``(*, N, F) -> (*, N, F)``; see `gnnkit.nn.gcn.gcn_normalized`.

    Repeated edges count with the sum of their weights, as where an `Adjacency` is made of them.

    Args:
        x: What the nodes send.
        edge_index: ``(2, E)``, sources and targets.
        edge_weight: ``(E)``; ones when omitted. Weights are not looked at: where a degree is not positive, nothing
            arrives.
        self_loop_weight: Of nodes without a self-loop; None adds none.
        kind: ``"sym"``, ``"row"``, or None for the weights as they are.

    Raises:
        TypeError: If the edges or the features are not plain tensors.
        ValueError: If a shape does not fit.
    """
    source, target = checked_edges(edge_index).unbind(0)
    if not isinstance(x, Tensor):
        raise TypeError(f"under torch.export node features are dense, got {type(x).__name__}; pass x.to_dense()")
    if edge_weight is not None and edge_weight.shape != target.shape:
        raise ValueError(
            f"edge_weight must have shape {tuple(target.shape)}, one number per edge, got {tuple(edge_weight.shape)}"
        )
    weight = x.new_ones(target.shape) if edge_weight is None else edge_weight.to(x.dtype)
    own = x.new_zeros(x.size(-2))  # the self-loops that are added
    if self_loop_weight is not None:
        loops = own.index_add(0, target, (source == target).to(x.dtype))
        own = torch.where(loops > 0, 0.0, self_loop_weight).to(x.dtype)
    if kind is not None:
        # In float64, as everywhere: the inverse of a subnormal float32 is infinite in float32.
        degree = own.double().index_add(0, target, weight.double())
        scale = _power(degree, -0.5 if kind == "sym" else -1.0)
        at_target = scale.index_select(0, target)
        factor = scale.index_select(0, source) * at_target if kind == "sym" else at_target
        weight = (weight * factor).to(x.dtype)
        own = (own * (scale * scale if kind == "sym" else scale)).to(x.dtype)
    messages = weight.unsqueeze(-1) * x.index_select(-2, source)
    return (own.unsqueeze(-1) * x).index_add(-2, target, messages)


def attend_on_edges(
    sent: Tensor, edge_index: Tensor, logits: Tensor, own_logits: Tensor | None, *, dropout: float = 0.0
) -> Tensor:
    """What arrives of ``sent`` where the weights of a node's entering edges are the softmax of their logits.

    Args:
        sent: ``(*, N, heads, C)``.
        edge_index: ``(2, E)``; each of several equal edges counts.
        logits: ``(*, E, heads)``.
        own_logits: Of the self-loop that every node then has, ``(*, N, heads)``; those among the edges do not count.
        dropout: Probability of dropping an edge's weight in one head.

    Returns:
        ``(*, N, heads, C)``; zeros for a node that no edge enters.
    """
    source, target = edge_index.unbind(0)
    start = torch.full_like(sent[..., 0], float("-inf"))
    if own_logits is not None:
        start, loop = own_logits, (source == target).unsqueeze(-1)
        logits = torch.where(loop, float("-inf"), logits)
    index = target.unsqueeze(-1).expand(logits.shape)
    peak = start.scatter_reduce(-2, index, logits, "amax")
    weight = (logits - peak.index_select(-2, target)).exp()
    own = (start - peak).exp() if own_logits is not None else torch.zeros_like(start)
    total = own.index_add(-2, target, weight)
    alpha = functional.dropout(weight / total.index_select(-2, target), dropout)
    messages = alpha.unsqueeze(-1) * sent.index_select(-3, source)
    if own_logits is None:
        return torch.zeros_like(sent).index_add(-3, target, messages)
    return (functional.dropout(own / total, dropout).unsqueeze(-1) * sent).index_add(-3, target, messages)


def loop_features_on_edges(
    edge_attr: Tensor, edge_index: Tensor, num_nodes: int, fill_value: float | Tensor | str
) -> Tensor:
    """Features of every node's self-loop, ``(E, D) -> (N, D)``, as `gnnkit.graph.edge_features` fills them in."""
    shape = num_nodes, edge_attr.size(1)
    if not isinstance(fill_value, str):
        return torch.as_tensor(fill_value, dtype=edge_attr.dtype, device=edge_attr.device).expand(shape)
    source, target = edge_index.unbind(0)
    other = (source != target).unsqueeze(-1)
    count = edge_attr.new_zeros(num_nodes).index_add(0, target, other.squeeze(-1).to(edge_attr.dtype)).unsqueeze(-1)
    if fill_value in ("mean", "add"):
        total = edge_attr.new_zeros(shape).index_add(0, target, torch.where(other, edge_attr, 0.0))
        return total / count.clamp(min=1) if fill_value == "mean" else total
    neutral, reduction, absent = {
        "min": (float("inf"), "amin", 0.0),
        "max": (float("-inf"), "amax", 0.0),
        "mul": (1.0, "prod", 1.0),
    }[fill_value]
    index = target.unsqueeze(-1).expand(edge_attr.shape)
    entering = torch.where(other, edge_attr, neutral)
    found = edge_attr.new_full(shape, neutral).scatter_reduce(0, index, entering, reduction)
    return torch.where(count > 0, found, absent)


def _power(degree: Tensor, exponent: float) -> Tensor:
    positive, tiny = degree > 0, torch.finfo(degree.dtype).tiny
    return torch.where(positive, torch.where(positive, degree, 1.0).clamp(min=tiny).pow(exponent), 0.0)
