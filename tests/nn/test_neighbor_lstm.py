"""NeighborLSTM: against recursion on trees, one node at a time on graphs, torch's LSTM on chains; and laws."""

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from gnnkit.graph import Adjacency
from gnnkit.nn import NeighborLSTM, NeighborPlan
from recurrent import LSTMCell, LSTMState
from tests.reference import neighbor_lstm as reference

GENERAL = (
    {"schedule": "confidence"},
    {"schedule": "confidence", "aggregate": "mean", "num_steps": 2},
    {"schedule": "synchronous", "num_steps": 3},
    {"schedule": "synchronous", "aggregate": "mean"},
)
ALL = ({}, {"aggregate": "mean"}, {"arity": 3}, *GENERAL)


def layer_of(**options: object) -> NeighborLSTM:
    torch.manual_seed(1)
    return NeighborLSTM(3, 4, **options).double()


def weights_of(layer: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in layer.named_parameters()}


def inputs(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-11)


def random_forest(num_nodes: int, seed: int, most: int = 3) -> Tensor:
    """Children to parents, numbered at random; no node has more than ``most`` children."""
    generator = torch.Generator().manual_seed(seed)
    names = torch.randperm(num_nodes, generator=generator).tolist()
    edges, children = [], [0] * num_nodes
    for node in range(1, num_nodes):
        parent = int(torch.randint(node, (1,), generator=generator))
        if children[parent] < most and torch.rand((), generator=generator) > 0.1:
            children[parent] += 1
            edges.append((names[node], names[parent]))
    return torch.tensor(edges, dtype=torch.long).view(-1, 2).t()


def random_edges(num_nodes: int, num_edges: int, seed: int) -> Tensor:
    """Directed, self-loops and repeated edges included."""
    return torch.randint(num_nodes, (2, num_edges), generator=torch.Generator().manual_seed(seed))


def children_of(edge_index: Tensor) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for child, parent in sorted(edge_index.t().tolist()):
        found.setdefault(parent, []).append(child)
    return found


def call(layer: NeighborLSTM, x: Tensor, graph: Tensor | Adjacency, seed: int = 5) -> LSTMState:
    """With a confidence where the schedule wants one."""
    if layer.schedule != "confidence":
        return layer(x, graph)
    return layer(x, graph, confidence=torch.rand(x.shape[:-1], generator=torch.Generator().manual_seed(seed)))


# ---- independent references ----------------------------------------------------------------------


@pytest.mark.parametrize("arity", [None, 1])
def test_on_a_chain_it_is_the_lstm(arity):
    cell = LSTMCell(3, 4).double()
    layer = layer_of(arity=arity)
    layer.load_state_dict(cell.state_dict())
    x = inputs(6, 3)
    hidden, memory = layer(x, torch.stack([torch.arange(5), torch.arange(1, 6)]))
    state = cell.initial_state(1)
    for step in range(6):
        _, state = cell(x[step : step + 1], state)
        close(hidden[step], state.hidden[0])
        close(memory[step], state.cell[0])


@pytest.mark.parametrize("seed", range(4))
def test_child_sum_matches_recursion(seed):
    edges, x, layer = random_forest(17, seed), inputs(17, 3), layer_of()
    hidden, cell = layer(x, edges)
    for node in range(17):
        expected = reference.tree_recursion(weights_of(layer), x, children_of(edges), node)
        close(hidden[node], expected[0])
        close(cell[node], expected[1])


@pytest.mark.parametrize("seed", range(4))
def test_a_directed_acyclic_graph_shares_what_is_below(seed):
    edges = random_edges(9, 25, seed).sort(dim=0).values
    edges = torch.unique(edges[:, edges[0] < edges[1]], dim=1)
    x, layer = inputs(9, 3), layer_of()
    hidden, _ = layer(x, edges)
    close(hidden[8], reference.tree_recursion(weights_of(layer), x, children_of(edges), 8)[0])


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_nary_matches_recursion(seed, given):
    edges, x, layer = random_forest(17, seed), inputs(17, 3), layer_of(arity=4)
    position = None
    where = {parent: dict(enumerate(below)) for parent, below in children_of(edges).items()}
    if given:  # places left empty, and not in the order of ids
        where = {parent: dict(zip([3, 0, 2], below.values(), strict=False)) for parent, below in where.items()}
        place = {(child, parent): k for parent, below in where.items() for k, child in below.items()}
        position = torch.tensor([place[edge] for edge in map(tuple, edges.t().tolist())])
    hidden, cell = layer(x, edges, position=position)
    for node in range(17):
        expected = reference.nary_recursion(weights_of(layer), x, where, node, 4)
        close(hidden[node], expected[0])
        close(cell[node], expected[1])


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("schedule", ["confidence", "synchronous"])
@pytest.mark.parametrize("seed", range(3))
def test_schedules_match_one_node_at_a_time(seed, schedule, mean):
    edges, x = random_edges(12, 40, seed), inputs(12, 3)
    layer = layer_of(schedule=schedule, aggregate="mean" if mean else "sum", num_steps=2)
    start = LSTMState(inputs(12, 4, seed=2), inputs(12, 4, seed=3))
    confidence = None
    order = None
    if schedule == "confidence":
        confidence = torch.rand(12, generator=torch.Generator().manual_seed(seed)).mul(6).round()  # with ties
        order = sorted(range(12), key=lambda node: (-float(confidence[node]), node))
    found = layer(x, edges, start, confidence=confidence)
    expected: tuple[Tensor, Tensor] = start
    for _ in range(2):
        expected = reference.one_by_one(weights_of(layer), x, edges.t().tolist(), order, expected, mean=mean)
    close(found.hidden, expected[0])
    close(found.cell, expected[1])


# ---- laws ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", GENERAL)
def test_steps_are_calls_one_after_another(options):
    layer = layer_of(**{**options, "num_steps": 1})
    longer = layer_of(**{**options, "num_steps": 3})
    x, edges = inputs(7, 3), random_edges(7, 15, 0)
    sure = {"confidence": torch.arange(7.0)} if layer.schedule == "confidence" else {}
    state = None
    for _ in range(3):
        state = layer(x, edges, state, **sure)
    close(longer(x, edges, **sure).hidden, state.hidden)


@pytest.mark.parametrize("options", ALL)
def test_a_batch_is_its_graphs_one_by_one(options):
    layer = layer_of(**options)
    forests = [random_forest(size, seed) for seed, size in enumerate((5, 1, 9))]
    data = [
        Data(x=inputs(size, 3, seed=size), edge_index=edges) for edges, size in zip(forests, (5, 1, 9), strict=True)
    ]
    for one in data:
        one.sure = torch.rand(one.num_nodes)
    batch = Batch.from_data_list(data)
    sure = {"confidence": batch.sure} if layer.schedule == "confidence" else {}
    together = layer(batch.x, batch.edge_index, **sure).hidden
    alone = [layer(one.x, one.edge_index, **({"confidence": one.sure} if sure else {})).hidden for one in data]
    close(together, torch.cat(alone))


@pytest.mark.parametrize("options", ALL)
def test_a_permutation_permutes(options):
    layer = layer_of(**options)
    edges, x = random_forest(11, 3), inputs(11, 3)
    sure = torch.rand(11)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(0))
    new_name = torch.argsort(order)
    extra = {"confidence": sure} if layer.schedule == "confidence" else {}
    moved = {"confidence": sure[order]} if extra else {}
    if layer.arity:
        place = torch.zeros(edges.size(1), dtype=torch.long)
        for edge, (_, parent) in enumerate(edges.t().tolist()):
            place[edge] = int((edges[1, :edge] == parent).sum())
        extra = moved = {"position": place}
    close(layer(x[order], new_name[edges], **moved).hidden, layer(x, edges, **extra).hidden[order])


@pytest.mark.parametrize("options", ALL)
def test_leading_dimensions_are_copies(options):
    layer, edges, x = layer_of(**options), random_forest(8, 1), inputs(2, 3, 8, 3)
    found = call(layer, x, Adjacency.from_edge_index(edges, num_nodes=8))
    assert found.hidden.shape == (2, 3, 8, 4)
    sure = torch.rand(2, 3, 8, generator=torch.Generator().manual_seed(5))
    for b in range(2):
        for k in range(3):
            extra = {"confidence": sure[b, k]} if layer.schedule == "confidence" else {}
            close(found.hidden[b, k], layer(x[b, k], edges, **extra).hidden)


@pytest.mark.parametrize("options", ALL)
def test_gradients(options):
    layer = layer_of(**options)
    edges, x = random_forest(7, 2), inputs(7, 3).requires_grad_()
    plan_options = {"confidence": torch.rand(7)} if layer.schedule == "confidence" else {}
    plan = NeighborPlan.of(edges, layer.schedule, num_nodes=7, arity=layer.arity, **plan_options)
    state = (
        ()
        if layer.schedule == "topological"
        else (inputs(7, 4).requires_grad_(), inputs(7, 4, seed=1).requires_grad_())
    )
    names = [name for name, _ in layer.named_parameters()]

    def run(x: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor]:
        start = (LSTMState(*rest[: len(state)]),) if state else ()
        parameters = dict(zip(names, rest[len(state) :], strict=True))
        return torch.func.functional_call(layer, parameters, (x, plan, *start))

    assert torch.autograd.gradcheck(run, (x, *state, *layer.parameters()))


@pytest.mark.parametrize("options", ALL)
def test_no_nodes_single_nodes_no_edges(options):
    layer = layer_of(**options)
    none = torch.empty(2, 0, dtype=torch.long)
    for size in (0, 1, 3):
        x = inputs(size, 3).requires_grad_()
        hidden, cell = call(layer, x, none)
        assert hidden.shape == cell.shape == (size, 4)
        hidden.sum().backward()
        assert x.grad.shape == (size, 3)
    if layer.schedule != "topological":
        return
    i, _, g, o = (layer.weight_ih @ x.detach()[0] + layer.bias_ih + layer.bias_hh).chunk(4)
    close(hidden[0], o.sigmoid() * (i.sigmoid() * g.tanh()).tanh())


def test_confidence_in_waves_not_one_by_one():
    grid = torch.cat(
        [torch.stack([torch.arange(63), torch.arange(1, 64)]), torch.stack([torch.arange(56), torch.arange(8, 64)])], 1
    )
    both = torch.cat([grid, grid.flip(0)], dim=1)
    plan = NeighborPlan.of(both, "confidence", num_nodes=64, confidence=torch.rand(64))
    assert plan.num_levels < 20
    assert NeighborPlan.of(both, "synchronous", num_nodes=64).num_levels == 1


def test_an_adjacency_keeps_its_plan():
    graph = Adjacency.from_edge_index(random_forest(9, 0), num_nodes=9)
    layer, x = layer_of(), inputs(9, 3)
    first = layer._plan(graph, x, None, None)
    assert layer._plan(graph, x, None, None) is first
    close(layer(x, first).hidden, layer(x, graph).hidden)


@pytest.mark.parametrize("arity", [None, 2])
def test_second_derivatives_are_refused(arity):
    x = inputs(3, 3).requires_grad_()
    total = layer_of(arity=arity)(x, TREE).hidden.sum()
    with pytest.raises(NotImplementedError, match="create_graph=True"):
        torch.autograd.grad(total, x, create_graph=True)


def test_transforms_are_refused():
    layer = layer_of()
    with pytest.raises(RuntimeError, match="setup_context"):
        torch.func.vmap(lambda x: layer(x, TREE).hidden)(inputs(2, 3, 3))


def test_mixed_precision_keeps_the_weights_dtype():
    layer, x, edges = NeighborLSTM(3, 4), torch.rand(5, 3), random_forest(5, 0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden, _ = layer(x.bfloat16(), edges)
    torch.testing.assert_close(hidden, layer(x.bfloat16().float(), edges).hidden)


# ---- errors --------------------------------------------------------------------------------------


def test_cycles_are_named():
    edges = torch.tensor([[0, 1, 4, 2, 3, 5], [1, 4, 2, 1, 0, 5]])
    with pytest.raises(ValueError, match=r"there is (1 -> 4 -> 2 -> 1|5 -> 5);"):
        layer_of()(inputs(6, 3), edges)
    with pytest.raises(ValueError, match="there is 0 -> 0;"):
        layer_of()(inputs(1, 3), torch.zeros(2, 1, dtype=torch.long))
    call(layer_of(schedule="confidence"), inputs(6, 3), edges)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedule": "random"}, "got 'random'"),
        ({"aggregate": "max"}, "got 'max'"),
        ({"num_steps": 2}, "got 2"),
        ({"arity": 0}, "got arity=0"),
        ({"arity": 2, "aggregate": "mean"}, "aggregate='mean'"),
        ({"arity": 2, "schedule": "synchronous"}, "schedule='synchronous'"),
    ],
)
def test_options_that_do_not_go_together(options, message):
    with pytest.raises(ValueError, match=message):
        NeighborLSTM(3, 4, **options)


def test_sizes_must_be_positive():
    with pytest.raises(ValueError, match="got 0, 4 and 1"):
        NeighborLSTM(0, 4)


TREE = torch.tensor([[0, 1], [2, 2]])


@pytest.mark.parametrize(
    ("layer", "arguments", "extra", "message"),
    [
        ({}, (inputs(3, 2), TREE), {}, r"got \(3, 2\)"),
        ({}, (inputs(3, 3), Adjacency.from_edge_index(TREE, num_nodes=4)), {}, "has 4 nodes but the features have 3"),
        ({}, (inputs(3, 3), NeighborPlan.of(TREE, num_nodes=4)), {}, "plan is of 4 nodes, the features of 3"),
        ({}, (inputs(3, 3), NeighborPlan.of(TREE, num_nodes=3, arity=2)), {}, "arity=2"),
        ({}, (inputs(3, 3), NeighborPlan.of(TREE, num_nodes=3)), {"position": TREE[0]}, "in the plan already"),
        ({}, (inputs(3, 3), TREE, LSTMState(inputs(3, 4), inputs(3, 4))), {}, "takes no state"),
        ({}, (inputs(3, 3), TREE), {"confidence": torch.rand(3)}, "for schedule='topological'"),
        ({}, (inputs(3, 3), TREE), {"position": TREE[0]}, "goes with an arity"),
        ({"schedule": "confidence"}, (inputs(3, 3), TREE), {}, "got none for schedule='confidence'"),
        ({"schedule": "confidence"}, (inputs(3, 3), TREE), {"confidence": torch.rand(2)}, r"got \(2,\)"),
        ({"schedule": "confidence"}, (inputs(3, 3), TREE), {"confidence": torch.rand(3) * torch.nan}, "holds NaN"),
        ({"schedule": "synchronous"}, (inputs(3, 3), TREE, LSTMState(inputs(3, 4), inputs(3, 5))), {}, r"\(3, 5\)"),
        ({"arity": 1}, (inputs(3, 3), TREE), {}, "node 2 hears a neighbour in position 1, but arity=1"),
        (
            {"arity": 2},
            (inputs(3, 3), TREE),
            {"position": torch.tensor([1, 1])},
            "node 2 hears two neighbours in position 1",
        ),
        (
            {"arity": 2},
            (inputs(3, 3), TREE),
            {"position": torch.tensor([1])},
            r"shape \(2,\), one per edge, got \(1,\)",
        ),
    ],
)
def test_arguments_that_do_not_fit(layer, arguments, extra, message):
    with pytest.raises(ValueError, match=message):
        layer_of(**layer)(*arguments, **extra)


def test_weights_are_refused():
    graph = Adjacency.from_edge_index(TREE, torch.tensor([1.0, 0.5]), num_nodes=3)
    for x in (inputs(3, 3), inputs(2, 3, 3)):
        with pytest.raises(ValueError, match="edges have no weights here"):
            layer_of()(x, graph)


def test_dtypes_must_agree():
    with pytest.raises(TypeError, match="float32"):
        layer_of()(torch.rand(3, 3), TREE)


def test_edge_lists_need_a_number_of_nodes():
    with pytest.raises(ValueError, match="needs num_nodes"):
        NeighborPlan.of(TREE)
    with pytest.raises(ValueError, match="num_nodes=5 was given"):
        NeighborPlan.of(Adjacency.from_edge_index(TREE, num_nodes=3), num_nodes=5)
    with pytest.raises(ValueError, match=r"gates must have shape \(3, 16\)"):
        layer_of().run(inputs(3, 4), NeighborPlan.of(TREE, num_nodes=3))
