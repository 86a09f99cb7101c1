"""The attention picture: an arrow per edge, a ring per loop, as wide as the coefficient, a panel per head."""

import pytest
import torch
from matplotlib.patches import Circle, FancyArrowPatch

from gnnkit.nn import GATConv
from gnnkit.plots import attention_figure

EDGES = torch.tensor([[0, 1, 2, 1], [1, 0, 1, 1]])
ALPHA = torch.tensor([[0.5, 0.1], [1.0, 1.0], [0.2, 0.3], [0.3, 0.6]])


def arrows(axes):
    return [patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]


def rings(axes):
    return [patch for patch in axes.patches if isinstance(patch, Circle) and not patch.get_fill()]


def test_a_panel_per_head_an_arrow_per_edge_a_ring_per_loop():
    figure = attention_figure(EDGES, ALPHA, num_nodes=3, title="all heads")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["head 0", "head 1"]
    for axes in figure.axes:
        assert len(arrows(axes)) == 3
        assert len(rings(axes)) == 1


def test_widths_are_proportional_to_the_coefficients_of_the_head_drawn():
    (axes,) = attention_figure(EDGES, ALPHA, num_nodes=3, heads=[1]).axes
    widths = [patch.get_linewidth() for patch in arrows(axes)]
    assert [width / widths[1] for width in widths] == pytest.approx([0.1, 1.0, 0.3])
    assert rings(axes)[0].get_linewidth() / widths[1] == pytest.approx(0.6)


def test_it_draws_what_a_layer_says():
    torch.manual_seed(0)
    layer = GATConv(4, 2, heads=5)
    edge_index, alpha, _ = layer.attention(torch.randn(3, 4), EDGES)
    figure = attention_figure(edge_index, alpha, num_nodes=3, node_names=["a", "b", "c"])
    assert len(figure.axes) == 5
    assert [text.get_text() for text in figure.axes[0].texts] == ["a", "b", "c"]


def test_no_edges_are_only_nodes():
    (axes,) = attention_figure(torch.empty(2, 0, dtype=torch.long), torch.empty(0, 1), num_nodes=2).axes
    assert not arrows(axes)
    assert len(axes.patches) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"edge_index": EDGES.t()}, r"shape \(2, num_edges\), got \(4, 2\)"),
        ({"alpha": ALPHA[:3]}, r"shape \(4, heads\).* got \(3, 2\)"),
        ({"alpha": 2 * ALPHA}, r"0\.\.1, got 0\.2 to 2"),
        ({"heads": [2]}, "there is no head 2: there are 2"),
        ({"heads": []}, "heads is empty"),
        ({"positions": [[0.0, 0.0]]}, r"shape \(3, 2\), got \(1, 2\)"),
    ],
    ids=str,
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        attention_figure(**({"edge_index": EDGES, "alpha": ALPHA, "num_nodes": 3} | arguments))
