"""Must a model be ours to be trained by our trainer? GraphSAGE and GIN, made of PyG's layers, on Zachary's club.

`fit` asks of a model only that it answers `model(x, edge_index)` with a row per node. PyG's ready GraphSAGE is one
line; GIN is written here layer by layer. What their layers allow is computed on the receptive field of the labelled
nodes alone, with the same losses; `flow` and `verdict` take them as well.

    $ python examples/graphs/models_of_pyg.py
    karate, seeds 0..9, 200 epochs: test accuracy, and the mean distance that outputs hear from
    GCN (ours)            73.3 +-  4.2 %   1.22 hops
    GraphSAGE (PyG)       56.3 +-  7.4 %   1.00 hops
    GIN of PyG's layers   68.0 +-  5.9 %   1.45 hops

Features here are the members' names, one-hot: a layer that keeps a node's own row apart, as GraphSAGE does, has fewer
neighbours' labels to go by than one that mixes it in.
"""

import argparse

import torch
from torch import Tensor, nn
from torch_geometric.nn import GINConv
from torch_geometric.nn.models import GraphSAGE

from gnnkit import TrainConfig, fit, flow, load_dataset
from gnnkit.models import GCN
from gnnkit.runs import spread


class GIN(nn.Module):
    """Two layers that sum over the neighbours; a network of two layers within each (Xu et al., ICLR 2019)."""

    def __init__(self, in_channels: int, hidden: int, out_channels: int) -> None:
        super().__init__()
        inner = nn.Sequential(nn.Linear(in_channels, hidden), nn.ReLU(), nn.Linear(hidden, hidden))
        self.first, self.second = GINConv(inner), GINConv(nn.Linear(hidden, out_channels))

    def reset_parameters(self) -> None:
        self.first.reset_parameters()
        self.second.reset_parameters()

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.second(self.first(x, edge_index).relu(), edge_index)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="two seeds and few epochs: does it run?")
    seeds, epochs = (2, 10) if parser.parse_args().smoke else (10, 200)
    torch.set_num_threads(1)
    data = load_dataset("karate")
    models = {
        "GCN (ours)": GCN(data.num_features, 16, 2, data.num_classes),
        "GraphSAGE (PyG)": GraphSAGE(data.num_features, 16, 2, data.num_classes, dropout=0.5),
        "GIN of PyG's layers": GIN(data.num_features, 16, data.num_classes),
    }
    print(f"karate, seeds 0..{seeds - 1}, {epochs} epochs: test accuracy, and the mean distance that outputs hear from")
    for name, model in models.items():
        found = spread(
            [100 * fit(model, data, TrainConfig(epochs=epochs, seed=seed)).test_accuracy for seed in range(seeds)]
        )
        reach = flow(model.eval(), data.x, data.adjacency).range
        print(f"{name:<20} {found.mean:5.1f} +- {found.std:4.1f} %   {reach:.2f} hops")


if __name__ == "__main__":
    main()
