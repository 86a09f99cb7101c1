"""Graph convolution, h_i = sum_j A^_ij W x_j + b with A^ = D~^-1/2 (A + lambda I) D~^-1/2.

Reference: Kipf & Welling, "Semi-Supervised Classification with Graph Convolutional Networks",
ICLR 2017, https://arxiv.org/abs/1609.02907, eq. 2. Weighted self-loops are a proposal of a student
report of 2020; a learned lambda is its natural continuation.
"""

from __future__ import annotations

import math
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.part import Part
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.nn.inputs import Graph, as_features, as_graph, check_channels, full_graph, propagate_transformed, transform
from gnnkit.nn.on_edges import propagate_on_edges

Whole = TypeVar("Whole", Adjacency, Part, Adjacency | Part)


def gcn_normalized(
    graph: Whole, self_loop_weight: float | Tensor | None = 1.0, kind: Literal["sym", "row"] | None = "sym"
) -> Whole:
    """A^: the graph with self-loops of weight lambda (none where None), then normalised (not where None)."""
    if torch.compiler.is_compiling() and not isinstance(self_loop_weight, Tensor):
        _prepare(graph, self_loop_weight, kind)
    return _normalized(graph, self_loop_weight, kind)


def _normalized(graph: Whole, self_loop_weight: float | Tensor | None, kind: Literal["sym", "row"] | None) -> Whole:
    if self_loop_weight is not None:
        graph = graph.with_self_loops(self_loop_weight)
    return graph if kind is None else graph.normalized(kind)


def _prepare(graph: Adjacency | Part, self_loop_weight: float | None, kind: Literal["sym", "row"] | None) -> bool:
    """Have the graph keep A^ before the compiler traces the layer, since finding it looks at values."""
    _normalized(graph, self_loop_weight, kind)
    return True


# What torch.compiler.assume_constant_result does, without loading the compiler.
_prepare._dynamo_marked_constant = True  # type: ignore[attr-defined]


class GCNConv(nn.Module):
    r"""Graph convolution: node features ``(*, N, in_channels) -> (*, N, out_channels)``.

    Called as PyG's layer of the same name, and with its ``state_dict``. Nothing is cached in the
    layer: an :class:`~gnnkit.graph.Adjacency` keeps its own normalised form, so a layer can never
    answer for another graph.

    Args:
        in_channels: Features per node that go in.
        out_channels: Features per node that come out.
        improved: PyG's name for self-loops of weight 2, here with and without ``edge_weight``. PyG 2.8.1 gives
            them a weight of 1 where there is no ``edge_weight``, so its outputs are ours for weights of ones.
        add_self_loops: Give nodes without a self-loop one; when omitted, as ``normalize`` says.
        normalize: ``True`` or ``"sym"``: D~^-1/2 (A + lambda I) D~^-1/2; ``"row"``: the mean over entering
            edges; ``False``: the weights as they are.
        self_loop_weight: lambda, the weight of added self-loops.
        learn_self_loop: Learn lambda, starting there; it stays positive, and so do the degrees.
        bias: Add a learned bias, after the sum over neighbours.

    Shapes:
        - **x:** :math:`(*, |\mathcal{V}|, F_{in})`, dense, or :math:`(|\mathcal{V}|, F_{in})` sparse
        - **edge_index:** an ``Adjacency``, a ``Block``, a ``Part``, or :math:`(2, |\mathcal{E}|)`
        - **output:** :math:`(*, |\mathcal{V}|, F_{out})`

    Example:
        >>> chain = Adjacency.from_edge_index(torch.tensor([[0, 1], [1, 0]]), num_nodes=3)
        >>> GCNConv(4, 2)(torch.rand(3, 4), chain).shape
        torch.Size([3, 2])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        improved: bool = False,
        *,
        add_self_loops: bool | None = None,
        normalize: bool | Literal["sym", "row"] = True,
        self_loop_weight: float = 1.0,
        learn_self_loop: bool = False,
        bias: bool = True,
        **refused: Any,
    ) -> None:
        super().__init__()
        check_channels(in_channels=in_channels, out_channels=out_channels)
        _refuse(refused)
        self.in_channels, self.out_channels = in_channels, out_channels
        if normalize not in (True, False, "sym", "row"):
            raise ValueError(f"normalize must be True, False, 'sym' or 'row', got {normalize!r}")
        self.kind: Literal["sym", "row"] | None = (
            normalize if isinstance(normalize, str) else "sym" if normalize else None
        )
        self.add_self_loops = self.kind is not None if add_self_loops is None else add_self_loops
        if improved and self_loop_weight != 1.0:
            raise ValueError(f"improved=True means self_loop_weight=2, but it was given as {self_loop_weight}")
        self.initial_self_loop_weight = 2.0 if improved else float(self_loop_weight)
        if not math.isfinite(self.initial_self_loop_weight):
            raise ValueError(f"self_loop_weight must be finite, got {self_loop_weight}")
        if learn_self_loop and not (self.add_self_loops and self.initial_self_loop_weight > 0):
            raise ValueError(
                "learn_self_loop needs add_self_loops=True and a positive self_loop_weight to start from, "
                f"got add_self_loops={self.add_self_loops} and {self.initial_self_loop_weight}"
            )
        self.lin = nn.Linear(in_channels, out_channels, bias=False)  # PyG's state_dict keys
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        # Only where it is learned is lambda a parameter, and so in the state_dict.
        self.self_loop_logit = nn.Parameter(torch.empty(())) if learn_self_loop else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot-uniform weights, a bias of 0, lambda at its start."""
        nn.init.xavier_uniform_(self.lin.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)
        if self.self_loop_logit is not None:
            # The inverse of softplus.
            start = self.initial_self_loop_weight
            nn.init.constant_(self.self_loop_logit, start + math.log(-math.expm1(-start)))

    @property
    def self_loop_weight(self) -> float | Tensor | None:
        """lambda: a number, a positive tensor where it is learned, None where loops are not added."""
        if self.self_loop_logit is not None:
            return functional.softplus(self.self_loop_logit)
        return self.initial_self_loop_weight if self.add_self_loops else None

    def forward(
        self, x: Tensor | SparseMatrix, edge_index: Graph | Tensor, edge_weight: Tensor | None = None
    ) -> Tensor:
        """One layer of messages; see the class for shapes.

        Raises:
            TypeError: If the features are not floating-point, or their dtype is not the graph's.
            ValueError: If shapes do not fit, an id is not a node, or a weight may not be normalised.
        """
        x = as_features(x, self.in_channels)
        weight = self.lin.weight
        if torch.compiler.is_exporting():
            hidden = transform(x, weight)
            out = propagate_on_edges(hidden, edge_index, edge_weight, self.self_loop_weight, self.kind)
        else:
            graph = as_graph(edge_index, edge_weight, num_nodes=x.shape[-2], dtype=weight.dtype)
            full = gcn_normalized(full_graph(graph), self.self_loop_weight, self.kind)
            out = propagate_transformed(graph, full, x, weight)
        # The bias follows the sum: inside it, each node would scale it by its row of A^.
        return out if self.bias is None else out + self.bias

    def extra_repr(self) -> str:
        """The channels, as PyG shows them."""
        return f"{self.in_channels}, {self.out_channels}"


def _refuse(options: dict[str, Any]) -> None:
    if "cached" in options:
        raise TypeError(
            "GCNConv takes no cached=: pass an Adjacency, which keeps its normalised form itself, as fast as a "
            "cache and never another graph's"
        )
    for name in options:
        raise TypeError(f"GCNConv takes no argument {name!r}")
