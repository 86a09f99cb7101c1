"""Adjacency: what it holds, what it refuses, that it never changes, and what it keeps."""

import copy
import io
import pickle
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnkit.graph import Adjacency
from gnnkit.graph.adjacency import _MAX_KEPT
from tests.graphs import GRAPHS, Case, cases, random_case

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


# ---- what it keeps -------------------------------------------------------------------------------


def warmed() -> Adjacency:
    graph = random_case(20, 60).adjacency(torch.float32)
    graph.with_self_loops().normalized().propagate(torch.randn(20, 2, requires_grad=True)).sum().backward()
    assert graph.T.num_edges
    return graph


def test_keeps_what_derives_from_it():
    graph = warmed()
    assert graph.with_self_loops() is graph.with_self_loops(1)
    assert graph.with_self_loops(2.0) is not graph.with_self_loops()
    assert graph.with_self_loops().normalized("sym") is graph.with_self_loops().normalized()


def test_keeps_no_more_than_a_few_forms():
    graph = warmed()
    for _ in range(2):
        for step in range(3 * _MAX_KEPT):
            looped = graph.with_self_loops(step + 0.5)
            assert float(looped.to_dense().diagonal().max()) >= step + 0.5
    assert len(graph._kept) == _MAX_KEPT


def test_keeps_nothing_made_of_weights_that_require_gradients():
    weight = torch.rand(3, requires_grad=True)
    graph = Adjacency.from_edge_index(EDGES, weight, num_nodes=3)
    with torch.no_grad():
        graph.with_self_loops().normalized().propagate(torch.randn(3, 2))
    first = graph.with_self_loops().normalized()
    assert graph._kept == {}
    assert graph.with_self_loops().normalized() is not first
    gradient = torch.autograd.grad(first.to_dense().square().sum(), weight)[0]
    assert gradient.abs().max() > 0


def test_keeps_nothing_made_of_a_lambda_that_requires_gradients():
    graph, weight = Adjacency.from_edge_index(EDGES, num_nodes=3), torch.tensor(2.0, requires_grad=True)
    looped = graph.with_self_loops(weight)
    assert looped is not graph.with_self_loops(weight)
    assert looped.normalized() is not looped.normalized()
    assert graph.with_self_loops(weight.detach()) is graph.with_self_loops(2.0)


def pickled_tensors(payload: bytes) -> int:
    """How many bytes of tensors a pickle holds; fails where it holds anything but tensors and our constructor."""
    allowed = {("gnnkit.graph.adjacency", "_from_csr")}
    seen = []

    class Only(pickle.Unpickler):
        def find_class(self, module, name):
            seen.append((module, name))
            return super().find_class(module, name)

    Only(io.BytesIO(payload)).load()
    assert all(
        known in allowed or known[0].startswith(("torch", "collections", "multiprocessing")) for known in seen
    ), seen
    return len(payload)


@pytest.mark.parametrize("dumps", [pickle.dumps, lambda graph: bytes(ForkingPickler.dumps(graph))])
def test_pickles_as_tensors_only(dumps):
    fresh, used = random_case(20, 60).adjacency(torch.float32), warmed()
    # Sharing between processes sends handles, of the same size whatever they point at.
    assert abs(pickled_tensors(dumps(used)) - pickled_tensors(dumps(fresh))) < 32
    again = pickle.loads(dumps(used))
    assert again._kept == {}
    assert torch.equal(again.to_dense(), used.to_dense())


def test_copies_drop_what_was_kept():
    graph = warmed()
    assert copy.copy(graph) is graph
    for other in (copy.deepcopy(graph), pickle.loads(pickle.dumps(graph)), graph.to(dtype=torch.float64)):
        assert other._kept == {}
        assert "transpose" not in vars(other._matrix.pattern) or other._matrix.pattern is graph._matrix.pattern
        torch.testing.assert_close(other.to_dense().float(), graph.to_dense())
    twice = copy.deepcopy([graph, graph])
    assert twice[0] is twice[1]


def test_copies_of_weights_with_gradients_are_leaves():
    weight = torch.rand(3, requires_grad=True)
    graph = Adjacency.from_edge_index(EDGES, weight * 2, num_nodes=3)
    for other in (copy.deepcopy(graph), pickle.loads(pickle.dumps(graph))):
        assert not other._matrix.values.requires_grad
        assert torch.equal(other.to_dense(), graph.to_dense())


@pytest.mark.slow
def test_travels_to_a_worker_process():
    graphs = [warmed(), GRAPHS["no nodes"].adjacency()]
    loader = torch.utils.data.DataLoader(graphs, batch_size=None, num_workers=1, multiprocessing_context="spawn")
    for sent, received in zip(graphs, loader, strict=True):
        assert torch.equal(sent.to_dense(), received.to_dense())


# ---- inference mode and transforms ---------------------------------------------------------------


@pytest.mark.parametrize("made", ["before", "within", "by .to within", "as a subgraph within", "as a batch within"])
def test_trains_after_use_in_inference_mode(made):
    graph = random_case(10, 30).adjacency(torch.float32)
    with torch.inference_mode():
        if made == "within":
            graph = random_case(10, 30).adjacency(torch.float32)
        elif made == "by .to within":
            graph = graph.to(dtype=torch.float64).to(dtype=torch.float32)
        elif made == "as a subgraph within":
            graph = graph.subgraph(torch.arange(10))
        elif made == "as a batch within":
            graph = Adjacency.batch([graph])
        for each in (graph, graph.T, graph.with_self_loops().normalized()):
            each.propagate(torch.randn(10, 2))
            each @ torch.randn(10, 2)
    x = torch.randn(10, 2, requires_grad=True)
    for each in (graph, graph.T, graph.with_self_loops().normalized()):
        (each.propagate(x) + each @ x).sum().backward()
    assert x.grad.abs().max() > 0


@pytest.mark.parametrize("name", ["directed", "undirected, weighted"])
@pytest.mark.parametrize("transform", [torch.func.grad, lambda f: torch.vmap(torch.func.grad(f)), torch.vmap])
def test_first_use_within_a_transform_leaves_nothing_of_it_behind(name, transform):
    graph = GRAPHS[name].adjacency()
    fresh = GRAPHS[name].adjacency()

    def run(x):
        normal = graph.with_self_loops().normalized()
        return (normal.propagate(x) + graph.T @ x).square().sum()

    x = torch.randn(3, graph.num_nodes, 2, dtype=torch.float64)
    transform(run)(x if transform is not torch.func.grad else x[0])
    normal = graph.with_self_loops().normalized()
    kept = [graph.T._matrix.values, normal._matrix.values, normal._matrix.transposed_values]
    kept += [*graph._matrix.pattern.transpose, *normal._matrix.pattern.transpose, normal._matrix.pattern.row]
    assert not any(torch._C._functorch.is_functorch_wrapped_tensor(tensor) for tensor in kept)
    assert torch.equal(pickle.loads(pickle.dumps(normal)).to_dense(), fresh.with_self_loops().normalized().to_dense())


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
    with pytest.raises(ValueError, match="got an empty sequence"):
        Adjacency.batch([])
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
