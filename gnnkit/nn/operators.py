"""What a node hears: Z(x) = [x, S_1 x, ..., S_M x], the terms of a graph filter.

``"gcn"``: S_k = A^^k with A^ = D~^-1/2 (A + I) D~^-1/2 (Kipf & Welling, ICLR 2017).
``"chebyshev"``: S_k = T_k(L - I) = T_k(-D^-1/2 A D^-1/2), loops removed, D the out-degrees and lambda_max
2, as PyG's ``ChebConv`` has it (Defferrard et al., NIPS 2016, https://arxiv.org/abs/1606.09375).
``"diffusion"``: (D_out^-1 W)^k, then (D_in^-1 W^T)^k (Li et al., "Diffusion Convolutional Recurrent
Neural Network", ICLR 2018, https://arxiv.org/abs/1707.01926, eq. 2). A node without edges
contributes 0.
``"attention"``: S_k = A^k, A the attention of one GAT head; it depends on x, so see `gnnkit.nn.attention_terms`.

Where nodes are absent, an operator is that of the graph without them: their edges are gone and
degrees follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import torch
from torch import Tensor

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.pattern import may_vary
from gnnkit.graph.validation import check_dtype
from gnnkit.nn.gcn import gcn_normalized

Operator = Literal["gcn", "chebyshev", "diffusion", "attention"]

# A dense product of all terms at once against sparse ones in turn, one thread: dense is ahead on small
# graphs, where the calls cost more than the sums, and elsewhere where a fifth of the matrix is full.
_SMALL_GRAPH = 64
_DENSE_SHARE = 0.2
_LARGEST_DENSE = 1024
_PLAIN_TYPES = torch.float32, torch.float64


def checked_operator(operator: str, hops: int) -> Operator:
    """The operator's name.

    Raises:
        ValueError: If there is none of that name, or ``hops`` is negative.
    """
    names = get_args(Operator)
    if operator not in names:
        raise ValueError(f"operator must be one of {', '.join(names)}, got {operator!r}")
    if hops < 0:
        raise ValueError(f"K must be 0 hops or more, got {hops}")
    return operator  # type: ignore[return-value]


def num_terms(operator: Operator, hops: int) -> int:
    """How many terms Z has, x itself among them."""
    return 1 + hops * (2 if operator == "diffusion" else 1)


@dataclass(frozen=True)
class Shift:
    """One linear map along the edges: post * (M (pre * x)), M the matrix of a graph or its transpose.

    ``pre`` and ``post`` are factors per node and column, None where the weights hold them already.
    """

    graph: Adjacency
    transposed: bool
    pre: Tensor | None = None
    post: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """``(N, C, F) -> (N, C, F)``."""
        if self.pre is not None:
            x = self.pre.unsqueeze(-1) * x
        columns = x.flatten(1)  # not reshape(N, -1), which no tensor without entries has
        product = self.graph.propagate(columns) if self.transposed else self.graph @ columns
        product = product.view(x.shape)
        return product if self.post is None else self.post.unsqueeze(-1) * product

    def write(self, x: Tensor, out: Tensor, *, keep: float = 0.0, scale: float = 1.0) -> None:
        """Make ``out`` ``keep`` times itself, not read where that is 0, and ``scale`` times the map of ``x``.

        Both ``(N, C, F)``, off the tape; for maps without factors, whose weights do not vary.
        """
        if x.numel() == 0:
            return
        if x.device.type == "cpu" and x.dtype in _PLAIN_TYPES and self.graph.num_edges:
            columns = out.flatten(1)
            torch.addmm(columns, self._plain, x.flatten(1), beta=keep, alpha=scale, out=columns)
        elif keep:
            out.mul_(keep).add_(self(x), alpha=scale)
        else:
            out.copy_(self(x)).mul_(scale)

    @cached_property
    def _plain(self) -> Tensor:
        """The matrix as torch has it, made once: to make it takes as long as a product on a small graph."""
        matrix = self.graph._matrix.transposed if self.transposed else self.graph._matrix
        values = matrix.values.detach().contiguous()
        return torch.sparse_csr_tensor(*matrix.pattern.kernel, values, matrix.shape, check_invariants=False)

    @cached_property
    def adjoint(self) -> Shift:
        """The transposed map."""
        return Shift(self.graph, not self.transposed, self.post, self.pre)


@dataclass(frozen=True)
class Terms:
    """Z on one graph: called with ``(N, C, F)``, it gives its terms, x itself first.

    Attributes:
        shifts: S, or for diffusion both directions.
        hops: K.
        chebyshev: Terms are Chebyshev polynomials of S instead of powers.
        stacked: Every term's matrix below the one before, ``((M - 1) N, N)``, where dense pays.
    """

    shifts: tuple[Shift, ...]
    hops: int
    chebyshev: bool
    stacked: Tensor | None = None

    def __call__(self, x: Tensor) -> list[Tensor]:
        """The terms of ``x``, each ``(N, C, F)``."""
        if self.hops == 0:
            return [x]
        if self.stacked is not None:
            check_dtype(x, self.stacked.dtype)
            heard = torch.mm(self.stacked, x.flatten(1))
            return [x, *heard.view(self.hops * len(self.shifts), *x.shape).unbind(0)]
        return [x, *self._in_turn(x)]

    @property
    def varies(self) -> bool:
        """Whether the weights carry gradients, or are those of another function's transform."""
        return any(may_vary(shift.graph._matrix.values) for shift in self.shifts)

    def write(self, x: Tensor, places: Tensor) -> None:
        """The terms beyond ``x`` itself, off the tape, to ``places`` ``(M - 1, N, C, F)``."""
        if self.hops == 0 or x.numel() == 0:
            return
        if self.stacked is not None:
            torch.mm(self.stacked, x.flatten(1), out=places.flatten(0, 1).flatten(1))
            return
        for place, shift in zip(torch.split(places, self.hops), self.shifts, strict=True):
            for hop, term in enumerate(place):
                before = place[hop - 1] if hop else x
                if hop and self.chebyshev:
                    shift.write(before, term.copy_(place[hop - 2] if hop > 1 else x), keep=-1.0, scale=2.0)
                else:
                    shift.write(before, term)

    def adjoint(self, grads: Tensor) -> Tensor:
        """The gradient of x from those of its terms, ``(M, N, C, F)``, off the tape; overwrites them."""
        first = grads[0]
        if self.hops == 0 or first.numel() == 0:
            return first
        if self.stacked is not None:
            columns = grads[1:].flatten(0, 1).flatten(1)
            return first.flatten(1).addmm_(self.stacked.t(), columns).view(first.shape)
        for others, shift in zip(torch.split(grads[1:], self.hops), self.shifts, strict=True):
            back, own = shift.adjoint, [first, *others]
            for hop in range(self.hops, 1, -1):
                back.write(own[hop], own[hop - 1], keep=1.0, scale=2.0 if self.chebyshev else 1.0)
                if self.chebyshev:
                    own[hop - 2].sub_(own[hop])
            back.write(own[1], first, keep=1.0)
        return first

    def _in_turn(self, x: Tensor) -> list[Tensor]:
        found = []
        for shift in self.shifts:
            before, term = x, shift(x)
            found.append(term)
            for _ in range(1, self.hops):
                following = shift(term)
                if self.chebyshev:
                    following = 2 * following - before
                before, term = term, following
                found.append(term)
        return found


def terms_of(graph: Adjacency, operator: Operator, hops: int, present: Tensor | None = None) -> Terms:
    """Z on a graph, kept with it unless its weights carry gradients.

    Args:
        graph: Directed edges, source to target.
        operator: Which S.
        hops: K, its highest power.
        present: Which nodes are there, ``(N, C)`` of the dtype of the weights, 1 or 0; all when omitted.

    Raises:
        ValueError: If a weight is negative.
    """
    assert operator != "attention" or hops == 0, "attention depends on what is heard: it is no matrix of the graph's"
    if hops == 0:
        return Terms((), 0, False)
    if present is not None:
        return Terms(_masked_shifts(graph, operator, present), hops, operator == "chebyshev")

    def compute() -> Terms:
        terms = Terms(_shifts(graph, operator), hops, operator == "chebyshev")
        if not _is_dense(graph):
            return terms
        one = torch.eye(graph.num_nodes, dtype=graph.dtype, device=graph.device).unsqueeze(1)
        stacked = torch.cat([term.flatten(1) for term in terms(one)[1:]])
        return Terms(terms.shifts, hops, terms.chebyshev, stacked)

    return graph._keep(("terms", operator, hops), compute)


def _is_dense(graph: Adjacency) -> bool:
    size = graph.num_nodes
    return size <= _SMALL_GRAPH or (size <= _LARGEST_DENSE and graph.num_edges > _DENSE_SHARE * size * size)


def _shifts(graph: Adjacency, operator: Operator) -> tuple[Shift, ...]:
    if operator == "gcn":
        return (Shift(gcn_normalized(graph), transposed=True),)
    if operator == "chebyshev":
        return (Shift(scaled_laplacian(graph), transposed=True),)
    return Shift(graph.normalized("column"), transposed=False), Shift(graph.normalized("row"), transposed=True)


def scaled_laplacian(graph: Adjacency) -> Adjacency:
    """2 L / lambda_max - I with lambda_max = 2: -D^-1/2 A D^-1/2, loops removed, D the out-degrees.

    Raises:
        ValueError: If a weight is negative.
    """
    loopless = without_self_loops(_non_negative(graph))

    def compute() -> Adjacency:
        scale = _power(loopless.out_degree(weighted=True), -0.5)
        edge_index, weight = loopless.to_edge_index()
        weight = -(scale[edge_index[0]] * scale[edge_index[1]]) * weight
        return Adjacency.from_edge_index(edge_index, weight, num_nodes=graph.num_nodes)

    return graph._keep("scaled laplacian", compute)


def without_self_loops(graph: Adjacency) -> Adjacency:
    """The graph without edges from a node to itself."""

    def compute() -> Adjacency:
        edge_index, weight = graph.to_edge_index()
        other = edge_index[0] != edge_index[1]
        return Adjacency.from_edge_index(edge_index[:, other], weight[other], num_nodes=graph.num_nodes)

    return graph._keep("without loops", compute)


def _masked_shifts(graph: Adjacency, operator: Operator, present: Tensor) -> tuple[Shift, ...]:
    """The operators of a graph that lacks some nodes, another set in every column.

    Degrees depend on the column, so they are factors around the product with the bare weights.
    """
    graph = _non_negative(graph)
    if operator == "diffusion":
        leaving, entering = graph @ present, graph.propagate(present)
        return (
            Shift(graph, False, present, present * _power(leaving, -1.0)),
            Shift(graph, True, present, present * _power(entering, -1.0)),
        )
    if operator == "gcn":
        graph = graph.with_self_loops()
        scale = present * _power(graph.propagate(present), -0.5)
        return (Shift(graph, True, scale, scale),)
    graph = without_self_loops(graph)
    scale = present * _power(graph @ present, -0.5)
    return (Shift(graph, True, scale, -scale),)


def _power(degrees: Tensor, exponent: float) -> Tensor:
    # A degree of 0 is replaced before the power, so that no infinity enters the gradient either.
    # A subnormal degree counts as the smallest normal number: its inverse would be infinite.
    positive, limits = degrees > 0, torch.finfo(degrees.dtype)
    bounded = torch.where(positive, degrees, 1.0).clamp(limits.tiny, limits.max)
    return torch.where(positive, bounded.pow(exponent), 0.0)


def _non_negative(graph: Adjacency) -> Adjacency:
    if graph.has_negative_weights:
        lowest = float(graph.to_edge_index()[1].detach().min())
        raise ValueError(
            f"a graph operator needs non-negative weights, but the smallest is {lowest:g}; take their absolute value"
        )
    return graph
