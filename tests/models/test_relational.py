"""The relational encoder and decoder against dense float64, and the made-up graph they are tried on."""

import pytest
import torch

from gnnkit import Adjacency
from gnnkit.data.interactions import made_up_interactions
from gnnkit.models.relational import RelationalGCN, RelationDecoder


def graph(edges, num_nodes=5):
    edge_index = torch.tensor(edges, dtype=torch.long).reshape(-1, 2).t()
    return Adjacency.from_edge_index(edge_index, num_nodes=num_nodes).to(dtype=torch.float64)


GRAPHS = {
    "some": {"a": [[0, 1], [1, 0], [2, 3], [4, 0]], "b": [[1, 4], [3, 3]]},
    "one without edges": {"a": [[0, 1]], "b": []},
}


@pytest.mark.parametrize("edges", GRAPHS.values(), ids=GRAPHS)
def test_the_encoder_is_its_equation(edges):
    torch.manual_seed(0)
    model = RelationalGCN(5, ["a", "b"], 3, 4, 2, num_layers=2, dropout=0.5).double().eval()
    graphs = {name: graph(listed) for name, listed in edges.items()}
    x = model.inputs
    for layer in range(2):
        own = model.own[layer]
        total = x @ own.weight.t() + own.bias
        for place, name in enumerate(("a", "b")):
            dense = graphs[name].to_dense()
            scale = dense.sum(0).pow(-0.5)
            scale[scale.isinf()] = 0
            operator = scale[:, None] * dense * scale[None, :]
            total = total + operator.t() @ (x @ model.messages[layer][place].lin.weight.t())
        x = total.relu() if layer == 0 else total
    torch.testing.assert_close(model(graphs), x, rtol=1e-10, atol=1e-12)


def test_without_relations_it_is_a_perceptron_of_the_inputs():
    model = RelationalGCN(4, [], 3, 5, 2, num_layers=2).eval()
    x = model.own[1](model.own[0](model.inputs).relu())
    torch.testing.assert_close(model({}), x)


def test_the_decoder_is_its_equation_and_symmetric():
    torch.manual_seed(0)
    decoder = RelationDecoder(["r", "s"], 3).double()
    torch.nn.init.normal_(decoder.importance)
    z = torch.randn(4, 3, dtype=torch.float64)
    pairs = torch.tensor([[0, 1, 2], [3, 2, 2]])
    diagonal = torch.diag(decoder.importance[1])
    symmetric = (decoder.shared + decoder.shared.t()) / 2
    expected = torch.stack([z[u] @ diagonal @ symmetric @ diagonal @ z[v] for u, v in pairs.t().tolist()])
    torch.testing.assert_close(decoder("s", z, pairs), expected)
    torch.testing.assert_close(decoder("s", z, pairs.flip(0)), expected)
    assert not torch.allclose(decoder("r", z, pairs), expected)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"relations must have different names, got \['a', 'a'\]"):
        RelationalGCN(3, ["a", "a"])
    with pytest.raises(ValueError, match="num_layers must be 1 or more, got 0"):
        RelationalGCN(3, ["a"], num_layers=0)
    with pytest.raises(ValueError, match=r"the relations are \['a'\], got graphs for \['b'\]"):
        RelationalGCN(3, ["a"])({"b": graph([], 3)})
    with pytest.raises(ValueError, match="there is no relation 't': there are r"):
        RelationDecoder(["r"], 2)("t", torch.ones(2, 2), torch.tensor([[0], [1]]))


def test_the_made_up_graph_is_what_it_says():
    data = made_up_interactions(60, 80, 4, 3, seed=1)
    assert data.num_nodes == 140
    edges, _ = data.targets.to_edge_index()
    drug = edges.min(0).values
    assert int(drug.max()) < 60
    assert int(edges.max(0).values.min()) >= 60
    bound, _ = data.binds.to_edge_index()
    assert int(bound.min()) >= 60
    for adjacency in (data.targets, data.binds):
        dense = adjacency.to_dense()
        assert torch.equal(dense, dense.t())
        assert set(dense.unique().tolist()) == {0.0, 1.0}
    for pairs in data.side_effects.values():
        assert bool((pairs[0] < pairs[1]).all())
        assert int(pairs.max()) < 60
    again = made_up_interactions(60, 80, 4, 3, seed=1)
    assert torch.equal(again.side_effects["effect 1"], data.side_effects["effect 1"])
    with pytest.raises(ValueError, match="two modules or more, got 1"):
        made_up_interactions(num_modules=1)
    with pytest.raises(ValueError, match="4 modules need 16 proteins or more, got 8"):
        made_up_interactions(10, 8, 4)
