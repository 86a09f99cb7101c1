"""Adjacency: what it holds, what it refuses, and that it never changes."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnkit.graph import Adjacency
from tests.graphs import GRAPHS, Case, cases

EDGES = torch.tensor([[0, 0, 1], [1, 2, 2]])
each_graph = pytest.mark.parametrize("case", GRAPHS.values(), ids=GRAPHS)


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-14)


# ---- what it holds -------------------------------------------------------------------------------


@each_graph
def test_holds_the_edges(case: Case):
    graph = case.adjacency()
    close(graph.to_dense(), case.dense())
    assert (graph.num_nodes, graph.num_edges) == (case.num_nodes, len(case.entries))
    edge_index, edge_weight = graph.to_edge_index()
    assert [tuple(edge) for edge in edge_index.t().tolist()] == sorted(case.entries)
    close(edge_weight, torch.tensor([case.entries[edge] for edge in sorted(case.entries)], dtype=torch.float64))


@each_graph
def test_says_what_kind_of_graph_it_is(case: Case):
    graph, dense = case.adjacency(), case.dense()
    pattern = dict.fromkeys(case.entries, True)
    assert graph.is_symmetric == (torch.equal(dense, dense.T) and all((t, s) in pattern for s, t in pattern))
    assert graph.is_undirected == all((t, s) in pattern for s, t in pattern)
    assert graph.is_weighted == any(weight != 1 for weight in case.entries.values())
    assert not graph.has_negative_weights
    assert graph.num_self_loops == sum(s == t for s, t in pattern)
    assert graph.in_degree().tolist() == [sum(t == node for _, t in pattern) for node in range(case.num_nodes)]
    assert graph.out_degree().tolist() == [sum(s == node for s, _ in pattern) for node in range(case.num_nodes)]
    close(graph.in_degree(weighted=True), dense.sum(0))
    close(graph.out_degree(weighted=True), dense.sum(1))


def test_a_reverse_edge_of_another_weight_is_undirected_but_not_symmetric():
    graph = Adjacency.from_edge_index(torch.tensor([[0, 1], [1, 0]]), torch.tensor([1.0, 2.0]), num_nodes=2)
    assert graph.is_undirected
    assert not graph.is_symmetric


def test_equal_degrees_do_not_make_a_cycle_symmetric():
    assert not Adjacency.from_edge_index(torch.tensor([[0, 1, 2], [1, 2, 0]]), num_nodes=3).is_symmetric


@each_graph
def test_transposes(case: Case):
    graph = case.adjacency()
    close(graph.T.to_dense(), case.dense().T)
    close(graph.T.T.to_dense(), case.dense())
    assert graph.T is graph.T
    if graph.is_symmetric:
        assert graph.T is graph


def test_names_itself():
    assert repr(Adjacency.from_edge_index(EDGES, num_nodes=3)) == "Adjacency(num_nodes=3, num_edges=3)"
    wide = Adjacency.from_edge_index(EDGES, torch.ones(3, dtype=torch.float64), num_nodes=3)
    assert repr(wide) == "Adjacency(num_nodes=3, num_edges=3, dtype=torch.float64)"


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.int8, torch.uint8])
def test_takes_ids_of_any_integer_dtype(dtype):
    graph = Adjacency.from_edge_index(EDGES.to(dtype), num_nodes=3)
    assert torch.equal(graph.to_edge_index()[0], EDGES)


@pytest.mark.parametrize("num_nodes", [3, np.int64(3), torch.tensor(3)])
def test_takes_any_whole_number_of_nodes(num_nodes):
    graph = Adjacency.from_edge_index(EDGES, num_nodes=num_nodes)
    assert type(graph.num_nodes) is int
    assert graph.num_nodes == 3


@pytest.mark.parametrize("weight", [torch.tensor([2, 3, 4]), torch.tensor([True, False, True])])
def test_whole_and_boolean_weights_become_the_default_dtype(weight):
    graph = Adjacency.from_edge_index(EDGES, weight, num_nodes=3)
    assert graph.dtype == torch.get_default_dtype()
    assert graph.to_edge_index()[1].tolist() == weight.float().tolist()


@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_edges_does_not_matter(case: Case, random):
    order = list(range(len(case.edges)))
    random.shuffle(order)
    assert case.weights is not None
    shuffled = Case(case.num_nodes, [case.edges[i] for i in order], [case.weights[i] for i in order])
    assert torch.equal(shuffled.adjacency().to_edge_index()[0], case.adjacency().to_edge_index()[0])
    close(shuffled.adjacency().to_dense(), case.dense())


# ---- coalescing ----------------------------------------------------------------------------------

REPEATED = torch.tensor([[1, 0, 0, 1, 0], [0, 1, 1, 0, 2]])


def test_coalesces_by_sum_and_by_max_with_gradients():
    for how, values, gradient in (
        ("sum", [5.0, 7.0, 6.0], [1.0, 1.0, 1.0, 1.0, 1.0]),
        ("max", [3.0, 7.0, 5.0], [0.0, 0.0, 1.0, 1.0, 1.0]),
    ):
        weight = torch.tensor([1.0, 2.0, 3.0, 5.0, 7.0], requires_grad=True)
        graph = Adjacency.from_edge_index(REPEATED, weight, num_nodes=3, coalesce=how)
        assert graph.to_edge_index()[0].tolist() == [[0, 0, 1], [1, 2, 0]]
        assert graph.to_edge_index()[1].tolist() == values
        graph.to_dense().sum().backward()
        assert weight.grad.tolist() == gradient


@pytest.mark.parametrize("how", ["sum", "max"])
def test_gradients_through_coalescing_are_right(how):
    weight = torch.tensor([1.0, 2.0, 3.0, 5.0, 7.0], dtype=torch.float64, requires_grad=True)
    x = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)

    def run(weight, x):
        graph = Adjacency.from_edge_index(REPEATED, weight, num_nodes=3, coalesce=how)
        return graph.propagate(x)

    assert torch.autograd.gradcheck(run, (weight, x))
    assert torch.autograd.gradgradcheck(run, (weight, x))


def test_equal_largest_weights_share_the_gradient():
    weight = torch.tensor([2.0, 2.0], requires_grad=True)
    edges = torch.tensor([[0, 0], [1, 1]])
    Adjacency.from_edge_index(edges, weight, num_nodes=2, coalesce="max").to_dense().sum().backward()
    assert weight.grad.tolist() == [0.5, 0.5]


def test_refuses_repeated_edges_when_asked_to():
    with pytest.raises(ValueError, match="the edge 0 -> 1 occurs 2 times; pass coalesce='sum' or 'max'"):
        Adjacency.from_edge_index(REPEATED, num_nodes=3, coalesce="error")
    assert Adjacency.from_edge_index(EDGES, num_nodes=3, coalesce="error").num_edges == 3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sums_of_many_weights_are_as_near_as_their_dtype_allows(dtype):
    weight = torch.full((400,), 0.1, dtype=dtype)
    expected = weight.double().sum().to(dtype)
    for edges in (torch.tensor([[0], [1]]).expand(2, 400), torch.tensor([[0, 0], [1, 0]]).repeat(1, 200)):
        share = expected if edges[1].all() else weight[:200].double().sum().to(dtype)
        sums = Adjacency.from_edge_index(edges, weight, num_nodes=2).to_edge_index()[1]
        assert sums.dtype == dtype
        torch.testing.assert_close(sums, share.expand_as(sums), rtol=torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize(("weight", "dtype"), [(4e4, torch.float16), (3e38, torch.bfloat16), (3e38, torch.float32)])
def test_refuses_sums_that_are_too_large(weight, dtype):
    weights = torch.tensor([1.0, weight, weight, 2.0, 5.0], dtype=dtype)
    with pytest.raises(ValueError, match=rf"the edge 0 -> 1 add up to inf in {dtype}; scale .*coalesce='max'"):
        Adjacency.from_edge_index(REPEATED, weights, num_nodes=3)
    kept = Adjacency.from_edge_index(REPEATED, weights, num_nodes=3, coalesce="max")
    assert kept.to_edge_index()[1].tolist() == [weights[1].item(), 5.0, 2.0]


# ---- what it refuses -----------------------------------------------------------------------------

NAN, INF = float("nan"), float("inf")
BAD_EDGE_LISTS = {
    "a list": ([[0], [1]], None, 2, TypeError, "must be a torch.Tensor, got list"),
    "one edge per row": (torch.zeros(3, 2, dtype=torch.long), None, 2, ValueError, r"got \(3, 2\); pass edge_index.t"),
    "three rows": (torch.zeros(3, 4, dtype=torch.long), None, 2, ValueError, r"got \(3, 4\); row 0 holds sources"),
    "one dimension": (torch.zeros(4, dtype=torch.long), None, 2, ValueError, r"got \(4,\)"),
    "no dimension": (torch.tensor(0), None, 2, ValueError, r"got \(\)"),
    "floats": (torch.zeros(2, 1), None, 2, TypeError, r"got torch.float32; convert with .long\(\)"),
    "no edges, as floats": (torch.empty(2, 0), None, 2, TypeError, "got torch.float32"),
    "booleans": (torch.zeros(2, 1, dtype=torch.bool), None, 2, TypeError, "got torch.bool"),
    "complex": (torch.zeros(2, 1, dtype=torch.cfloat), None, 2, TypeError, "got torch.complex64"),
    "sparse": (torch.eye(2).to_sparse(), None, 2, TypeError, "dense tensor, got torch.sparse_coo"),
    "negative id": (torch.tensor([[0], [-1]]), None, 2, ValueError, r"node id -1, but ids must lie in 0..1"),
    "id too large": (torch.tensor([[0], [2]]), None, 2, ValueError, r"node id 2, .*num_nodes=2"),
    "an id and no nodes": (torch.tensor([[0], [0]]), None, 0, ValueError, "num_nodes=0"),
    "negative count": (EDGES, None, -1, ValueError, "got -1"),
    "fractional count": (EDGES, None, 3.0, TypeError, "got 3.0"),
    "no count": (EDGES, None, None, TypeError, "got None"),
    "boolean count": (EDGES, None, True, TypeError, "got True"),
    "several counts": (EDGES, None, torch.tensor([3, 3]), TypeError, r"got tensor\(\[3, 3\]\)"),
    "weights as a list": (EDGES, [1.0, 1.0, 1.0], 3, TypeError, "got list"),
    "too few weights": (EDGES, torch.ones(2), 3, ValueError, r"shape \(3,\), .*got \(2,\)"),
    "weights in a column": (EDGES, torch.ones(3, 1), 3, ValueError, r"got \(3, 1\); features of several numbers"),
    "complex weights": (EDGES, torch.ones(3, dtype=torch.cfloat), 3, TypeError, "got torch.complex64"),
    "NaN": (EDGES, torch.tensor([1.0, NAN, 1.0]), 3, ValueError, r"edge_weight\[1\] is nan; weights must be finite"),
    "infinite": (EDGES, torch.tensor([1.0, 1.0, -INF]), 3, ValueError, r"edge_weight\[2\] is -inf"),
}


@pytest.mark.parametrize(("edges", "weight", "nodes", "error", "message"), BAD_EDGE_LISTS.values(), ids=BAD_EDGE_LISTS)
def test_refuses_bad_edge_lists(edges, weight, nodes, error, message):
    with pytest.raises(error, match=message):
        Adjacency.from_edge_index(edges, weight, num_nodes=nodes)


def test_refuses_other_mistakes():
    graph = Adjacency.from_edge_index(EDGES, num_nodes=3)
    with pytest.raises(ValueError, match="got 'mean'"):
        Adjacency.from_edge_index(EDGES, num_nodes=3, coalesce="mean")
    with pytest.raises(TypeError, match=r"takes no Tensor; use Adjacency.from_edge_index"):
        Adjacency(EDGES)
    with pytest.raises(TypeError, match="num_nodes"):
        Adjacency.from_edge_index(EDGES)  # never guessed
    with pytest.raises(TypeError, match=r"got torch.int64"):
        graph.to(dtype=torch.int64)
    heavy = Adjacency.from_edge_index(EDGES, torch.full((3,), 1e6), num_nodes=3)
    with pytest.raises(ValueError, match=r"weight of 1e\+06 is too large for torch.float16"):
        heavy.to(dtype=torch.float16)


# ---- it never changes ----------------------------------------------------------------------------


def test_cannot_be_changed_or_inherited_from():
    graph = Adjacency.from_edge_index(EDGES, num_nodes=3)
    with pytest.raises(AttributeError, match="'num_nodes' cannot be set"):
        graph.num_nodes = 4
    with pytest.raises(AttributeError, match="'colour' cannot be set"):
        graph.colour = "red"
    with pytest.raises(AttributeError, match="cannot be deleted"):
        del graph._matrix
    with pytest.raises(TypeError, match="final"):
        type("Mine", (Adjacency,), {})


@pytest.mark.parametrize("repeat", [1, 2])
def test_shares_no_memory_with_what_it_was_made_from(repeat):
    edge_index, weight = EDGES.repeat(1, repeat), torch.ones(3 * repeat)
    graph = Adjacency.from_edge_index(edge_index, weight, num_nodes=3)
    before = graph.to_dense()
    edge_index.zero_()
    weight.zero_()
    assert torch.equal(graph.to_dense(), before)
    matrix = torch.eye(3)
    from_matrix = Adjacency.from_dense(matrix)
    matrix.zero_()
    assert torch.equal(from_matrix.to_dense(), torch.eye(3))


def test_shares_no_memory_with_what_it_gives():
    graph = Adjacency.from_edge_index(EDGES, num_nodes=3)
    before = graph.to_dense()
    given_away = [*graph.to_edge_index(), graph.in_degree(), graph.in_degree(weighted=True), graph.to_dense()]
    for tensor in given_away:
        tensor.fill_(7)
    scipy_matrix = graph.to_scipy()
    scipy_matrix.data[:], scipy_matrix.indices[:] = 9, 0
    assert torch.equal(graph.to_dense(), before)
    assert torch.equal(graph.in_degree(), torch.tensor([0, 1, 2]))
    copied = copy.deepcopy(graph)
    copied._matrix.values.fill_(5)
    assert torch.equal(graph.to_dense(), before)


# ---- several graphs, and parts of one ------------------------------------------------------------


def test_batches_as_a_block_diagonal():
    graphs = [case.adjacency() for case in GRAPHS.values()]
    batch = Adjacency.batch(graphs)
    assert torch.equal(batch.to_dense(), torch.block_diag(*(graph.to_dense() for graph in graphs if graph.num_nodes)))
    assert batch.num_edges == sum(graph.num_edges for graph in graphs)
    x = torch.randn(batch.num_nodes, 3, dtype=torch.float64)
    parts = x.split([graph.num_nodes for graph in graphs])
    expected = torch.cat([graph.propagate(part) for graph, part in zip(graphs, parts, strict=True)])
    torch.testing.assert_close(batch.propagate(x), expected, rtol=1e-12, atol=1e-14)


def test_batch_passes_gradients_and_refuses_mixtures():
    weight = torch.rand(3, requires_grad=True)
    graph = Adjacency.from_edge_index(EDGES, weight, num_nodes=3)
    Adjacency.batch([graph, graph]).to_dense().sum().backward()
    assert weight.grad.tolist() == [2.0, 2.0, 2.0]
    assert torch.equal(
        Adjacency.batch(each for each in [graph, graph]).to_dense(), torch.block_diag(*[graph.to_dense()] * 2)
    )
    for nothing in ([], iter(())):
        with pytest.raises(ValueError, match="got an empty sequence"):
            Adjacency.batch(nothing)
    with pytest.raises(TypeError, match="takes several graphs, got Adjacency; pass them in a list"):
        Adjacency.batch(graph)
    with pytest.raises(TypeError, match="got Tensor"):
        Adjacency.batch([graph, EDGES])
    with pytest.raises(TypeError, match=r"torch.float32 and torch.float64"):
        Adjacency.batch([graph, graph.to(dtype=torch.float64)])


@given(cases(min_nodes=1), st.data())
def test_a_subgraph_is_a_submatrix(case: Case, data):
    node = st.integers(0, case.num_nodes - 1)
    nodes = torch.tensor(data.draw(st.lists(node, unique=True)), dtype=torch.long)
    close(case.adjacency().subgraph(nodes).to_dense(), case.dense()[nodes][:, nodes])
    mask = torch.zeros(case.num_nodes, dtype=torch.bool)
    mask[nodes] = True
    close(case.adjacency().subgraph(mask).to_dense(), case.dense()[mask][:, mask])


@given(cases(min_nodes=1), st.data())
def test_permuting_nodes_permutes_everything(case: Case, data):
    order = torch.tensor(data.draw(st.permutations(range(case.num_nodes))))
    graph, permuted = case.adjacency(), case.adjacency().subgraph(order)
    x = torch.randn(case.num_nodes, 2, dtype=torch.float64)
    close(permuted.T.to_dense(), graph.T.to_dense()[order][:, order])
    torch.testing.assert_close(permuted.propagate(x[order]), graph.propagate(x)[order], rtol=1e-10, atol=1e-10)
    normal, permuted_normal = (each.with_self_loops(0.5).normalized() for each in (graph, permuted))
    torch.testing.assert_close(permuted_normal @ x[order], (normal @ x)[order], rtol=1e-10, atol=1e-10)


BAD_NODES = {
    "twice": ([1, 1], ValueError, "nodes holds 1 twice"),
    "negative": ([-1], ValueError, r"nodes holds -1, .*ids are 0..2"),
    "too large": ([0, 3], ValueError, "nodes holds 3"),
    "floats": ([0.0], TypeError, "got torch.float32"),
    "a short mask": ([True, False], ValueError, r"shape \(3,\), got \(2,\)"),
    "two dimensions": ([[0, 1]], ValueError, r"got shape \(1, 2\)"),
    "nothing": (None, TypeError, "got None"),
    "names": (["a"], TypeError, r"got \['a'\]"),
}


@pytest.mark.parametrize(("nodes", "error", "message"), BAD_NODES.values(), ids=BAD_NODES)
def test_subgraph_refuses_what_are_no_distinct_nodes(nodes, error, message):
    with pytest.raises(error, match=message):
        Adjacency.from_edge_index(EDGES, num_nodes=3).subgraph(nodes)


def test_subgraph_passes_gradients():
    weight = torch.rand(3, requires_grad=True)
    graph = Adjacency.from_edge_index(EDGES, weight, num_nodes=3)
    graph.subgraph([2, 0]).to_dense().sum().backward()
    assert weight.grad.tolist() == [0.0, 1.0, 0.0]


def test_moves_between_dtypes():
    graph = Adjacency.from_edge_index(EDGES, num_nodes=3)
    assert graph.to() is graph
    assert graph.to("cpu", torch.float32) is graph
    wide = graph.to(dtype=torch.float64)
    assert wide.dtype == torch.float64
    assert wide.propagate(torch.ones(3, 1, dtype=torch.float64)).view(-1).tolist() == [0.0, 1.0, 2.0]
