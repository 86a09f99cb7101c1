"""What an Adjacency keeps of what derives from it, and that none of it outlives its reason."""

import copy
import io
import pickle
from multiprocessing.reduction import ForkingPickler

import pytest
import torch

from gnnkit.graph import Adjacency
from gnnkit.graph.adjacency import _MAX_KEPT
from tests.graphs import GRAPHS, random_case

EDGES = torch.tensor([[0, 0, 1], [1, 2, 2]])


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


def test_a_symmetric_graph_keeps_little():
    one_way = torch.randint(30, (2, 90), generator=torch.Generator().manual_seed(0))
    graph = Adjacency.from_edge_index(torch.cat([one_way, one_way.flip(0)], dim=1), num_nodes=30)
    x = torch.randn(30, 2, requires_grad=True)
    graph.with_self_loops().normalized().propagate(x).sum().backward()
    # Of what takes memory by the entry, the narrow copy that the product reads is all that is used again.
    forms = graph, graph.with_self_loops(), graph.with_self_loops().normalized()
    kept = {name for form in forms for name in vars(form._matrix.pattern)}
    assert kept.isdisjoint({"transpose", "transpose_inverse", "transpose_kernel", "with_diagonal", "row"})
    directed = warmed()._matrix.pattern
    assert "transpose" in vars(directed)


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
