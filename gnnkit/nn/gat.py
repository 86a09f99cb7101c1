"""Graph attention, h_t = sum_s alpha_st W x_s + b with alpha = softmax over the edges entering t.

References: version 1, Velickovic et al., "Graph Attention Networks", ICLR 2018,
https://arxiv.org/abs/1710.10903: the logit is LeakyReLU(a_s . W x_s + a_t . W x_t). Version 2, Brody,
Alon & Yahav, "How Attentive are Graph Attention Networks?", ICLR 2022,
https://arxiv.org/abs/2105.14491: it is a . LeakyReLU(W_l x_s + W_r x_t), so that which source matters
most may depend on the target.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.attention import attend
from gnnkit.graph.edge_features import entering_features
from gnnkit.graph.entering import EnteringEdges, entering_edges
from gnnkit.graph.pair_scores import block_diagonal, pair_scores
from gnnkit.graph.receptive_field import Block
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.nn.dropout import checked_probability, keep_probability, kept, kept_of
from gnnkit.nn.inputs import Graph, as_features, as_graph, check_channels, transform
from gnnkit.nn.on_edges import attend_on_edges, checked_edges, loop_features_on_edges
from gnnkit.nn.row_draws import active_draws

FillValue = Literal["mean", "add", "min", "max", "mul"]


class Attention(NamedTuple):
    """Who listens to whom: the input edges in their order, then the self-loops that were added."""

    edge_index: Tensor  # (2, E'), sources and targets
    alpha: Tensor  # (*, E', heads)
    is_added: Tensor  # (E'), bool


class GATConv(nn.Module):
    r"""Graph attention: node features ``(*, N, in_channels) -> (*, N, heads * out_channels)``.

    Called as PyG's ``GATConv`` (``version=1``) and ``GATv2Conv`` (``version=2``), and with their
    ``state_dict``. The weights of an ``Adjacency`` are not read: attention learns its own, and every
    stored edge is one; pass them as ``edge_attr`` to let it see them. A node that no edge enters, which
    only ``add_self_loops=False`` allows, gets the bias alone.

    Args:
        in_channels: Features per node that go in.
        out_channels: Features per node and head that come out.
        heads: How many attentions side by side.
        concat: Concatenate the heads; ``False``: their mean.
        negative_slope: LeakyReLU's.
        dropout: Probability of dropping an edge's attention in one head, while training.
        add_self_loops: PyG's rule: existing self-loops are removed, every node receives one.
        edge_dim: Features per edge, where there are any.
        fill_value: A self-loop's edge features: a number, one per feature, or a reduction over the
            features of the edges that enter the node (``"mean"``, ``"add"``, ``"min"``, ``"max"``, ``"mul"``).
        bias: Add a learned bias, after the sum over neighbours; in version 2 also in its two maps.
        residual: Add a linear map of the node's own features.
        version: 1 or 2, see above.
        share_weights: Version 2 only: one map for sources and targets.

    Shapes:
        - **x:** :math:`(*, |\mathcal{V}|, F_{in})`, dense, or :math:`(|\mathcal{V}|, F_{in})` sparse
        - **edge_index:** an ``Adjacency``, a ``Block``, a ``Part``, or :math:`(2, |\mathcal{E}|)`, not coalesced
        - **edge_attr:** :math:`(|\mathcal{E}|, D)` or, of one feature, :math:`(|\mathcal{E}|)`: in the order of
          ``edge_index``, for an ``Adjacency`` that of ``to_edge_index()``, for a ``Block`` the full graph's
        - **output:** :math:`(*, |\mathcal{V}|, H F_{out})`, or :math:`(*, |\mathcal{V}|, F_{out})` of the mean

    Example:
        >>> chain = Adjacency.from_edge_index(torch.tensor([[0, 1], [1, 0]]), num_nodes=3)
        >>> layer = GATConv(4, 2, heads=3)
        >>> layer(torch.rand(3, 4), chain).shape
        torch.Size([3, 6])
        >>> edge_index, alpha, is_added = layer.attention(torch.rand(3, 4), chain)
        >>> edge_index.tolist(), alpha.shape, is_added.tolist()
        ([[0, 1, 0, 1, 2], [1, 0, 0, 1, 2]], torch.Size([5, 3]), [False, False, True, True, True])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        heads: int = 1,
        *,
        concat: bool = True,
        negative_slope: float = 0.2,
        dropout: float = 0.0,
        add_self_loops: bool = True,
        edge_dim: int | None = None,
        fill_value: float | Tensor | FillValue = "mean",
        bias: bool = True,
        residual: bool = False,
        version: Literal[1, 2] = 1,
        share_weights: bool = False,
    ) -> None:
        super().__init__()
        check_channels(in_channels=in_channels, out_channels=out_channels, heads=heads)
        if edge_dim is not None:
            check_channels(edge_dim=edge_dim)
        if heads < 1:
            raise ValueError(f"heads must be 1 or more, got {heads}")
        if version not in (1, 2):
            raise ValueError(f"version must be 1 or 2, got {version!r}")
        if share_weights and version == 1:
            raise ValueError("share_weights=True belongs to version=2; version 1 has one map for all nodes")
        if isinstance(fill_value, str) and fill_value not in get_args(FillValue):
            raise ValueError(
                f"fill_value must be a number or one of {', '.join(get_args(FillValue))}, got {fill_value!r}"
            )
        self.in_channels, self.out_channels, self.heads = in_channels, out_channels, heads
        self.concat, self.negative_slope, self.dropout = concat, float(negative_slope), checked_probability(dropout)
        self.add_self_loops, self.edge_dim, self.fill_value = add_self_loops, edge_dim, fill_value
        self.version, self.share_weights = version, share_weights
        width, total = heads * out_channels, heads * out_channels if concat else out_channels
        # Names and shapes are those of PyG's state_dict.
        if version == 1:
            self.lin = nn.Linear(in_channels, width, bias=False)
            self.att_src = nn.Parameter(torch.empty(1, heads, out_channels))
            self.att_dst = nn.Parameter(torch.empty(1, heads, out_channels))
            self.att_edge = None if edge_dim is None else nn.Parameter(torch.empty(1, heads, out_channels))
        else:
            self.lin_l = nn.Linear(in_channels, width, bias=bias)
            self.lin_r = self.lin_l if share_weights else nn.Linear(in_channels, width, bias=bias)
            self.att = nn.Parameter(torch.empty(1, heads, out_channels))
        self.lin_edge = None if edge_dim is None else nn.Linear(edge_dim, width, bias=False)
        self.res = nn.Linear(in_channels, total, bias=False) if residual else None
        self.bias = nn.Parameter(torch.empty(total)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot-uniform weights, biases of 0."""
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                # Over the last two dimensions, as PyG does; torch's own would count the heads of `att` as a kernel.
                bound = math.sqrt(6 / (parameter.size(-2) + parameter.size(-1)))
                nn.init.uniform_(parameter, -bound, bound)

    def forward(self, x: Tensor | SparseMatrix, edge_index: Graph | Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """One layer of messages; see the class for shapes.

        Raises:
            TypeError: If the features are not floating-point.
            ValueError: If shapes do not fit, an id is not a node, or edge features come without ``edge_dim``
                or are missing with it.
        """
        x = as_features(x, self.in_channels)
        if torch.compiler.is_exporting():
            return self._exportable(x, checked_edges(edge_index), edge_attr)
        edges = self._edges(x, edge_index)
        sent, parts = self._messages(x, edges, self._edge_features(edge_attr, edges))
        keep = None
        if self.training and self.dropout > 0:
            keep = dropped_edges(edges, sent.size(0), self.dropout)
        out = attend(
            sent,
            edges,
            **parts,
            negative_slope=self.negative_slope if self.version == 1 else 1.0,
            kept=keep,
            keep_probability=keep_probability(self.dropout) if keep is not None else 1.0,
        )
        # (batch * heads, N, C) -> (*, N, heads, C)
        out = torch.unflatten(out, 0, (*x.shape[:-2], self.heads)).movedim(-3, -2)
        out = out.flatten(-2) if self.concat else out.mean(-2)
        if self.res is not None:
            out = out + _targets(transform(x, self.res.weight), edges)
        # The bias follows the sum: inside it, each node would scale it by its attention.
        return out if self.bias is None else out + self.bias

    def attention(
        self, x: Tensor | SparseMatrix, edge_index: Adjacency | Block | Tensor, edge_attr: Tensor | None = None
    ) -> Attention:
        """The attention coefficients, without dropout; those entering a node sum to 1 per head.

        An input edge keeps its place. A self-loop of the input stands for the one its node has, and only
        nodes without one are listed under the added; repeated self-loops of a node have coefficients of 0.
        For a ``Block``: the edges that enter its targets, in the full graph's order and node ids.

        Raises:
            TypeError, ValueError: As a call of the layer does.
        """
        x = as_features(x, self.in_channels)
        edges = self._edges(x, edge_index)
        _, parts = self._messages(x, edges, self._edge_features(edge_attr, edges))
        alpha = self._coefficients(edges, **parts)
        listing = edges.listing
        alpha = torch.unflatten(alpha, 0, (*x.shape[:-2], self.heads)).transpose(-1, -2)
        # One row of zeros more, to which an entry of -1 leads.
        alpha = functional.pad(alpha, (0, 0, 0, 1)).index_select(-2, listing.entry % (edges.num_entries + 1))
        ends = listing.edge_index
        if isinstance(edge_index, Block):
            ends = edge_index.source_ids[ends]
        return Attention(ends.clone(), alpha, listing.is_added.clone())

    def _coefficients(
        self,
        edges: EnteringEdges,
        source: Tensor | None = None,
        target: Tensor | None = None,
        edge: Tensor | None = None,
    ) -> Tensor:
        row, col = edges.row.long(), edges.col.long()
        if source is None or target is None:
            assert edge is not None
            logits = edge
        else:
            logits = source[:, col] + target[:, row]
            if edge is not None:
                logits = logits + edge.repeat(logits.size(0) // edge.size(0), 1)
            logits = functional.leaky_relu(logits, self.negative_slope)
        shape = logits.size(0), edges.num_targets
        lowest, index = logits.new_full(shape, float("-inf")), row.expand_as(logits)
        peak = lowest.scatter_reduce(1, index, logits.detach(), "amax")
        weight = (logits - peak[:, row]).exp()
        return weight / weight.new_zeros(shape).index_add(1, row, weight)[:, row]

    def _edges(self, x: Tensor | SparseMatrix, edge_index: Graph | Tensor) -> EnteringEdges:
        num_nodes = x.shape[-2]
        if isinstance(edge_index, Tensor) and edge_index.layout == torch.strided:
            return entering_edges(edge_index, num_nodes, self_loops=self.add_self_loops)
        graph = as_graph(edge_index, None, num_nodes=num_nodes, dtype=torch.get_default_dtype())
        return entering_edges(graph, num_nodes, self_loops=self.add_self_loops)

    def _messages(
        self, x: Tensor | SparseMatrix, edges: EnteringEdges, edge_attr: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor | None]]:
        """What the sources send, ``(batch * heads, N, C)``, and the parts of the logits."""
        by_head = self.heads, self.out_channels
        if self.version == 1:
            hidden = edges.source_rows(transform(x, self.lin.weight))
            # Of the targets alone, a product of their own with so few columns would take longer.
            ends = hidden @ block_diagonal(self.att_src[0], self.att_dst[0])
            source, target = ends.chunk(2, dim=-1)
            target = _targets(target, edges)
            edge = None
            if edge_attr is not None and self.lin_edge is not None and self.att_edge is not None:
                # Both maps at once: an edge never has a row of channels.
                maps = torch.unflatten(self.lin_edge.weight, 0, by_head)
                edge = torch.einsum("hc,hcd,ed->he", self.att_edge[0], maps, edge_attr)
            parts = {"source": _nodes_last(source), "target": _nodes_last(target), "edge": edge}
            return _heads_first(torch.unflatten(hidden, -1, by_head)), parts
        left = transform(x, self.lin_l.weight)
        left = left if self.lin_l.bias is None else left + self.lin_l.bias
        right = left  # of which the targets are the first rows
        if not self.share_weights:
            right = transform(x, self.lin_r.weight)
            right = right if self.lin_r.bias is None else right + self.lin_r.bias
        left = edges.source_rows(left)
        logits = pair_scores(
            left.unsqueeze(0).flatten(0, -3),
            _targets(right, edges).unsqueeze(0).flatten(0, -3),
            self.att[0],
            edges,
            edge_attr=edge_attr,
            edge_weight=None if self.lin_edge is None else self.lin_edge.weight,
            negative_slope=self.negative_slope,
        )
        return _heads_first(torch.unflatten(left, -1, by_head)), {"edge": logits}

    def _exportable(self, x: Tensor | SparseMatrix, edge_index: Tensor, edge_attr: Tensor | None) -> Tensor:
        """The same layer on plain tensors; see `gnnkit.nn.on_edges`."""
        if not isinstance(x, Tensor):
            raise TypeError("under torch.export node features are dense, got a sparse matrix; pass x.to_dense()")
        edge_attr, loops = self._checked_attr(edge_attr, edge_index.size(1)), None
        if edge_attr is not None:
            loops = loop_features_on_edges(edge_attr, edge_index, x.size(-2), self.fill_value)
        # Logits are matrix products: some runtimes cannot sum over a dimension where there are no edges.
        source, target = edge_index.unbind(0)
        if self.version == 1:
            sent = transform(x, self.lin.weight)
            here, there = sent @ block_diagonal(self.att_src[0]), sent @ block_diagonal(self.att_dst[0])
            logits, own = here.index_select(-2, source) + there.index_select(-2, target), here + there
            if edge_attr is not None and loops is not None and self.lin_edge is not None and self.att_edge is not None:
                maps = self.lin_edge.weight.t() @ block_diagonal(self.att_edge[0])
                logits, own = logits + edge_attr @ maps, own + loops @ maps
            logits, own = (functional.leaky_relu(each, self.negative_slope) for each in (logits, own))
        else:
            sent, right = self.lin_l(x), self.lin_r(x)
            logits, own = sent.index_select(-2, source) + right.index_select(-2, target), sent + right
            if edge_attr is not None and loops is not None and self.lin_edge is not None:
                logits, own = logits + self.lin_edge(edge_attr), own + self.lin_edge(loops)
            score = block_diagonal(self.att[0])
            logits, own = (functional.leaky_relu(each, self.negative_slope) @ score for each in (logits, own))
        sent = torch.unflatten(sent, -1, (self.heads, self.out_channels))
        p = self.dropout if self.training else 0.0
        out = attend_on_edges(sent, edge_index, logits, own if self.add_self_loops else None, dropout=p)
        out = out.flatten(-2) if self.concat else out.mean(-2)
        if self.res is not None:
            out = out + self.res(x)
        return out if self.bias is None else out + self.bias

    def _edge_features(self, edge_attr: Tensor | None, edges: EnteringEdges) -> Tensor | None:
        """The edge features in the order of ``edges``, self-loops filled in."""
        edge_attr = self._checked_attr(edge_attr, edges.num_listed)
        return None if edge_attr is None else entering_features(edge_attr, edges, self.fill_value)

    def _checked_attr(self, edge_attr: Tensor | None, num_edges: int) -> Tensor | None:
        """The edge features as ``(E, edge_dim)``."""
        if edge_attr is None:
            if self.edge_dim is not None:
                raise ValueError(
                    f"the layer has edge_dim={self.edge_dim} but got no edge_attr; pass it, or edge_dim=None"
                )
            return None
        if self.edge_dim is None:
            raise ValueError(
                f"edge_attr of shape {tuple(edge_attr.shape)} was given, but the layer has edge_dim=None; "
                f"declare edge_dim={edge_attr.size(-1) if edge_attr.dim() > 1 else 1}"
            )
        if edge_attr.dim() == 1:
            edge_attr = edge_attr.unsqueeze(1)
        expected = num_edges, self.edge_dim
        if edge_attr.shape != expected:
            raise ValueError(
                f"edge_attr must have shape {expected}, one row per edge and edge_dim={self.edge_dim}, "
                f"got {tuple(edge_attr.shape)}"
            )
        assert self.lin_edge is not None, "a layer with edge_dim has a map of the features"
        dtype = self.lin_edge.weight.dtype
        if edge_attr.dtype != dtype and not torch.is_autocast_enabled(edge_attr.device.type):
            raise TypeError(f"edge_attr is {edge_attr.dtype} and the layer's weights {dtype}; convert one of them")
        return edge_attr

    def extra_repr(self) -> str:
        """The channels, as PyG shows them."""
        return f"{self.in_channels}, {self.out_channels}, heads={self.heads}, version={self.version}"


def dropped_edges(edges: EnteringEdges, heads: int, p: float) -> Tensor:
    """Which edges dropout keeps, drawn for every head, ``(heads, E)``."""
    draws = active_draws()
    if draws is not None:
        return kept_of(draws.of_edges(edges.row, edges.col, heads), p).t().contiguous()
    return kept((heads, edges.num_entries), p, edges.col.device)


def _targets(rows: Tensor, edges: EnteringEdges) -> Tensor:
    """The targets' rows: a block's first, a graph's all."""
    # Without need, a slice costs its gradient a row of zeros for every node.
    return rows if rows.size(-2) == edges.num_targets else rows[..., : edges.num_targets, :]


def _heads_first(x: Tensor) -> Tensor:
    """(*, N, heads, C) -> (batch * heads, N, C), without a copy where nothing is batched."""
    return x.transpose(-2, -3).flatten(0, -3)


def _nodes_last(x: Tensor) -> Tensor:
    """(*, N, heads) -> (batch * heads, N)."""
    return x.transpose(-1, -2).flatten(0, -2)
