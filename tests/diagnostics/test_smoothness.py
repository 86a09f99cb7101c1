"""Dirichlet energy against its trace form, its bounds, and known graphs."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from gnnkit.diagnostics import dirichlet_energy, smoothness
from gnnkit.graph import Adjacency
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.models import GAT, GCN
from gnnkit.plots.smoothness import smoothness_curves
from gnnkit.plots.style import save_figure


def random_graph(symmetric: bool = True, weighted: bool = True) -> Adjacency:
    torch.manual_seed(0)
    edges = torch.randint(0, 25, (2, 60))
    weight = torch.rand(60) if weighted else None
    graph = Adjacency.from_edge_index(edges, weight, num_nodes=25)
    return Adjacency.from_dense(graph.to_dense() + graph.to_dense().T) if symmetric else graph


@pytest.mark.parametrize("symmetric", [True, False])
def test_equals_the_trace_of_the_normalised_laplacian(symmetric: bool) -> None:
    graph = random_graph(symmetric)
    x = torch.randn(25, 4, dtype=torch.float64)
    matrix = graph.to_dense().double()
    matrix = (matrix + matrix.T) / 2
    matrix.fill_diagonal_(1.0)
    scale = matrix.sum(0).rsqrt()
    laplacian = torch.eye(25, dtype=torch.float64) - scale[:, None] * matrix * scale
    expected = torch.trace(x.T @ laplacian @ x).item()
    energy, relative = dirichlet_energy(x, graph)
    assert energy == pytest.approx(expected, rel=1e-12)
    assert relative == pytest.approx(expected / x.square().sum().item(), rel=1e-12)


def test_equals_the_graphs_own_operator() -> None:
    graph = random_graph(weighted=False)
    graph = Adjacency.from_edge_index(graph.to_edge_index()[0], num_nodes=25).to(dtype=torch.float64)
    loopless = Adjacency.from_dense(graph.to_dense() - torch.diag(graph.to_dense().diagonal()))
    x = torch.randn(25, 4, dtype=torch.float64)
    operator = loopless.with_self_loops(1.0).normalized("sym")
    expected = (x * (x - operator @ x)).sum().item()
    assert dirichlet_energy(x, graph)[0] == pytest.approx(expected, rel=1e-12)


def test_bounds_scale_and_the_smoothest_features() -> None:
    graph = random_graph()
    for _ in range(20):
        x = torch.randn(25, 3)
        energy, relative = dirichlet_energy(x, graph)
        assert 0 < relative < 2
        assert dirichlet_energy(10 * x, graph) == pytest.approx((100 * energy, relative), rel=1e-5)
    matrix = graph.to_dense().double().fill_diagonal_(1.0)
    smoothest = matrix.sum(0).sqrt().unsqueeze(1)  # the Laplacian's null vector: equal up to degrees
    assert dirichlet_energy(smoothest, graph)[1] < 1e-28
    assert dirichlet_energy(torch.zeros(25, 3), graph) == (0.0, 0.0)
    # Far below what a difference of traces resolves in float32.
    almost = smoothest + 1e-7 * torch.randn(25, 1, dtype=torch.float64)
    assert 0 < dirichlet_energy(almost, graph)[0] < 1e-12


def test_sparse_features_equal_dense() -> None:
    graph = random_graph()
    x = torch.randn(25, 300) * (torch.rand(25, 300) > 0.8)  # more columns than are looked at together
    for sparse in (x.to_sparse(), SparseMatrix.from_tensor(x.to_sparse_csr())):
        assert dirichlet_energy(sparse, graph) == pytest.approx(dirichlet_energy(x, graph), rel=1e-12)


def test_one_entry_per_layer_and_the_input_without_dropout() -> None:
    graph, x = random_graph(weighted=False), torch.randn(25, 4)
    model = GAT(4, 3, 2, 5, heads=2).train()
    result = smoothness(model, x, graph)
    assert model.training
    assert result == smoothness(model, x, graph)
    assert len(result.energy) == len(result.relative) == 3
    assert result.energy[0] == dirichlet_energy(x, graph)[0]
    with torch.no_grad():
        assert result.energy[2] == dirichlet_energy(model.eval()(x, graph), graph)[0]


def test_plain_propagation_goes_flat() -> None:
    chain = torch.arange(9)
    edges = torch.cat([torch.stack([chain, chain + 1]), torch.stack([chain + 1, chain])], dim=1)
    graph = Adjacency.from_edge_index(edges, num_nodes=10)
    x, operator = torch.randn(10, 3), graph.with_self_loops().normalized("sym")
    energies = []
    for _ in range(40):
        energies.append(dirichlet_energy(x, graph)[1])
        x = operator.propagate(x)
    assert all(later < earlier for earlier, later in pairwise(energies))
    assert energies[-1] < 0.05 * energies[0]


def test_errors() -> None:
    graph = random_graph()
    with pytest.raises(ValueError, match="25 nodes but the features have 24 rows"):
        dirichlet_energy(torch.randn(24, 3), graph)
    with pytest.raises(ValueError, match=r"got \(2, 25, 3\)"):
        dirichlet_energy(torch.randn(2, 25, 3), graph)
    with pytest.raises(ValueError, match="non-negative"):
        dirichlet_energy(torch.randn(2, 3), Adjacency.from_dense([[0, -1], [-1, 0]]))
    with pytest.raises(TypeError, match="Linear has no method layers"):
        smoothness(nn.Linear(3, 3), torch.randn(25, 3), graph)


def test_picture_has_a_line_per_model(tmp_path) -> None:
    graph, x = random_graph(weighted=False), torch.randn(25, 4)
    results = {f"GCN, {depth} layers $x$": smoothness(GCN(4, 8, depth, 3), x, graph).relative for depth in (2, 30)}
    figure = smoothness_curves({**results, "flat": [0.5, 0.0, 0.1]}, title="over the layers")
    (axes,) = figure.axes
    assert [len(line.get_xdata()) for line in axes.lines] == [3, 31, 3]
    assert axes.get_yscale() == "log"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [*results, "flat"]
    save_figure(figure, tmp_path / "smoothness.png")
    with pytest.raises(ValueError, match="models is empty"):
        smoothness_curves({})
    with pytest.raises(ValueError, match="one energy per layer"):
        smoothness_curves({"none": []})
