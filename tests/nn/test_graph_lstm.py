"""GraphLSTM and GraphGRU: against dense equations, torch.nn, PyG's ChebConv, and laws."""

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import ChebConv

from gnnkit.graph import Adjacency
from gnnkit.nn import GraphGRU, GraphLSTM
from recurrent import LSTMState
from tests.graphs import GRAPHS, random_case
from tests.reference import graph_recurrent as reference

OPERATORS = ("gcn", "chebyshev", "diffusion")
# A dense matrix cannot tell a self-loop of weight 0 from none; the tests of GCN's self-loops do.
CASES = {name: case for name, case in GRAPHS.items() if case.num_nodes and name != "a self-loop of weight 0"}
CASES["random, 70 nodes: beyond the dense product"] = random_case(70, 200)
LAYERS = {"lstm": GraphLSTM, "gru": GraphGRU}


def layer_of(kind: type[GraphLSTM | GraphGRU], *sizes: int, **options: object) -> GraphLSTM | GraphGRU:
    """In float64 with random weights, biases too."""
    torch.manual_seed(1)
    return kind(*sizes, **options).double()


def inputs(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def weights_of(layer: nn.Module, place: int = 0) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in layer.cells[place].named_parameters()}


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-11)


def directed() -> Adjacency:
    return GRAPHS["directed, weighted, unsorted"].adjacency()


def test_diffusion_is_finite_on_a_directed_path():
    path = Adjacency.from_edge_index(torch.tensor([[0, 1, 2], [1, 2, 3]]), num_nodes=4)
    layer = GraphGRU(1, 2, operator="diffusion", K=3)
    x = torch.rand(3, 4, 1, requires_grad=True)
    out, _ = layer(x, path)
    out.sum().backward()
    assert out.isfinite().all()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("peephole", [False, True])
@pytest.mark.parametrize("hops", [0, 1, 3])
def test_lstm_matches_equations(operator, peephole, hops):
    case = GRAPHS["directed, weighted, unsorted"]
    layer = layer_of(GraphLSTM, 3, 4, operator=operator, K=hops, peephole=peephole)
    x, hidden, cell = inputs(2, 6, 5, 3), inputs(1, 2, 5, 4, seed=1), inputs(1, 2, 5, 4, seed=2)
    out, state = layer(x, case.adjacency(), LSTMState(hidden, cell))
    terms = [reference.operator_terms(case.dense(), operator, hops)] * 6
    for b in range(2):
        expected = reference.lstm_on_graph(weights_of(layer), x[b], terms, hidden[0, b], cell[0, b])
        close(out[b], expected[0])
        close(state.hidden[0, b], expected[1])
        close(state.cell[0, b], expected[2])


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("reset", ["after", "before"])
def test_gru_matches_equations(operator, reset):
    case = GRAPHS["directed, weighted, unsorted"]
    layer = layer_of(GraphGRU, 3, 4, operator=operator, reset=reset)
    x, hidden = inputs(2, 6, 5, 3), inputs(1, 2, 5, 4, seed=1)
    out, state = layer(x, case.adjacency(), (hidden,))
    terms = reference.operator_terms(case.dense(), operator, 2)
    for b in range(2):
        expected, last = reference.gru_on_graph(weights_of(layer), x[b], terms, hidden[0, b], reset)
        close(out[b], expected)
        close(state.hidden[0, b], last)


@pytest.mark.parametrize(("kind", "twin"), [(GraphLSTM, nn.LSTM), (GraphGRU, nn.GRU)])
@pytest.mark.parametrize("operator", OPERATORS)
def test_without_edges_equals_torch_with_summed_weights(kind, twin, operator):
    layer = layer_of(kind, 3, 4, operator=operator, K=2)
    empty = Adjacency.from_edge_index(torch.empty(2, 0, dtype=torch.long), num_nodes=5).to(dtype=torch.float64)
    # What each term is at no edges: A^ is I there, T_2 = -I, a random walk stands nowhere.
    factors = {"gcn": [1, 1, 1], "chebyshev": [1, 0, -1], "diffusion": [1, 0, 0, 0, 0]}[operator]
    plain = twin(3, 4, batch_first=True).double()
    mine = weights_of(layer)
    with torch.no_grad():
        for name, size in (("weight_ih", 3), ("weight_hh", 4)):
            summed = sum(f * w for f, w in zip(factors, mine[name].split(size, dim=1), strict=True))
            getattr(plain, f"{name}_l0").copy_(summed)
        plain.bias_ih_l0.copy_(mine["bias_ih"])
        plain.bias_hh_l0.copy_(mine["bias_hh"])
    x = inputs(2, 6, 5, 3)
    out, _ = layer(x, empty)
    close(out, plain(x.transpose(1, 2).flatten(0, 1))[0].view(2, 5, 6, 4).transpose(1, 2))


@pytest.mark.parametrize(("kind", "twin"), [(GraphLSTM, nn.LSTM), (GraphGRU, nn.GRU)])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_zero_hops_are_torch_layers_with_their_weights(kind, twin, bidirectional):
    layer = layer_of(kind, 3, 4, K=0, num_layers=2, bidirectional=bidirectional)
    plain = twin(3, 4, num_layers=2, bidirectional=bidirectional, batch_first=True).double()
    directions = 2 if bidirectional else 1
    for place, cell in enumerate(layer.cells):
        end = f"_l{place // directions}" + ("_reverse" if place % directions else "")
        cell.load_state_dict({name: getattr(plain, name + end).data for name in cell.state_dict()})
    x, start = inputs(2, 6, 5, 3), inputs(2 * directions, 2, 5, 4, seed=3)
    state = (start, 2 * start) if kind is GraphLSTM else (start,)
    out, last = layer(x, directed(), state)
    rows = [each.flatten(1, 2) for each in state]
    expected, expected_last = plain(x.transpose(1, 2).flatten(0, 1), tuple(rows) if kind is GraphLSTM else rows[0])
    close(out, expected.view(2, 5, 6, -1).transpose(1, 2))
    last_hidden = expected_last[0] if kind is GraphLSTM else expected_last
    close(last.hidden, last_hidden.view(-1, 2, 5, 4))


def chebyshev_convs(weight: Tensor, hops: int, size: int) -> list[ChebConv]:
    """One convolution per gate, with the rows of ``weight``."""
    convs = []
    for rows in weight.split(4):
        conv = ChebConv(size, 4, hops + 1, bias=False).double()
        for lin, term in zip(conv.lins, rows.split(size, dim=1), strict=True):
            lin.weight.data.copy_(term)
        convs.append(conv)
    return convs


@pytest.mark.parametrize("name", ["undirected, weighted", "directed, weighted, unsorted"])
@pytest.mark.parametrize("hops", [1, 2])
def test_gconv_lstm_as_published(name, hops):
    """Eight ChebConv a step, as the peer has it."""
    graph = GRAPHS[name].adjacency()
    nodes = graph.num_nodes
    layer = layer_of(GraphLSTM, 3, 4, K=hops, peephole=True)
    weights = weights_of(layer)
    on_x = chebyshev_convs(weights["weight_ih"], hops, 3)
    on_h = chebyshev_convs(weights["weight_hh"], hops, 4)
    bias = (weights["bias_ih"] + weights["bias_hh"]).split(4)
    x = inputs(7, nodes, 3)
    h = c = torch.zeros(nodes, 4, dtype=torch.float64)
    expected = []
    for step in x:
        i, f, g, o = (
            a(step, *graph.to_edge_index()) + b(h, *graph.to_edge_index()) + d
            for a, b, d in zip(on_x, on_h, bias, strict=True)
        )
        i, f = (i + weights["peephole"][0] * c).sigmoid(), (f + weights["peephole"][1] * c).sigmoid()
        c = f * c + i * g.tanh()
        h = (o + weights["peephole"][2] * c).sigmoid() * c.tanh()
        expected.append(h)
    torch.testing.assert_close(layer(x, graph)[0], torch.stack(expected), rtol=0, atol=1e-6)


@pytest.mark.parametrize("hops", [1, 2])
def test_gconv_gru_as_published(hops):
    graph = GRAPHS["undirected, weighted"].adjacency()
    layer = layer_of(GraphGRU, 3, 4, K=hops, reset="before")
    weights = weights_of(layer)
    on_x = chebyshev_convs(weights["weight_ih"], hops, 3)
    on_h = chebyshev_convs(weights["weight_hh"], hops, 4)
    b_r, b_z, b_n = (weights["bias_ih"] + weights["bias_hh"]).split(4)
    x = inputs(7, 4, 3)
    h = torch.zeros(4, 4, dtype=torch.float64)
    expected = []
    for step in x:
        edges = graph.to_edge_index()
        r = (on_x[0](step, *edges) + on_h[0](h, *edges) + b_r).sigmoid()
        z = (on_x[1](step, *edges) + on_h[1](h, *edges) + b_z).sigmoid()
        n = (on_x[2](step, *edges) + on_h[2](r * h, *edges) + b_n).tanh()
        h = z * h + (1 - z) * n
        expected.append(h)
    torch.testing.assert_close(layer(x, graph)[0], torch.stack(expected), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", LAYERS.values(), ids=LAYERS)
def test_states_that_do_not_travel(kind):
    """T-GCN: the graph acts on inputs alone."""
    layer = layer_of(kind, 3, 4, operator="gcn", K=1, state_hops=0)
    plain = layer_of(kind, 6, 4, K=0)
    plain.cells[0].load_state_dict(layer.cells[0].state_dict())
    x = inputs(2, 5, 5, 3)
    heard = torch.cat(
        [x, torch.einsum("ts,blsf->bltf", reference.operator_terms(directed().to_dense(), "gcn", 1)[1], x)], -1
    )
    close(layer(x, directed())[0], plain(heard, directed())[0])


def test_one_step_without_a_past_is_a_gated_convolution():
    layer = layer_of(GraphLSTM, 3, 4, operator="gcn", K=2)
    x = inputs(1, 5, 3)
    terms = reference.operator_terms(directed().to_dense(), "gcn", 2)
    weights = weights_of(layer)
    gates = torch.cat([s @ x[0] for s in terms], -1) @ weights["weight_ih"].T + weights["bias_ih"] + weights["bias_hh"]
    i, _, g, o = gates.chunk(4, dim=-1)
    close(layer(x, directed())[0][0], o.sigmoid() * (i.sigmoid() * g.tanh()).tanh())


@pytest.mark.parametrize(("kind", "operator"), list(itertools.product(LAYERS.values(), OPERATORS)))
def test_permuting_nodes_permutes_outputs(kind, operator):
    layer = layer_of(kind, 3, 4, operator=operator, num_layers=2, bidirectional=True)
    graph, x = directed(), inputs(2, 4, 5, 3)
    order = torch.tensor([3, 0, 4, 1, 2])
    out, state = layer(x, graph)
    permuted, permuted_state = layer(x[:, :, order], graph.subgraph(order))
    close(permuted, out[:, :, order])
    close(permuted_state.hidden, state.hidden[:, :, order])


OPTIONS = {
    "plain": {},
    "peephole": {"peephole": True},
    "bidirectional": {"bidirectional": True, "num_layers": 2},
    "missing": {"missing_indicator": True},
    "phased": {"phased": True},
    "checkpointed": {"checkpoint_every": 2},
    "states stay": {"state_hops": 0},
    "all": {"bidirectional": True, "missing_indicator": True, "phased": True, "checkpoint_every": 2, "num_layers": 2},
}
GRU_OPTIONS = {name: each for name, each in OPTIONS.items() if name != "peephole"} | {"before": {"reset": "before"}}
BOTH = [(GraphLSTM, name, each) for name, each in OPTIONS.items()]
BOTH += [(GraphGRU, name, each) for name, each in GRU_OPTIONS.items()]
IDS = [f"{kind.__name__}, {name}" for kind, name, _ in BOTH]


def keywords(options: dict[str, object], *shape: int) -> dict[str, Tensor]:
    """Masks and times as the options call for them, for x of ``shape``."""
    generator = torch.Generator().manual_seed(5)
    found = {}
    if options.get("missing_indicator"):
        found["observed"] = torch.rand(shape, generator=generator) > 0.4
    if options.get("phased"):
        found["times"] = 20 * torch.rand(shape[:-1], generator=generator, dtype=torch.float64)
    return found


@pytest.mark.parametrize(("kind", "name", "options"), BOTH, ids=IDS)
def test_batch_equals_one_by_one(kind, name, options):
    layer = layer_of(kind, 2, 3, **options)
    x = inputs(3, 4, 5, 2)
    given = keywords(options, 3, 4, 5, 2) | {"present": torch.rand(3, 4, 5) > 0.3}
    out, state = layer(x, directed(), **given)
    for b in range(3):
        alone, last = layer(x[b], directed(), **{key: value[b] for key, value in given.items()})
        close(out[b], alone)
        close(state.hidden[:, b], last.hidden)


@pytest.mark.parametrize(("kind", "name", "options"), BOTH, ids=IDS)
def test_sequences_in_parts_equal_all_at_once(kind, name, options, monkeypatch):
    layer = layer_of(kind, 2, 3, **options)
    x = inputs(5, 4, 5, 2).requires_grad_()
    given = keywords(options, 5, 4, 5, 2) | {"present": torch.rand(5, 4, 5) > 0.3}
    state = [inputs(len(layer.cells), 5, 5, 3, seed=seed).requires_grad_() for seed in (8, 9)]
    state = tuple(state[: len(layer._state_type._fields)])

    def run(given: dict[str, Tensor]) -> list[Tensor]:
        out, last = layer(x, directed(), state, **given)
        loss = (out * inputs(*out.shape, seed=4)).sum() + sum(each.square().sum() for each in last)
        return [out, *last, *torch.autograd.grad(loss, [x, *state, *layer.parameters()])]

    masks = [given, {key: value for key, value in given.items() if key != "present"}]
    whole = [each for chosen in masks for each in run(chosen)]
    monkeypatch.setattr("gnnkit.nn.graph_recurrent.ROWS_AT_ONCE", 10)  # 2, 2 and 1 of the 5
    parts = [each for chosen in masks for each in run(chosen)]
    for one, other in zip(parts, whole, strict=True):
        close(one, other)


@pytest.mark.parametrize(("kind", "name", "options"), BOTH, ids=IDS)
@pytest.mark.parametrize("mask", [False, True])
def test_gradients(kind, name, options, mask):
    layer = layer_of(kind, 2, 2, operator="diffusion", K=1, **options)
    x = inputs(1, 3, 3, 2).requires_grad_()
    graph = GRAPHS["both ways, unequal weights"].adjacency()
    given = keywords(options, 1, 3, 3, 2)
    if mask:
        given["present"] = torch.tensor([[[True, True, False], [True, False, True], [True, True, True]]])
    names = [name for name, _ in layer.named_parameters()]

    def run(x, *values):
        out, state = torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x, graph), given)
        return out, *state

    assert torch.autograd.gradcheck(run, (x, *layer.parameters()), fast_mode=True)


FUSED = [(GraphLSTM, {}), (GraphLSTM, {"peephole": True}), (GraphGRU, {}), (GraphGRU, {"reset": "before"})]


@pytest.mark.parametrize(("kind", "options"), FUSED, ids=["LSTM", "LSTM, peephole", "GRU", "GRU, reset before"])
@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("name", ["both ways, unequal weights", "random, 70 nodes: beyond the dense product"])
@pytest.mark.parametrize("hops", [0, 1, 3])
def test_all_steps_at_once_equal_step_by_step(kind, options, operator, name, hops, monkeypatch):
    for user in ("graph_kernels", "graph_gru_kernels"):
        monkeypatch.setattr(f"gnnkit.nn.{user}.ROWS_AT_ONCE", 4)  # several blocks of rows, the last one shorter
    graph = CASES[name].adjacency()
    layer = layer_of(kind, 2, 3, operator=operator, K=hops, num_layers=2, **options)
    x = inputs(2, 4, graph.num_nodes, 2).requires_grad_()
    state = [inputs(2, 2, graph.num_nodes, 3, seed=seed).requires_grad_() for seed in (8, 9)]
    state = state[: len(layer._state_type._fields)]
    factors = inputs(2, 4, graph.num_nodes, 3, seed=4)

    def run() -> list[Tensor]:
        out, last = layer(x, graph, tuple(state))
        loss = (out * factors).sum() + sum((each * factors[0, 0]).sum() for each in last)
        return [out, *last, *torch.autograd.grad(loss, [x, *state, *layer.parameters()])]

    fused = run()
    monkeypatch.setattr("gnnkit.nn.graph_recurrent.is_fused", lambda *_: False)
    for one, other in zip(fused, run(), strict=True):
        close(one, other)


def test_gradient_reaches_the_edges_weights():
    edge_index, weight = directed().to_edge_index()
    x = inputs(3, 5, 2)

    def run(weight: Tensor, operator: str) -> Tensor:
        graph = Adjacency.from_edge_index(edge_index, weight, num_nodes=5)
        return layers[operator](x, graph)[0]

    layers = {operator: layer_of(GraphLSTM, 2, 2, operator=operator) for operator in OPERATORS}
    for operator in OPERATORS:
        assert torch.autograd.gradcheck(lambda w, o=operator: run(w, o), (weight.requires_grad_(),), fast_mode=True)


@pytest.mark.parametrize(("kind", "name", "options"), BOTH, ids=IDS)
def test_checkpoints_change_nothing(kind, name, options):
    x, results = inputs(2, 5, 5, 2), []
    given = keywords(options, 2, 5, 5, 2)
    for every in (None, 1, 3, 9):
        layer = layer_of(kind, 2, 3, **{**options, "checkpoint_every": every})
        out, _ = layer(x, directed(), **given)
        gradients = torch.autograd.grad(out.square().sum(), list(layer.parameters()))
        results.append([out, *gradients])
    for other in results[1:]:
        for first, second in zip(results[0], other, strict=True):
            close(second, first)


@pytest.mark.parametrize(("kind", "operator"), list(itertools.product(LAYERS.values(), OPERATORS)))
def test_masks_that_mask_nothing_change_nothing(kind, operator):
    x = inputs(2, 6, 5, 2)
    layer = layer_of(kind, 2, 3, operator=operator, num_layers=2)
    out, _ = layer(x, directed())
    close(layer(x, directed(), observed=torch.ones_like(x, dtype=torch.bool))[0], out)
    close(layer(x, directed(), present=torch.ones(2, 6, 5, dtype=torch.bool))[0], out)
    close(layer(x, [directed()] * 6)[0], out)
    close(layer(x, [directed() for _ in range(6)])[0], out)
    phased = layer_of(kind, 2, 3, operator=operator, num_layers=2, phased=True).eval()
    for clock in phased.clocks:
        with torch.no_grad():
            clock.log_tau.fill_(2.0).log_()
            clock.s.zero_()
            clock.logit_r_on.fill_(torch.inf)  # r_on = 1: wholly open in the middle of the period
    phased.cells.load_state_dict(layer.cells.state_dict())
    close(phased(x, directed(), times=torch.ones(2, 6, dtype=torch.float64))[0], out)
    flagged = layer_of(kind, 2, 3, operator=operator, missing_indicator=True)
    close(flagged(x, directed())[0], flagged(x, directed(), observed=torch.ones_like(x, dtype=torch.bool))[0])


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_graph_per_step_matches_equations(operator):
    graphs = [random_case(5, 3 + 2 * step, seed=step) for step in range(6)]
    layer = layer_of(GraphLSTM, 3, 4, operator=operator)
    x, zeros = inputs(6, 5, 3), torch.zeros(5, 4, dtype=torch.float64)
    terms = [reference.operator_terms(each.dense(), operator, 2) for each in graphs]
    expected, hidden, _ = reference.lstm_on_graph(weights_of(layer), x, terms, zeros, zeros)
    out, state = layer(x, [each.adjacency() for each in graphs])
    close(out, expected)
    close(state.hidden[0], hidden)


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_absent_nodes_match_the_graph_without_them(case, operator):
    layer = layer_of(GraphLSTM, 3, 4, operator=operator)
    nodes = case.num_nodes
    x, zeros = inputs(2, 6, nodes, 3), torch.zeros(nodes, 4, dtype=torch.float64)
    present = torch.rand(2, 6, nodes, generator=torch.Generator().manual_seed(3)) > 0.4
    out, state = layer(x, case.adjacency(), present=present)
    for b in range(2):
        graphs = [reference.without(case.dense(), there) for there in present[b]]
        terms = [reference.operator_terms(each, operator, 2) for each in graphs]
        expected = reference.lstm_on_graph(weights_of(layer), x[b], terms, zeros, zeros, present=present[b])
        close(out[b], expected[0])
        close(state.cell[0, b], expected[2])


def test_absent_nodes_say_nothing_and_wait():
    layer = layer_of(GraphGRU, 2, 3, operator="diffusion")
    x = inputs(4, 5, 2)
    present = torch.ones(4, 5, dtype=torch.bool)
    present[2, 1] = False
    out, _ = layer(x, directed(), present=present)
    torch.testing.assert_close(out[2, 1], out[1, 1], rtol=0, atol=0)
    other = x.clone()
    other[2, 1] += 100.0
    torch.testing.assert_close(layer(other, directed(), present=present)[0], out, rtol=0, atol=0)


@pytest.mark.parametrize("per_node", [False, True])
def test_gates_open_per_node(per_node):
    case = GRAPHS["directed, weighted, unsorted"]
    layer = layer_of(GraphLSTM, 3, 4, phased=True)  # in training mode: the leak is there
    with torch.no_grad():
        layer.clocks[0].logit_r_on.zero_()
    x, zeros = inputs(2, 6, 5, 3), torch.zeros(5, 4, dtype=torch.float64)
    times = 50 * torch.rand(2, 6, 5, dtype=torch.float64).cumsum(1)
    if not per_node:
        times = times[..., 0]
    out, state = layer(x, case.adjacency(), times=times)
    terms = [reference.operator_terms(case.dense(), "chebyshev", 2)] * 6
    for b in range(2):
        opened = layer.clocks[0](times[b] if per_node else times[b].unsqueeze(-1).expand(6, 5)).detach()
        assert 0 < opened.mean() < 1
        expected = reference.lstm_on_graph(weights_of(layer), x[b], terms, zeros, zeros, openness=opened)
        close(out[b], expected[0])
        close(state.cell[0, b], expected[2])


def test_missing_values_are_carried_flagged_and_never_read():
    layer = layer_of(GraphLSTM, 2, 4, missing_indicator=True)
    plain = layer_of(GraphLSTM, 4, 4)
    plain.load_state_dict(layer.state_dict())
    x = inputs(6, 5, 2)
    observed = torch.rand(6, 5, 2, generator=torch.Generator().manual_seed(2)) > 0.5
    assert not observed[0].all()
    hidden = torch.where(observed, x, torch.nan).requires_grad_()
    out, _ = layer(hidden, directed(), observed=observed)
    by_hand = torch.cat([reference.filled(x, observed), (~observed).double()], dim=-1)
    close(out, plain(by_hand, directed())[0])
    out.sum().backward()
    assert hidden.grad.isfinite().all()
    assert (hidden.grad[~observed] == 0).all()


@pytest.mark.parametrize(("kind", "name", "options"), BOTH, ids=IDS)
def test_two_halves_equal_the_whole(kind, name, options):
    if options.get("bidirectional") or options.get("missing_indicator"):
        pytest.skip("the second half alone knows neither the end's reader nor values carried from before")
    layer = layer_of(kind, 2, 3, **options)
    x, given = inputs(2, 6, 5, 2), keywords(options, 2, 6, 5, 2)
    out, last = layer(x, directed(), **given)
    first, state = layer(x[:, :4], directed(), **{key: value[:, :4] for key, value in given.items()})
    second, state = layer(x[:, 4:], directed(), state, **{key: value[:, 4:] for key, value in given.items()})
    close(torch.cat([first, second], dim=1), out)
    close(state.hidden, last.hidden)


@pytest.mark.parametrize("kind", [GraphLSTM, GraphGRU])
def test_a_second_derivative_is_refused_not_taken_for_zero(kind):
    graph = Adjacency.from_edge_index(torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
    layer, x = kind(1, 2), torch.randn(1, 3, 2, 1, requires_grad=True)
    out, _ = layer(x, graph)
    with pytest.raises(NotImplementedError, match="create_graph"):
        torch.autograd.grad(out.square().sum(), x, create_graph=True)
