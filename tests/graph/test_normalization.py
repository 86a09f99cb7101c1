"""Normalised weights: against loops, their derivatives, degrees of 0, and what is refused."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from gnnkit.graph import Adjacency
from tests.graphs import GRAPHS, Case, cases
from tests.reference import dense as reference

each_graph = pytest.mark.parametrize("case", GRAPHS.values(), ids=GRAPHS)
KINDS = ["sym", "row", "column"]


@each_graph
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_equations(case: Case, kind):
    expected = reference.dense(reference.normalized(case.entries, kind), case.num_nodes)
    torch.testing.assert_close(case.adjacency().normalized(kind).to_dense(), expected, rtol=1e-12, atol=0)


@each_graph
@pytest.mark.parametrize("fill", [1.0, 2.0])
def test_equals_pyg(case: Case, fill):
    graph = case.adjacency()
    edge_index, weight = gcn_norm(*graph.to_edge_index(), case.num_nodes, improved=fill == 2.0, dtype=torch.float64)
    expected = Adjacency.from_edge_index(edge_index, weight, num_nodes=case.num_nodes)
    actual = graph.with_self_loops(fill).normalized("sym")
    torch.testing.assert_close(actual.to_dense(), expected.to_dense(), rtol=1e-12, atol=1e-15)


@given(cases(), st.sampled_from(KINDS))
def test_sums(case: Case, kind):
    dense = case.adjacency().normalized(kind).to_dense()
    assert bool(torch.isfinite(dense).all())
    if kind != "sym":
        sums = dense.sum(0 if kind == "row" else 1)
        assert bool(((sums - 1).abs().lt(1e-9) | (sums == 0)).all())


@given(cases(), st.floats(2**-4, 16))
def test_scaling_every_weight_changes_nothing(case: Case, factor):
    graph = case.adjacency()
    edge_index, weight = graph.to_edge_index()
    scaled = Adjacency.from_edge_index(edge_index, weight * factor, num_nodes=case.num_nodes)
    for kind in KINDS:
        torch.testing.assert_close(scaled.normalized(kind).to_dense(), graph.normalized(kind).to_dense())


def test_a_symmetric_graph_stays_symmetric_to_the_last_bit():
    torch.manual_seed(0)
    upper = torch.rand(40, 40).triu()
    graph = Adjacency.from_dense(upper + upper.T).with_self_loops(0.3)
    dense = graph.normalized("sym").to_dense()
    assert torch.equal(dense, dense.T)
    assert graph.normalized("sym").is_symmetric
    assert not graph.normalized("row").is_symmetric


@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_with_respect_to_weights(kind):
    edges = torch.tensor([[0, 1, 1, 2, 3, 3], [1, 0, 1, 0, 0, 1]])  # node 3 hears nothing, node 4 is alone
    weight = torch.tensor([0.5, 1.5, 2.0, 0.7, 1.1, 0.3], dtype=torch.float64, requires_grad=True)

    def run(weight):
        return Adjacency.from_edge_index(edges, weight, num_nodes=5).normalized(kind).to_dense()

    assert gradcheck(run, (weight,))
    assert gradgradcheck(run, (weight,))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_at_a_degree_of_0_are_finite(kind):
    weight = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    graph = Adjacency.from_edge_index(torch.tensor([[0, 1], [1, 2]]), weight, num_nodes=3).normalized(kind)
    (gradient,) = torch.autograd.grad(graph.to_dense().sum(), weight, create_graph=True)
    assert bool(torch.isfinite(gradient).all())
    (again,) = torch.autograd.grad(gradient.sum(), weight, allow_unused=True)
    assert again is None or bool(torch.isfinite(again).all())


@pytest.mark.parametrize("kind", KINDS)
def test_negative_weights_are_refused(kind):
    graph = Adjacency.from_edge_index(torch.tensor([[0, 1], [1, 0]]), torch.tensor([1.0, -0.5]), num_nodes=2)
    message = f"{kind} normalisation needs non-negative weights, but the smallest is -0.5; .*normalize=False"
    for _ in range(2):  # the flag is kept
        with pytest.raises(ValueError, match=message):
            graph.normalized(kind)
    with pytest.raises(ValueError, match="smallest is -1"):
        Adjacency.from_edge_index(torch.tensor([[0], [1]]), num_nodes=2).with_self_loops(-1.0).normalized(kind)
    weight = torch.tensor([-3.0], requires_grad=True)
    with pytest.raises(ValueError, match="smallest is -3"):
        Adjacency.from_edge_index(torch.tensor([[0], [1]]), weight, num_nodes=2).normalized(kind)


def test_unknown_kinds_are_refused():
    with pytest.raises(ValueError, match="must be one of sym, row, column, got 'rw'"):
        GRAPHS["directed"].adjacency().normalized("rw")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
def test_half_dtypes_normalise_in_float32(dtype, kind):
    # A hub of degree 3000: bfloat16 stops counting at 256.
    leaves = 3000
    edges = torch.stack([torch.arange(1, leaves + 1), torch.zeros(leaves, dtype=torch.long)])
    edges = torch.cat([edges, edges.flip(0)], dim=1)
    exact = Adjacency.from_edge_index(edges, num_nodes=leaves + 1).normalized(kind).to_edge_index()[1]
    weight = torch.ones(edges.size(1), dtype=dtype)
    actual = Adjacency.from_edge_index(edges, weight, num_nodes=leaves + 1).normalized(kind)
    assert actual.dtype == dtype
    torch.testing.assert_close(actual.to_edge_index()[1], exact.to(dtype), rtol=torch.finfo(dtype).eps, atol=0)
