"""The pictures of docs/concepts.md: normalisation, receptive field, attention, gates, how far.

$ python docs/draw_concepts.py          # into docs/pictures; a minute
"""

from __future__ import annotations

from pathlib import Path

import networkx
import numpy as np
import torch

import gnnkit
from gnnkit.graph import Adjacency, hop_distance
from gnnkit.jobs.sequence_diagnostics import gradients_by_distance
from gnnkit.jobs.sequence_job import CellChoice, TaskChoice
from gnnkit.models import GAT, GCN
from gnnkit.plots import attention_figure, save_figure
from gnnkit.plots.graph import draw_graph
from gnnkit.plots.style import FAINT, PALETTE, colour, label, legend, new_figure
from recurrent.cells.phased_lstm import temporal_gate

HERE = Path(__file__).parent / "pictures"
NEAR = (PALETTE[1], PALETTE[5], PALETTE[2], PALETTE[4])  # by hops, from the centre outwards


def undirected(graph: networkx.Graph) -> Adjacency:
    """Both directions of every edge, weight 1."""
    return Adjacency.from_networkx(graph, weight=None)


def normalization() -> None:
    """A hub with five leaves and a pair: the weight of every edge, three times."""
    edges = [(0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (5, 6)]
    graph = undirected(networkx.Graph(edges))
    places = [[0, 0], *[[np.cos(a), np.sin(a)] for a in np.linspace(0.9, 5.2, 4)], [1.1, -0.25], [2.0, -0.25]]
    figure, panels = new_figure(1, 3, width=3.6, height=3.2)
    forms = {
        "as they are": graph,
        'row: "the mean of my neighbours"': graph.normalized("row"),
        "sym: hubs speak softly": graph.normalized("sym"),
    }
    for axes, (title, form) in zip(panels, forms.items(), strict=True):
        (source, target), weight = form.to_edge_index()
        draw_graph(axes, form, positions=places, edge_width=1 + 3 * weight.numpy())
        for s, t, w in zip(source.tolist(), target.tolist(), weight.tolist(), strict=True):
            x, y = 0.30 * np.array(places[s]) + 0.70 * np.array(places[t])  # near the listener
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85}
            number = f"{w:.2f}".lstrip("0").rstrip("0").rstrip(".")
            axes.text(x, y, number, fontsize=8, ha="center", va="center", bbox=box, zorder=5)
        label(axes, title=title)
    save_figure(figure, HERE / "concept_normalization.png")


def receptive_field() -> None:
    """The centre of a grid and what one, two and three layers hear."""
    size = 9
    grid = networkx.convert_node_labels_to_integers(networkx.grid_2d_graph(size, size), ordering="sorted")
    graph = undirected(grid)
    centre = size * size // 2
    hops = hop_distance(graph, torch.tensor([centre]))[0].tolist()
    places = [[node % size, node // size] for node in range(size * size)]
    places = (2 * np.array(places) / (size - 1) - 1).tolist()
    figure, panels = new_figure(1, 3, width=3.2, height=3.4)
    for layers, axes in enumerate(panels, start=1):
        colours = [NEAR[hop] if hop <= layers else FAINT for hop in hops]
        draw_graph(axes, graph, [""] * graph.num_nodes, positions=places, node_color=colours)
        label(axes, title=f"{layers} layer{'s' * (layers > 1)}: {sum(hop <= layers for hop in hops)} nodes are heard")
    save_figure(figure, HERE / "concept_receptive_field.png")


def attention() -> None:
    """A trained GAT on the karate club."""
    data = gnnkit.load_dataset("karate")
    model = GAT(data.num_features, 8, 2, data.num_classes, heads=4)
    gnnkit.fit(model, data, gnnkit.TrainConfig(epochs=200, lr=0.01))
    with torch.no_grad():
        edge_index, alpha, _ = model.convs[0].attention(data.x, data.adjacency)
    colours = [colour(int(each)) for each in data.y]
    figure = attention_figure(edge_index, alpha, num_nodes=data.num_nodes, node_color=colours)
    save_figure(figure, HERE / "concept_attention.png")


def gates() -> None:
    """The clock of a Phased LSTM, and the memory that forget gates leave."""
    figure, (left, right) = new_figure(1, 2)
    time = torch.arange(0, 40.001, 0.05)
    for index, (tau, open_share) in enumerate(((8.0, 0.1), (16.0, 0.3))):
        settings = (torch.tensor(value) for value in (tau, 0.0, open_share))
        k = temporal_gate(time, *settings)
        left.plot(time, k, color=colour(index), linewidth=1.6, label=f"period {tau:g}, open {open_share:.0%}")
    left.set_ylim(0, 1.45)
    label(left, title="Phased LSTM: the gate k(t) opens on a clock", x="time", y="k")
    legend(left, loc="upper right")
    steps = np.arange(0, 41)
    for index, bias in enumerate((0, 1, 3)):
        keep = 1 / (1 + np.exp(-bias))
        right.plot(steps, keep**steps, color=colour(index), linewidth=1.6, label=f"bias {bias}: f = {keep:.2f}")
    label(right, title="LSTM: what the forget gate leaves of a memory", x="steps", y="share left")
    legend(right)
    save_figure(figure, HERE / "concept_gates.png")


def how_far() -> None:
    """Three depths of untrained GCN on a grid; an RNN and an LSTM over 60 steps."""
    figure, (left, right) = new_figure(1, 2)
    graph = undirected(networkx.convert_node_labels_to_integers(networkx.grid_2d_graph(21, 21), ordering="sorted"))
    x = torch.randn(graph.num_nodes, 4, generator=torch.Generator().manual_seed(0))
    for index, layers in enumerate((2, 4, 8)):
        torch.manual_seed(0)
        found = gnnkit.flow(GCN(4, 16, layers, 4), x, graph, [220])
        share = (found.influence[0] / found.influence[0].sum()).numpy()
        left.plot(
            range(layers + 1), share, color=colour(index), marker="o", markersize=4, label=f"GCN, {layers} layers"
        )
    left.set_yscale("log")
    label(left, title="graph: a wall at as many hops as layers", x="hops", y="share of influence")
    legend(left)
    task = TaskChoice("palindrome", 60, "scalar")
    for index, cell in enumerate(("rnn", "lstm")):
        norms = gradients_by_distance(CellChoice(cell, init="xavier").build(task.build(), 0), task.build(), seed=0)
        right.plot(range(len(norms)), norms, color=colour(index), linewidth=1.6, label=cell.upper())
    right.set_yscale("log")
    label(right, title="sequence: no wall, but a slope", x="steps back", y="norm of dL/dh")
    legend(right)
    save_figure(figure, HERE / "concept_how_far.png")


if __name__ == "__main__":
    normalization()
    receptive_field()
    attention()
    gates()
    how_far()
