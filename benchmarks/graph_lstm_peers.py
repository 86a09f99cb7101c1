"""Recurrent layers on graphs as the peers write them: one convolution per gate, one step at a time.

Written out with PyG's own layers, since the package that published them does not import with today's
torch. Everything that can be computed once is (normalised weights), so that what is compared is the form.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.nn import ChebConv, GCNConv, MessagePassing


class GConvLSTM(nn.Module):
    """Eight Chebyshev convolutions a step, with peepholes: Seo et al., 2016."""

    def __init__(self, in_channels: int, hidden: int, terms: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.x = nn.ModuleList(ChebConv(in_channels, hidden, terms) for _ in range(4))
        self.h = nn.ModuleList(ChebConv(hidden, hidden, terms) for _ in range(4))
        self.peephole = nn.Parameter(torch.rand(3, hidden) - 0.5)
        self.bias = nn.Parameter(torch.rand(4, hidden) - 0.5)

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        """Steps first: ``(T, *, N, F) -> (T, *, N, H)``."""
        h = c = x.new_zeros(*x.shape[1:-1], self.hidden)
        outputs = []
        for step in x:
            i, f, g, o = (
                conv_x(step, edge_index, edge_weight) + conv_h(h, edge_index, edge_weight) + bias
                for conv_x, conv_h, bias in zip(self.x, self.h, self.bias, strict=True)
            )
            i, f = (i + self.peephole[0] * c).sigmoid(), (f + self.peephole[1] * c).sigmoid()
            c = f * c + i * g.tanh()
            h = (o + self.peephole[2] * c).sigmoid() * c.tanh()
            outputs.append(h)
        return torch.stack(outputs)


class GConvGRU(nn.Module):
    """Six Chebyshev convolutions a step."""

    def __init__(self, in_channels: int, hidden: int, terms: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.x = nn.ModuleList(ChebConv(in_channels, hidden, terms) for _ in range(3))
        self.h = nn.ModuleList(ChebConv(hidden, hidden, terms) for _ in range(3))

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        """Steps first: ``(T, *, N, F) -> (T, *, N, H)``."""
        h = x.new_zeros(*x.shape[1:-1], self.hidden)
        graph = edge_index, edge_weight
        outputs = []
        for step in x:
            r = (self.x[0](step, *graph) + self.h[0](h, *graph)).sigmoid()
            z = (self.x[1](step, *graph) + self.h[1](h, *graph)).sigmoid()
            n = (self.x[2](step, *graph) + self.h[2](r * h, *graph)).tanh()
            h = z * h + (1 - z) * n
            outputs.append(h)
        return torch.stack(outputs)


class DiffusionConv(MessagePassing):
    """Powers of both random walks, with the weights in them: Li et al., 2018, eq. 2."""

    def __init__(self, in_channels: int, out_channels: int, hops: int) -> None:
        super().__init__(aggr="add", node_dim=-2)
        self.hops = hops
        self.lin = nn.Linear(in_channels, out_channels)
        self.lins = nn.ModuleList(nn.Linear(in_channels, out_channels, bias=False) for _ in range(2 * hops))

    def forward(self, x: Tensor, walks: list[tuple[Tensor, Tensor]]) -> Tensor:
        """``walks``: edge list and weights of each direction's random walk."""
        out = self.lin(x)
        lins = iter(self.lins)
        for edge_index, weight in walks:
            term = x
            for _ in range(self.hops):
                term = self.propagate(edge_index, x=term, weight=weight)
                out = out + next(lins)(term)
        return out

    def message(self, x_j: Tensor, weight: Tensor) -> Tensor:
        """A neighbour's features times the weight of its edge."""
        return weight.unsqueeze(-1) * x_j


class DCRNN(nn.Module):
    """Three diffusion convolutions of [X, H] a step."""

    def __init__(self, in_channels: int, hidden: int, hops: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.convs = nn.ModuleList(DiffusionConv(in_channels + hidden, hidden, hops) for _ in range(3))

    def forward(self, x: Tensor, walks: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Steps first: ``(T, *, N, F) -> (T, *, N, H)``."""
        h = x.new_zeros(*x.shape[1:-1], self.hidden)
        outputs = []
        for step in x:
            both = torch.cat([step, h], dim=-1)
            r, z = self.convs[0](both, walks).sigmoid(), self.convs[1](both, walks).sigmoid()
            n = self.convs[2](torch.cat([step, r * h], dim=-1), walks).tanh()
            h = z * h + (1 - z) * n
            outputs.append(h)
        return torch.stack(outputs)


class TGCN(nn.Module):
    """Three graph convolutions of X and three linear maps of [conv(X), H] a step, as the peer has T-GCN."""

    def __init__(self, in_channels: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.convs = nn.ModuleList(GCNConv(in_channels, hidden, normalize=False) for _ in range(3))
        self.lins = nn.ModuleList(nn.Linear(2 * hidden, hidden) for _ in range(3))

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None) -> Tensor:
        """Steps first: ``(T, *, N, F) -> (T, *, N, H)``; weights, or a sparse matrix instead, are normalised."""
        h = x.new_zeros(*x.shape[1:-1], self.hidden)
        outputs = []
        for step in x:
            i_z, i_r, i_n = (conv(step, edge_index, edge_weight) for conv in self.convs)
            z = self.lins[0](torch.cat([i_z, h], dim=-1)).sigmoid()
            r = self.lins[1](torch.cat([i_r, h], dim=-1)).sigmoid()
            n = self.lins[2](torch.cat([i_n, r * h], dim=-1)).tanh()
            h = z * h + (1 - z) * n
            outputs.append(h)
        return torch.stack(outputs)


class TGCNOfStates(nn.Module):
    """Three graph convolutions of [X, H] a step: T-GCN as its authors' code has it."""

    def __init__(self, in_channels: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.convs = nn.ModuleList(GCNConv(in_channels + hidden, hidden, normalize=False) for _ in range(3))

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None) -> Tensor:
        """Steps first: ``(T, *, N, F) -> (T, *, N, H)``; weights, or a sparse matrix instead, are normalised."""
        h = x.new_zeros(*x.shape[1:-1], self.hidden)
        outputs = []
        for step in x:
            both = torch.cat([step, h], dim=-1)
            z, r = (conv(both, edge_index, edge_weight).sigmoid() for conv in self.convs[:2])
            n = self.convs[2](torch.cat([step, r * h], dim=-1), edge_index, edge_weight).tanh()
            h = z * h + (1 - z) * n
            outputs.append(h)
        return torch.stack(outputs)
