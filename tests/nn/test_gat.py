"""GATConv against PyG, against the equations, and against the laws of graphs."""

import itertools

import pytest
import torch
from torch import Tensor, nn

import gnnkit.graph.attention as attention_module
import gnnkit.graph.pair_scores as pair_scores_module
import gnnkit.nn.gat as gat_module
from gnnkit.graph import Adjacency
from gnnkit.graph.receptive_field import receptive_field
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.nn import GATConv
from tests.reference.attention import gat_reference

GRAPHS = {
    "no edges": [[], []],
    "self-loops already": [[0, 0, 1, 3, 3], [0, 1, 0, 3, 1]],
    "repeated edges and loops": [[0, 0, 0, 2, 2, 1, 1], [1, 1, 2, 2, 2, 0, 3]],
    "isolated last node": [[0, 1], [1, 0]],
    "directed": [[0, 0, 1], [1, 2, 2]],
    "all into one": [[0, 1, 2, 3, 4], [2, 2, 2, 2, 2]],
}


def tensor(edges: list[list[int]]) -> Tensor:
    return torch.tensor(edges, dtype=torch.long)


def random_graph(num_nodes: int = 30, num_edges: int = 120, seed: int = 0) -> Tensor:
    return torch.randint(0, num_nodes, (2, num_edges), generator=torch.Generator().manual_seed(seed))


def randomized(layer: nn.Module, seed: int = 1) -> nn.Module:
    """Unequal weights everywhere: a bias of zero would hide a misplaced one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype) * 0.7)
    return layer


def pyg_layer(version: int, **options: object) -> nn.Module:
    from torch_geometric.nn import GATConv as PyGGATConv
    from torch_geometric.nn import GATv2Conv

    return (PyGGATConv if version == 1 else GATv2Conv)(**options)


# ---- PyG -----------------------------------------------------------------------------------------

OPTIONS = [
    dict(zip(("heads", "concat", "add_self_loops", "edge_dim", "residual", "bias"), values, strict=True))
    for values in itertools.product((1, 3), (True, False), (True, False), (None, 2), (True, False), (True, False))
]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equals_pyg_with_its_weights(version: int, options: dict[str, object]) -> None:
    options = {"in_channels": 5, "out_channels": 4, "negative_slope": 0.3, **options}
    theirs = randomized(pyg_layer(version, **options)).double()
    ours = GATConv(version=version, **options).double()
    ours.load_state_dict(theirs.state_dict())
    edge_index = random_graph()
    x = torch.randn(30, 5, dtype=torch.float64, requires_grad=True)
    attr = torch.randn(120, 2, dtype=torch.float64, requires_grad=True) if options["edge_dim"] else None
    out, expected = ours(x, edge_index, attr), theirs(x, edge_index, attr)
    torch.testing.assert_close(out, expected, rtol=1e-11, atol=1e-12)
    inputs = [x] if attr is None else [x, attr]
    direction = torch.randn_like(out)
    got = torch.autograd.grad(out, [*inputs, *ours.parameters()], direction)
    names = dict(theirs.named_parameters())
    wanted = torch.autograd.grad(expected, [*inputs, *(names[name] for name, _ in ours.named_parameters())], direction)
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("version", [1, 2])
def test_state_dict_goes_both_ways(version: int) -> None:
    options = {"in_channels": 5, "out_channels": 4, "heads": 2, "edge_dim": 3, "residual": True}
    ours, theirs = GATConv(version=version, **options), pyg_layer(version, **options)
    shapes = {name: value.shape for name, value in ours.state_dict().items()}
    assert shapes == {name: value.shape for name, value in theirs.state_dict().items()}
    theirs.load_state_dict(randomized(ours).state_dict())
    x, edge_index, attr = torch.randn(30, 5), random_graph(), torch.randn(120, 3)
    torch.testing.assert_close(ours(x, edge_index, attr), theirs(x, edge_index, attr), rtol=2e-6, atol=2e-6)


def test_shared_weights_equal_pyg() -> None:
    options = {"in_channels": 5, "out_channels": 4, "heads": 2, "share_weights": True}
    theirs = randomized(pyg_layer(2, **options))
    ours = GATConv(version=2, **options)
    ours.load_state_dict(theirs.state_dict())
    x, edge_index = torch.randn(30, 5), random_graph()
    torch.testing.assert_close(ours(x, edge_index), theirs(x, edge_index), rtol=2e-6, atol=2e-6)
    assert len(list(ours.parameters())) == len(list(theirs.parameters()))


@pytest.mark.parametrize("fill", ["mean", "add", "min", "max", "mul", 0.7, torch.tensor([0.5, -1.0])], ids=str)
@pytest.mark.parametrize("version", [1, 2])
def test_self_loops_edge_features_equal_pyg(version: int, fill: object) -> None:
    options = {"in_channels": 3, "out_channels": 2, "heads": 2, "edge_dim": 2, "fill_value": fill}
    theirs = randomized(pyg_layer(version, **options)).double()
    ours = GATConv(version=version, **options).double()
    ours.load_state_dict(theirs.state_dict())
    for edges in GRAPHS.values():
        edge_index = tensor(edges)
        x = torch.randn(5, 3, dtype=torch.float64)
        attr = torch.randn(edge_index.size(1), 2, dtype=torch.float64, requires_grad=True)
        out, expected = ours(x, edge_index, attr), theirs(x, edge_index, attr)
        torch.testing.assert_close(out, expected, rtol=1e-11, atol=1e-12)
        got, wanted = (torch.autograd.grad(value.square().sum(), attr)[0] for value in (out, expected))
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-10)


# ---- the equations -------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("self_loops", [True, False], ids=["loops", "no loops"])
@pytest.mark.parametrize("concat", [True, False], ids=["concat", "mean"])
@pytest.mark.parametrize("edges", GRAPHS.values(), ids=GRAPHS)
def test_equals_the_equations(edges: list[list[int]], concat: bool, self_loops: bool, version: int) -> None:
    torch.manual_seed(0)
    edge_index = tensor(edges)
    x, attr = torch.randn(5, 3, dtype=torch.float64), torch.randn(edge_index.size(1), 2, dtype=torch.float64)
    layer = GATConv(
        3, 2, heads=2, concat=concat, add_self_loops=self_loops, edge_dim=2, residual=True, version=version
    ).double()
    randomized(layer)
    expected, used, alphas = gat_reference(
        dict(layer.named_parameters()),
        x,
        edge_index,
        attr,
        version=version,
        heads=2,
        concat=concat,
        self_loops=self_loops,
    )
    torch.testing.assert_close(layer(x, edge_index, attr), expected, rtol=1e-10, atol=1e-12)
    listed, alpha, is_added = layer.attention(x, edge_index, attr)
    assert torch.equal(listed[:, : edge_index.size(1)], edge_index)
    assert not is_added[: edge_index.size(1)].any()
    assert is_added[edge_index.size(1) :].all()
    # The same edges with the same attention, whatever the order: repeated self-loops have none.
    assert _as_rows(listed, alpha) == _as_rows(used, alphas)


def _as_rows(edge_index: Tensor, alpha: Tensor) -> list[tuple[float, ...]]:
    rows = torch.cat([edge_index.t().double(), alpha.detach().double()], dim=1)
    return sorted(tuple(round(number, 9) for number in row) for row in rows.tolist() if any(row[2:]))


@pytest.mark.parametrize("version", [1, 2])
def test_attention_sums_to_one_and_rebuilds_the_output(version: int) -> None:
    graph = Adjacency.from_edge_index(random_graph(), num_nodes=30)
    layer = randomized(GATConv(5, 4, heads=3, bias=False, version=version))
    x = torch.randn(30, 5)
    edge_index, alpha, is_added = layer.attention(x, graph)
    assert torch.equal(edge_index[:, ~is_added], graph.to_edge_index()[0])
    sums = torch.zeros(30, 3).index_add(0, edge_index[1], alpha)
    torch.testing.assert_close(sums, torch.ones(30, 3))
    hidden = (layer.lin(x) if version == 1 else layer.lin_l(x)).view(30, 3, 4)
    out = torch.zeros(30, 3, 4).index_add(0, edge_index[1], alpha.unsqueeze(-1) * hidden[edge_index[0]])
    torch.testing.assert_close(layer(x, graph), out.flatten(1), rtol=2e-6, atol=2e-6)


def test_attention_is_differentiable_and_free_of_dropout() -> None:
    layer = randomized(GATConv(5, 4, heads=2, dropout=0.9))
    x = torch.randn(30, 5, requires_grad=True)
    edge_index = random_graph()
    alpha = layer.attention(x, edge_index).alpha
    torch.testing.assert_close(alpha, layer.eval().attention(x, edge_index).alpha)
    alpha.square().sum().backward()
    assert x.grad.abs().sum() > 0


def test_extreme_logits_stay_finite() -> None:
    layer = randomized(GATConv(5, 4, heads=2))
    x = torch.randn(30, 5) * 1e4
    x.requires_grad_()
    out = layer(x, random_graph())
    out.sum().backward()
    assert out.isfinite().all()
    assert x.grad.isfinite().all()


# ---- gradients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("merged", [1 << 17, 0], ids=["heads together", "one by one"])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("edge_dim", [None, 2])
@pytest.mark.parametrize("self_loops", [True, False], ids=["loops", "no loops"])
def test_gradcheck(
    version: int, edge_dim: int | None, self_loops: bool, merged: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention_module, "_MERGED_ENTRIES", merged)
    monkeypatch.setattr(pair_scores_module, "_CHUNK_NUMBERS", 7 * 4)  # chunks of 7 edges: rows straddle them
    edge_index = random_graph(6, 20)
    layer = randomized(GATConv(3, 2, heads=2, edge_dim=edge_dim, add_self_loops=self_loops, version=version)).double()
    x = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    attr = torch.randn(20, 2, dtype=torch.float64, requires_grad=True) if edge_dim else None
    names = [name for name, _ in layer.named_parameters()]

    def call(x: Tensor, *rest: Tensor) -> Tensor:
        attr, parameters = (rest[0], rest[1:]) if edge_dim else (None, rest)
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x, edge_index, attr))

    inputs = [x, *([] if attr is None else [attr]), *layer.parameters()]
    assert torch.autograd.gradcheck(call, tuple(inputs))


@pytest.mark.parametrize("version", [1, 2])
def test_second_derivative_is_refused(version: int) -> None:
    layer = GATConv(3, 2, version=version)
    x = torch.randn(30, 3, requires_grad=True)
    (grad,) = torch.autograd.grad(layer(x, random_graph()).square().sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="differentiable once"):
        grad.sum().backward()


@pytest.mark.parametrize("version", [1, 2])
def test_vmap_and_functional_gradients(version: int) -> None:
    graph = Adjacency.from_edge_index(random_graph(), num_nodes=30)
    layer = randomized(GATConv(3, 2, heads=2, version=version)).double()
    xs = torch.randn(4, 30, 3, dtype=torch.float64)
    torch.testing.assert_close(torch.vmap(lambda x: layer(x, graph))(xs), layer(xs, graph))
    gradient = torch.func.grad(lambda x: layer(x, graph).square().sum())
    expected = torch.stack([gradient(x) for x in xs])
    torch.testing.assert_close(torch.vmap(gradient)(xs), expected)
    stacked = {name: torch.stack([value, 2 * value]) for name, value in layer.state_dict().items()}
    results = torch.vmap(lambda weights: torch.func.functional_call(layer, weights, (xs[0], graph)))(stacked)
    torch.testing.assert_close(results[0], layer(xs[0], graph))


# ---- laws ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
def test_permuting_nodes_permutes_outputs(version: int) -> None:
    edge_index, order = random_graph(), torch.randperm(30, generator=torch.Generator().manual_seed(3))
    position = torch.argsort(order)
    layer = randomized(GATConv(5, 4, heads=2, edge_dim=2, version=version)).double()
    x, attr = torch.randn(30, 5, dtype=torch.float64), torch.randn(120, 2, dtype=torch.float64)
    torch.testing.assert_close(layer(x[order], position[edge_index], attr), layer(x, edge_index, attr)[order])


@pytest.mark.parametrize("version", [1, 2])
def test_batched_equals_one_by_one(version: int) -> None:
    edge_index = random_graph()
    layer = randomized(GATConv(5, 4, heads=2, edge_dim=2, residual=True, version=version))
    x, attr = torch.randn(2, 3, 30, 5), torch.randn(120, 2)
    expected = torch.stack([torch.stack([layer(one, edge_index, attr) for one in row]) for row in x])
    torch.testing.assert_close(layer(x, edge_index, attr), expected)
    alpha = layer.attention(x, edge_index, attr).alpha
    torch.testing.assert_close(alpha[1, 2], layer.attention(x[1, 2], edge_index, attr).alpha)


@pytest.mark.parametrize("version", [1, 2])
def test_sparse_features_equal_dense(version: int) -> None:
    graph = Adjacency.from_edge_index(random_graph(), num_nodes=30)
    layer = randomized(GATConv(5, 4, heads=2, residual=True, version=version))
    x = torch.randn(30, 5) * (torch.rand(30, 5) > 0.6)
    for sparse in (x.to_sparse(), x.to_sparse_csr(), SparseMatrix.from_tensor(x.to_sparse())):
        torch.testing.assert_close(layer(sparse, graph), layer(x, graph))


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("self_loops", [True, False], ids=["loops", "no loops"])
def test_block_equals_rows_of_the_full_graph(version: int, self_loops: bool) -> None:
    graph = Adjacency.from_edge_index(random_graph(), num_nodes=30)
    options = {"heads": 2, "edge_dim": 2, "residual": True, "add_self_loops": self_loops, "version": version}
    layer = randomized(GATConv(5, 4, **options)).double()
    x = torch.randn(30, 5, dtype=torch.float64, requires_grad=True)
    attr = torch.randn(graph.num_edges, 2, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([7, 0, 29, 12])
    (block,) = receptive_field(graph, targets, 1).blocks
    pruned, full = layer(x[block.source_ids], block, attr), layer(x, graph, attr)[targets]
    torch.testing.assert_close(pruned, full)
    inputs = [x, attr, *layer.parameters()]
    for one, other in zip(
        torch.autograd.grad(pruned.square().sum(), inputs),
        torch.autograd.grad(full.square().sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(one, other)
    edge_index, alpha, is_added = layer.attention(x[block.source_ids], block, attr)
    of_graph = layer.attention(x, graph, attr)
    wanted = torch.isin(of_graph.edge_index[1], targets)
    listed = wanted & ~of_graph.is_added
    assert torch.equal(edge_index[:, ~is_added], of_graph.edge_index[:, listed])
    torch.testing.assert_close(alpha[~is_added], of_graph.alpha[listed])


def test_raw_edges_keep_repetitions_that_an_adjacency_merges() -> None:
    layer = randomized(GATConv(3, 2))
    x, repeated = torch.randn(3, 3), torch.tensor([[0, 0, 1], [2, 2, 2]])
    graph = Adjacency.from_edge_index(repeated, num_nodes=3)
    once = torch.tensor([[0, 1], [2, 2]])
    torch.testing.assert_close(layer(x, graph), layer(x, once))
    assert not torch.allclose(layer(x, repeated), layer(x, once))


def test_weights_of_a_graph_are_not_read() -> None:
    layer = randomized(GATConv(3, 2))
    edge_index, x = torch.tensor([[0, 1, 2], [1, 2, 0]]), torch.randn(3, 3)
    weighted = Adjacency.from_edge_index(edge_index, torch.tensor([0.5, -2.0, 0.0]), num_nodes=3)
    torch.testing.assert_close(layer(x, weighted), layer(x, edge_index))


@pytest.mark.parametrize("version", [1, 2])
def test_isolated_nodes_get_the_bias(version: int) -> None:
    layer = randomized(GATConv(3, 2, heads=2, add_self_loops=False, version=version))
    x = torch.randn(4, 3, requires_grad=True)
    out = layer(x, torch.tensor([[0], [1]]))
    torch.testing.assert_close(out[[0, 2, 3]], layer.bias.expand(3, -1))
    out.sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("num_nodes", [0, 3])
def test_empty_graphs(num_nodes: int, version: int) -> None:
    layer = randomized(GATConv(3, 2, heads=2, add_self_loops=False, version=version))
    out = layer(torch.randn(num_nodes, 3), Adjacency.from_edge_index(tensor([[], []]), num_nodes=num_nodes))
    torch.testing.assert_close(out, layer.bias.expand(num_nodes, -1))
    out.sum().backward()
    empty = layer.attention(torch.randn(num_nodes, 3), tensor([[], []]))
    assert empty.alpha.shape == (0, 2)


def test_structure_is_made_once_per_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = Adjacency.from_edge_index(random_graph(), num_nodes=30)
    (block,) = receptive_field(graph, torch.arange(4), 1).blocks
    layer, x = GATConv(5, 4, heads=2, edge_dim=2), torch.randn(30, 5, requires_grad=True)
    attr = torch.randn(graph.num_edges, 2)
    for graph_or_block, rows in ((graph, x), (block, x[block.source_ids])):
        layer(rows, graph_or_block, attr).sum().backward(retain_graph=True)

    def sort(*args: object, **kwargs: object) -> None:
        raise AssertionError("sorted again")

    monkeypatch.setattr(torch, "sort", sort)
    monkeypatch.setattr(torch, "nonzero", sort)
    for graph_or_block, rows in ((graph, x), (block, x[block.source_ids])):
        layer(rows, graph_or_block, attr).sum().backward(retain_graph=True)


# ---- dropout and dtypes --------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
def test_dropout_masks_the_attention(version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    edge_index = random_graph()
    layer = randomized(GATConv(5, 4, heads=2, dropout=0.5, bias=False, version=version)).double()
    x = torch.randn(30, 5, dtype=torch.float64, requires_grad=True)
    kept = torch.rand(2, 30 + int((edge_index[0] != edge_index[1]).sum())) > 0.5
    monkeypatch.setattr(gat_module, "dropped_edges", lambda *_: kept)
    edges = layer._edges(x, edge_index)
    listed = layer.attention(x, edge_index)
    # By hand: PyG drops coefficients after the softmax and scales those that stay.
    mask = torch.zeros(2, listed.alpha.size(0), dtype=torch.float64)
    entry = edges.listing.entry
    mask[:, entry >= 0] = kept[:, entry[entry >= 0]].double() / 0.5
    hidden = (layer.lin if version == 1 else layer.lin_l)(x).view(30, 2, 4)
    weight = (listed.alpha * mask.t()).unsqueeze(-1)
    expected = torch.zeros(30, 2, 4, dtype=torch.float64)
    expected = expected.index_add(0, listed.edge_index[1], weight * hidden[listed.edge_index[0]]).flatten(1)
    out = layer(x, edge_index)
    torch.testing.assert_close(out, expected)
    inputs = [x, *layer.parameters()]
    got, wanted = (torch.autograd.grad(value.square().sum(), inputs) for value in (out, expected))
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_dropout_keeps_the_mean_and_draws_per_head() -> None:
    torch.manual_seed(0)
    layer = randomized(GATConv(5, 4, heads=2, dropout=0.3))
    x, graph = torch.randn(30, 5), Adjacency.from_edge_index(random_graph(), num_nodes=30)
    with torch.no_grad():
        drawn = torch.stack([layer(x, graph) for _ in range(4000)])
        expected = layer.eval()(x, graph)
    error = (drawn.mean(0) - expected) / (drawn.std(0) / 4000**0.5 + 1e-9)
    assert error.abs().max() < 5  # 240 numbers, each within five standard errors
    layer = randomized(GATConv(5, 4, heads=2, dropout=1.0, bias=False))
    assert not layer(x, graph).any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("version", [1, 2])
def test_half_precision_computes_in_float32(version: int, dtype: torch.dtype) -> None:
    layer = randomized(GATConv(5, 4, heads=2, version=version))
    x, graph = torch.randn(30, 5), Adjacency.from_edge_index(random_graph(), num_nodes=30)
    expected = layer(x, graph)
    out = layer.to(dtype)(x.to(dtype), graph)
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), expected, rtol=0.05, atol=0.1)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(layer.float()(x, graph).float(), expected, rtol=0.05, atol=0.1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # torch's own, while its compiler loads
@pytest.mark.parametrize("version", [1, 2])
def test_compiled_equals_eager(version: int) -> None:
    graph = Adjacency.from_edge_index(random_graph(), num_nodes=30)
    layer = randomized(GATConv(5, 4, heads=2, version=version))
    x = torch.randn(30, 5, requires_grad=True)
    expected = layer(x, graph)
    compiled = torch.compile(layer)(x, graph)
    torch.testing.assert_close(compiled, expected)
    got, wanted = (torch.autograd.grad(value.square().sum(), x)[0] for value in (compiled, expected))
    torch.testing.assert_close(got, wanted)


# ---- errors --------------------------------------------------------------------------------------


def test_errors_name_the_value_and_the_fix() -> None:
    x, edge_index = torch.randn(30, 5), random_graph()
    with pytest.raises(ValueError, match=r"edge_attr of shape \(120, 2\).*declare edge_dim=2"):
        GATConv(5, 4)(x, edge_index, torch.randn(120, 2))
    with pytest.raises(ValueError, match="edge_dim=2 but got no edge_attr"):
        GATConv(5, 4, edge_dim=2)(x, edge_index)
    with pytest.raises(ValueError, match=r"shape \(120, 2\).*got \(119, 2\)"):
        GATConv(5, 4, edge_dim=2)(x, edge_index, torch.randn(119, 2))
    with pytest.raises(ValueError, match="version must be 1 or 2, got 3"):
        GATConv(5, 4, version=3)
    with pytest.raises(ValueError, match="share_weights"):
        GATConv(5, 4, share_weights=True)
    with pytest.raises(ValueError, match=r"heads must be from 1 .* got 0"):
        GATConv(5, 4, heads=0)
    with pytest.raises(ValueError, match="got 'median'"):
        GATConv(5, 4, fill_value="median")
    with pytest.raises(ValueError, match=r"got 1\.5"):
        GATConv(5, 4, dropout=1.5)
    with pytest.raises(ValueError, match="node id 30"):
        GATConv(5, 4)(x, torch.tensor([[0], [30]]))
    with pytest.raises(ValueError, match="graph has 29 nodes"):
        GATConv(5, 4)(x, Adjacency.from_edge_index(edge_index % 29, num_nodes=29))
    with pytest.raises(ValueError, match=r"got \(30, 4\)"):
        GATConv(5, 4)(x[:, :4], edge_index)
