"""What a layer is called with: PyG's arguments, taken to the few forms that the mathematics uses."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.part import Part
from gnnkit.graph.receptive_field import Block
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.graph.sparse_product import over_nodes
from gnnkit.graph.validation import check_dtype

Graph = Adjacency | Block | Part
_SPARSE_COST = 8  # of a multiplication of the sparse product, in those of a dense one; a rough estimate

# Set on features whose linear map somebody waits for: then it comes before the messages, whatever it costs.
MAPPED_FIRST = "_gnnkit_mapped_first"


def as_graph(edge_index: Graph | Tensor, edge_weight: Tensor | None, *, num_nodes: int, dtype: torch.dtype) -> Graph:
    """The graph a layer sends messages along; a raw ``edge_index`` is converted anew at each call.

    Raises:
        TypeError: If it is neither a graph nor an edge list.
        ValueError: If it does not fit the number of nodes, or weights come beside a graph that has its own.
    """
    if isinstance(edge_index, Adjacency | Block | Part):
        if edge_weight is not None:
            raise ValueError(
                "edge_weight was given beside a graph that holds its own weights; make the graph with them: "
                "Adjacency.from_edge_index(edge_index, edge_weight, num_nodes=...)"
            )
        expected = edge_index.num_sources if isinstance(edge_index, Block) else edge_index.num_nodes
        if expected != num_nodes:
            raise ValueError(f"the graph has {expected} nodes but the features have {num_nodes} rows")
        return edge_index
    if not isinstance(edge_index, Tensor) or edge_index.layout != torch.strided:
        kind = type(edge_index).__name__ if not isinstance(edge_index, Tensor) else f"a {edge_index.layout} tensor"
        raise TypeError(
            f"edge_index must be an Adjacency or a dense tensor of shape (2, num_edges), got {kind}; "
            "Adjacency.from_scipy and from_dense read matrices"
        )
    if edge_weight is None:
        edge_weight = torch.ones(edge_index.shape[-1:], dtype=dtype, device=edge_index.device)
    return Adjacency.from_edge_index(edge_index, edge_weight, num_nodes=num_nodes)


def check_channels(**sizes: int) -> None:
    """Raise ValueError unless every size is one that a weight can have."""
    for name, size in sizes.items():
        if not 1 <= size < 2**31:
            raise ValueError(f"{name} must be from 1 to 2**31 - 1, got {size}")


def as_features(x: Tensor | SparseMatrix, in_channels: int) -> Tensor | SparseMatrix:
    """Node features, dense ``(*, N, F)`` or sparse ``(N, F)``.

    Raises:
        TypeError: If they are no tensor of floating-point numbers.
        ValueError: If the last dimension is not ``in_channels``.
    """
    if not isinstance(x, Tensor | SparseMatrix):
        raise TypeError(f"node features must be a torch.Tensor, got {type(x).__name__}")
    if len(x.shape) < 2 or x.shape[-1] != in_channels:
        raise ValueError(
            f"node features must have shape (*, num_nodes, {in_channels}), in_channels={in_channels}, "
            f"got {tuple(x.shape)}"
        )
    if isinstance(x, SparseMatrix):
        return x
    if not x.dtype.is_floating_point:
        raise TypeError(f"node features must be floating-point, got {x.dtype}; convert with .float()")
    return x if x.layout == torch.strided else SparseMatrix.from_tensor(x)


def transform(x: Tensor | SparseMatrix, weight: Tensor) -> Tensor:
    """Compute x W^T without a bias, for dense and for sparse features; ``weight`` as ``torch.nn.Linear`` holds it.

    Raises:
        TypeError: If the features' dtype is not the layer's.
    """
    _check_transformed(x, weight)
    if isinstance(x, SparseMatrix):
        return x.matmul(weight.t())
    return torch.nn.functional.linear(x, weight)


def _check_transformed(x: Tensor | SparseMatrix, weight: Tensor) -> None:
    dtype = x.values.dtype if isinstance(x, SparseMatrix) else x.dtype
    if dtype != weight.dtype and not torch.is_autocast_enabled(weight.device.type):
        raise TypeError(
            f"node features are {dtype} and the layer's weights {weight.dtype}; "
            f"convert the features with x.to({weight.dtype}) or the layer with .to({dtype})"
        )


def propagate(graph: Graph, full: Adjacency | Part, x: Tensor) -> Tensor:
    """Messages along ``full``, a weighted form of the graph, or along the block's slice of it.

    Raises:
        TypeError: If the features' dtype is not the graph's.
    """
    if not isinstance(graph, Block):
        return full.propagate(x)
    assert not isinstance(full, Part), "a block is cut from an Adjacency"
    check_dtype(x, full.dtype)
    return over_nodes(graph.restrict(full).matmul, x)


def propagate_transformed(graph: Graph, full: Adjacency | Part, x: Tensor | SparseMatrix, weight: Tensor) -> Tensor:
    """A^ (X W^T), or (A^ X) W^T where that is less work: into few targets, or to more channels than come in.

    Raises:
        TypeError: As `transform` and `propagate`.
    """
    _check_transformed(x, weight)
    may_swap = type(x) is Tensor and not hasattr(x, MAPPED_FIRST) and not isinstance(full, Part)
    if may_swap and _narrow_first(graph, full, *weight.shape):
        return transform(propagate(graph, full, cast(Tensor, x)), weight)
    return propagate(graph, full, transform(x, weight))


def _narrow_first(graph: Graph, full: Adjacency | Part, out_channels: int, in_channels: int) -> bool:
    """Whether messages cost less before the weights than after them."""
    if isinstance(graph, Block):
        assert not isinstance(full, Part), "a block is cut from an Adjacency"
        sources, targets, edges = graph.num_sources, graph.num_targets, graph.restrict(full).values.numel()
    else:
        sources = targets = full.num_nodes
        edges = full.num_edges
    first = targets * in_channels * out_channels + _SPARSE_COST * edges * _lanes(in_channels)
    after = sources * in_channels * out_channels + _SPARSE_COST * edges * _lanes(out_channels)
    return first < after


def _lanes(channels: int) -> int:
    """Channels as the sparse product pays for them: sixteen at a time."""
    return -(-channels // 16) * 16


def full_graph(graph: Graph) -> Adjacency | Part:
    """The graph itself, or the one a block was cut from."""
    return graph.graph if isinstance(graph, Block) else graph
