"""Hop distances as inputs of a model: between all pairs of nodes, or from every node to a few anchors."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.hops import hop_distance
from gnnkit.graph.walk import Direction, checked_max_hops


class AddHopDistance(BaseTransform):  # type: ignore[misc]  # PyG is not type-checked
    r"""Add the hop distances of all ordered pairs of nodes, as Graphormer's attention bias indexes them.

    A pair farther apart than ``max_hops``, or with no path, gets ``max_hops + 1``, so that the bias is
    ``torch.nn.Embedding(max_hops + 2, num_heads)(data.hop_distance)`` (Ying et al., "Do Transformers Really Perform
    Bad for Graph Representation?", NeurIPS 2021, https://arxiv.org/abs/2106.05234, eq. 6).

    Pairs are listed row by row, so ``data.hop_distance.view(N, N)[i, j]`` leads from i to j. Graphs of different sizes
    go into one mini-batch, of which ``to_dense_adj(batch.hop_index, batch.batch, batch.hop_distance)`` makes a padded
    ``(B, N, N)`` matrix, with 0 where there is no node.

    Args:
        max_hops: The largest distance told apart.
        direction: Follow edges ``"out"`` of a node, ``"in"`` to it, or ``"both"`` ways.

    Shapes:
        - **hop_index:** :math:`(2, |\mathcal{V}|^2)`, int64: from, to
        - **hop_distance:** :math:`(|\mathcal{V}|^2)`, int64

    Raises:
        TypeError: If ``max_hops`` is not a whole number, or the data has no ``edge_index``.
        ValueError: If ``max_hops`` is negative or there is no such direction.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3)
        >>> AddHopDistance(max_hops=1)(data).hop_distance.view(3, 3).tolist()
        [[0, 1, 2], [2, 0, 1], [2, 2, 0]]
    """

    def __init__(self, max_hops: int, *, direction: Direction = "out") -> None:
        max_hops_checked = checked_max_hops(max_hops)
        if max_hops_checked is None:
            raise TypeError("max_hops must be a whole number, got None; an attention bias has finitely many entries")
        if max_hops_checked >= 2**31:
            raise ValueError(f"max_hops must be below 2**31, got {max_hops}")
        self.max_hops, self.direction = max_hops_checked, _checked_direction(direction)

    def forward(self, data: Data) -> Data:
        """Set ``hop_index`` and ``hop_distance``."""
        graph = _structure(data)
        hops = hop_distance(graph, max_hops=self.max_hops, direction=self.direction).long()
        nodes = torch.arange(graph.num_nodes, device=hops.device)
        data.hop_index = torch.cartesian_prod(nodes, nodes).view(-1, 2).t().contiguous()
        data.hop_distance = torch.where(hops < 0, self.max_hops + 1, hops).view(-1)
        return data

    def __repr__(self) -> str:
        return f"AddHopDistance(max_hops={self.max_hops}, direction={self.direction!r})"


class AddHopEncoding(BaseTransform):  # type: ignore[misc]  # PyG is not type-checked
    r"""Add each node's hops to given anchors: where in the graph it is, as no local message can tell.

    Anchors as in You et al., "Position-aware Graph Neural Networks", ICML 2019, https://arxiv.org/abs/1906.04817.

    Args:
        anchors: Node ids; or the name of an attribute of the data that holds the ids, or a mask over the nodes.
        max_hops: Anchors farther than this count as unreached.
        direction: Count along edges ``"out"`` of the node, ``"in"`` to it, or ``"both"`` ways.
        attr_name: Where the hops go; ``None`` appends them to the node features ``x``, in their dtype.

    Shapes:
        - **output:** :math:`(|\mathcal{V}|, \text{anchors})`, int64; -1 where no path leads to the anchor

    Raises:
        TypeError: If the data has no ``edge_index``.
        ValueError: If an anchor is not a node, the data lacks the named attribute, or has no ``x`` to append to.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3)
        >>> AddHopEncoding([2, 0])(data).hop_encoding.tolist()
        [[2, 0], [1, -1], [0, -1]]
    """

    def __init__(
        self,
        anchors: Sequence[int] | Tensor | str,
        *,
        max_hops: int | None = None,
        direction: Direction = "out",
        attr_name: str | None = "hop_encoding",
    ) -> None:
        self.anchors, self.attr_name = anchors, attr_name
        self.max_hops, self.direction = checked_max_hops(max_hops), _checked_direction(direction)

    def forward(self, data: Data) -> Data:
        """Set the attribute ``attr_name``, or widen ``x``."""
        graph = _structure(data)
        anchors = self.anchors
        if isinstance(anchors, str):
            if anchors not in data:
                raise ValueError(f"the data has no attribute {anchors!r} to take anchors from; it has {data.keys()}")
            anchors = data[anchors]
        # From the anchor against the direction asked for: one search per anchor, not one per node.
        back: Direction = {"out": "in", "in": "out", "both": "both"}[self.direction]  # type: ignore[assignment]
        hops = hop_distance(graph, anchors, max_hops=self.max_hops, direction=back).t().long()
        if self.attr_name is not None:
            data[self.attr_name] = hops.contiguous()
            return data
        if data.x is None:
            raise ValueError("attr_name=None appends to the node features, but the data has no x; name an attribute")
        features = data.x.view(-1, 1) if data.x.dim() == 1 else data.x
        data.x = torch.cat([features, hops.to(features.dtype)], dim=-1)
        return data

    def __repr__(self) -> str:
        named = repr(self.anchors) if isinstance(self.anchors, str) else f"{len(self.anchors)} nodes"
        return f"AddHopEncoding(anchors={named}, max_hops={self.max_hops}, direction={self.direction!r})"


def _checked_direction(direction: Direction) -> Direction:
    if direction not in ("out", "in", "both"):
        raise ValueError(f"direction must be 'out', 'in' or 'both', got {direction!r}")
    return direction


def _structure(data: Data) -> Adjacency:
    """The edges alone: features of edges do not matter to hops."""
    if not isinstance(data, Data):
        raise TypeError(f"hops are counted on a PyG Data of one kind of node, got {type(data).__name__}")
    bare = copy.copy(data)
    bare.edge_weight = bare.edge_attr = None
    return Adjacency.from_data(bare)
