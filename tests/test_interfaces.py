"""No public function leaks an error of torch's or Python's own for bad shapes, dtypes, devices or ids.

Each good call is repeated with one argument made bad at a time. It must succeed, or raise ValueError or TypeError
worded at a line of this project, in a message that names a value. What is right in shape and kind but senseless
(a NaN among features) is the caller's business.
"""

import re
import traceback
from pathlib import Path

import pytest
import torch

import gnnkit
from gnnkit.data import NodeData, identity_features, random_split, row_normalized, stratified_split
from gnnkit.diagnostics import dirichlet_energy
from gnnkit.graph import (
    Adjacency,
    average_distance,
    diameter,
    eccentricity,
    hop_count,
    hop_distance,
    hop_histogram,
    iter_hop_distance,
    layers_needed,
    receptive_field,
    shortest_path,
    summarize,
)
from gnnkit.models import GAT, GCN, GCNII
from gnnkit.nn import GATConv, GCN2Conv, GCNConv, GraphGRU, GraphLSTM
from recurrent import GRUCell, LSTMCell, MinGRUCell, PhasedLSTMCell, RNNCell, unroll, unroll_states
from recurrent.models import CharLM
from recurrent.tasks import Adding, BaumSweet, BinaryPalindromes, CopyMemory, Palindromes, RandomCombinations

ROOT = str(Path(gnnkit.__file__).parent.parent)
EDGES = torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 0, 2]])
GRAPH = Adjacency.from_edge_index(EDGES, num_nodes=5)
RING = Adjacency.from_edge_index(torch.tensor([[0, 1, 2], [1, 2, 0]]), num_nodes=3)
X = torch.rand(5, 3, generator=torch.Generator().manual_seed(0))
STEPS = torch.rand(4, 5, 3, generator=torch.Generator().manual_seed(0))
IDS = torch.tensor([0, 2])
LABELS = torch.arange(60) % 3
MASK = torch.tensor([True, False, False, True, False])


def layer_call(build):
    layer = build()
    return lambda x, edge_index: layer(x, edge_index)


# name: (function, good arguments). A tensor argument called ids or nodes holds node ids.
CALLS = {
    "Adjacency.from_edge_index": (
        Adjacency.from_edge_index,
        {"edge_index": EDGES, "edge_weight": torch.rand(5), "num_nodes": 5},
    ),
    "Adjacency.from_dense": (Adjacency.from_dense, {"matrix": GRAPH.to_dense()}),
    "Adjacency.propagate": (GRAPH.propagate, {"x": X}),
    "Adjacency @": (GRAPH.__matmul__, {"x": X}),
    "Adjacency.with_self_loops": (GRAPH.with_self_loops, {"weight": 1.0}),
    "Adjacency.normalized": (GRAPH.normalized, {"kind": "sym"}),
    "hop_distance": (hop_distance, {"graph": GRAPH, "sources": IDS, "max_hops": 2}),
    "iter_hop_distance": (lambda **given: list(iter_hop_distance(**given)), {"graph": GRAPH, "sources": IDS}),
    "hop_count": (hop_count, {"graph": GRAPH, "source": 0, "target": 2}),
    "hop_histogram": (hop_histogram, {"graph": GRAPH}),
    "shortest_path": (shortest_path, {"graph": GRAPH, "source": 0, "target": 2}),
    "eccentricity": (eccentricity, {"graph": RING}),
    "diameter": (diameter, {"graph": RING}),
    "average_distance": (average_distance, {"graph": RING}),
    "layers_needed": (layers_needed, {"graph": GRAPH, "source": 0, "target": 2}),
    "receptive_field": (receptive_field, {"graph": GRAPH, "nodes": IDS, "num_layers": 2}),
    "summarize": (summarize, {"graph": GRAPH, "y": torch.tensor([0, 1, 0, 1, -1])}),
    "identity_features": (identity_features, {"num_nodes": 5}),
    "row_normalized": (row_normalized, {"x": X}),
    "random_split": (random_split, {"y": torch.arange(1600) % 3, "seed": 0}),
    "stratified_split": (stratified_split, {"y": LABELS, "seed": 0}),
    "NodeData": (
        NodeData,
        {"adjacency": GRAPH, "x": X, "y": torch.zeros(5).long(), "train_mask": MASK, "val_mask": MASK.roll(1),
         "test_mask": MASK & False, "name": "made"},
    ),
    "dirichlet_energy": (dirichlet_energy, {"x": X, "graph": GRAPH}),
    "GCNConv()": (GCNConv, {"in_channels": 3, "out_channels": 2}),
    "GATConv()": (GATConv, {"in_channels": 3, "out_channels": 2, "heads": 2, "dropout": 0.1}),
    "GCN2Conv()": (GCN2Conv, {"channels": 3, "alpha": 0.1, "theta": 0.5, "layer": 1}),
    "GraphLSTM()": (GraphLSTM, {"in_channels": 3, "hidden_size": 2, "K": 1, "num_layers": 1}),
    "GraphGRU()": (GraphGRU, {"in_channels": 3, "hidden_size": 2, "K": 1, "num_layers": 1}),
    "GCN()": (GCN, {"in_channels": 3, "hidden_channels": 2, "num_layers": 2, "out_channels": 2, "dropout": 0.5}),
    "GAT()": (GAT, {"in_channels": 3, "hidden_channels": 2, "num_layers": 2, "out_channels": 2, "dropout": 0.5}),
    "GCNII()": (GCNII, {"in_channels": 3, "hidden_channels": 2, "num_layers": 2, "out_channels": 2, "dropout": 0.5}),
    "GCNConv": (layer_call(lambda: GCNConv(3, 2)), {"x": X, "edge_index": EDGES}),
    "GCNConv of an Adjacency": (layer_call(lambda: GCNConv(3, 2)), {"x": X, "edge_index": GRAPH}),
    "GATConv": (layer_call(lambda: GATConv(3, 2)), {"x": X, "edge_index": EDGES}),
    "GATConv of an Adjacency": (layer_call(lambda: GATConv(3, 2)), {"x": X, "edge_index": GRAPH}),
    "GCN2Conv": (
        lambda x, x_0, edge_index: GCN2Conv(3, alpha=0.1, theta=0.5, layer=1)(x, x_0, edge_index),
        {"x": X, "x_0": X, "edge_index": EDGES},
    ),
    "GraphLSTM": (layer_call(lambda: GraphLSTM(3, 2, K=1)), {"x": STEPS, "edge_index": GRAPH}),
    "GraphGRU": (layer_call(lambda: GraphGRU(3, 2, K=1)), {"x": STEPS, "edge_index": GRAPH}),
    "GCN": (layer_call(lambda: GCN(3, 4, 2, 2)), {"x": X, "edge_index": GRAPH}),
    "GAT": (layer_call(lambda: GAT(3, 4, 2, 2)), {"x": X, "edge_index": GRAPH}),
    "GCNII": (layer_call(lambda: GCNII(3, 4, 2, 2)), {"x": X, "edge_index": GRAPH}),
    **{
        f"{kind.__name__}()": (kind, {"input_size": 3, "hidden_size": 2})
        for kind in (RNNCell, LSTMCell, GRUCell, MinGRUCell, PhasedLSTMCell)
    },
    **{
        f"unroll of {kind.__name__}": (
            lambda inputs, lengths, kind=kind: unroll(kind(3, 2), inputs, lengths=lengths),
            {"inputs": torch.rand(2, 4, 3), "lengths": torch.tensor([4, 2])},
        )
        for kind in (RNNCell, LSTMCell, GRUCell, MinGRUCell, PhasedLSTMCell)
    },
    "unroll_states": (lambda inputs: unroll_states(LSTMCell(3, 2), inputs), {"inputs": torch.rand(2, 4, 3)}),
    "CharLM()": (CharLM, {"vocab_size": 5, "hidden_size": 4, "num_layers": 2, "dropout": 0.1}),
    **{
        kind.__name__: (kind, {"length": 6})
        for kind in (Palindromes, BinaryPalindromes, RandomCombinations, BaumSweet, CopyMemory, Adding)
    },
}  # fmt: skip


def bad_tensors(value: torch.Tensor) -> dict[str, object]:
    found = {
        "one axis more": value.unsqueeze(0).unsqueeze(0).expand(2, 2, *value.shape),
        "one axis less": value[0] if value.dim() else value,
        "no axis": torch.tensor(1).to(value.dtype),
        "transposed": value.transpose(-1, -2) if value.dim() > 1 else value.flip(0),
        "a row less": value[:-1] if value.dim() == 1 else value[..., :-1, :],
        "a column more": torch.cat([value, value[..., :1]], dim=-1),
        "nothing": value[..., :0],
        "complex": value.to(torch.complex64),
        "on another device": value.to("meta"),
        "float64": value.double(),
        "float16": value.half(),
        "bool": value.bool(),
        "int32": value.int(),
    }
    if not value.is_floating_point() and value.dtype != torch.bool:
        found |= {
            "negative": value - 10,
            "too large": value + 1000,
            "beyond int32": value + 2**40,
            "uint8": value.to(torch.uint8),
        }
    return found


def bad_values(value: object) -> dict[str, object]:
    if isinstance(value, torch.Tensor):
        return bad_tensors(value)
    if isinstance(value, bool):
        return {}
    if isinstance(value, int):
        return {"negative": -1, "zero": 0, "far too large": 2**70, "very negative": -(2**70)}
    if isinstance(value, float):
        return {"NaN": float("nan"), "infinite": float("inf"), "negative": -1.0, "above 1": 2.0}
    if isinstance(value, str):
        return {"unknown": "nonsense", "empty": ""}
    if isinstance(value, Adjacency):
        return {
            "edges one per row": EDGES.t(),
            "of fewer nodes": Adjacency.from_edge_index(EDGES[:, :1], num_nodes=2),
            "in float64": GRAPH.to(dtype=torch.float64),
            "without nodes": Adjacency.from_edge_index(EDGES[:, :0], num_nodes=0),
        }
    raise AssertionError(f"no bad values of a {type(value)}")


MEETS_ANOTHER_DEVICE = {
    "Adjacency.propagate x",
    "Adjacency @ x",
    "GCNConv of an Adjacency x",
    "GCN x",
    *(f"unroll of {kind.__name__} inputs" for kind in (RNNCell, LSTMCell, GRUCell, MinGRUCell, PhasedLSTMCell)),
    "unroll_states inputs",
}
# Honest requests that only memory and time refuse.
UNCHECKED = {
    (name, argument, "far too large")
    for name, (_, good) in CALLS.items()
    for argument in good
    if argument in ("num_layers", "num_nodes")
}
CASES = {
    f"{name}, {argument} {how}": (function, {**good, argument: bad})
    for name, (function, good) in CALLS.items()
    for argument, value in good.items()
    for how, bad in bad_values(value).items()
    if (name, argument, how) not in UNCHECKED
    # Tensors on the device "meta" hold no data: only what meets weights or a graph on another device is told.
    if how != "on another device" or f"{name} {argument}" in MEETS_ANOTHER_DEVICE
}
NAMES_A_VALUE = re.compile(r"\d|'[^']*'|torch\.\w+|\bnan\b|\binf\b|got |\bcpu\b")


@pytest.mark.parametrize("name", CALLS)
def test_good_calls_are_good(name):
    function, good = CALLS[name]
    function(**good)


@pytest.mark.parametrize("name", CASES)
def test_bad_arguments_are_refused_in_our_words(name):
    function, arguments = CASES[name]
    problem = None
    try:
        function(**arguments)
    except (ValueError, TypeError) as error:
        problem = error
    if problem is not None:
        last = traceback.extract_tb(problem.__traceback__)[-1]
        assert last.filename.startswith((f"{ROOT}/gnnkit", f"{ROOT}/recurrent")), f"{last}: {problem!r}"
        assert NAMES_A_VALUE.search(str(problem)), problem


def test_edges_stored_one_per_row_are_refused():
    with pytest.raises(
        ValueError, match=r"edge_index must have shape \(2, num_edges\), got \(5, 2\); pass edge_index.t"
    ):
        Adjacency.from_edge_index(EDGES.t(), num_nodes=5)


def test_two_edges_in_a_square_are_read_as_rows_of_sources_and_targets():
    """Both readings fit ``[2, 2]``, so there is nothing to notice: row 0 is sources, as everywhere."""
    graph = Adjacency.from_edge_index(torch.tensor([[0, 1], [2, 3]]), num_nodes=4)
    assert graph.to_dense().nonzero().tolist() == [[0, 2], [1, 3]]
