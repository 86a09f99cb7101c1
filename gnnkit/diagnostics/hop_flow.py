"""Influence by hop: how strongly the input of nodes h hops away moves a node's output."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from gnnkit.diagnostics.ego_graphs import EgoBlocks, EgoModel, Egos, SharedEdges
from gnnkit.diagnostics.jacobian import (
    FirstMaps,
    MappedNodes,
    Norm,
    RowsAreReadError,
    counted_bytes,
    evaluated,
    row_norms,
)
from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.hops import iter_hop_distance
from gnnkit.graph.receptive_field import Block, receptive_field
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.nn.inputs import as_features
from gnnkit.nn.prunable import is_pyg_model, prunable_layers, runs_known_code
from gnnkit.nn.pruned import Edges, Pruned, call, check_takes
from gnnkit.nn.rows import check_blocks, checked_rows
from recurrent.sequences import Sequences

_FIRST_BATCH = 4
_MAX_PAIRS = 1 << 24  # entries of the table (target, node) -> copy


class ProgressSink(Protocol):
    """What shows progress: `gnnkit.runs.Progress`, for one."""

    def update(self, completed: int, **fields: float | str) -> None:
        """Say that so many nodes are done."""
        ...


class Problem:
    """A model, its input and its graph, in one dtype; how to run it on receptive fields or on the whole graph."""

    def __init__(
        self,
        model: nn.Module,
        x: Tensor | SparseMatrix,
        graph: Adjacency,
        edges: Edges,
        dtype: torch.dtype | None,
        memory: int,
    ) -> None:
        values = x.values if isinstance(x, SparseMatrix) else x
        self.dtype = dtype or values.dtype
        if dtype is not None:
            wide = {each.dtype for each in model.parameters() if each.is_floating_point()} - {dtype}
            model = copy.deepcopy(model).to(dtype) if wide else model
            x = x.with_values(values.to(dtype)) if isinstance(x, SparseMatrix) else x.to(dtype)
            graph = graph.to(dtype=dtype)
            edges = Edges(edges.edge_index, *(None if each is None else each.to(dtype) for each in edges[1:]))
        self.model, self.x, self.graph, self.edges = model, x, graph, edges
        self.num_nodes = graph.num_nodes
        self.is_pyg, self.is_known = is_pyg_model(model), runs_known_code(model)
        if self.is_pyg:
            check_takes(model, edges)

    def rows(self, nodes: Tensor) -> Tensor:
        """The input of these nodes, dense, a leaf that requires a gradient."""
        if isinstance(self.x, SparseMatrix):
            return self.x.select_rows(nodes).to_dense().requires_grad_()
        return self.x.detach()[nodes].requires_grad_()

    def num_layers(self, nodes: Tensor) -> int | None:
        """How many hops the model sees, if it is exact on the receptive fields of ``nodes``; else None."""
        try:
            return self._checked_num_layers(nodes[:_FIRST_BATCH])
        except ValueError:  # what a model does outside its modules shows in its output alone
            return None

    def _checked_num_layers(self, nodes: Tensor) -> int | None:
        if self.is_pyg:
            num_layers = len(prunable_layers(self.model))
            field = receptive_field(self.graph, nodes, num_layers)
            inner = field.hops < num_layers
            Pruned(self.model, self.edges, self.num_nodes, field.targets, field.nodes, inner).check(self.x)
            return num_layers
        if not getattr(self.model, "takes_blocks", False):
            return None
        num_layers = cast(int, self.model.num_layers)
        field = receptive_field(self.graph, nodes, num_layers)
        every = torch.arange(self.num_nodes, device=nodes.device)
        check_blocks(
            self.model,
            lambda: checked_rows(self.model, self._on_blocks(self.rows(field.nodes), field.blocks), nodes.numel()),
            lambda: checked_rows(self.model, self.on_graph(self.rows(every)), self.num_nodes)[nodes],
        )
        return num_layers

    def _on_blocks(self, x: Tensor, blocks: Sequence[Block]) -> Tensor:
        extra = {} if self.edges.edge_attr is None else {"edge_attr": self.edges.edge_attr}
        return cast(Tensor, self.model(x, blocks, **extra))

    def on_fields(self) -> Callable[[Egos, Tensor], Tensor]:
        """From fields and their copies' rows to the targets' output."""
        if self.is_pyg:
            shared = SharedEdges(self.edges, self.num_nodes)
            return lambda egos, x: cast(Tensor, EgoModel(self.model, self.edges, self.num_nodes, egos, shared)(x))
        cutter = EgoBlocks(self.graph)
        return lambda egos, x: self._on_blocks(x, cutter.blocks(egos))

    def on_graph(self, x: Tensor) -> Tensor:
        """The output of all nodes."""
        if self.is_pyg:
            return cast(Tensor, call(self.model, x, self.edges))
        extra = {} if self.edges.edge_attr is None else {"edge_attr": self.edges.edge_attr}
        return cast(Tensor, self.model(x, self.graph, **extra))


def influence_by_hop(
    problem: Problem, nodes: Tensor, norm: Norm, memory: int, progress: ProgressSink | None
) -> tuple[Tensor, Tensor]:
    """Influence ``(S, H + 1)``, and that of nodes from which no path leads to the target ``(S)``."""
    with evaluated(problem.model), torch.inference_mode(False), torch.enable_grad():
        num_layers = problem.num_layers(nodes)
        influence = None
        if num_layers is not None:
            influence = _on_fields(problem, nodes, num_layers, norm, memory, progress)
        if influence is None:
            return _on_the_graph(problem, nodes, norm, memory, progress)
        return influence, influence.new_zeros(nodes.numel())


def _on_fields(
    problem: Problem, nodes: Tensor, num_layers: int, norm: Norm, memory: int, progress: ProgressSink | None
) -> Tensor | None:
    """Influence ``(S, L + 1)``, or None where one target's output turns out to hear of another's copies."""
    run = problem.on_fields()
    entering = SharedEdges(problem.edges, problem.num_nodes).entering
    result = torch.zeros(nodes.numel(), num_layers + 1, dtype=problem.dtype, device=nodes.device)
    batches = _Batches(problem.num_nodes, memory)
    mapped: MappedNodes | None = None
    for begin, end in batches.over(nodes.numel()):
        egos = Egos(entering, nodes[begin:end], num_layers)
        if not batches.accept(len(egos), end - begin):
            continue
        if begin == _FIRST_BATCH and batches.rows_to_come(nodes.numel() - begin) >= problem.num_nodes / 2:
            mapped = MappedNodes(problem.x)
        try:
            out, maps, kept = _forward(problem, run, egos, end - begin, mapped)
        except RowsAreReadError:
            mapped = None
            out, maps, kept = _forward(problem, run, egos, end - begin, None)
        if begin == 0 and not problem.is_known and row_norms(out[:1], maps, norm, retain=True)[egos.owner > 0].any():
            return None
        batches.learn(kept, len(egos), end - begin)
        norms = row_norms(out, maps, norm)
        place = egos.owner * (num_layers + 1) + egos.hop
        result[begin:end].view(-1).index_add_(0, place, norms)
        if progress is not None:
            progress.update(end)
    return result


def _forward(
    problem: Problem,
    run: Callable[[Egos, Tensor], Tensor],
    egos: Egos,
    targets: int,
    mapped: MappedNodes | None,
) -> tuple[Tensor, FirstMaps, int]:
    """The targets' output, the maps that it began with, and the bytes that both keep.

    Raises:
        RowsAreReadError: If the model does more with its input than what is in ``mapped``.
    """
    if mapped is None:
        x = problem.rows(egos.node)
        maps = FirstMaps(x)
    else:
        x = mapped.stand_in(len(egos))
        maps = FirstMaps(x, (mapped, egos.node))
    with counted_bytes() as kept, maps:
        out = checked_rows(problem.model, run(egos, x), targets)
    return out, maps, kept[0] + x.untyped_storage().nbytes()


class _Batches:
    """How many targets at once: as many as ``memory`` bytes hold, learnt from the batches before."""

    def __init__(self, num_nodes: int, memory: int) -> None:
        self._most = max(1, _MAX_PAIRS // max(num_nodes, 1))
        self._memory, self._bytes_per_row, self._rows_per_target = memory, 0.0, 0.0
        self._accepted = True

    def over(self, count: int) -> Iterator[tuple[int, int]]:
        """Ranges of targets; one that was not accepted comes again, halved."""
        begin, size = 0, min(_FIRST_BATCH, self._most)
        while begin < count:
            end = min(begin + size, count)
            yield begin, end
            if not self._accepted:
                size = max(1, (end - begin) // 2)
                continue
            begin = end
            rows = self._memory / max(self._bytes_per_row, 1.0)
            size = max(1, min(self._most, int(rows / max(self._rows_per_target, 1.0))))

    def accept(self, rows: int, targets: int) -> bool:
        """Whether so many rows fit; a single target always does, as nothing less gives its answer."""
        self._accepted = targets == 1 or rows * self._bytes_per_row <= 1.5 * self._memory
        return self._accepted

    def rows_to_come(self, targets: int) -> float:
        """How many rows so many more targets have, if they are like those before."""
        return targets * self._rows_per_target

    def learn(self, kept: int, rows: int, targets: int) -> None:
        """What a batch took."""
        self._bytes_per_row = max(self._bytes_per_row, 2 * kept / rows)  # gradients beside what the tape keeps
        self._rows_per_target = rows / targets


def _on_the_graph(
    problem: Problem, nodes: Tensor, norm: Norm, memory: int, progress: ProgressSink | None
) -> tuple[Tensor, Tensor]:
    """One pass forward over the whole graph, then back from one target at a time."""
    x = problem.rows(torch.arange(problem.num_nodes, device=nodes.device))
    maps = FirstMaps(x)
    with maps:
        out = checked_rows(problem.model, problem.on_graph(x), problem.num_nodes)
    influence: list[Tensor] = []
    elsewhere = torch.zeros(nodes.numel(), dtype=problem.dtype, device=nodes.device)
    block = max(1, memory // (8 * max(problem.num_nodes, 1)))
    done = 0
    for hops in iter_hop_distance(problem.graph, nodes, block_size=block, direction="in"):
        for row in hops:
            node = nodes[done : done + 1]
            norms = row_norms(out[node], maps, norm, retain=True)
            reached = row >= 0
            by_hop = norms.new_zeros(int(row.max()) + 1).index_add_(0, row[reached].long(), norms[reached])
            influence.append(by_hop)
            elsewhere[done] = norms[~reached].sum()
            done += 1
            if progress is not None:
                progress.update(done)
    width = max((int(row.nonzero().max()) + 1 for row in influence if bool(row.any())), default=1)
    result = torch.zeros(nodes.numel(), width, dtype=problem.dtype, device=nodes.device)
    for place, row in enumerate(influence):
        result[place, : min(width, row.numel())] = row[:width]
    return result, elsewhere


def checked_features(x: Any, num_nodes: int) -> Tensor | SparseMatrix:
    """Node features, ``(N, F)``, dense or sparse.

    Raises:
        TypeError: If they are no floating-point tensor.
        ValueError: If there is not one row per node.
    """
    if isinstance(x, Sequences):
        raise ValueError('sequences on nodes are measured with by=("hop", "step"); take .along("hop") of that')
    shape = tuple(getattr(x, "shape", ()))
    if len(shape) != 2 or shape[0] != num_nodes:
        what = f"shape {shape}" if shape else type(x).__name__
        raise ValueError(f"x must hold the features of {num_nodes} nodes, ({num_nodes}, F), got {what}")
    return as_features(x, shape[1])
