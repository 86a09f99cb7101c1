"""Pictures of a graph and of its matrix: what is drawn, read back from the figure."""

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.patches import Circle, FancyArrowPatch

from gnnkit.graph.adjacency import Adjacency
from gnnkit.plots.adjacency import adjacency_figure
from gnnkit.plots.graph import MAX_DRAWN_NODES, graph_figure, spring_layout
from gnnkit.plots.style import save_figure


def graph_of(*edges, num_nodes, weight=None):
    edge_index = torch.tensor(edges, dtype=torch.long).reshape(-1, 2).t()
    return Adjacency.from_edge_index(edge_index, weight, num_nodes=num_nodes)


MIXED = graph_of((0, 1), (1, 0), (1, 2), (2, 2), num_nodes=4)


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_a_pair_of_edges_is_a_line_a_single_one_an_arrow_a_loop_a_ring():
    (axes,) = graph_figure(MIXED, ["a", "b", "c", "far away"]).axes
    lines = next(each for each in axes.collections if isinstance(each, LineCollection))
    assert len(lines.get_segments()) == 1
    assert sum(isinstance(patch, FancyArrowPatch) for patch in axes.patches) == 1
    rings = [patch for patch in axes.patches if isinstance(patch, Circle)]
    assert len([ring for ring in rings if not ring.get_fill()]) == 1
    assert len([ring for ring in rings if ring.get_fill()]) == 4
    assert texts(axes) == ["a", "b", "c", "far away"]


def test_colours_and_widths_are_the_ones_given():
    graph = graph_of((0, 1), (1, 0), (1, 2), num_nodes=3)
    figure = graph_figure(graph, node_color=["#ff0000", "#00ff00", "#0000ff"], edge_width=[1.0, 4.0, 2.0])
    (axes,) = figure.axes
    discs = [patch for patch in axes.patches if isinstance(patch, Circle)]
    assert [disc.get_facecolor()[:3] for disc in discs] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    # to_edge_index() lists 0-1, 1-0, 1-2: the pair takes its wider width
    assert next(iter(axes.collections)).get_linewidths().tolist() == [4.0]
    assert next(p for p in axes.patches if isinstance(p, FancyArrowPatch)).get_linewidth() == 2.0


def test_layout_is_reproducible_and_fills_the_square():
    ring = graph_of(*[(i, (i + 1) % 9) for i in range(9)], num_nodes=9)
    places = spring_layout(ring, seed=3)
    np.testing.assert_array_equal(places, spring_layout(ring, seed=3))
    assert np.abs(places).max() == pytest.approx(1)
    gaps = np.linalg.norm(places[:, None] - places[None], axis=-1) + np.eye(9)
    assert gaps.min() > 0.3


@pytest.mark.parametrize("num_nodes", [0, 1, 2])
def test_tiny_graphs_are_drawn(num_nodes, tmp_path):
    graph = graph_of(num_nodes=num_nodes)
    assert spring_layout(graph).shape == (num_nodes, 2)
    save_figure(graph_figure(graph), tmp_path / "g.png")
    save_figure(adjacency_figure(graph), tmp_path / "a.png")


def test_wrong_lengths_and_too_many_nodes_are_refused():
    with pytest.raises(ValueError, match="node_names 1"):
        graph_figure(MIXED, ["a"])
    with pytest.raises(ValueError, match="node_color 2"):
        graph_figure(MIXED, node_color=["red", "red"])
    with pytest.raises(ValueError, match="edge_width 3"):
        graph_figure(MIXED, edge_width=[1, 2, 3])
    with pytest.raises(ValueError, match=r"\(4, 2\), got \(4, 3\)"):
        graph_figure(MIXED, positions=np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"501 nodes cannot be drawn legibly, 500 can"):
        graph_figure(graph_of(num_nodes=MAX_DRAWN_NODES + 1))
    with pytest.raises(ValueError, match="node_names 1"):
        adjacency_figure(MIXED, ["a"])


def test_matrix_cells_hold_the_weights():
    weight = torch.tensor([2.0, -0.25, 1 / 3, 12345.678])
    graph = graph_of((0, 1), (1, 0), (1, 2), (2, 2), num_nodes=4, weight=weight)
    _, matrix = adjacency_figure(graph, ["$x$", "b", "c", "a name beyond twelve"]).axes
    np.testing.assert_allclose(matrix.images[0].get_array(), graph.to_dense().numpy())
    assert texts(matrix) == ["2", "-0.25", "0.333", "1.23e+04"]
    placed = {text.get_text(): text.get_position() for text in matrix.texts}
    assert placed["0.333"] == (2, 1)  # column 2, row 1: the edge 1 -> 2
    assert [tick.get_text() for tick in matrix.get_yticklabels()] == ["$x$", "b", "c", "a name beyo…"]


def test_a_large_matrix_is_dots_at_row_and_column():
    graph = graph_of((3, 70), (70, 5), num_nodes=100)
    (axes,) = adjacency_figure(graph, title="chain").axes
    dots = {tuple(point) for point in axes.lines[0].get_xydata().tolist()}
    assert dots == {(70.0, 3.0), (5.0, 70.0)}
    assert axes.get_ylim() == (99.5, -0.5)
