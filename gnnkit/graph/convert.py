"""Graphs of other libraries, read into edge lists and written back."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    import networkx
    import scipy.sparse

    from gnnkit.graph.adjacency import Adjacency

Edges = tuple[Tensor, Tensor | None, int]


def edges_from_scipy(matrix: Any) -> Edges:
    """Edge list of a square scipy sparse matrix or array."""
    import numpy as np
    import scipy.sparse

    is_sparse: bool = scipy.sparse.issparse(matrix)
    if not is_sparse:
        raise TypeError(f"from_scipy takes a scipy sparse matrix or array, got {type(matrix).__name__}")
    if len(matrix.shape) != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"an adjacency matrix must be square, (N, N), got shape {matrix.shape}")
    coo = matrix.tocoo()
    if coo.data.dtype.kind not in "fiub":
        raise TypeError(f"weights must be real numbers, got {coo.data.dtype}")
    data = coo.data.astype(np.float64) if coo.data.dtype.kind == "f" and coo.data.itemsize > 8 else coo.data
    edge_index = torch.from_numpy(np.stack([coo.row, coo.col]).astype(np.int64))
    # ascontiguousarray also brings another byte order to this machine's, which torch asks for.
    native = np.array(data, dtype=data.dtype.newbyteorder("="))
    if native.dtype.kind != "u":
        return edge_index, torch.from_numpy(native), int(matrix.shape[0])
    # By way of float64: torch lacks most unsigned dtypes, and int64 is short of the largest.
    weight = torch.from_numpy(native.astype(np.float64)).to(torch.get_default_dtype())
    return edge_index, weight, int(matrix.shape[0])


def edges_from_networkx(graph: Any, weight: str | None) -> Edges:
    """Edge list of a networkx graph, nodes numbered in the order of ``graph.nodes``."""
    import networkx

    if not isinstance(graph, networkx.Graph):
        raise TypeError(f"from_networkx takes a networkx graph, got {type(graph).__name__}")
    number = {node: index for index, node in enumerate(graph.nodes)}
    source, target, weights = [], [], []
    for start, end, attributes in graph.edges(data=True):
        value = 1.0 if weight is None else attributes.get(weight, 1.0)
        try:
            value = float(value)
        except (TypeError, ValueError):
            raise ValueError(
                f"the edge {start!r} - {end!r} has {weight}={value!r}, which is not a number; "
                "name another attribute with weight=, or pass weight=None"
            ) from None
        both_ways = not graph.is_directed() and start != end
        for one, other in ((start, end), (end, start)) if both_ways else ((start, end),):
            source.append(number[one])
            target.append(number[other])
            weights.append(value)
    edge_index = torch.tensor([source, target], dtype=torch.int64).view(2, -1)
    return edge_index, torch.tensor(weights, dtype=torch.get_default_dtype()), len(number)


def edges_from_data(data: Any) -> Edges:
    """Edge list of a PyG ``Data``."""
    edge_index = getattr(data, "edge_index", None)
    if not isinstance(edge_index, Tensor):
        raise TypeError(f"from_data takes a PyG Data with an edge_index, got {type(data).__name__} without one")
    weight = getattr(data, "edge_weight", None)
    if weight is None:
        weight = getattr(data, "edge_attr", None)
        if weight is not None and not isinstance(weight, Tensor):
            raise TypeError(
                f"edge_attr must be a torch.Tensor, got {type(weight).__name__}; use torch.tensor(edge_attr)"
            )
        if weight is not None and weight.dim() == 2 and weight.size(1) == 1:
            weight = weight.view(-1)
        elif weight is not None and weight.dim() != 1:
            raise ValueError(
                f"edge_attr has shape {tuple(weight.shape)}, several numbers per edge, so it is no weight; "
                "set data.edge_weight, or use Adjacency.from_edge_index(data.edge_index, num_nodes=data.num_nodes)"
            )
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # PyG warns, then guesses the largest id + 1
        try:
            num_nodes = int(data.num_nodes)
        except UserWarning:
            raise ValueError(
                "this Data has neither num_nodes nor node features, so its nodes cannot be counted; set num_nodes"
            ) from None
    return edge_index, weight, num_nodes


def to_scipy(graph: Adjacency) -> scipy.sparse.csr_array:
    """A scipy CSR array; half dtypes, which scipy lacks, become float32."""
    import scipy.sparse

    matrix = graph._matrix
    values = matrix.values.detach().cpu()
    values = values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
    arrays = [part.cpu().numpy().copy() for part in (values, matrix.pattern.col, matrix.pattern.crow)]
    return scipy.sparse.csr_array(tuple(arrays), shape=matrix.shape)


def to_networkx(graph: Adjacency) -> networkx.DiGraph[int]:
    """A networkx ``DiGraph`` with every node, and a ``weight`` on each edge."""
    import networkx

    edge_index, weight = graph.to_edge_index()
    result: networkx.DiGraph[int] = networkx.DiGraph()
    result.add_nodes_from(range(graph.num_nodes))
    result.add_weighted_edges_from(zip(*edge_index.tolist(), weight.tolist(), strict=True))
    return result
