r"""Gated graph neural networks: a GRU on every node that reads the sum of what its neighbours send, edge type by type.

.. code-block:: text

    h^(1) = [x, 0]
    a_v   = Σ_r Σ_{u -> v of type r} w_uv (h_u W_r + b_r)
    h_v'  = GRU(a_v, h_v)                                   the same weights at every step

With both directions each type has a second matrix for its edges against their direction, and the GRU reads
both sums side by side.

Reference: Li et al., "Gated Graph Sequence Neural Networks", ICLR 2016, https://arxiv.org/abs/1511.05493,
eqs. 1-7. There b is one bias for all messages a node hears; here each edge brings its type's, the paper's own
code likewise. PyG's ``GatedGraphConv`` has one type, no bias, and a matrix of its own at every step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.pattern import Pattern, row_pointers
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.graph.sparse_product import over_nodes
from gnnkit.graph.validation import checked_edge_index
from gnnkit.nn.inputs import check_channels
from recurrent.cells import GRUCell, HiddenState

TypedGraph = Adjacency | Sequence[Adjacency] | Tensor


class GatedGraph(nn.Module):
    r"""Annotations to states, ``(*, N, F) -> (*, N, H)``; the graph may have several types of edges.

    Args:
        hidden_size: Units per node; annotations may have fewer features and are padded with zeros.
        num_steps: How often every node updates, so how many hops a message travels.
        num_types: Types of edges.
        both_directions: Send along every edge and against it, with weights of its own each.
        bias: Whether a message has a bias; the GRU has its own in any case.

    Shapes:
        - **x:** :math:`(*, |\mathcal{V}|, F)` with :math:`F \le hidden\_size`
        - **output:** :math:`(*, |\mathcal{V}|, hidden\_size)`

    Raises:
        ValueError: If a number is not positive.

    Example:
        >>> edge_index, edge_type = torch.tensor([[0, 1], [1, 2]]), torch.tensor([0, 1])
        >>> layer = GatedGraph(4, num_steps=3, num_types=2, both_directions=True)
        >>> layer(torch.eye(3, 2), edge_index, edge_type).shape
        torch.Size([3, 4])
    """

    def __init__(
        self,
        hidden_size: int,
        num_steps: int,
        *,
        num_types: int = 1,
        both_directions: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_steps < 1:
            raise ValueError(f"num_steps must be 1 or more, got {num_steps}")
        check_channels(hidden_size=hidden_size, num_types=num_types)
        self.hidden_size, self.num_steps, self.num_types = hidden_size, num_steps, num_types
        self.directions = 2 if both_directions else 1
        # Type by type, along the edges first.
        self.weight = nn.Parameter(torch.empty(self.directions * num_types, hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(self.directions * num_types, hidden_size)) if bias else None
        self.rnn = GRUCell(self.directions * hidden_size, hidden_size)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform on ±1/√hidden_size, as PyG's layer and torch's cells."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, x: Tensor, edge_index: TypedGraph, edge_type: Tensor | None = None) -> Tensor:
        """Every node's state after the last step.

        Args:
            x: Annotations.
            edge_index: PyG's, such as a ``Batch``'s; or a graph; or one graph per type, all of the same nodes.
            edge_type: The type of each edge of a raw ``edge_index``, from 0; all are of type 0 when omitted.

        Raises:
            ValueError: If a shape does not fit, or there are other types than ``num_types`` says.
            TypeError: If dtypes differ.
        """
        hidden, batch = self._padded(x), x.shape[:-2]
        messages = self._messages(edge_index, edge_type, x.size(-2), hidden.dtype)
        stacked = self.weight.transpose(0, 1).flatten(1)  # (H, R H): all types in one product
        constant = self._constant(messages, x.size(-2))
        for _ in range(self.num_steps):
            sent = (hidden @ stacked).view(*batch, -1, self.hidden_size)
            heard = over_nodes(messages.matmul, sent)
            if constant is not None:
                heard = heard + constant
            hidden, _ = self.rnn(heard.reshape(*batch, -1, self.rnn.input_size), HiddenState(hidden))
        return hidden

    def _padded(self, x: Tensor) -> Tensor:
        if not isinstance(x, Tensor):
            raise TypeError(f"annotations must be a torch.Tensor, got {type(x).__name__}")
        if x.dim() < 2 or x.size(-1) > self.hidden_size:
            raise ValueError(
                f"annotations must have shape (*, num_nodes, F) with F at most hidden_size={self.hidden_size}, "
                f"got {tuple(x.shape)}"
            )
        if x.dtype != self.weight.dtype:
            raise TypeError(f"annotations are {x.dtype} and the weights {self.weight.dtype}; convert one of them")
        return nn.functional.pad(x, (0, self.hidden_size - x.size(-1)))

    def _messages(
        self, graph: TypedGraph, edge_type: Tensor | None, num_nodes: int, dtype: torch.dtype
    ) -> SparseMatrix:
        """Rows: node and direction that hear; columns: node and type that send."""
        edge_index, kind, weight = self._typed_edges(graph, edge_type, num_nodes, dtype)
        source, target = edge_index
        row, column = target * self.directions, source * len(self.weight) + kind
        if self.directions == 2:
            row = torch.cat([row, source * 2 + 1])
            column = torch.cat([column, target * len(self.weight) + self.num_types + kind])
            weight = torch.cat([weight, weight])
        order = torch.argsort(row, stable=True)
        crow = row_pointers(row, num_nodes * self.directions)
        return SparseMatrix(Pattern(crow, column[order], num_nodes * len(self.weight)), weight[order])

    def _constant(self, messages: SparseMatrix, num_nodes: int) -> Tensor | None:
        """What the biases add up to at each node and direction, the same at every step."""
        return None if self.bias is None else messages.matmul(self.bias.repeat(num_nodes, 1))

    def _typed_edges(
        self, graph: TypedGraph, edge_type: Tensor | None, num_nodes: int, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor, Tensor]:
        if isinstance(graph, Tensor):
            edge_index = checked_edge_index(graph, num_nodes)
            weight = torch.ones(edge_index.size(1), dtype=dtype, device=edge_index.device)
            return edge_index, self._checked_types(edge_type, edge_index), weight
        if edge_type is not None:
            raise ValueError("edge_type goes with a raw edge_index; give one graph per type instead")
        graphs = [graph] if isinstance(graph, Adjacency) else list(graph)
        if len(graphs) != self.num_types:
            raise ValueError(f"there must be one graph per type, {self.num_types} of them, got {len(graphs)}")
        for each in graphs:
            if each.num_nodes != num_nodes:
                raise ValueError(f"a graph has {each.num_nodes} nodes but the annotations have {num_nodes} rows")
            if each.dtype != dtype and each.is_weighted:
                raise TypeError(f"a graph's weights are {each.dtype}, the annotations {dtype}; use graph.to(dtype=...)")
        edges = [each.to_edge_index() for each in graphs]
        kind = torch.cat([torch.full_like(index[0], number) for number, (index, _) in enumerate(edges)])
        weight = torch.cat([weight.to(dtype) for _, weight in edges])
        return torch.cat([index for index, _ in edges], dim=1), kind, weight

    def _checked_types(self, edge_type: Tensor | None, edge_index: Tensor) -> Tensor:
        if edge_type is None:
            return torch.zeros_like(edge_index[0])
        if edge_type.shape != edge_index.shape[1:]:
            shapes = f"({edge_index.size(1)},), got {tuple(edge_type.shape)}"
            raise ValueError(f"edge_type must have one entry per edge, shape {shapes}")
        if edge_type.is_floating_point() or edge_type.is_complex() or edge_type.dtype == torch.bool:
            raise TypeError(f"edge_type must hold integers, got {edge_type.dtype}")
        outside = (edge_type < 0) | (edge_type >= self.num_types)
        if bool(outside.any()):
            raise ValueError(f"edge_type holds {int(edge_type[outside][0])}, but num_types={self.num_types}")
        return edge_type.long()

    def extra_repr(self) -> str:
        """The arguments, as ``print`` shows them."""
        options = f"num_types={self.num_types}, both_directions={self.directions == 2}, bias={self.bias is not None}"
        return f"{self.hidden_size}, {self.num_steps}, {options}"


class NodeSelection(nn.Module):
    r"""Which node answers: a score from state and annotation, and its logarithmic softmax over a graph's nodes.

    Args:
        hidden_size: Units per node.
        in_channels: Features of an annotation.

    Shapes:
        - **hidden:** :math:`(N, hidden\_size)`; **x:** :math:`(N, in\_channels)`
        - **batch:** :math:`(N)`, the graph of each node, from 0; one graph when omitted
        - **output:** :math:`(N)`, logarithms of probabilities that sum to 1 in every graph

    Raises:
        ValueError: If a size is not positive, or a shape does not fit.
        TypeError: If a dtype is not the weights'.
    """

    def __init__(self, hidden_size: int, in_channels: int) -> None:
        super().__init__()
        check_channels(hidden_size=hidden_size, in_channels=in_channels)
        self.hidden_size, self.in_channels = hidden_size, in_channels
        self.score = nn.Sequential(
            nn.Linear(hidden_size + in_channels, hidden_size), nn.Tanh(), nn.Linear(hidden_size, 1)
        )

    def forward(self, hidden: Tensor, x: Tensor, batch: Tensor | None = None) -> Tensor:
        """See the class."""
        score: Tensor = self.score(_beside(self, hidden, x)).squeeze(-1)
        if batch is None:
            return score.log_softmax(dim=0)
        num_graphs = _num_graphs(batch, hidden)
        # What is subtracted cancels, so no gradient needs to pass through it.
        highest = score.new_full((num_graphs,), -math.inf).scatter_reduce(0, batch, score.detach(), "amax")
        score = score - highest[batch]
        total = score.new_zeros(num_graphs).index_add(0, batch, score.exp())
        return score - total.log()[batch]


class GatedReadout(nn.Module):
    r"""A whole graph's vector, :math:`\tanh \sum_v \sigma(i(h_v, x_v)) \odot \tanh(j(h_v, x_v))` (eq. 7).

    Args:
        hidden_size: Units per node.
        in_channels: Features of an annotation.
        out_channels: Features of the result.

    Shapes:
        - **hidden:** :math:`(N, hidden\_size)`; **x:** :math:`(N, in\_channels)`
        - **batch:** :math:`(N)`, the graph of each node, from 0; one graph when omitted
        - **output:** :math:`(graphs, out\_channels)`

    Raises:
        ValueError: If a size is not positive, or a shape does not fit.
        TypeError: If a dtype is not the weights'.
    """

    def __init__(self, hidden_size: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        check_channels(hidden_size=hidden_size, in_channels=in_channels, out_channels=out_channels)
        self.hidden_size, self.in_channels = hidden_size, in_channels
        self.gate = nn.Linear(hidden_size + in_channels, out_channels)
        self.content = nn.Linear(hidden_size + in_channels, out_channels)

    def forward(self, hidden: Tensor, x: Tensor, batch: Tensor | None = None) -> Tensor:
        """See the class."""
        both = _beside(self, hidden, x)
        parts: Tensor = self.gate(both).sigmoid() * self.content(both).tanh()
        if batch is None:
            return parts.sum(dim=0, keepdim=True).tanh()
        num_graphs = _num_graphs(batch, hidden)
        return parts.new_zeros(num_graphs, parts.size(1)).index_add(0, batch, parts).tanh()


def _beside(module: NodeSelection | GatedReadout, hidden: Tensor, x: Tensor) -> Tensor:
    """States and annotations of the same nodes, side by side."""
    nodes = hidden.shape[:1]
    if hidden.shape != (*nodes, module.hidden_size) or x.shape != (*nodes, module.in_channels):
        raise ValueError(
            f"states must be (N, {module.hidden_size}) and annotations (N, {module.in_channels}), "
            f"got {tuple(hidden.shape)} and {tuple(x.shape)}"
        )
    weights = next(module.parameters()).dtype
    both = torch.cat([hidden, x], dim=-1)
    if both.dtype != weights and not torch.is_autocast_enabled(both.device.type):
        raise TypeError(f"states and annotations are {hidden.dtype} and {x.dtype}, the weights {weights}; convert them")
    return both


def _num_graphs(batch: Tensor, hidden: Tensor) -> int:
    """How many graphs the nodes are of.

    Raises:
        ValueError: If there is not one graph per node, counted from 0.
    """
    if batch.shape != hidden.shape[:1] or batch.dtype != torch.int64:
        raise ValueError(f"batch must have shape ({hidden.size(0)},), int64, got {tuple(batch.shape)}, {batch.dtype}")
    if not batch.numel():
        return 0
    if int(batch.min()) < 0:
        raise ValueError(f"batch numbers graphs from 0, got {int(batch.min())}")
    if int(batch.max()) >= 2**31:
        raise ValueError(f"batch numbers graphs below 2**31, got {int(batch.max())}")
    return int(batch.max()) + 1
