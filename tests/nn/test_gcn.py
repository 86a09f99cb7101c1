"""GCNConv against PyG, against float64 loops, and against its own derivatives."""

import copy

import pytest
import torch
import torch_geometric.nn as pyg
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck
from torch_geometric.utils import coalesce

from gnnkit.graph import Adjacency
from gnnkit.graph.receptive_field import receptive_field
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.nn import GCNConv
from gnnkit.nn.gcn import gcn_normalized
from tests.graphs import GRAPHS, Case, cases, random_case
from tests.reference import dense as reference

each_graph = pytest.mark.parametrize("case", GRAPHS.values(), ids=GRAPHS)
SOME = ["no edges", "directed, weighted, unsorted", "undirected, weighted", "duplicates", "weighted self-loops"]
some_graphs = pytest.mark.parametrize("case", [GRAPHS[name] for name in SOME], ids=SOME)


def layer_with_bias(*args, dtype: torch.dtype = torch.float64, **options) -> GCNConv:
    layer = GCNConv(*args, **options).to(dtype)
    if layer.bias is not None:
        torch.nn.init.normal_(layer.bias)  # a zero bias would hide a misplaced one
    return layer


# ---- against others ------------------------------------------------------------------------------


@each_graph
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {}),
        ({"improved": True}, {"improved": True}),
        ({"self_loop_weight": 2.0}, {"improved": True}),
        ({"add_self_loops": False}, {"add_self_loops": False}),
        ({"normalize": False}, {"normalize": False}),
        ({"bias": False}, {"bias": False}),
        ({"normalize": "sym"}, {"cached": True}),
    ],
    ids=str,
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_equals_pyg(case: Case, ours, theirs, dtype, tolerance):
    torch.manual_seed(0)
    weight = torch.ones(len(case.edges)) if case.edge_weight is None else case.edge_weight
    edge_index, weight = coalesce(case.edge_index.contiguous(), weight.to(dtype), case.num_nodes, reduce="sum")
    x = torch.randn(case.num_nodes, 5, dtype=dtype)
    layer = layer_with_bias(5, 3, dtype=dtype, **ours)
    peer = pyg.GCNConv(5, 3, **theirs).to(dtype)
    peer.load_state_dict(layer.state_dict())
    expected = peer(x, edge_index, weight)
    # To 1e-6 of the largest output.
    atol = tolerance * max(1.0, float(expected.detach().abs().max())) if expected.numel() else 0.0
    forms = [(case.adjacency(dtype),), (edge_index, weight), (case.edge_index, case.edge_weight)]
    for graph in forms if dtype == torch.float64 else forms[:2]:
        torch.testing.assert_close(layer(x, *graph), expected, rtol=0, atol=atol)
    back = GCNConv(5, 3, **ours).to(dtype)
    back.load_state_dict(peer.state_dict())
    torch.testing.assert_close(back(x, edge_index, weight), expected, rtol=0, atol=atol)


def test_gradients_equal_those_of_pyg():
    torch.manual_seed(0)
    case = random_case(30, 100)
    edge_index, weight = coalesce(case.edge_index.contiguous(), case.edge_weight, 30, reduce="sum")
    layer, peer = layer_with_bias(5, 3), pyg.GCNConv(5, 3).double()
    peer.load_state_dict(layer.state_dict())
    results = []
    for each in (layer, peer):
        x, w = torch.linspace(-1, 1, 150).double().view(30, 5).requires_grad_(), weight.clone().requires_grad_()
        loss = each(x, edge_index, w).square().sum()
        results.append(torch.autograd.grad(loss, [x, w, each.lin.weight, each.bias]))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@each_graph
@pytest.mark.parametrize(
    ("options", "loop", "kind"),
    [
        ({}, 1.0, "sym"),
        ({"self_loop_weight": 0.3}, 0.3, "sym"),
        ({"self_loop_weight": 0.0}, 0.0, "sym"),
        ({"normalize": "row"}, 1.0, "row"),
        ({"normalize": "row", "add_self_loops": False}, None, "row"),
        ({"normalize": False, "add_self_loops": True, "self_loop_weight": -2.0}, -2.0, None),
        ({"learn_self_loop": True, "self_loop_weight": 0.7}, 0.7, "sym"),
    ],
    ids=str,
)
def test_equals_the_equations(case: Case, options, loop, kind):
    torch.manual_seed(0)
    layer, x = layer_with_bias(4, 3, **options), torch.randn(case.num_nodes, 4, dtype=torch.float64)
    if options.get("learn_self_loop"):
        torch.testing.assert_close(layer.self_loop_weight.item(), loop, rtol=1e-6, atol=0)
        loop = layer.self_loop_weight.item()  # it started in float32
    expected = reference.gcn(case.entries, x, layer.lin.weight, layer.bias, self_loop_weight=loop, kind=kind)
    torch.testing.assert_close(layer(x, case.adjacency()), expected, rtol=1e-10, atol=1e-12)
    raw = layer(x, case.edge_index, case.edge_weight)
    torch.testing.assert_close(raw, expected, rtol=1e-10, atol=1e-12)


# ---- laws ----------------------------------------------------------------------------------------


@given(cases(min_nodes=1), st.data())
def test_permuting_nodes_permutes_rows(case: Case, data):
    order = torch.tensor(data.draw(st.permutations(range(case.num_nodes))))
    torch.manual_seed(0)
    layer, x = layer_with_bias(4, 3), torch.randn(case.num_nodes, 4, dtype=torch.float64)
    graph = case.adjacency()
    torch.testing.assert_close(layer(x[order], graph.subgraph(order)), layer(x, graph)[order], rtol=1e-9, atol=1e-10)


@given(cases(min_nodes=1), cases(min_nodes=1))
def test_a_batch_is_one_by_one(first: Case, second: Case):
    torch.manual_seed(0)
    layer, graphs = layer_with_bias(4, 3), [first.adjacency(), second.adjacency()]
    xs = [torch.randn(graph.num_nodes, 4, dtype=torch.float64) for graph in graphs]
    expected = torch.cat([layer(x, graph) for x, graph in zip(xs, graphs, strict=True)])
    torch.testing.assert_close(layer(torch.cat(xs), Adjacency.batch(graphs)), expected, rtol=1e-10, atol=1e-10)


@some_graphs
def test_stacks_of_features_equal_a_loop(case: Case):
    layer, graph = layer_with_bias(4, 3), case.adjacency()
    x = torch.randn(2, 3, case.num_nodes, 4, dtype=torch.float64)
    expected = torch.stack([torch.stack([layer(one, graph) for one in row]) for row in x])
    torch.testing.assert_close(layer(x, graph), expected, rtol=1e-12, atol=1e-13)
    mapped = torch.vmap(torch.vmap(lambda x: layer(x, graph)))(x)
    torch.testing.assert_close(mapped, expected, rtol=1e-12, atol=1e-13)
    assert layer(x[:0], graph).shape == (0, 3, case.num_nodes, 3)


@some_graphs
def test_sparse_features_equal_dense_ones(case: Case):
    layer, graph = layer_with_bias(6, 3), case.adjacency()
    x = torch.randn(case.num_nodes, 6, dtype=torch.float64).relu()
    expected = layer(x, graph)
    wanted = torch.autograd.grad(expected.square().sum(), list(layer.parameters()))
    forms = [x.to_sparse(), x.to_sparse_csr(), x.to_sparse_csc(), SparseMatrix.from_tensor(x.to_sparse_csr())]
    for sparse in forms:
        out = layer(sparse, graph)
        torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-13)
        for ours, theirs in zip(torch.autograd.grad(out.square().sum(), list(layer.parameters())), wanted, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors is a no-op")
@pytest.mark.parametrize(("sizes", "message"), [((0, 2), "in_channels .* got 0"), ((3, 0), "out_channels .* got 0")])
def test_no_channels_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        GCNConv(*sizes)


# ---- derivatives ---------------------------------------------------------------------------------


@some_graphs
@pytest.mark.parametrize("options", [{}, {"normalize": "row"}, {"normalize": False}], ids=str)
def test_derivatives(case: Case, options):
    torch.manual_seed(0)
    edge_index, weight = case.adjacency().to_edge_index()
    learned = {"learn_self_loop": True} if options.get("normalize") is not False else {}
    layer = layer_with_bias(2, 2, **options, **learned)
    parameters = [p.detach().clone().requires_grad_() for p in layer.parameters()]
    names = [name for name, _ in layer.named_parameters()]
    x = torch.randn(case.num_nodes, 2, dtype=torch.float64, requires_grad=True)
    weight.requires_grad_()

    def run(x, weight, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x, edge_index, weight))

    assert gradcheck(run, (x, weight, *parameters))
    assert gradgradcheck(run, (x, weight, *parameters))


def test_torch_func_over_parameters():
    """Models of one shape stacked: their gradients by vmap equal those one by one."""
    torch.manual_seed(0)
    graph, x = random_case(12, 30).adjacency(), torch.randn(12, 4, dtype=torch.float64)
    for options in ({}, {"learn_self_loop": True}):
        layers = [layer_with_bias(4, 3, **options) for _ in range(3)]
        stacked, _ = torch.func.stack_module_state(layers)
        base = copy.deepcopy(layers[0])

        def loss(parameters, base=base):
            return torch.func.functional_call(base, parameters, (x, graph)).square().sum()

        mapped = torch.vmap(torch.func.grad(loss))(stacked)
        for index, layer in enumerate(layers):
            expected = torch.autograd.grad(layer(x, graph).square().sum(), list(layer.parameters()))
            for (name, _), gradient in zip(layer.named_parameters(), expected, strict=True):
                torch.testing.assert_close(mapped[name][index], gradient, rtol=1e-10, atol=1e-12)


def test_torch_func_over_edge_weights():
    layer, x = layer_with_bias(3, 2), torch.randn(5, 3, dtype=torch.float64)
    edges = GRAPHS["directed, weighted, unsorted"].edge_index
    weight = torch.rand(edges.size(1), dtype=torch.float64)

    def run(weight):
        return layer(x, edges, weight)

    tape = torch.autograd.functional.jacobian(run, weight)
    torch.testing.assert_close(torch.func.jacrev(run)(weight), tape, rtol=1e-10, atol=1e-12)


def test_improved_is_pygs_with_weights_alone():
    """Without them PyG 2.8.1 forgets the weight of the loops that it adds."""
    edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    x, ones = torch.rand(3, 4), torch.ones(4)
    ours, theirs, plain = GCNConv(4, 2, improved=True), pyg.GCNConv(4, 2, improved=True), pyg.GCNConv(4, 2)
    for peer in (theirs, plain):
        peer.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(x, edge_index), theirs(x, edge_index, ones))
    torch.testing.assert_close(ours(x, edge_index), ours(x, edge_index, ones))
    assert torch.equal(theirs(x, edge_index), plain(x, edge_index))
    assert not torch.allclose(ours(x, edge_index), theirs(x, edge_index))


# ---- lambda --------------------------------------------------------------------------------------


def test_a_learned_lambda_is_a_parameter_that_starts_where_told():
    for start in (1e-3, 0.5, 1.0, 2.0, 50.0, 1000.0):
        layer = GCNConv(3, 2, self_loop_weight=start, learn_self_loop=True)
        torch.testing.assert_close(layer.self_loop_weight.item(), start, rtol=1e-4, atol=0)
    assert set(layer.state_dict()) == {"bias", "lin.weight", "self_loop_logit"}
    fixed = GCNConv(3, 2, self_loop_weight=0.5)
    assert set(fixed.state_dict()) == {"bias", "lin.weight"}
    assert fixed.self_loop_weight == 0.5
    assert GCNConv(3, 2, improved=True).self_loop_weight == 2.0
    assert GCNConv(3, 2, normalize=False).self_loop_weight is None
    with torch.no_grad():
        layer.self_loop_logit.fill_(-1e4)
    graph = GRAPHS["no edges"].adjacency(torch.float32)
    assert bool(torch.isfinite(layer(torch.randn(4, 3), graph)).all())


def test_lambda_learns_what_made_the_data():
    torch.manual_seed(0)
    graph, x = random_case(30, 90).adjacency(torch.float32), torch.randn(30, 4)
    teacher = GCNConv(4, 4, self_loop_weight=3.0)
    student = GCNConv(4, 4, learn_self_loop=True)
    student.load_state_dict(teacher.state_dict(), strict=False)
    optimizer = torch.optim.Adam([student.self_loop_logit], lr=0.1)
    target = teacher(x, graph).detach()
    for _ in range(150):
        optimizer.zero_grad()
        (student(x, graph) - target).square().sum().backward()
        optimizer.step()
    assert student.self_loop_weight.item() == pytest.approx(3.0, abs=1e-2)


def test_evaluation_between_steps_sees_the_lambda_of_the_moment():
    graph, x = GRAPHS["directed"].adjacency(torch.float32), torch.randn(4, 3)
    layer = GCNConv(3, 2, learn_self_loop=True)
    for logit in (-1.0, 0.0, 2.0):
        with torch.no_grad():
            layer.self_loop_logit.fill_(logit)
            quiet = layer(x, graph)
        with torch.inference_mode():
            torch.testing.assert_close(layer(x, graph), quiet)
        torch.testing.assert_close(layer(x, graph), quiet)


# ---- precision -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_dtypes(dtype):
    torch.manual_seed(0)
    graph, x = random_case(40, 200).adjacency(torch.float32), torch.randn(40, 8)
    layer = layer_with_bias(8, 4, dtype=torch.float32)
    expected = layer(x, graph)
    half = copy.deepcopy(layer).to(dtype)
    out = half(x.to(dtype), graph.to(dtype=dtype))
    assert out.dtype == dtype
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(out.float(), expected, rtol=4 * eps, atol=8 * eps)
    assert half(x.to(dtype), graph.to_edge_index()[0]).dtype == dtype
    out.float().sum().backward()
    assert half.lin.weight.grad.dtype == dtype
    with torch.autocast("cpu", dtype=dtype):
        mixed = layer(x, graph)
        raw = layer(x, *graph.to_edge_index())
        unweighted = layer(x, graph.to_edge_index()[0])
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, expected, rtol=4 * eps, atol=8 * eps)
    assert torch.equal(mixed, raw)
    with torch.autocast("cpu", dtype=dtype):
        ones = Adjacency.from_edge_index(graph.to_edge_index()[0], num_nodes=40)
        assert torch.equal(layer(x, ones), unweighted)


# ---- the object ----------------------------------------------------------------------------------


def test_the_layer_keeps_nothing():
    """PyG's cached=True answers for the first graph it met."""
    torch.manual_seed(0)
    layer, x = layer_with_bias(3, 2), torch.randn(4, 3, dtype=torch.float64)
    first, second = GRAPHS["directed"].adjacency(), GRAPHS["isolated last node"].adjacency()
    expected = reference.gcn(GRAPHS["isolated last node"].entries, x, layer.lin.weight, layer.bias)
    layer(x, first)
    torch.testing.assert_close(layer(x, second), expected, rtol=1e-10, atol=1e-12)
    assert gcn_normalized(first) is gcn_normalized(first)


def test_trains_after_inference():
    layer, graph, x = GCNConv(3, 2), random_case(10, 20).adjacency(torch.float32), torch.randn(10, 3)
    with torch.inference_mode():
        expected = layer(x, graph)
    out = layer(x, graph)
    torch.testing.assert_close(out, expected.clone())
    out.sum().backward()
    assert layer.lin.weight.grad is not None


def test_starts_like_the_paper_and_can_start_again():
    torch.manual_seed(0)
    layer = GCNConv(300, 200, learn_self_loop=True, self_loop_weight=0.5)
    bound = (6 / 500) ** 0.5
    assert layer.lin.weight.abs().max() <= bound
    assert layer.lin.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
    assert not layer.bias.any()
    before = layer.lin.weight.clone()
    with torch.no_grad():
        layer.self_loop_logit.fill_(3)
        layer.bias.fill_(1)
    layer.reset_parameters()
    assert not torch.equal(layer.lin.weight, before)
    assert layer.self_loop_weight.item() == pytest.approx(0.5)
    assert not layer.bias.any()
    assert "300, 200" in repr(layer)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.parametrize("name", ["directed, weighted, unsorted", "undirected, weighted"])
@pytest.mark.parametrize("used_before", [True, False])
def test_compiles_whole(name, backend, used_before):
    torch._dynamo.reset()
    torch.manual_seed(0)
    graph = GRAPHS[name].adjacency(torch.float32)
    layer, x = layer_with_bias(3, 2, dtype=torch.float32), torch.randn(graph.num_nodes, 3, requires_grad=True)
    if used_before:
        layer(x, graph).sum().backward()
    compiled = torch.compile(layer, fullgraph=True, backend=backend)
    results = []
    for run in (compiled, layer):
        out = run(x, graph)
        results.append([out, *torch.autograd.grad(out.square().sum(), [x, *layer.parameters()])])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


# ---- what is refused -----------------------------------------------------------------------------

BAD_OPTIONS = {
    "cached": ({"cached": True}, TypeError, "no cached=: pass an Adjacency, which keeps its normalised form"),
    "unknown": ({"agr": "mean"}, TypeError, "no argument 'agr'"),
    "normalize": ({"normalize": "column"}, ValueError, "must be True, False, 'sym' or 'row', got 'column'"),
    "improved and a weight": ({"improved": True, "self_loop_weight": 3.0}, ValueError, "given as 3.0"),
    "NaN": ({"self_loop_weight": float("nan")}, ValueError, "must be finite, got nan"),
    "infinite": ({"self_loop_weight": float("inf")}, ValueError, "must be finite, got inf"),
    "learned but not added": ({"learn_self_loop": True, "add_self_loops": False}, ValueError, "add_self_loops=False"),
    "learned from 0": ({"learn_self_loop": True, "self_loop_weight": 0.0}, ValueError, "False|and 0.0"),
    "learned, not normalised": ({"learn_self_loop": True, "normalize": False}, ValueError, "add_self_loops=False"),
}


@pytest.mark.parametrize(("options", "error", "message"), BAD_OPTIONS.values(), ids=BAD_OPTIONS)
def test_refuses_bad_options(options, error, message):
    with pytest.raises(error, match=message):
        GCNConv(3, 2, **options)


EDGES, X = torch.tensor([[0, 1], [1, 2]]), torch.ones(3, 4)
GRAPH = Adjacency.from_edge_index(EDGES, num_nodes=3)
BAD_CALLS = {
    "features: one dimension": ((X[0], GRAPH), ValueError, r"shape \(\*, num_nodes, 4\), in_channels=4, got \(4,\)"),
    "features: other channels": ((torch.ones(3, 5), GRAPH), ValueError, r"got \(3, 5\)"),
    "features: integers": ((X.long(), GRAPH), TypeError, r"got torch.int64; convert with .float\(\)"),
    "features: sparse integers": ((X.long().to_sparse(), GRAPH), TypeError, "got torch.int64"),
    "features: a list": (([[1.0] * 4] * 3, GRAPH), TypeError, "got list"),
    "features: another dtype": ((X.double(), GRAPH), TypeError, "torch.float64 and the layer's weights torch.float32"),
    "features: sparse, another dtype": ((X.double().to_sparse(), GRAPH), TypeError, "torch.float64 and the layer's"),
    "features: a sparse stack": ((torch.ones(2, 3, 4).to_sparse(), GRAPH), ValueError, r"of shape \(2, 3, 4\)"),
    "features: too many rows": ((torch.ones(5, 4), GRAPH), ValueError, r"3 nodes but the features have 5 rows"),
    "graph: weights of another dtype": (
        (X, GRAPH.to(dtype=torch.float64)), TypeError, r"the graph's weights torch.float64"
    ),
    "graph: weights beside it": ((X, GRAPH, torch.ones(2)), ValueError, "edge_weight was given beside a graph"),
    "graph: one edge per row": ((X, torch.tensor([[0, 1], [1, 2], [2, 0]])), ValueError, r"got \(3, 2\)"),
    "graph: a number": ((X, torch.tensor(1)), ValueError, r"got \(\)"),
    "graph: an id too large": ((X, torch.tensor([[0], [3]])), ValueError, r"node id 3, .*0..2"),
    "graph: floats": ((X, EDGES.float()), TypeError, "got torch.float32"),
    "graph: sparse": ((X, torch.eye(3).to_sparse()), TypeError, "got a torch.sparse_coo tensor"),
    "graph: None": ((X, None), TypeError, "got NoneType"),
    "weights: negative": ((X, EDGES, torch.tensor([1.0, -1.0])), ValueError, "the smallest is -1"),
    "weights: NaN": ((X, EDGES, torch.tensor([1.0, float("nan")])), ValueError, r"edge_weight\[1\] is nan"),
    "weights: features": ((X, EDGES, torch.ones(2, 3)), ValueError, r"got \(2, 3\)"),
    "weights: another dtype": ((X, EDGES, torch.ones(2).double()), TypeError, "graph's weights torch.float64"),
    "weights: too few": ((X, EDGES, torch.ones(1)), ValueError, r"got \(1,\)"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "error", "message"), BAD_CALLS.values(), ids=BAD_CALLS)
def test_refuses_bad_calls(arguments, error, message):
    with pytest.raises(error, match=message):
        GCNConv(4, 2)(*arguments)


def test_a_block_with_weights_beside_it_is_refused():
    block = receptive_field(GRAPH, [2], 1).blocks[0]
    with pytest.raises(ValueError, match="beside a graph that holds its own weights"):
        GCNConv(4, 2)(X[:2], block, torch.ones(1))
