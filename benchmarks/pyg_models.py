"""The peers of `training.py`: GCN and GAT of PyG, trained in five ways, from plain to tuned by hand.

eager      as in PyG's examples: GCNConv / GATConv on an edge list
cached     GCNConv(cached=True)
compiled   normalised once, torch.compile
tuned      only the L-hop subgraph of the nodes scored (`k_hop_subgraph`), normalised once by the full
           graph's degrees, features as a sparse tensor with dropout on its values
both       tuned and compiled; GCN's first linear map stays outside the compiled part, since the compiler takes no
           sparse tensor, and GAT gets dense features for the same reason
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout, elu
from torch_geometric.nn import GATConv, GCNConv
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.utils import k_hop_subgraph

from gnnkit.data import NodeData

WAYS = ("eager", "cached", "compiled", "tuned", "tuned and compiled")
Step = Callable[[], float]


def sparse_dropout(x: Tensor, p: float, training: bool) -> Tensor:
    values = dropout(x.values(), p, training)
    return torch.sparse_csr_tensor(x.crow_indices(), x.col_indices(), values, x.shape, check_invariants=False)


class GCN(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, cached: bool, normalize: bool) -> None:
        super().__init__()
        self.first = GCNConv(in_channels, 16, cached=cached, normalize=normalize)
        self.second = GCNConv(16, out_channels, cached=cached, normalize=normalize)

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None) -> Tensor:
        x = dropout(x, 0.5, self.training) if x.layout == torch.strided else sparse_dropout(x, 0.5, self.training)
        hidden = self.first(x, edge_index, edge_weight).relu()
        return self.second(dropout(hidden, 0.5, self.training), edge_index, edge_weight)


class TunedGCN(GCN):
    """The same with the first linear map, whose input is sparse, apart: the compiler takes no sparse tensor."""

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None) -> Tensor:
        if x.layout == torch.strided:
            return super().forward(x, edge_index, edge_weight)
        return self.rest(self.first.lin(sparse_dropout(x, 0.5, self.training)), edge_index, edge_weight)

    def rest(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None) -> Tensor:
        hidden = (self.first.propagate(edge_index, x=x, edge_weight=edge_weight) + self.first.bias).relu()
        return self.second(dropout(hidden, 0.5, self.training), edge_index, edge_weight)


class GAT(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, out_heads: int) -> None:
        super().__init__()
        self.first = GATConv(in_channels, 8, heads=8, dropout=0.6)
        self.second = GATConv(64, out_channels, heads=out_heads, concat=False, dropout=0.6)

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        x = dropout(x, 0.6, self.training) if x.layout == torch.strided else sparse_dropout(x, 0.6, self.training)
        hidden = elu(self.first(x, edge_index))
        return self.second(dropout(hidden, 0.6, self.training), edge_index)


def epoch_of(kind: str, way: str, data: NodeData, dense: bool = False) -> Step:
    """One training step and one evaluation on the validation nodes, as a function of nothing."""
    tuned, compiled = way.startswith("tuned"), way.endswith("compiled")
    normalised_once = tuned or compiled
    if kind == "gcn":
        model: nn.Module = (TunedGCN if tuned else GCN)(
            data.num_features, data.num_classes, way == "cached", not normalised_once
        )
    else:
        model = GAT(data.num_features, data.num_classes, 8 if data.name == "pubmed" else 1)
    edge_index, _ = data.adjacency.to_edge_index()
    weight = None
    if kind == "gcn" and normalised_once:
        edge_index, weight = gcn_norm(edge_index, None, data.num_nodes)
    features = data.x if data.x.layout == torch.strided else data.x.to_dense()
    views = []
    for mask in (data.train_mask, data.val_mask):
        nodes = mask.nonzero().view(-1)
        if not tuned:
            views.append((features, edge_index, weight, nodes, data.y[nodes]))
            continue
        subset, edges, rows, kept = k_hop_subgraph(nodes, 2, edge_index, relabel_nodes=True, num_nodes=data.num_nodes)
        dense_here = dense or (kind == "gat" and compiled)
        x = features[subset] if dense_here else features[subset].to_sparse_csr()
        views.append((x, edges, None if weight is None else weight[kept], rows, data.y[nodes]))
    train, val = views
    if kind == "gcn":
        groups = [{"params": list(model.first.parameters()), "weight_decay": 5e-4}]
        groups.append({"params": list(model.second.parameters())})
        optimizer = torch.optim.Adam(groups, lr=0.01)
    else:
        optimizer = torch.optim.Adam(model.parameters(), lr=0.005, weight_decay=5e-4)
    if compiled and kind == "gcn" and tuned and not dense:
        model.rest = torch.compile(model.rest, dynamic=False)
        forward: nn.Module = model
    else:
        forward = torch.compile(model, dynamic=False) if compiled else model

    def epoch() -> float:
        model.train()
        optimizer.zero_grad()
        x, edges, weights, rows, labels = train
        cross_entropy(forward(x, edges, weights)[rows], labels).backward()
        optimizer.step()
        model.eval()
        with torch.no_grad():
            x, edges, weights, rows, labels = val
            return cross_entropy(forward(x, edges, weights)[rows], labels).item()

    return epoch
