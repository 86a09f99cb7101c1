"""Influence by hop and by step at once: the light cone of a model of sequences on nodes."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from gnnkit.diagnostics.hop_flow import ProgressSink
from gnnkit.diagnostics.jacobian import Norm, evaluated
from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.hops import hop_distance


def influence_by_hop_and_step(
    model: nn.Module,
    x: Tensor,
    graph: Adjacency,
    nodes: Tensor,
    norm: Norm,
    dtype: torch.dtype | None,
    progress: ProgressSink | None,
) -> tuple[Tensor, Tensor]:
    """Influence ``(S, H + 1, T)`` on the last step's output, and that of nodes without a path to it ``(S)``."""
    if not isinstance(x, Tensor) or x.dim() != 3 or x.size(0) == 0 or x.size(1) != graph.num_nodes:
        got = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"sequences on {graph.num_nodes} nodes must have shape (T, {graph.num_nodes}, F), got {got}")
    if dtype is not None:
        model, x, graph = copy.deepcopy(model).to(dtype), x.to(dtype), graph.to(dtype=dtype)
    with evaluated(model), torch.inference_mode(False), torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        out = _last_step(model(leaf, graph), graph.num_nodes)
        cones: list[Tensor] = []
        elsewhere = x.new_zeros(nodes.numel())
        for place, node in enumerate(nodes):
            norms = _norms(out[node], leaf, norm).flip(0)
            hops = hop_distance(graph, node.view(1), direction="in")[0].long()
            reached = hops >= 0
            by_hop = norms.new_zeros(int(hops.max()) + 1, len(norms))
            cones.append(by_hop.index_add_(0, hops[reached], norms[:, reached].t()))
            elsewhere[place] = norms[:, ~reached].sum()
            if progress is not None:
                progress.update(place + 1)
    width = max((int(cone.sum(1).nonzero().max()) + 1 for cone in cones if bool(cone.any())), default=1)
    result = x.new_zeros(len(cones), width, x.size(0))
    for place, cone in enumerate(cones):
        result[place, : min(width, len(cone))] = cone[:width]
    return result, elsewhere


def _norms(outputs: Tensor, leaf: Tensor, norm: Norm) -> Tensor:
    """The norm of d outputs / d leaf for every step and node, ``(T, N)``; the tape stays for other outputs."""
    total = leaf.new_zeros(leaf.shape[:2])
    for output in outputs:
        if output.requires_grad:
            (gradient,) = torch.autograd.grad(output, leaf, retain_graph=True, materialize_grads=True)
            total += gradient.abs().sum(2) if norm == "l1" else gradient.square().sum(2)
    return total if norm == "l1" else total.sqrt_()


def _last_step(out: Any, num_nodes: int) -> Tensor:
    """What the model says of every node after the last step, ``(N, outputs)``."""
    if isinstance(out, tuple):
        out = out[0]
    if isinstance(out, Tensor) and out.dim() == 3:
        out = out[-1]
    if not isinstance(out, Tensor) or out.dim() != 2 or out.size(0) != num_nodes:
        got = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise TypeError(f"the model must give (T, {num_nodes}, outputs) or ({num_nodes}, outputs), got {got}")
    return out
