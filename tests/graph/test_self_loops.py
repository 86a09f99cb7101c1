"""A + lambda I: who gets a self-loop, of which weight, and how gradients reach it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck
from torch_geometric.utils import add_remaining_self_loops

from gnnkit.graph import Adjacency
from tests.graphs import GRAPHS, Case, cases
from tests.reference import dense as reference

each_graph = pytest.mark.parametrize("case", GRAPHS.values(), ids=GRAPHS)


@each_graph
@pytest.mark.parametrize("weight", [1.0, 0.0, 2.5, -1.0, 3])
def test_fills_what_is_missing(case: Case, weight):
    looped = case.adjacency().with_self_loops(weight)
    expected = reference.with_self_loops(case.entries, case.num_nodes, weight)
    assert torch.equal(looped.to_dense(), reference.dense(expected, case.num_nodes))
    edge_index, _ = looped.to_edge_index()
    assert [tuple(edge) for edge in edge_index.t().tolist()] == sorted(expected)
    assert looped.num_self_loops == case.num_nodes


@each_graph
def test_equals_pyg(case: Case):
    edge_index, weight = case.adjacency().to_edge_index()
    theirs = add_remaining_self_loops(edge_index, weight, 0.5, case.num_nodes)
    expected = Adjacency.from_edge_index(*theirs, num_nodes=case.num_nodes)
    assert torch.equal(case.adjacency().with_self_loops(0.5).to_dense(), expected.to_dense())


@given(cases(), st.floats(0, 4, width=32), st.floats(0, 4, width=32))
def test_the_first_loops_stay(case: Case, first, second):
    looped = case.adjacency().with_self_loops(first)
    assert torch.equal(looped.with_self_loops(second).to_dense(), looped.to_dense())
    assert looped.is_symmetric == case.adjacency().is_symmetric


def test_a_number_and_a_tensor_are_the_same_weight():
    graph = GRAPHS["directed"].adjacency()
    for weight in (torch.tensor(2.5), torch.tensor([2.5]), torch.tensor(2.5, dtype=torch.float64)):
        assert graph.with_self_loops(weight) is graph.with_self_loops(2.5)
    learned = graph.with_self_loops(torch.tensor(2.5, requires_grad=True))
    assert learned.dtype == graph.dtype
    assert torch.equal(learned.to_dense(), graph.with_self_loops(2.5).to_dense())


@pytest.mark.parametrize("name", ["directed", "weighted self-loops", "undirected, weighted", "no edges", "no nodes"])
@pytest.mark.parametrize("normalization", [None, "sym", "row", "column"])
def test_derivatives_with_respect_to_lambda_and_weights(name, normalization):
    case = GRAPHS[name]
    edge_index, weight = case.adjacency().to_edge_index()
    weight.requires_grad_()
    lam = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)

    def run(weight, lam):
        graph = Adjacency.from_edge_index(edge_index, weight, num_nodes=case.num_nodes).with_self_loops(lam)
        return (graph if normalization is None else graph.normalized(normalization)).to_dense()

    assert gradcheck(run, (weight, lam))
    assert gradgradcheck(run, (weight, lam))


def test_the_gradient_counts_only_the_loops_that_were_added():
    lam = torch.tensor(1.0, requires_grad=True)
    GRAPHS["weighted self-loops"].adjacency(torch.float32).with_self_loops(lam).to_dense().sum().backward()
    assert lam.grad == 2  # nodes 0 and 2 have their own


BAD_WEIGHTS = {
    "NaN": (float("nan"), "must be finite, got nan"),
    "infinite": (float("inf"), "must be finite, got inf"),
    "an infinite tensor": (torch.tensor(-float("inf")), "must be finite, got -inf"),
    "NaN that is learned": (torch.tensor(float("nan"), requires_grad=True), "must be finite, got nan"),
    "beyond float32": (1e300, r"at most 3.40282e\+38, torch.float32's largest, got 1e\+300"),
    "learned, beyond float32": (torch.tensor(-1e300, dtype=torch.float64, requires_grad=True), r"got -1e\+300"),
    "one per node": (torch.ones(4), r"one number, got shape \(4,\)"),
    "nothing": (torch.ones(0), r"one number, got shape \(0,\)"),
}


@pytest.mark.parametrize(("weight", "message"), BAD_WEIGHTS.values(), ids=BAD_WEIGHTS)
def test_refuses_what_is_no_weight(weight, message):
    with pytest.raises(ValueError, match=message):
        GRAPHS["directed"].adjacency(torch.float32).with_self_loops(weight)


@pytest.mark.parametrize("learned", [False, True])
def test_refuses_what_a_half_dtype_does_not_hold(learned):
    graph = GRAPHS["directed"].adjacency(torch.float16)
    for weight in (1e6, torch.tensor(1e6, requires_grad=learned)):
        with pytest.raises(ValueError, match=r"at most 65504, torch.float16's largest, got 1e\+06"):
            graph.with_self_loops(weight)
    assert float(graph.with_self_loops(65504.0).to_dense().max()) == 65504


def test_what_a_network_computes_is_left_to_its_loss():
    """A look at every step would wait for the device, and a run that diverges is named by its loss."""
    computed = torch.nn.functional.softplus(torch.tensor(float("nan"), requires_grad=True))
    assert GRAPHS["directed"].adjacency().with_self_loops(computed).to_dense().isnan().any()
