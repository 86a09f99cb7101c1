"""Which PyG models can run on a receptive field alone, and why others cannot.

A layer qualifies if a node's row depends only on the rows of the nodes with an edge into it (and its
own). What mixes rows in any other way, such as statistics over all nodes, would see another set of
nodes on the field than on the graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

# Exact classes: a subclass may do anything. Each of these is tested against the full graph.
CONVOLUTIONS = (
    "EdgeConv",
    "GATConv",
    "GATv2Conv",
    "GCN2Conv",
    "GCNConv",
    "GINConv",
    "GINEConv",
    "GraphConv",
    "ResGatedGraphConv",
    "SAGEConv",
    "TransformerConv",
)
# Those whose weights are normalised by degrees, which the field alone does not know.
NORMALIZED = ("GCNConv", "GCN2Conv")
# A function of a node's own messages. Not LSTM, GRU, MLP or sort, which pad to the graph's largest degree.
AGGREGATIONS = (
    "FusedAggregation",
    "MaxAggregation",
    "MeanAggregation",
    "MedianAggregation",
    "MinAggregation",
    "MulAggregation",
    "MultiAggregation",
    "PowerMeanAggregation",
    "QuantileAggregation",
    "SoftmaxAggregation",
    "StdAggregation",
    "SumAggregation",
    "VarAggregation",
)
# What else of PyG works row by row, whatever is inside being looked at itself.
ROW_BY_ROW = ("Identity", "JumpingKnowledge", "Linear", "MLP", "MessageNorm", "Sequential", "TrimToLayer")
# Statistics of all nodes in training; running averages of them in evaluation.
BATCH_NORMS = ("BatchNorm", "DiffGroupNorm")


def is_pyg_model(model: nn.Module) -> bool:
    """Whether there is a message-passing layer of PyG in ``model``; asked without importing PyG."""
    return any(
        _inherits(module, "torch_geometric.nn.conv.message_passing", "MessagePassing") for module in model.modules()
    )


def prunable_layers(model: nn.Module) -> dict[str, nn.Module]:
    """The message-passing layers of ``model`` by name, each of them exact on a receptive field.

    Raises:
        ValueError: If a module does not qualify, naming it and the reason, or there is no such layer.
    """
    if getattr(model, "takes_blocks", False):
        raise ValueError(
            f"{type(model).__name__} is pruned by what it is given: pass it the rows of field.nodes and field.blocks, "
            "where field = receptive_field(graph, nodes, model.num_layers)"
        )
    if type(model).__name__ == "OptimizedModule":
        raise ValueError("a compiled model cannot be pruned, as it ignores hooks; prune the model it was made from")
    layers = {name: module for name, module in model.named_modules() if _is_convolution(module)}
    within = {id(each) for layer in layers.values() for each in _parts(getattr(layer, "aggr_module", None))}
    for name, module in model.named_modules():
        reason = _why_not(module, aggregates=id(module) in within)
        if reason:
            raise ValueError(f"{described(name, module)} cannot be pruned: {reason}; use the full graph instead")
    if not layers:
        raise ValueError(f"{type(model).__name__} holds no message-passing layer of PyG, so there is nothing to prune")
    return layers


def check_row_by_row(model: nn.Module) -> None:
    """Raise ValueError if a module of a model that takes Blocks mixes rows, naming it and the reason."""
    for name, module in model.named_modules():
        reason = _why_not_row_by_row(module, aggregates=False)
        if reason:
            raise ValueError(f"{described(name, module)} cannot be pruned: {reason}; use the full graph instead")


def runs_known_code(model: nn.Module) -> bool:
    """Whether every module is one of gnnkit, recurrent or torch: their rows are known without running them."""
    return all(type(each).__module__.split(".")[0] in ("gnnkit", "recurrent", "torch") for each in model.modules())


def described(name: str, module: nn.Module) -> str:
    """A module as messages name it: its path in the model and its class."""
    return f"{name or 'the model'} ({type(module).__name__})"


def _why_not(module: nn.Module, *, aggregates: bool) -> str | None:
    """Why this module's rows depend on more than their neighbours', or None; its parts are asked for themselves."""
    if _is_convolution(module):
        return _why_not_convolution(module)
    if type(module).__module__.startswith("gnnkit.nn."):
        return "layers of gnnkit are pruned in models that take Blocks"
    return _why_not_row_by_row(module, aggregates=aggregates)


def _why_not_row_by_row(module: nn.Module, *, aggregates: bool) -> str | None:
    """The same of a module that sends no messages."""
    kind = type(module).__name__
    if "virtualnode" in kind.lower():
        return "a virtual node hears from every node"
    if isinstance(module, nn.modules.batchnorm._NormBase):
        return _why_not_running(kind, module.training, module.track_running_stats)
    if not type(module).__module__.startswith("torch_geometric."):
        return None  # a user's own or torch's
    if _inherits(module, "torch_geometric.nn.aggr.base", "Aggregation"):
        if not aggregates:
            return "global pooling reads every node"
        return None if kind in AGGREGATIONS else f"{kind} depends on the largest degree of the whole graph"
    if ".nn.pool" in type(module).__module__:
        return "pooling reads every node"
    if ".nn.norm" in type(module).__module__:
        return _why_not_norm(module, kind)
    if kind in ROW_BY_ROW or _inherits(module, "torch_geometric.nn.models.basic_gnn", "BasicGNN"):
        return None
    return f"it is not known whether {kind} works row by row"


def _why_not_convolution(layer: Any) -> str | None:
    kind = type(layer)
    if not (kind.__name__ in CONVOLUTIONS and kind.__module__.startswith("torch_geometric.nn.conv.")):
        return f"among message-passing layers only {', '.join(CONVOLUTIONS)} are known to be exact"
    if layer.flow != "source_to_target":
        return f"its flow is {layer.flow!r}, and the field is that of messages from source to target"
    return None


def _why_not_norm(module: Any, kind: str) -> str | None:
    if kind in BATCH_NORMS or kind == "MessageNorm" or (kind == "LayerNorm" and module.mode == "node"):
        return None  # what a batch norm wraps is torch's, which is asked for itself
    return f"{kind} takes its statistics over every node, in evaluation too"


def _why_not_running(kind: str, training: bool, tracks: bool) -> str | None:
    if training:
        return f"{kind} in training mode takes its statistics over every node (in evaluation mode it may be pruned)"
    return None if tracks else f"{kind} without running averages takes its statistics over every node"


def _is_convolution(module: nn.Module) -> bool:
    return _inherits(module, "torch_geometric.nn.conv.message_passing", "MessagePassing")


def _inherits(module: nn.Module, home: str, name: str) -> bool:
    # By name, so that asking it of a model without PyG does not import PyG, which takes a second.
    return any(base.__module__ == home and base.__name__ == name for base in type(module).__mro__)


def _parts(module: nn.Module | None) -> Iterator[nn.Module]:
    return iter(()) if module is None else module.modules()
