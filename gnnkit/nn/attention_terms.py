"""What a node hears by attention: Z(x) = [x, A x, ..., A^K x] with A = A(x), one head of a GAT.

.. code-block:: text

    A_ts = softmax over the edges s -> t of LeakyReLU(a_src . x_s + a_dst . x_t)

A GAT attends to W x and weighs W x; the vectors here take W's place in the logits, and the gates' own weights act
on what was heard, so each gate's neighbour share is a graph attention convolution. Edges' weights play no part, no
self-loop is added (x itself is the first term), and a node that no edge enters hears 0.

Reference: Velickovic et al., "Graph Attention Networks", ICLR 2018, https://arxiv.org/abs/1710.10903, eq. 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.attention import attend
from gnnkit.graph.entering import EnteringEdges, entering_edges
from gnnkit.graph.validation import check_dtype

_NEGATIVE_SLOPE = 0.2
_NEVER = -1e30  # a logit whose exponential is 0 beside any other's


class EdgeAttention(nn.Module):
    """The two vectors that attention's logits are made of.

    Args:
        channels: Features of what is attended to.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.att_src = nn.Parameter(torch.empty(channels))
        self.att_dst = nn.Parameter(torch.empty(channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier (Glorot) uniform, as GAT's."""
        for vector in (self.att_src, self.att_dst):
            bound = (6 / (1 + vector.numel())) ** 0.5
            nn.init.uniform_(vector, -bound, bound)

    def on(self, graph: Adjacency, hops: int, present: Tensor | None = None) -> AttentionTerms:
        """Z on a graph; ``present`` ``(N, C)``, 1 or 0, says which nodes are there, in every column."""
        edges = entering_edges(graph, graph.num_nodes, self_loops=False)
        return AttentionTerms(edges, hops, self.att_src, self.att_dst, present)


@dataclass(frozen=True, eq=False)
class AttentionTerms:
    """Z on one graph: called with ``(N, C, F)``, it gives its terms, x itself first.

    Attributes:
        edges: Which sources every node hears.
        hops: K.
        att_src: Of the senders, ``(F)``.
        att_dst: Of the hearers, ``(F)``.
        present: Which nodes are there.
    """

    edges: EnteringEdges
    hops: int
    att_src: Tensor
    att_dst: Tensor
    present: Tensor | None = None

    @property
    def varies(self) -> bool:
        """Attention depends on what is heard and carries gradients."""
        return True

    def __call__(self, x: Tensor) -> list[Tensor]:
        """The terms of ``x``, each ``(N, C, F)``."""
        check_dtype(x, self.att_src.dtype)
        terms = [x]
        if self.hops == 0:
            return terms
        there = None if self.present is None else self.present.t()  # (C, N)
        columns = x.transpose(0, 1)
        source, target = columns @ self.att_src, columns @ self.att_dst
        if there is not None:
            source = source.masked_fill(there == 0, _NEVER)
        heard = columns
        for _ in range(self.hops):
            if there is not None:
                heard = there.unsqueeze(-1) * heard  # where all are absent, attention is as if all were there
            heard = attend(heard.contiguous(), self.edges, source=source, target=target, negative_slope=_NEGATIVE_SLOPE)
            terms.append(heard.transpose(0, 1))
        return terms
