"""Receptive fields and blocks: which nodes, how far, and that the pruned network is the full one."""

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.utils import k_hop_subgraph

from gnnkit.graph import Adjacency
from gnnkit.graph.receptive_field import Block, receptive_field
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.models import GCN
from gnnkit.nn import GATConv, GCNConv
from tests.graphs import GRAPHS, Case, cases, random_case
from tests.reference import dense as reference


def gradients(loss, parameters) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss, list(parameters)))


# ---- which nodes ---------------------------------------------------------------------------------


@given(cases(min_nodes=1), st.integers(0, 4), st.data())
def test_hops_are_those_of_breadth_first_search(case: Case, num_layers, data):
    targets = data.draw(st.lists(st.integers(0, case.num_nodes - 1), unique=True))
    field = receptive_field(case.adjacency(), targets, num_layers)
    found = dict(zip(field.nodes.tolist(), field.hops.tolist(), strict=True))
    expected = reference.hops_to(case.entries, targets)
    assert found == {node: hop for node, hop in expected.items() if hop <= num_layers}
    backwards = nx.DiGraph((t, s) for s, t in case.edges)
    backwards.add_nodes_from(range(case.num_nodes))
    if targets:
        search = nx.multi_source_dijkstra_path_length(backwards, set(targets), cutoff=num_layers, weight=None)
        assert found == {node: int(hop) for node, hop in search.items()}


@pytest.mark.parametrize("num_layers", [0, 1, 2, 3])
def test_nodes_are_those_of_pyg(num_layers):
    case = random_case(60, 90)
    edge_index, _ = case.adjacency().to_edge_index()
    targets = torch.tensor([3, 17, 40])
    theirs, *_ = k_hop_subgraph(targets, num_layers, edge_index, num_nodes=60)
    field = receptive_field(case.adjacency(), targets, num_layers)
    assert sorted(field.nodes.tolist()) == theirs.tolist()
    assert field.nodes[:3].tolist() == [3, 17, 40]
    assert field.hops.tolist() == sorted(field.hops.tolist())
    assert field.sizes == [int((field.hops <= hop).sum()) for hop in range(num_layers + 1)]
    assert field.fractions == [size / 60 for size in field.sizes]
    dense = case.adjacency().to_dense()
    assert torch.equal(field.adjacency.to_dense(), dense[field.nodes][:, field.nodes])


def test_targets_may_be_ids_a_mask_or_one_id():
    graph = GRAPHS["directed"].adjacency()
    mask = torch.tensor([False, True, True, False])
    for nodes in (torch.tensor([1, 2]), [1, 2], mask, mask.tolist(), torch.tensor([1, 2], dtype=torch.int32)):
        assert receptive_field(graph, nodes, 1).nodes.tolist() == [1, 2, 0]
    for nodes in (1, torch.tensor(1)):
        assert receptive_field(graph, nodes, 1).nodes.tolist() == [1, 0]
    for nodes in ([], torch.empty(0), torch.zeros(4, dtype=torch.bool)):
        field = receptive_field(graph, nodes, 2)
        assert field.nodes.tolist() == []
        assert field.sizes == [0, 0, 0]
    assert receptive_field(GRAPHS["no nodes"].adjacency(), [], 1).fractions == [0.0, 0.0]


def test_targets_are_copied():
    targets = torch.tensor([1, 2])
    field = receptive_field(GRAPHS["directed"].adjacency(), targets, 1)
    targets.zero_()
    assert field.targets.tolist() == field.blocks[-1].target_ids.tolist() == [1, 2]


BAD_TARGETS = {
    "twice": ([1, 1], 1, ValueError, r"holds an id twice \(2 ids"),
    "unknown": ([7], 1, ValueError, r"nodes holds 7, .*ids are 0..3"),
    "negative": ([-1], 1, ValueError, "nodes holds -1"),
    "floats": ([0.5], 1, TypeError, "got torch.float32"),
    "a short mask": ([True], 1, ValueError, r"shape \(4,\), got \(1,\)"),
    "nothing": (None, 1, TypeError, "got None"),
    "negative depth": ([1], -1, ValueError, "num_layers must be 0 or more, got -1"),
}


@pytest.mark.parametrize(("nodes", "num_layers", "error", "message"), BAD_TARGETS.values(), ids=BAD_TARGETS)
def test_refuses_what_are_no_targets(nodes, num_layers, error, message):
    with pytest.raises(error, match=message):
        receptive_field(GRAPHS["directed"].adjacency(), nodes, num_layers)


# ---- blocks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, case in GRAPHS.items() if case.num_nodes])
def test_a_block_is_a_slice_of_the_full_matrix(name):
    case = GRAPHS[name]
    graph = case.adjacency()
    for target in range(case.num_nodes):
        field = receptive_field(graph, [target], 2)
        assert [block.num_targets for block in field.blocks] == [field.sizes[1], field.sizes[0]]
        assert [block.num_sources for block in field.blocks] == [field.sizes[2], field.sizes[1]]
        for block in field.blocks:
            assert torch.equal(block.source_ids[: block.num_targets], block.target_ids)
            for full in (graph, graph.with_self_loops(0.3).normalized("sym"), graph.normalized("row")):
                rows = full.to_dense().T[block.target_ids]
                assert torch.equal(block.restrict(full).to_dense(), rows[:, block.source_ids])
                assert not rows[:, ~torch.isin(torch.arange(case.num_nodes), block.source_ids)].any()
                assert block.restrict(full) is block.restrict(full)


def test_a_block_without_its_sources_is_refused():
    graph = GRAPHS["directed"].adjacency()
    block = Block(graph, torch.tensor([2, 1]), torch.tensor([2]))
    with pytest.raises(ValueError, match="must hold every node with an edge into its targets"):
        block.restrict(graph)
    assert repr(block) == "Block(2 -> 1 of 4 nodes)"


BAD_ROWS = {
    "targets not in front": ([1, 2], [2], ValueError, r"begin with target_ids, got \[1\] where these are \[2\]"),
    "a target that is no source": ([1], [2], ValueError, r"begin with target_ids, got \[1\]"),
    "more targets": ([2], [2, 1], ValueError, r"begin with target_ids, got \[2\] where these are \[2, 1\]"),
    "a source twice": ([2, 1, 1], [2], ValueError, "source_ids holds 1 twice; .*each node once"),
    "unknown": ([2, 7], [2], ValueError, r"source_ids holds 7, .*ids are 0..3"),
    "floats": ([2, 1], [2.0], TypeError, "target_ids must be integers, got torch.float32"),
    "nothing": ([2, 1], None, TypeError, "target_ids must be .*got None"),
}


@pytest.mark.parametrize(("sources", "targets", "error", "message"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_refuses_what_are_no_rows_of_a_block(sources, targets, error, message):
    with pytest.raises(error, match=message):
        Block(GRAPHS["directed"].adjacency(), sources, targets)
    with pytest.raises(TypeError, match="graph must be an Adjacency, got a tensor"):
        Block(torch.eye(4), sources, targets)


def test_a_block_of_lists_answers_for_its_targets():
    torch.manual_seed(0)
    graph = Adjacency.from_edge_index(torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]]), num_nodes=4)  # a cycle
    x = torch.randn(4, 3)
    for layer in (GCNConv(3, 2), GATConv(3, 2)):
        block = Block(graph, [2, 1], [2])
        torch.testing.assert_close(layer(x[block.source_ids], block), layer(x, graph)[[2]])


def test_isolated_targets_get_the_bias():
    graph = GRAPHS["no edges"].adjacency(torch.float32)
    field = receptive_field(graph, [2, 0], 1)
    assert field.sizes == [2, 2]
    layer = GCNConv(3, 2, add_self_loops=False)
    torch.nn.init.normal_(layer.bias)
    assert torch.equal(layer(torch.randn(2, 3), field.blocks[0]), layer.bias.expand(2, 2))
    nobody = receptive_field(graph, [], 1)
    assert layer(torch.randn(0, 3), nobody.blocks[0]).shape == (0, 2)
    assert layer(torch.randn(5, 0, 3), nobody.blocks[0]).shape == (5, 0, 2)


def test_a_block_never_answers_for_another_graph():
    graph = random_case(12, 30).adjacency()
    block = receptive_field(graph, [0, 5], 1).blocks[0]
    for step in range(30):  # graphs come and go, and ids are used again
        full = graph.with_self_loops(step + 0.5).normalized()
        rows = full.to_dense().T[block.target_ids][:, block.source_ids]
        assert torch.equal(block.restrict(full).to_dense(), rows)
        del full
        graph._kept.clear()


def test_a_blocks_kept_pattern_serves_weights_of_any_kind_upon_it():
    """Symmetric, not symmetric, and varying, in turn on one pattern: each finds its own entries."""
    case = random_case(12, 30)
    edges = torch.tensor(sorted({(s, t) for s, t in case.edges} | {(t, s) for s, t in case.edges}))
    graph = Adjacency.from_edge_index(edges.T, num_nodes=12)
    block = receptive_field(graph, [0, 5], 1).blocks[0]
    matrix = graph._matrix
    generator = torch.Generator().manual_seed(0)
    for round_number in range(2):
        any_weights = torch.rand(matrix.num_entries, generator=generator)
        varying = torch.rand(matrix.num_entries, generator=generator, requires_grad=True)
        for values in (matrix.values * (round_number + 1), any_weights, varying):
            full = Adjacency(matrix.with_values(values))
            found = block.restrict(full).to_dense()
            expected = full.to_dense().T[block.target_ids][:, block.source_ids]
            assert torch.equal(found, expected)
            if values.requires_grad:
                upstream = torch.rand(found.shape, generator=generator)
                ours, theirs = (torch.autograd.grad(each, values, upstream)[0] for each in (found, expected))
                assert torch.equal(ours, theirs)


def test_weights_that_vary_find_their_pattern_again(monkeypatch):
    graph = random_case(12, 30).adjacency(torch.float32)
    block = receptive_field(graph, [0, 5], 1).blocks[0]
    slices = []
    original = Block._slice
    monkeypatch.setattr(Block, "_slice", lambda self, full: (slices.append(full), original(self, full))[1])
    weight = torch.tensor(0.5, requires_grad=True)
    forms = [graph.with_self_loops(weight * step).normalized() for step in (1, 2, 3)]
    assert len({id(form._matrix.pattern) for form in forms}) == 1
    for form in forms:
        rows = form.to_dense().T[block.target_ids][:, block.source_ids]
        torch.testing.assert_close(block.restrict(form).to_dense(), rows)
    assert len(slices) == 1


def test_gradients_reach_given_weights_after_an_evaluation():
    case = random_case(12, 30)
    edge_index, weight = case.adjacency().to_edge_index()
    weight.requires_grad_()
    graph = Adjacency.from_edge_index(edge_index, weight, num_nodes=12)
    field = receptive_field(graph, [0, 5], 1)
    layer, x = GCNConv(3, 2, normalize=False).double(), torch.randn(12, 3, dtype=torch.float64)
    for off in (torch.no_grad, torch.inference_mode):
        with off():
            layer(x[field.nodes], field.blocks[0])
        pruned = torch.autograd.grad(layer(x[field.nodes], field.blocks[0]).square().sum(), weight)[0]
        full = torch.autograd.grad(layer(x, graph)[[0, 5]].square().sum(), weight)[0]
        torch.testing.assert_close(pruned, full, rtol=1e-10, atol=1e-12)
        assert full.abs().max() > 0


@pytest.mark.parametrize("made", ["before", "within"])
def test_trains_after_use_in_inference_mode(made):
    graph, layer, x = random_case(12, 30).adjacency(torch.float32), GCNConv(3, 2), torch.randn(12, 3)
    field = receptive_field(graph, [0, 5], 1)
    with torch.inference_mode():
        if made == "within":
            field = receptive_field(graph, torch.tensor([0, 5]), 1)
        layer(x[field.nodes], field.blocks[0])
    x.requires_grad_()
    layer(x[field.nodes], field.blocks[0]).sum().backward()
    assert x.grad.abs().max() > 0


def test_first_use_within_a_transform_leaves_nothing_of_it_behind():
    graph, layer, x = random_case(12, 30).adjacency(torch.float32), GCNConv(3, 2), torch.randn(12, 3)
    field = receptive_field(graph, [0, 5], 1)
    gradient = torch.func.grad(lambda x: layer(x[field.nodes], field.blocks[0]).square().sum())(x)
    y = x.clone().requires_grad_()
    layer(y[field.nodes], field.blocks[0]).square().sum().backward()
    torch.testing.assert_close(gradient, y.grad)
    ((_, kept),) = field.blocks[0]._kept.values()
    assert not torch._C._functorch.is_functorch_wrapped_tensor(kept.values)


def test_refuses_other_dtypes_and_row_counts():
    graph = GRAPHS["directed"].adjacency()
    field = receptive_field(graph, [2], 1)
    with pytest.raises(TypeError, match=r"features are torch.float32 and the graph's weights torch.float64"):
        GCNConv(3, 2)(torch.randn(3, 3), field.blocks[0])
    with pytest.raises(ValueError, match="graph has 3 nodes but the features have 4 rows"):
        GCNConv(3, 2).double()(torch.randn(4, 3).double(), field.blocks[0])


# ---- pruned = full -------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "options",
    [{}, {"self_loop_weight": 0.4}, {"learn_self_loop": True}, {"normalize": "row"}, {"normalize": False}],
    ids=str,
)
@pytest.mark.parametrize("seed", [0, 1])
def test_pruned_equals_full(depth, options, seed):
    torch.manual_seed(seed)
    case = random_case(40, 70, seed)
    edge_index, weight = case.adjacency().to_edge_index()
    weight.requires_grad_(seed == 1)  # also a graph whose weights are learned
    graph = Adjacency.from_edge_index(edge_index, weight, num_nodes=40)
    model = GCN(6, 5, depth, 3, dropout=0.0, **options).double()
    for conv in model.convs:
        torch.nn.init.normal_(conv.bias)
    x = torch.randn(40, 6, dtype=torch.float64, requires_grad=True)
    targets, labels = torch.tensor([7, 3, 31, 12, 0]), torch.tensor([0, 1, 2, 1, 0])
    field = receptive_field(graph, targets, depth)
    full = torch.nn.functional.cross_entropy(model(x, graph)[targets], labels)
    pruned = torch.nn.functional.cross_entropy(model(x[field.nodes], field.blocks), labels)
    torch.testing.assert_close(pruned, full, rtol=1e-12, atol=1e-14)
    wanted = [x, *model.parameters(), *([weight] if weight.requires_grad else [])]
    for ours, theirs in zip(gradients(pruned, wanted), gradients(full, wanted), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_pruned_equals_full_under_the_same_dropout_masks(depth):
    torch.manual_seed(0)
    graph = random_case(40, 70).adjacency()
    model = GCN(6, 5, depth, 3).double()
    x, targets = torch.randn(40, 6, dtype=torch.float64), torch.tensor([7, 3, 31])
    field = receptive_field(graph, targets, depth)
    masks = [2.0 * torch.randint(2, (40, conv.in_channels)).double() for conv in model.convs]
    h_full, h_pruned = x, x[field.nodes]
    for layer, (conv, block, mask) in enumerate(zip(model.convs, field.blocks, masks, strict=True)):
        h_full, h_pruned = conv(h_full * mask, graph), conv(h_pruned * mask[block.source_ids], block)
        if layer < depth - 1:
            h_full, h_pruned = h_full.relu(), h_pruned.relu()
    torch.testing.assert_close(h_pruned, h_full[targets], rtol=1e-12, atol=1e-14)
    full = gradients(h_full[targets].square().sum(), model.parameters())
    pruned = gradients(h_pruned.square().sum(), model.parameters())
    for ours, theirs in zip(pruned, full, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-13)


def test_pruned_equals_full_for_stacks_of_features_and_sparse_ones():
    torch.manual_seed(0)
    graph = random_case(40, 70).adjacency()
    model, targets = GCN(6, 5, 2, 3).double().eval(), torch.tensor([7, 3, 31])
    field = receptive_field(graph, targets, 2)
    x = torch.randn(2, 4, 40, 6, dtype=torch.float64)
    torch.testing.assert_close(model(x[..., field.nodes, :], field.blocks), model(x, graph)[..., targets, :])
    sparse = SparseMatrix.from_tensor(x[0, 0].relu().to_sparse_csr())
    expected = model(x[0, 0].relu(), graph)[targets]
    torch.testing.assert_close(model(sparse.select_rows(field.nodes), field.blocks), expected)


@pytest.mark.data
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_pruned_equals_full_on_cora(depth, data_root):
    from gnnkit.data import load_dataset

    torch.manual_seed(0)
    cora = load_dataset("cora", root=data_root)
    x = SparseMatrix.from_tensor(cora.x)
    targets = torch.nonzero(cora.train_mask).view(-1)
    model = GCN(x.shape[1], 16, depth, 7, dropout=0.0, learn_self_loop=depth == 2)
    field = receptive_field(cora.adjacency, targets, depth)
    rows = x.select_rows(field.nodes)
    full = torch.nn.functional.cross_entropy(model(x, cora.adjacency)[targets], cora.y[targets])
    pruned = torch.nn.functional.cross_entropy(model(rows, field.blocks), cora.y[targets])
    torch.testing.assert_close(pruned, full, rtol=1e-6, atol=1e-6)
    for ours, theirs in zip(gradients(pruned, model.parameters()), gradients(full, model.parameters()), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
