"""Influence by hop: against dense float64 Jacobians, and what it promises besides."""

import networkx
import pytest
import torch
from torch import nn
from torch_geometric import nn as pyg
from torch_geometric.data import Data
from torch_geometric.nn import models as pyg_models

import gnnkit
from gnnkit import Adjacency, flow
from gnnkit.diagnostics.jacobian import MappedNodes
from gnnkit.graph.hops import hop_distance
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.models import GAT, GCN, GCNII
from gnnkit.nn import GCNConv
from tests.pyg_models import MODELS as PYG
from tests.pyg_models import N, random_graph

F, C = 6, 4
OURS = {
    "GCN": lambda: GCN(F, 5, 3, C),
    "GCN by row, learned self-loops": lambda: GCN(F, 5, 2, C, normalize="row", learn_self_loop=True),
    "GCN of one layer": lambda: GCN(F, 5, 1, C),
    "GAT": lambda: GAT(F, 3, 2, C, heads=2),
    "GATv2": lambda: GAT(F, 3, 2, C, heads=2, version=2),
    "GAT residual": lambda: GAT(F, 3, 2, C, heads=2, residual=True),
    "GCNII": lambda: GCNII(F, 5, 4, C),
}


def dense_influence(call, x, norm):
    """(N, N): the norm of d out_v / d x_u, by torch's own Jacobian."""
    jacobian = torch.autograd.functional.jacobian(call, x)
    if norm == "l1":
        return jacobian.abs().sum((1, 3))
    return jacobian.square().sum((1, 3)).sqrt()


def by_hop(influence, graph, width):
    hops = hop_distance(graph, direction="in").long()
    assert float(influence[hops < 0].abs().sum()) == 0
    assert float(influence[hops >= width].abs().sum()) == 0
    return torch.stack([(influence * (hops == hop)).sum(1) for hop in range(width)], dim=1)


def features(seed=0):
    return torch.randn(N, F, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def assert_matches(found, expected):
    assert float((found.influence - expected).abs().max()) <= 1e-6 * float(expected.max())
    # Float64 rounds far below that; what is exactly zero must be exactly zero.
    torch.testing.assert_close(found.influence, expected, rtol=1e-9, atol=1e-12)
    assert torch.equal(found.influence == 0, expected == 0)
    assert not bool(found.elsewhere.any())


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("directed", [True, False], ids=["directed", "undirected"])
@pytest.mark.parametrize("name", OURS)
def test_models_of_ours_match_a_dense_jacobian(name, directed, norm):
    torch.manual_seed(1)
    graph, x = random_graph(directed, weighted=True).to(dtype=torch.float64), features()
    model = OURS[name]().double()
    found = flow(model, x, graph, norm=norm)
    assert found.influence.shape == (N, model.num_layers + 1)
    model.eval()
    assert_matches(found, by_hop(dense_influence(lambda x: model(x, graph), x, norm), graph, model.num_layers + 1))


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("name", PYG)
def test_models_of_pyg_match_a_dense_jacobian(name, norm):
    torch.manual_seed(1)
    graph, x = random_graph(directed=norm == "l1"), features()
    model = PYG[name](F, 4, 2, C).double()
    found = flow(model, x, graph, norm=norm)
    model.eval()
    edge_index = graph.to_edge_index()[0]
    assert_matches(found, by_hop(dense_influence(lambda x: model(x, edge_index), x, norm), graph, 3))


def test_models_of_pyg_with_weights_and_repeated_edges():
    torch.manual_seed(1)
    edge_index = torch.tensor([[0, 0, 1, 2, 2, 3], [1, 1, 2, 3, 3, 3]])
    weight = torch.rand(6, dtype=torch.float64) + 0.5
    data = Data(edge_index=edge_index, edge_weight=weight, num_nodes=5)
    x = torch.randn(5, F, dtype=torch.float64)
    model = pyg_models.GCN(F, 5, 2, C).double().eval()
    graph = Adjacency.from_edge_index(edge_index, num_nodes=5)
    expected = by_hop(dense_influence(lambda x: model(x, edge_index, weight), x, "l1"), graph, 3)
    assert_matches(flow(model, x, data), expected)


def test_edge_features_reach_attention():
    torch.manual_seed(1)
    graph, x = random_graph().to(dtype=torch.float64), features()
    edge_attr = torch.randn(graph.num_edges, 2, dtype=torch.float64)
    model = GAT(F, 3, 2, C, heads=2, edge_dim=2).double().eval()
    expected = by_hop(dense_influence(lambda x: model(x, graph, edge_attr), x, "l1"), graph, 3)
    assert_matches(flow(model, x, graph, edge_attr=edge_attr), expected)


class Own(nn.Module):
    """A user's model, of which nothing is known but how to call it."""

    def __init__(self):
        super().__init__()
        self.first, self.second = GCNConv(F, 5), GCNConv(5, C)

    def forward(self, x, graph):
        return self.second(self.first(x, graph).tanh(), graph)


def test_an_unknown_model_runs_on_the_whole_graph():
    torch.manual_seed(1)
    graph, x, model = random_graph().to(dtype=torch.float64), features(), Own().double()
    found = flow(model, x, graph, [5, 3, 59])
    expected = by_hop(dense_influence(lambda x: model(x, graph), x, "l1"), graph, 3)[[5, 3, 59]]
    assert_matches(found, expected)


class Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.out = pyg.GCNConv(F, C), nn.Linear(F, C)

    def forward(self, x, edge_index):
        return self.conv(x, edge_index) + self.out(x.mean(0, keepdim=True))


@pytest.mark.parametrize("graph", [random_graph(), Adjacency.from_dense(torch.ones(N, N))], ids=["sparse", "complete"])
def test_what_mixes_rows_outside_its_layers_runs_on_the_whole_graph(graph):
    torch.manual_seed(1)
    x, model = features(), Pooled().double()
    edge_index = graph.to_edge_index()[0]
    found = flow(model, x, graph, norm="l1")
    expected = dense_influence(lambda x: model(x, edge_index), x, "l1")
    hops = hop_distance(graph, direction="in")
    torch.testing.assert_close(found.elsewhere, (expected * (hops < 0)).sum(1))
    torch.testing.assert_close(found.influence.sum(1) + found.elsewhere, expected.sum(1))


class Centred(GCN):
    """Takes blocks, and mixes the rows that it is given."""

    def layer(self, *given):
        out = super().layer(*given)
        return out - out.mean(0)


@pytest.mark.parametrize("graph", [random_graph(), Adjacency.from_dense(torch.ones(N, N))], ids=["sparse", "complete"])
def test_a_model_of_blocks_that_mixes_rows_runs_on_the_whole_graph(graph):
    torch.manual_seed(1)
    x, model, graph = features(), Centred(F, 5, 2, C).double().eval(), graph.to(dtype=torch.float64)
    found = flow(model, x, graph)
    expected = dense_influence(lambda x: model(x, graph), x, "l1")
    hops = hop_distance(graph, direction="in")
    torch.testing.assert_close(found.elsewhere, (expected * (hops < 0)).sum(1))
    torch.testing.assert_close(found.influence.sum(1) + found.elsewhere, expected.sum(1))
    torch.testing.assert_close(found.influence[:, 0], expected.diagonal())


class Tanh(GAT):
    """Takes blocks, and is exact on them."""

    def layer(self, *given):
        return super().layer(*given).tanh()


def test_a_sound_subclass_runs_on_fields_edge_features_included():
    torch.manual_seed(1)
    graph, x = random_graph().to(dtype=torch.float64), features()
    edge_attr = torch.randn(graph.num_edges, 2, dtype=torch.float64)
    model = Tanh(F, 3, 2, C, heads=2, edge_dim=2).double().eval()
    found = flow(model, x, graph, edge_attr=edge_attr)
    assert_matches(found, by_hop(dense_influence(lambda x: model(x, graph, edge_attr), x, "l1"), graph, 3))


def test_weights_that_a_model_of_pyg_ignores_are_an_error():
    with pytest.raises(ValueError, match="the graph has edge_weight, and GIN takes none"):
        flow(pyg_models.GIN(F, 4, 2, C), features().float(), random_graph(weighted=True).to(dtype=torch.float32))


@pytest.mark.parametrize("make", [OURS["GCN"], OURS["GCNII"], lambda: pyg_models.GCN(F, 4, 3, C)])
def test_batches_do_not_matter(make):
    torch.manual_seed(1)
    graph, x, model = random_graph(), features().float(), make()
    whole, small = flow(model, x, graph), flow(model, x, graph, memory=20_000)
    torch.testing.assert_close(whole.influence, small.influence)
    order = torch.tensor([7, 3, 59, 0])
    torch.testing.assert_close(flow(model, x, graph, order).influence, whole.influence[order])


def test_sparse_features_are_dense_features():
    torch.manual_seed(1)
    graph, model = random_graph(), GCN(F, 5, 2, C)
    x = features().float() * (features(1) > 0.5)
    dense = flow(model, x, graph).influence
    for sparse in (x.to_sparse_csr(), SparseMatrix.from_tensor(x.to_sparse_csr())):
        torch.testing.assert_close(flow(model, sparse, graph).influence, dense)


def test_the_model_stays_as_it_was():
    torch.manual_seed(1)
    graph, x, model = random_graph(), features().float(), GCN(F, 5, 2, C, dropout=0.9)
    model.convs[1].eval()
    model.convs[0].bias.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, second = flow(model, x, graph), flow(model, x, graph)
    assert torch.equal(first.influence, second.influence)  # without dropout
    assert [module.training for module in model.modules()] == [True, True, True, True, False, False]
    assert [p.requires_grad for p in model.parameters()] == [False, True, True, True]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert not x.requires_grad
    with pytest.raises(TypeError, match="a row for each"):
        flow(Wrong(), x, graph)


class Wrong(nn.Module):
    def forward(self, x, graph):
        return x.sum()


def test_float64_on_request():
    torch.manual_seed(1)
    graph, x, model = random_graph(weighted=True).to(dtype=torch.float32), features().float(), OURS["GCN"]()
    found = flow(model, x, graph, dtype=torch.float64)
    assert found.influence.dtype == torch.float64
    assert next(model.parameters()).dtype == torch.float32
    double = OURS["GCN"]().double()
    double.load_state_dict(model.state_dict())
    torch.testing.assert_close(found.influence, flow(double, x.double(), graph.to(dtype=torch.float64)).influence)
    theirs = pyg_models.GCN(F, 5, 3, C, cached=True)
    theirs.load_state_dict(model.state_dict())
    torch.testing.assert_close(found.influence, flow(theirs, x, graph, dtype=torch.float64).influence)


def test_figures_a_and_b_need_three_and_four_layers():
    x = torch.eye(6)
    for edges, needed in (("AB AE AF BC BD CD DF EF", 3), ("AB AE AF BD CD DF", 4)):
        graph = networkx.Graph()
        graph.add_nodes_from("ABCDEF")
        graph.add_edges_from(edges.split())
        figure = Adjacency.from_networkx(graph)
        for layers in (needed - 1, needed):
            torch.manual_seed(0)
            model = GCN(6, 16, layers, 2)
            found = flow(model, x, figure, nodes=[4])
            assert found.influence.size(1) == layers + 1
            assert bool((found.influence > 0).all())
            # Only C, node 2, is as far as that from E.
            hops = hop_distance(figure, [4])[0].tolist()
            assert hops[2] == needed
            assert max(hops) == needed


def test_range_shares_and_what_is_read_off():
    influence = torch.tensor([[1.0, 1.0, 2.0], [3.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    found = gnnkit.diagnostics.Flow(influence, ("hop",), "l1", torch.arange(3), torch.zeros(3))
    assert found.ranges[:2].tolist() == [1.25, 0.25]
    assert found.ranges[2].isnan()
    assert found.range == 0.75
    assert found.mean.tolist() == [0.5, 0.25, 0.25]
    assert [found.within(hops) for hops in (0, 1, 2)] == [0.5, 0.75, 1.0]
    with pytest.raises(ValueError, match="got -1"):
        found.within(-1)
    with pytest.raises(ValueError, match="not by 'step'"):
        found.along("step")
    cone = gnnkit.diagnostics.Flow(torch.rand(2, 3, 4), ("hop", "step"), "l1", torch.arange(2), torch.zeros(2))
    torch.testing.assert_close(cone.along("hop").influence, cone.influence.sum(2))
    torch.testing.assert_close(cone.along("step").influence, cone.influence.sum(1))
    with pytest.raises(ValueError, match=r"take .along"):
        cone.range
    assert found.plot(title="three nodes").axes[0].get_xlabel() == "hops"
    assert cone.plot().axes[0].get_ylabel() == "steps back"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"norm": "l3"}, "got 'l3'"),
        ({"by": "hops"}, "got 'hops'"),
        ({"of": "state"}, "of='state'"),
        ({"nodes": [1, 1]}, "twice"),
        ({"nodes": [99]}, "99"),
        ({"memory": 0}, "got 0"),
        ({"x": torch.ones(3, F)}, r"got shape \(3, 6\)"),
        ({"edge_attr": torch.ones(3, 1)}, r"got \(3, 1\)"),
        ({"by": "step"}, "no graph"),
    ],
)
def test_mistakes_are_named(arguments, message):
    given = {"model": GCN(F, 5, 2, C), "x": torch.ones(N, F), "graph": random_graph(), **arguments}
    with pytest.raises(ValueError, match=message):
        flow(**given)


def test_a_graph_is_needed_by_hop():
    with pytest.raises(TypeError, match="NoneType"):
        flow(GCN(F, 5, 2, C), torch.ones(N, F))


def test_progress_is_told():
    seen = []

    class Sink:
        def update(self, completed, **fields):
            seen.append(completed)

    flow(GCN(F, 5, 2, C), torch.ones(N, F), random_graph(), progress=Sink())
    assert seen == sorted(seen)
    assert seen[-1] == N


def test_reach_is_hop_distance_on_a_grid():
    graph = Adjacency.from_networkx(networkx.convert_node_labels_to_integers(networkx.grid_2d_graph(7, 7)))
    torch.manual_seed(0)
    found = flow(GCN(2, 32, 4, 3), torch.rand(49, 2), graph)
    hops = hop_distance(graph)
    for node in range(49):
        present = torch.tensor([bool((hops[node] == hop).any()) for hop in range(5)])
        assert torch.equal(found.influence[node] > 0, present)


@pytest.mark.parametrize("make", [OURS["GCN"], OURS["GAT"], lambda: pyg_models.GCN(F, 4, 3, C)])
def test_no_nodes_no_edges_and_no_gradients_about(make):
    torch.manual_seed(1)
    model, x = make(), features().float()
    assert flow(model, x, random_graph(), nodes=[]).influence.shape[0] == 0
    alone = flow(model, x, Adjacency.from_edge_index(torch.empty(2, 0, dtype=torch.int64), num_nodes=N)).influence
    assert bool((alone[:, 0] > 0).any())  # all but those whose ReLUs are closed
    assert not bool(alone[:, 1:].any())
    usual = flow(model, x, random_graph()).influence
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            torch.testing.assert_close(flow(model, x, random_graph()).influence, usual)


class Reading(nn.Module):
    """Maps its input linearly, and reads it besides."""

    def __init__(self, *_):
        super().__init__()
        self.linear, self.conv = nn.Linear(F, F), pyg.GCNConv(F, C)

    def forward(self, x, edge_index):
        return self.conv(self.linear(x) + x.tanh(), edge_index)


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("name", ["GCN", "GAT", "GCNII", "reads its input", *PYG])
def test_first_maps_that_are_computed_once_for_all_nodes_change_nothing(name, sparse):
    """From the fifth target on they are looked up; four at a time, never."""
    torch.manual_seed(1)
    graph, x = random_graph(directed=True).to(dtype=torch.float64), features()
    model = Reading() if name == "reads its input" else OURS[name]() if name in OURS else PYG[name](F, 4, 2, C)
    given = SparseMatrix.from_tensor(x.where(x > 0, 0).to_sparse()) if sparse else x
    together = flow(model.double(), given, graph).influence
    nodes = torch.arange(N)
    apart = torch.cat([flow(model, given, graph, part).influence for part in nodes.split(4)])
    torch.testing.assert_close(together, apart, rtol=1e-12, atol=1e-14)


def test_first_maps_are_looked_up_where_rows_repeat(monkeypatch):
    looked_up, rows = [], MappedNodes.rows

    def counted(self, nodes, *weights):
        looked_up.append(nodes)
        return rows(self, nodes, *weights)

    monkeypatch.setattr(MappedNodes, "rows", counted)
    graph = random_graph(directed=False)
    flow(OURS["GCN"](), features().float(), graph)
    assert len(looked_up) == 1
    flow(Reading(), features().float(), graph)
    assert len(looked_up) == 2  # its first map; then it reads, and is given the rows themselves
