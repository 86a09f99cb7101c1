"""No public function leaks an error of torch's or Python's own for bad shapes, dtypes, devices or ids.

Each good call is repeated with one argument made bad at a time. It must succeed, or raise ValueError or TypeError
worded at a line of this project, in a message that names a value. What is right in shape and kind but senseless
(a NaN among features) is the caller's business.
"""

import importlib
import inspect
import pkgutil
import re
import traceback
from dataclasses import is_dataclass, replace
from pathlib import Path

import pytest
import torch

import gnnkit
import recurrent
from gnnkit.data import NodeData
from gnnkit.graph import Adjacency
from recurrent import Sequences
from tests.interfaces import of_gnnkit, of_recurrent
from tests.interfaces.of_gnnkit import DATA, EDGES, GRAPH, MASK, X

ROOT = str(Path(gnnkit.__file__).parent.parent)
CALLS = {**of_gnnkit.CALLS, **of_recurrent.CALLS}
ELSEWHERE = {**of_gnnkit.ELSEWHERE, **of_recurrent.ELSEWHERE}
PACKAGES = [
    "gnnkit",
    *(f"gnnkit.{name}" for name in ("data", "diagnostics", "graph", "models", "nn", "training", "transforms")),
    "recurrent",
    "recurrent.diagnostics",
    "recurrent.initialization",
    *(each.name for each in pkgutil.walk_packages(recurrent.__path__, "recurrent.") if each.ispkg),
]


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
    for kind, bad in BAD_VALUES.items():
        if isinstance(value, kind):
            return bad(value)
    return {}


def bad_lists(value: list | tuple) -> dict[str, object]:
    kind = type(value)
    if not all(isinstance(each, int) for each in value):
        return {"nothing": kind(), "one less": value[:-1], "twice the first": kind([value[0], *value[:-1]])}
    return {
        "nothing": kind(),
        "negative": kind([-5]),
        "too large": kind([10**6]),
        "beyond int64": kind([2**70]),
        "a fraction": kind([0.5]),
        "twice the same": kind([value[0], value[0]]),
        "one more": kind([*value, value[0]]),
    }


NONE = MASK & False
BAD_VALUES = {
    torch.Tensor: bad_tensors,
    bool: lambda _: {},
    int: lambda _: {"negative": -1, "zero": 0, "far too large": 2**70, "very negative": -(2**70)},
    float: lambda _: {"NaN": float("nan"), "infinite": float("inf"), "negative": -1.0, "above 1": 2.0},
    str: lambda _: {"unknown": "nonsense", "empty": ""},
    Path: lambda path: {
        "absent": path.with_name("absent.txt"),
        "a folder": path.parent,
        "of no folder": path / "x.mtx",
    },
    torch.dtype: lambda _: {"complex": torch.complex64, "bool": torch.bool, "quantised": torch.qint8},
    list | tuple: bad_lists,
    Adjacency: lambda _: {
        "edges one per row": EDGES.t(),
        "of fewer nodes": Adjacency.from_edge_index(EDGES[:, :1], num_nodes=2),
        "in float64": GRAPH.to(dtype=torch.float64),
        "without nodes": Adjacency.from_edge_index(EDGES[:, :0], num_nodes=0),
    },
    NodeData: lambda _: {
        "of other features": replace(DATA, x=X[:, :2]),
        "without training nodes": replace(DATA, train_mask=NONE),
        "without labels": replace(DATA, y=DATA.y * 0 - 1, train_mask=NONE, val_mask=NONE, test_mask=NONE),
    },
    Sequences: lambda _: {"of features": Sequences.from_padded(torch.rand(3, 2, 4), torch.tensor([2, 1, 0]))},
}
MEETS_ANOTHER_DEVICE = {
    "Adjacency.propagate x",
    "Adjacency @ x",
    "GCNConv of an Adjacency x",
    "GCN x",
    *(f"unroll of {kind.__name__} inputs" for kind in of_recurrent.CELLS),
    "unroll_states inputs",
}
# Honest requests that only memory and time refuse.
HONEST = {"num_layers", "num_nodes", "epochs", "num_steps"}
CASES = {
    f"{name}, {argument} {how}": (function, {**good, argument: bad})
    for name, (function, good) in CALLS.items()
    for argument, value in good.items()
    for how, bad in bad_values(value).items()
    if not (argument in HONEST and how == "far too large")
    # Tensors on the device "meta" hold no data: only what meets weights or a graph on another device is told.
    if how != "on another device" or f"{name} {argument}" in MEETS_ANOTHER_DEVICE
}
NAMES_A_VALUE = re.compile(r"\d|'[^']*'|torch\.\w+|\bnan\b|\binf\b|got |\bcpu\b")


def public_names() -> dict[str, object]:
    found = {}
    for name in PACKAGES:
        module = importlib.import_module(name)
        defined = [key for key, value in vars(module).items() if getattr(value, "__module__", "") == name]
        for each in getattr(module, "__all__", [key for key in defined if not key.startswith("_")]):
            found[each] = getattr(module, each)
    return found


def only_holds_or_names_things(thing: object) -> bool:
    """Named tuples, dataclasses that check nothing, protocols, exceptions, constants and aliases."""
    if not inspect.isclass(thing):
        return not inspect.isroutine(thing)
    plain = is_dataclass(thing) and not hasattr(thing, "__post_init__")
    named = issubclass(thing, tuple) and hasattr(thing, "_fields")
    return plain or named or issubclass(thing, Exception) or getattr(thing, "_is_protocol", False)


def test_every_public_function_has_a_call_that_is_made_bad():
    tried = {word for call in CALLS for word in re.findall(r"\w+", call)}
    names = public_names()
    assert {name for name, thing in names.items() if not only_holds_or_names_things(thing)} - tried == set(ELSEWHERE)
    assert len(names) > 150


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
    except OSError as error:
        if not error.filename:
            raise
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
