"""Graph convolution with initial residual and identity mapping.

h' = ((1 - alpha) A^ h + alpha h_0) ((1 - beta) I + beta W), beta = log(theta / layer + 1), so that deep
stacks neither forget their input nor stray far from the identity.

Reference: Chen et al., "Simple and Deep Graph Convolutional Networks", ICML 2020,
https://arxiv.org/abs/2007.02133, eq. 5.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from gnnkit.graph.validation import check_dtype
from gnnkit.nn.gcn import gcn_normalized
from gnnkit.nn.inputs import Graph, as_features, as_graph, check_channels, full_graph, propagate
from gnnkit.nn.on_edges import propagate_on_edges


class GCN2Conv(nn.Module):
    r"""Convolution of GCNII: node features ``(*, N, channels) -> (*, N, channels)``.

    Called as PyG's layer of the same name, and with its ``state_dict``.

    Args:
        channels: Features per node, in and out.
        alpha: Share of the initial features, 0 .. 1.
        theta: How strongly the layers transform; with ``layer`` it gives beta.
        layer: Which layer this is, 1 the first: beta = log(theta / layer + 1). Without both, beta is 1.
        shared_weights: One matrix for what neighbours send and for the initial features; ``False``: two.
        add_self_loops: Give nodes without a self-loop one of weight 1.
        normalize: D~^-1/2 (A + I) D~^-1/2; ``False``: the weights as they are, without self-loops.

    Shapes:
        - **x:** :math:`(*, |\mathcal{V}|, F)`
        - **x_0:** :math:`(*, |\mathcal{V}|, F)`, or the first rows of it suffice: those of the output
        - **edge_index:** an ``Adjacency``, a ``Block``, a ``Part``, or :math:`(2, |\mathcal{E}|)`
        - **output:** :math:`(*, |\mathcal{V}|, F)`

    Example:
        >>> from gnnkit.graph import Adjacency
        >>> chain = Adjacency.from_edge_index(torch.tensor([[0, 1], [1, 0]]), num_nodes=3)
        >>> x = torch.rand(3, 4)
        >>> GCN2Conv(4, alpha=0.1, theta=0.5, layer=1)(x, x, chain).shape
        torch.Size([3, 4])
    """

    def __init__(
        self,
        channels: int,
        alpha: float,
        theta: float | None = None,
        layer: int | None = None,
        shared_weights: bool = True,
        *,
        add_self_loops: bool = True,
        normalize: bool = True,
    ) -> None:
        super().__init__()
        check_channels(channels=channels)
        if not 0.0 <= alpha <= 1.0:
            raise ValueError(f"alpha must lie in 0..1, got {alpha}")
        if (theta is None) != (layer is None):
            raise ValueError(f"theta and layer give beta together: pass both or neither, got {theta} and {layer}")
        if layer is not None and layer < 1:
            raise ValueError(f"layer counts from 1, got {layer}")
        if theta is not None and theta < 0:
            raise ValueError(f"theta must be 0 or more, got {theta}")
        self.channels, self.alpha = channels, float(alpha)
        self.beta = 1.0 if theta is None or layer is None else math.log(theta / layer + 1)
        self.add_self_loops, self.normalize = add_self_loops, normalize
        self.weight1 = nn.Parameter(torch.empty(channels, channels))  # PyG's state_dict keys
        self.weight2 = None if shared_weights else nn.Parameter(torch.empty(channels, channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot-uniform weights."""
        for weight in self.parameters():
            nn.init.xavier_uniform_(weight)

    def forward(self, x: Tensor, x_0: Tensor, edge_index: Graph | Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """One layer of messages; see the class for shapes.

        Raises:
            TypeError: If the features are not floating-point, or their dtype is not the graph's.
            ValueError: If shapes do not fit, an id is not a node, or a weight may not be normalised.
        """
        if not isinstance(as_features(x, self.channels), Tensor) or x.layout != torch.strided:
            raise TypeError("GCN2Conv takes dense features; a linear layer before it makes them so")
        loops: float | None = 1.0 if self.add_self_loops and self.normalize else None
        kind: Literal["sym"] | None = "sym" if self.normalize else None
        if torch.compiler.is_exporting():
            heard = propagate_on_edges(x, edge_index, edge_weight, loops, kind)
        else:
            graph = as_graph(edge_index, edge_weight, num_nodes=x.shape[-2], dtype=x.dtype)
            heard = propagate(graph, gcn_normalized(full_graph(graph), loops, kind), x)
        as_features(x_0, self.channels)
        check_dtype(x_0, x.dtype)
        check_dtype(x, self.weight1.dtype)
        if x_0.size(-2) < heard.size(-2):
            raise ValueError(
                f"x_0 needs a row for each of the {heard.size(-2)} nodes that come out, got {x_0.size(-2)}"
            )
        initial = x_0[..., : heard.size(-2), :].to(heard.dtype)  # another one under autocast
        if self.weight2 is None:
            return self._mapped(torch.lerp(heard, initial, self.alpha), self.weight1)
        return self._mapped((1.0 - self.alpha) * heard, self.weight1) + self._mapped(self.alpha * initial, self.weight2)

    def _mapped(self, x: Tensor, weight: Tensor) -> Tensor:
        """X ((1 - beta) I + beta W): the matrix first, since nodes are many and channels few."""
        identity = torch.eye(self.channels, dtype=weight.dtype, device=weight.device)
        return x @ torch.lerp(identity, weight, self.beta)

    def extra_repr(self) -> str:
        """The channels and the two shares, as PyG shows them."""
        return f"{self.channels}, alpha={self.alpha}, beta={self.beta}"
