"""Models of PyG's layers, and graphs for them, that the tests of pruning share."""

from functools import partial

import torch
from torch import nn
from torch_geometric import nn as pyg
from torch_geometric.nn import models
from torch_geometric.utils import dropout_edge

from gnnkit.graph import Adjacency

N, F = 60, 6
MODELS = {
    "GCN": models.GCN,
    "GCN improved": partial(models.GCN, improved=True),
    "GCN without self-loops": partial(models.GCN, add_self_loops=False),
    "GCN not normalised": partial(models.GCN, normalize=False),
    "GraphSAGE": models.GraphSAGE,
    "GraphSAGE max": partial(models.GraphSAGE, aggr=["max", "std", "softmax"], project=True, normalize=True),
    "GAT": partial(models.GAT, heads=2),
    "GATv2": partial(models.GAT, heads=2, v2=True, add_self_loops=False),
    "GIN": partial(models.GIN, train_eps=True),
    "jumping knowledge": partial(models.GCN, jk="lstm"),
    "normalised by row": partial(models.GCN, norm="layer_norm", norm_kwargs={"mode": "node"}),
}


class GCNII(nn.Module):
    def __init__(self, in_channels, hidden, num_layers, out_channels, dropout=0.0):
        super().__init__()
        self.first, self.last = nn.Linear(in_channels, hidden), nn.Linear(hidden, out_channels)
        self.dropout = nn.Dropout(dropout)
        self.convs = nn.ModuleList(
            pyg.GCN2Conv(hidden, alpha=0.1, theta=0.5, layer=layer + 1, shared_weights=layer % 2 == 0, cached=True)
            for layer in range(num_layers)
        )

    def forward(self, x, edge_index, edge_weight=None):
        x = start = self.first(self.dropout(x)).relu()
        for conv in self.convs:
            x = conv(self.dropout(x), start, edge_index, edge_weight=edge_weight).relu()
        return self.last(x)


MODELS["GCNII"] = GCNII


def random_graph(directed=True, weighted=False, seed=0):
    """Self-loops, and nodes without edges at the end."""
    generator = torch.Generator().manual_seed(seed)
    edge_index = torch.randint(N - 4, (2, 110), generator=generator)
    edge_index = torch.cat([edge_index, torch.tensor([[3, 7], [3, 7]])], dim=1)
    weight = torch.rand(edge_index.size(1), generator=generator, dtype=torch.float64) + 0.1
    if not directed:
        edge_index, weight = torch.cat([edge_index, edge_index.flip(0)], dim=1), weight.repeat(2)
    return Adjacency.from_edge_index(edge_index, weight if weighted else None, num_nodes=N, coalesce="max")


GRAPHS = {
    "directed": random_graph(),
    "undirected": random_graph(directed=False),
    "weighted": random_graph(weighted=True),
    "no edges": Adjacency.from_edge_index(torch.empty(2, 0, dtype=torch.long), num_nodes=N),
}
TARGETS = torch.tensor([11, 3, N - 1, 20, 7])  # in no order; two with self-loops, one isolated


def build(name, num_layers, dtype=torch.float64, **options):
    torch.manual_seed(0)
    model = MODELS[name](F, 8, num_layers, 3, **options).to(dtype)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)  # no bias of zero, which would hide a misplaced one
    return model


def features(dtype=torch.float64):
    return torch.randn(N, F, dtype=dtype, generator=torch.Generator().manual_seed(1))


class Holds(nn.Module):
    """One sound layer, and a module of which only the presence matters."""

    def __init__(self, **parts):
        super().__init__()
        self.conv = pyg.GCNConv(F, F)
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x, edge_index):
        return self.conv(x, edge_index)


class DropsEdges(Holds):
    """Other edges than the graph's, but in training mode only."""

    def forward(self, x, edge_index):
        return self.conv(x, dropout_edge(edge_index, training=self.training)[0])[:, :3]


class Centres(Holds):
    """Mixes all rows outside any module."""

    def forward(self, x, edge_index):
        x = self.conv(x, edge_index)[:, :3]
        return x - x.mean(dim=0)
