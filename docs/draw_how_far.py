"""Draws the pictures of how_far.md and prints its numbers: python docs/draw_how_far.py (needs GNNKIT_DATA for Cora)."""

from __future__ import annotations

from pathlib import Path

import networkx
import torch
from torch import nn

from gnnkit import Adjacency, TrainConfig, fit, flow, load_dataset
from gnnkit.graph.hops import hop_distance
from gnnkit.models import GCN, GCNII
from gnnkit.nn.graph_lstm import GraphLSTM
from gnnkit.plots import save_figure
from gnnkit.plots.flow import flow_figure
from gnnkit.plots.hops import hops_on_graph
from gnnkit.training.view import features_of
from recurrent import LSTMCell, RNNCell
from recurrent.initialization import forget_bias_, xavier_
from recurrent.models import SequenceClassifier

PICTURES = Path(__file__).parent / "pictures"
FIGURES = {"a": "AB AE AF BC BD CD DF EF", "b": "AB AE AF BD CD DF"}


def figures() -> None:
    """Figures A and B, coloured by hop from E."""
    for name, edges in FIGURES.items():
        graph = networkx.Graph()
        graph.add_nodes_from("ABCDEF")
        graph.add_edges_from(edges.split())
        figure = Adjacency.from_networkx(graph)
        hops = hop_distance(figure, [4])[0]
        title = f"figure {name.upper()}: hops from E"
        save_figure(hops_on_graph(figure, hops, "ABCDEF", title=title), PICTURES / f"how_far_figure_{name}.png")
        for layers in (2, 3, 4):
            torch.manual_seed(0)
            found = flow(GCN(6, 16, layers, 2), torch.eye(6), figure, nodes=[4], dtype=torch.float64)
            from_c = float(found.influence[0, int(hops[2])]) if int(hops[2]) <= layers else 0.0
            print(f"figure {name.upper()}, {layers} layers: C moves E by {from_c:.4f}, range {found.range:.2f}")


def grid() -> None:
    """Depths on a grid."""
    graph = Adjacency.from_networkx(networkx.convert_node_labels_to_integers(networkx.grid_2d_graph(30, 30)))
    middle = [30 * row + column for row in range(12, 18) for column in range(12, 18)]
    series = {}
    for layers in (2, 4, 8, 16):
        torch.manual_seed(0)
        found = flow(GCN(8, 16, layers, 4), torch.rand(900, 8), graph, middle, dtype=torch.float64)
        series[f"{layers} layers, range {found.range:.2f}"] = found.shares
        print(f"grid, {layers} layers: range {found.range:.2f}, last hop {float(found.mean[-1]):.2e}")
    save_figure(flow_figure(series, title="untrained GCN on a 30 x 30 grid"), PICTURES / "how_far_grid.png")


def cora() -> None:
    """Trained networks on Cora."""
    data = load_dataset("cora")
    x = features_of(data)
    nodes = torch.randperm(data.num_nodes, generator=torch.Generator().manual_seed(0))[:200]
    series = {}
    models: dict[str, nn.Module] = {
        "GCN, 2 layers": GCN(data.num_features, 16, 2, data.num_classes),
        "GCN, 8 layers": GCN(data.num_features, 16, 8, data.num_classes),
        "GCNII, 8 layers": GCNII(data.num_features, 16, 8, data.num_classes),
    }
    for name, model in models.items():
        chosen = nodes if "2" in name else nodes[:30]
        result = fit(model, data, TrainConfig(epochs=200))
        found = flow(model, x, data.adjacency, chosen)
        series[f"{name}, range {found.range:.2f}"] = found.shares
        print(f"cora, {name}: test accuracy {result.test_accuracy:.3f}, range {found.range:.2f}, {found.mean.tolist()}")
    save_figure(flow_figure(series, title="trained on Cora"), PICTURES / "how_far_cora.png")


def sequences() -> None:
    """An RNN and LSTMs over 100 steps."""
    torch.manual_seed(0)
    digits = torch.randint(10, (128, 100, 1)).float()
    series = {}
    cells = (("RNN", RNNCell, None), ("LSTM", LSTMCell, None), ("LSTM, forget bias 3", LSTMCell, 3.0))
    for name, cell, forget in cells:
        model = SequenceClassifier(cell, 1, 128, 10)
        for each in model.stack.cells:
            xavier_(each)
            if forget is not None:
                forget_bias_(each, forget)
        found = flow(model, digits, by="step", of="state", norm="l2", dtype=torch.float64)
        series[f"{name}, range {found.range:.1f}"] = found.shares
        fall = (found.influence.mean(0)[-1] / found.influence.mean(0)[0]) ** (1 / 99)
        far = float(found.mean[50:].sum())
        print(f"{name}: range {found.range:.2f}, factor a step {float(fall):.3f}, from beyond 50 steps {far:.1e}")
    title = "untrained, 100 digits as numbers: influence of h_t"
    save_figure(flow_figure(series, distance="steps back", title=title), PICTURES / "how_far_steps.png")


def cone() -> None:
    """Hops and steps at once."""
    torch.manual_seed(0)
    path = Adjacency.from_networkx(networkx.path_graph(25))
    model = GraphLSTM(2, 8, operator="gcn", K=1)
    found = flow(model, torch.randn(12, 25, 2), path, nodes=[12], by=("hop", "step"), dtype=torch.float64)
    hops, steps = found.along("hop").range, found.along("step").range
    print(f"GraphLSTM: range {hops:.2f} hops, {steps:.2f} steps")
    save_figure(found.plot(title="an untrained GraphLSTM's light cone, on a path"), PICTURES / "how_far_cone.png")


def main() -> None:
    """Draw all."""
    PICTURES.mkdir(exist_ok=True)
    for draw in (figures, grid, sequences, cone, cora):
        draw()


if __name__ == "__main__":
    main()
