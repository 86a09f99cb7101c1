"""GCN: PyG's model with PyG's state, the reference layer by layer, dropout, sparse features."""

import pytest
import torch
import torch_geometric.nn.models as pyg

from gnnkit.graph.receptive_field import receptive_field
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.models import GCN
from tests.graphs import GRAPHS, Case, random_case
from tests.reference import dense as reference

each_graph = pytest.mark.parametrize("case", GRAPHS.values(), ids=GRAPHS)


def model_with_biases(*args, **options) -> GCN:
    model = GCN(*args, **options).double()
    for conv in model.convs:
        if conv.bias is not None:
            torch.nn.init.normal_(conv.bias)
    return model


@each_graph
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_equals_pyg_with_its_state_both_ways(case: Case, depth):
    torch.manual_seed(0)
    ours = model_with_biases(5, 4, depth, 3).eval()
    theirs = pyg.GCN(5, 4, depth, 3).double().eval()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(case.num_nodes, 5, dtype=torch.float64)
    graph = case.adjacency()
    expected = theirs(x, *graph.to_edge_index())
    torch.testing.assert_close(ours(x, graph), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ours(x, *graph.to_edge_index()), expected, rtol=1e-12, atol=1e-12)
    back = GCN(5, 4, depth, 3).double().eval()
    back.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(back(x, graph), expected, rtol=1e-12, atol=1e-12)


@each_graph
def test_equals_the_equations_layer_by_layer(case: Case):
    torch.manual_seed(0)
    model = model_with_biases(5, 4, 3, 2, self_loop_weight=0.5).eval()
    h = x = torch.randn(case.num_nodes, 5, dtype=torch.float64)
    outputs = model.layers(x, case.adjacency())
    for index, (conv, out) in enumerate(zip(model.convs, outputs, strict=True)):
        h = reference.gcn(case.entries, h, conv.lin.weight, conv.bias, self_loop_weight=0.5)
        h = h.clamp(min=0) if index < 2 else h
        torch.testing.assert_close(out, h, rtol=1e-10, atol=1e-12)
    assert torch.equal(model(x, case.adjacency()), outputs[-1])


@pytest.mark.parametrize("layout", ["to_sparse", "to_sparse_csr"])
@pytest.mark.parametrize("training", [False, True])
def test_sparse_features(layout, training):
    """While training too: dropout then draws for the stored numbers only."""
    torch.manual_seed(0)
    graph, model = random_case(20, 60).adjacency(), model_with_biases(6, 4, 2, 3).train(training)
    x = torch.randn(20, 6, dtype=torch.float64).relu()
    results = []
    for features in (getattr(x, layout)(), SparseMatrix.from_tensor(x.to_sparse_csr())):
        torch.manual_seed(1)
        out = model(features, graph)
        results.append([out, *torch.autograd.grad(out.square().sum(), list(model.parameters()))])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)
    if not training:
        torch.testing.assert_close(results[0][0], model(x, graph), rtol=1e-12, atol=1e-12)


def test_drops_what_goes_into_every_layer_while_training():
    torch.manual_seed(0)
    graph, x = random_case(30, 90).adjacency(), torch.randn(30, 6, dtype=torch.float64)
    model = model_with_biases(6, 5, 2, 3)
    quiet = model.eval()(x, graph)
    assert torch.equal(model(x, graph), quiet)
    model.train()
    assert not torch.equal(model(x, graph), model(x, graph))
    # Dropping everything leaves the biases alone.
    all_dropped = model_with_biases(6, 5, 2, 3, dropout=1.0)
    torch.testing.assert_close(all_dropped(x, graph), all_dropped.convs[1].bias.expand(30, 3))
    first = all_dropped.layers(x, graph)[0]
    torch.testing.assert_close(first, all_dropped.convs[0].bias.relu().expand(30, 5))
    # One layer has dropout before it too.
    single = model_with_biases(6, 5, 1, 3, dropout=1.0)
    torch.testing.assert_close(single(x, graph), single.convs[0].bias.expand(30, 3))


def test_the_mean_over_dropout_of_one_layer_is_its_output():
    torch.manual_seed(0)
    graph, x = random_case(10, 30).adjacency(), torch.randn(10, 6, dtype=torch.float64)
    model = model_with_biases(6, 5, 1, 3, dropout=0.6)
    draws = model(x.expand(20000, 10, 6), graph)
    standard_error = draws.std(0) / 20000**0.5
    assert bool(((draws.mean(0) - model.eval()(x, graph)).abs() < 5 * standard_error + 1e-12).all())


def test_one_block_per_layer():
    graph, x = random_case(20, 40).adjacency(), torch.randn(20, 6, dtype=torch.float64)
    model = model_with_biases(6, 5, 2, 3).eval()
    field = receptive_field(graph, [4, 9], 2)
    torch.testing.assert_close(model(x[field.nodes], field.blocks), model(x, graph)[[4, 9]])
    torch.testing.assert_close(model(x[field.nodes], tuple(field.blocks)), model(x, graph)[[4, 9]])
    with pytest.raises(ValueError, match="2 layers takes one Block per layer, got 1"):
        model(x[field.nodes], field.blocks[:1])
    with pytest.raises(ValueError, match="features have"):
        model(x[field.nodes], field.blocks[::-1])
    for wrong in (field.blocks[0], None, "cora", iter(field.blocks)):
        with pytest.raises(TypeError, match=f"list of one Block per layer, got {type(wrong).__name__}"):
            model(x[field.nodes], wrong)


def test_parameters_and_their_groups():
    model = GCN(6, 5, 3, 2, learn_self_loop=True)
    groups = model.parameter_groups(5e-4)
    assert [group["weight_decay"] for group in groups] == [5e-4, 0.0]
    grouped = [parameter for group in groups for parameter in group["params"]]
    assert {id(parameter) for parameter in grouped} == {id(parameter) for parameter in model.parameters()}
    assert len(grouped) == len(list(model.parameters())) == 9
    assert {id(parameter) for parameter in groups[0]["params"]} == {id(p) for p in model.convs[0].parameters()}
    shapes = [tuple(conv.lin.weight.shape) for conv in model.convs]
    assert shapes == [(5, 6), (5, 5), (2, 5)]
    before = [conv.lin.weight.clone() for conv in model.convs]
    model.reset_parameters()
    assert not any(torch.equal(conv.lin.weight, old) for conv, old in zip(model.convs, before, strict=True))
    # One layer: its parameters decay, and the other group is empty.
    torch.optim.Adam(GCN(6, 5, 1, 2).parameter_groups(5e-4))


def test_same_seed_same_bits():
    runs = []
    for _ in range(2):
        torch.manual_seed(7)
        graph, x = random_case(20, 60).adjacency(torch.float32), torch.randn(20, 6)
        model = GCN(6, 5, 2, 3, learn_self_loop=True)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
        for _ in range(5):
            optimizer.zero_grad()
            model(x, graph).square().sum().backward()
            optimizer.step()
        runs.append(torch.cat([parameter.detach().view(-1) for parameter in model.parameters()]))
    assert torch.equal(*runs)


BAD_OPTIONS = {
    "no layers": ({"num_layers": 0}, ValueError, "num_layers must be 1 or more, got 0"),
    "dropout": ({"dropout": 1.5}, ValueError, "must lie in 0..1, got 1.5"),
    "cached": ({"cached": True}, TypeError, "takes no cached="),
    "unknown": ({"heads": 2}, TypeError, "no argument 'heads'"),
}


@pytest.mark.parametrize(("options", "error", "message"), BAD_OPTIONS.values(), ids=BAD_OPTIONS)
def test_refuses_bad_options(options, error, message):
    with pytest.raises(error, match=message):
        GCN(**({"in_channels": 3, "hidden_channels": 4, "num_layers": 2, "out_channels": 2} | options))


def test_refuses_features_of_other_channels():
    with pytest.raises(ValueError, match=r"in_channels=3, got \(4, 5\)"):
        GCN(3, 4, 2, 2)(torch.ones(4, 5), GRAPHS["directed"].adjacency(torch.float32))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["directed", "undirected, weighted"])
def test_compiles_whole_in_training(name):
    torch._dynamo.reset()
    graph = GRAPHS[name].adjacency(torch.float32)
    model, x = GCN(3, 8, 2, 2, dropout=0.0), torch.randn(4, 3)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, graph), model(x, graph))
    noisy = GCN(3, 8, 2, 2, dropout=0.5)
    noisy.load_state_dict(model.state_dict())
    out = torch.compile(noisy, fullgraph=True, backend="aot_eager")(x, graph)
    out.sum().backward()
    assert bool(torch.isfinite(noisy.convs[0].lin.weight.grad).all())
