"""Influence by hop and by step at once: the light cone of a model of sequences on nodes."""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn

from gnnkit.diagnostics.hop_flow import ProgressSink
from gnnkit.diagnostics.jacobian import Norm, evaluated
from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.hops import hop_distance
from gnnkit.graph.receptive_field import receptive_field
from gnnkit.models.sequence_graph import SequenceGraph
from recurrent.sequences import Sequences


def influence_by_hop_and_step(
    model: nn.Module,
    x: Tensor | Sequences,
    graph: Adjacency,
    nodes: Tensor,
    norm: Norm,
    dtype: torch.dtype | None,
    progress: ProgressSink | None,
) -> tuple[Tensor, Tensor]:
    """Influence ``(S, H + 1, T)`` on the last step's output, and that of nodes without a path to it ``(S)``."""
    if dtype is not None:
        model, x, graph = copy.deepcopy(model).to(dtype), _converted(x, dtype), graph.to(dtype=dtype)
    with evaluated(model), torch.inference_mode(False), torch.enable_grad():
        if isinstance(model, SequenceGraph):
            return _of_encoded(model, x, graph, nodes, norm, progress)
        return _of_mixed(model, x, graph, nodes, norm, progress)


def _of_mixed(
    model: nn.Module,
    x: Tensor | Sequences,
    graph: Adjacency,
    nodes: Tensor,
    norm: Norm,
    progress: ProgressSink | None,
) -> tuple[Tensor, Tensor]:
    """Of any model called as ``model(x, graph)``: one pass forward, then back from one output at a time."""
    if not isinstance(x, Tensor) or x.dim() != 3 or x.size(0) == 0 or x.size(1) != graph.num_nodes:
        got = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"sequences on {graph.num_nodes} nodes must have shape (T, {graph.num_nodes}, F), got {got}")
    if not x.is_floating_point():
        raise TypeError(f"a model of features takes floating-point ones, got {x.dtype}; convert with .float()")
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
    return _side_by_side(cones, leaf.new_zeros(0, x.size(0))), elsewhere


def _of_encoded(
    model: SequenceGraph,
    x: Tensor | Sequences,
    graph: Adjacency,
    nodes: Tensor,
    norm: Norm,
    progress: ProgressSink | None,
) -> tuple[Tensor, Tensor]:
    """Of a `SequenceGraph`, each node's field by itself; steps count back from every sequence's own end."""
    with torch.no_grad():
        read = model.embed(x)
    if isinstance(read, Tensor):
        if read.dim() != 3:
            raise ValueError(f"sequences must be (T, N, F), or (T, N) of token ids, got {tuple(cast(Tensor, x).shape)}")
        read = Sequences.from_padded(read.transpose(0, 1))
    if len(read) != graph.num_nodes:
        raise ValueError(f"there must be a sequence on each of {graph.num_nodes} nodes, got {len(read)}")
    longest = max(1, int(read.lengths.max()))
    cones: list[Tensor] = []
    for place, node in enumerate(nodes):
        field = receptive_field(graph, node.view(1), model.num_layers)
        rows = read.select_rows(field.nodes)
        leaf = rows.values.detach().clone().requires_grad_()
        out = model.read_out(Sequences(leaf, rows.lengths), field.blocks)
        norms = _norms(out[0], leaf, norm)
        ends = rows.lengths.cumsum(0)
        owner = torch.repeat_interleave(torch.arange(len(rows), device=leaf.device), rows.lengths)
        back = ends[owner] - 1 - torch.arange(len(leaf), device=leaf.device)
        cone = norms.new_zeros((model.num_layers + 1) * longest)
        cone.index_add_(0, field.hops[owner] * longest + back, norms)
        cones.append(cone.view(-1, longest))
        if progress is not None:
            progress.update(place + 1)
    return _side_by_side(cones, read.values.new_zeros(0, longest)), read.values.new_zeros(nodes.numel())


def _side_by_side(cones: list[Tensor], nothing: Tensor) -> Tensor:
    """Every output's ``(hops, steps)``, up to the farthest hop that moves any of them."""
    width = max((int(cone.sum(1).nonzero().max()) + 1 for cone in cones if bool(cone.any())), default=1)
    result = nothing.new_zeros(len(cones), width, nothing.size(1))
    for place, cone in enumerate(cones):
        result[place, : min(width, len(cone))] = cone[:width]
    return result


def _converted(x: Tensor | Sequences, dtype: torch.dtype) -> Tensor | Sequences:
    if isinstance(x, Sequences):
        return x.to(dtype=dtype)
    return x.to(dtype) if isinstance(x, Tensor) and x.is_floating_point() else x


def _norms(outputs: Tensor, leaf: Tensor, norm: Norm) -> Tensor:
    """The norm of d outputs / d leaf for every row of features, ``(*)``; the tape stays for other outputs."""
    total = leaf.new_zeros(leaf.shape[:-1])
    for output in outputs:
        if output.requires_grad:
            (gradient,) = torch.autograd.grad(output, leaf, retain_graph=True, materialize_grads=True)
            total += gradient.abs().sum(-1) if norm == "l1" else gradient.square().sum(-1)
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
