"""The laws of layers that remember, of pruning under dropout, and of gradients, on graphs that hypothesis makes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from gnnkit.graph import Adjacency, receptive_field
from gnnkit.models import GCN
from gnnkit.nn import GATConv, GatedGraph, GCN2Conv, GCNConv, GraphGRU, GraphLSTM, NeighborLSTM
from recurrent import GRUCell, LSTMCell, MinGRUCell, OrthogonalRNNCell, PhasedLSTMCell, RNNCell, unroll
from tests.graphs import Case, cases
from tests.reference import graph_recurrent as reference

seeds = st.integers(0, 2**31)
graphs = cases(min_nodes=1, max_nodes=6)
# What each term of an operator is at no edges: A^ is I there, T_2 = -I, a random walk stands nowhere.
AT_NO_EDGES = {"gcn": [1, 1, 1], "chebyshev": [1, 0, -1], "diffusion": [1, 0, 0, 0, 0]}
TWINS = [(GraphLSTM, nn.LSTM), (GraphGRU, nn.GRU)]
ON_EDGES = {
    "GatedGraph": lambda: GatedGraph(4, 2),
    "GatedGraph, both directions": lambda: GatedGraph(4, 2, both_directions=True),
    "NeighborLSTM, synchronous": lambda: NeighborLSTM(3, 2, schedule="synchronous", num_steps=2),
    "NeighborLSTM, topological": lambda: NeighborLSTM(3, 2),
    "NeighborLSTM, mean": lambda: NeighborLSTM(3, 2, aggregate="mean"),
}
GRADIENTS = {
    "GCN": lambda: GCNConv(3, 2),
    "GCN, learned loop": lambda: GCNConv(3, 2, learn_self_loop=True),
    "GAT": lambda: GATConv(3, 2, heads=2),
    "GCNII": lambda: GCN2Conv(3, alpha=0.2, theta=0.5, layer=2),
    "GraphLSTM": lambda: GraphLSTM(3, 2, operator="diffusion", K=1, peephole=True),
    "GraphGRU": lambda: GraphGRU(3, 2, operator="chebyshev", K=2),
    **ON_EDGES,
}
CELLS = {kind.__name__: kind for kind in (RNNCell, LSTMCell, GRUCell, MinGRUCell, OrthogonalRNNCell, PhasedLSTMCell)}


def made(build, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    layer = build().double()
    for parameter in layer.parameters():  # a zero bias would hide a misplaced one
        nn.init.normal_(parameter, std=0.5)
    return layer


def numbers(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-10)


def edges_of(case: Case, name: str) -> Tensor:
    """Its edges; where the order of nodes must have no cycle, from the smaller id to the larger, and each once."""
    if name in ("NeighborLSTM, topological", "NeighborLSTM, mean"):
        rising = sorted({(source, target) for source, target in case.edges if source < target})
        return torch.tensor(rising, dtype=torch.long).view(-1, 2).t()
    return case.edge_index


def hidden_of(out: Tensor | tuple[Tensor, ...]) -> Tensor:
    return out if isinstance(out, Tensor) else out[0]


@pytest.mark.parametrize("operator", AT_NO_EDGES)
@pytest.mark.parametrize(("kind", "twin"), TWINS)
@given(nodes=st.integers(1, 4), steps=st.integers(1, 4), seed=seeds)
def test_without_edges_it_is_torchs_layer_of_summed_weights(kind, twin, operator, nodes, steps, seed):
    layer, plain = made(lambda: kind(3, 2, operator=operator, K=2), seed), twin(3, 2).double()
    mine = {name: value.detach() for name, value in layer.cells[0].named_parameters()}
    with torch.no_grad():
        for name, size in (("weight_ih", 3), ("weight_hh", 2)):
            parts = mine[name].split(size, dim=1)
            summed = sum(factor * part for factor, part in zip(AT_NO_EDGES[operator], parts, strict=True))
            getattr(plain, f"{name}_l0").copy_(summed)
        plain.bias_ih_l0.copy_(mine["bias_ih"])
        plain.bias_hh_l0.copy_(mine["bias_hh"])
    x = numbers(steps, nodes, 3, seed=seed)
    close(layer(x, Case(nodes, []).adjacency())[0], plain(x)[0])


@given(case=cases(min_nodes=1, max_nodes=6, weighted=False), hops=st.integers(0, 3), seed=seeds)
def test_one_step_without_a_past_is_a_gated_convolution(case, hops, seed):
    layer, x = made(lambda: GraphLSTM(3, 2, operator="gcn", K=hops), seed), numbers(1, case.num_nodes, 3, seed=seed)
    mine = {name: value.detach() for name, value in layer.cells[0].named_parameters()}
    heard = torch.cat([term @ x[0] for term in reference.operator_terms(case.dense(), "gcn", hops)], dim=-1)
    i, _, g, o = (heard @ mine["weight_ih"].T + mine["bias_ih"] + mine["bias_hh"]).chunk(4, dim=-1)
    close(layer(x, case.adjacency())[0][0], o.sigmoid() * (i.sigmoid() * g.tanh()).tanh())


@given(order=st.permutations(range(6)), length=st.integers(1, 6), seed=seeds)
def test_a_chain_of_neighbors_is_the_lstm(order, length, seed):
    cell, layer = made(lambda: LSTMCell(3, 2), seed), NeighborLSTM(3, 2).double()
    layer.load_state_dict(cell.state_dict())
    names = torch.tensor(order[:length]).argsort().argsort()  # any names of `length` nodes
    x = numbers(length, 3, seed=seed)
    hidden, memory = layer(x, torch.stack([names[:-1], names[1:]]))
    outputs, state = unroll(cell, x[names].unsqueeze(0))
    close(hidden[names], outputs[0])
    close(memory[names[-1]], state.cell[0])


@pytest.mark.parametrize("name", ON_EDGES)
@given(case=graphs, seed=seeds)
def test_permuting_nodes_permutes_what_they_remember(name, case, seed):
    layer, x = made(ON_EDGES[name], seed), numbers(case.num_nodes, 3, seed=seed)
    order = torch.randperm(case.num_nodes, generator=torch.Generator().manual_seed(seed))
    edges = edges_of(case, name)
    close(hidden_of(layer(x[order], order.argsort()[edges])), hidden_of(layer(x, edges))[order])


@pytest.mark.parametrize("name", ON_EDGES)
@given(first=graphs, second=graphs, seed=seeds)
def test_a_batch_of_graphs_equals_one_by_one(name, first, second, seed):
    layer = made(ON_EDGES[name], seed)
    parts = [numbers(case.num_nodes, 3, seed=seed + place) for place, case in enumerate((first, second))]
    edges = [edges_of(case, name) for case in (first, second)]
    together = layer(torch.cat(parts), torch.cat([edges[0], edges[1] + first.num_nodes], dim=1))
    alone = [hidden_of(layer(x, each)) for x, each in zip(parts, edges, strict=True)]
    close(hidden_of(together), torch.cat(alone))


@pytest.mark.parametrize("operator", AT_NO_EDGES)
@pytest.mark.parametrize("kind", [GraphLSTM, GraphGRU])
@given(first=graphs, second=graphs, seed=seeds)
def test_sequences_on_two_graphs_at_once_equal_one_by_one(kind, operator, first, second, seed):
    layer = made(lambda: kind(3, 2, operator=operator, K=2), seed)
    parts = [numbers(3, case.num_nodes, 3, seed=seed + place) for place, case in enumerate((first, second))]
    together = layer(torch.cat(parts, dim=1), Adjacency.batch([first.adjacency(), second.adjacency()]))[0]
    alone = [layer(x, case.adjacency())[0] for x, case in zip(parts, (first, second), strict=True)]
    close(together, torch.cat(alone, dim=1))


@given(case=graphs, layers=st.integers(1, 3), node=st.integers(0, 5), seed=seeds)
def test_pruned_equals_full_under_the_same_dropout_masks(case, layers, node, seed):
    torch.manual_seed(seed)
    model, graph = GCN(3, 4, layers, 2).double(), case.adjacency()
    nodes, x = torch.tensor([node % case.num_nodes]), numbers(case.num_nodes, 3, seed=seed)
    field = receptive_field(graph, nodes, layers)
    masks = [2.0 * torch.randint(2, (case.num_nodes, conv.in_channels)).double() for conv in model.convs]
    full, pruned = x, x[field.nodes]
    for place, (conv, block, mask) in enumerate(zip(model.convs, field.blocks, masks, strict=True)):
        full, pruned = conv(full * mask, graph), conv(pruned * mask[block.source_ids], block)
        if place < layers - 1:
            full, pruned = full.relu(), pruned.relu()
    close(pruned, full[nodes])
    wanted = list(model.parameters())
    gradients = [torch.autograd.grad(out.square().sum(), wanted) for out in (pruned, full[nodes])]
    for ours, theirs in zip(*gradients, strict=True):
        close(ours, theirs)


@pytest.mark.parametrize("name", GRADIENTS)
@given(case=cases(min_nodes=1, max_nodes=4), seed=seeds)
def test_gradients_are_those_of_finite_differences(name, case, seed):
    layer = made(GRADIENTS[name], seed)
    shape = (2, case.num_nodes, 3) if name.startswith("GraphLSTM") or name == "GraphGRU" else (case.num_nodes, 3)
    x, start = numbers(*shape, seed=seed).requires_grad_(), numbers(*shape, seed=seed + 1)
    graph = edges_of(case, name) if name in ON_EDGES else case.adjacency()
    names = [each for each, _ in layer.named_parameters()]

    def run(x: Tensor, *values: Tensor) -> Tensor:
        arguments = (x, start, graph) if name == "GCNII" else (x, graph)
        return hidden_of(torch.func.functional_call(layer, dict(zip(names, values, strict=True)), arguments))

    assert torch.autograd.gradcheck(run, (x, *layer.parameters()), fast_mode=True)


@pytest.mark.parametrize("name", CELLS)
@given(seed=seeds, batch=st.integers(1, 3), steps=st.integers(1, 4))
def test_gradients_through_time_are_those_of_finite_differences(name, seed, batch, steps):
    torch.manual_seed(seed)
    unrolled = Unrolled(CELLS[name](3, 2).double().eval())  # the leak's jumps have no finite differences
    weights = {key: value for key, value in unrolled.named_parameters() if "weight" in key or "bias" in key}

    def run(x: Tensor, *values: Tensor) -> Tensor:
        return torch.func.functional_call(unrolled, dict(zip(weights, values, strict=True)), x)

    x = numbers(batch, steps, 3, seed=seed).requires_grad_()
    assert torch.autograd.gradcheck(run, (x, *weights.values()), fast_mode=True)


class Unrolled(nn.Module):
    """A cell over whole sequences."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> Tensor:
        return unroll(self.cell, x)[0]
